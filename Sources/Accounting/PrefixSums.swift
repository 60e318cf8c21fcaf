/// Sums up to each row of a timeline, whose differences are exact to a small part of a µJ however large the sums are.
///
/// A unit of claim on an almost idle machine is worth its whole energy many billion times over. Sums that went on from there would have
/// no digits left for those who come later. So they begin anew after it, and where each began is kept with twice the digits.
struct PrefixSums<Row: SIMD & Sendable>: Sendable where Row.Scalar == Double {
    /// From which row on sums count from here: the sum up to it is `high + low`.
    private struct Origin {
        var row: Int
        var high = Row.zero
        var low = Row.zero
    }

    /// Doubles have steps of 2^-6 µJ here.
    static var largest: Double { 0x1p46 }

    private var sum = Row.zero
    private var rows: [Row] = []
    private var origins = [Origin(row: 0)]

    var isEmpty: Bool { rows.isEmpty }

    mutating func reserveCapacity(_ count: Int) { rows.reserveCapacity(count) }

    @inline(__always)
    mutating func add(_ part: Row) { sum += part }

    /// The next row.
    /// - Parameter magnitude: at least as much as any part of the sum since the last time that this returned true.
    /// - Returns: whether sums begin anew, of which the caller's magnitude does too.
    @inline(__always)
    @discardableResult
    mutating func keep(magnitude: Double) -> Bool {
        rows.append(sum)
        guard magnitude > Self.largest else { return false }
        begin()
        return true
    }

    private mutating func begin() {
        var origin = origins[origins.count - 1]
        let (high, rest) = Self.exactSum(origin.high, sum)
        origin = Origin(row: rows.count, high: high, low: origin.low + rest)
        origins.append(origin)
        sum = .zero
    }

    /// What was added between two rows.
    @inline(__always)
    func between(_ from: Int, _ to: Int) -> Row {
        origins.count == 1 ? rows[to] - rows[from] : across(from, to)
    }

    private func across(_ from: Int, _ to: Int) -> Row {
        let (first, last) = (origin(of: from), origin(of: to))
        guard first != last else { return rows[to] - rows[from] }
        let (high, rest) = Self.exactSum(origins[last].high, -origins[first].high)
        // Where the first row's sum is what the next ones' began after it cancels to the last digit.
        return (high - rows[from]) + (rest + (origins[last].low - origins[first].low)) + rows[to]
    }

    private func origin(of row: Int) -> Int {
        var low = 0
        var high = origins.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if origins[middle].row <= row { low = middle } else { high = middle }
        }
        return low
    }

    /// A sum and what rounding it left out (Knuth's two-sum).
    private static func exactSum(_ a: Row, _ b: Row) -> (sum: Row, rest: Row) {
        let sum = a + b
        let part = sum - a
        return (sum, (a - (sum - part)) + (b - part))
    }
}
