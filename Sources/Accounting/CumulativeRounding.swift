import Energy

/// Rounds a list of parts to integers so that they add up to a given total and no part depends on how others are split.
///
/// Part i becomes `round(sum 1...i) - round(sum 1...i-1)`. Sums are held within 0...total, so that no part is negative and the
/// last takes what is left. (Largest remainders would let splitting one part change another.)
public struct CumulativeRounding {
    private let total: Int64
    private var sum = 0.0
    private var given: Int64 = 0

    public init(total: Int64) { self.total = max(0, total) }

    /// The next part, at least 0.
    public mutating func next(_ part: Double) -> Int64 {
        sum += max(0, part)
        let upTo = min(total, max(given, Int64(rounding: sum)))
        defer { given = upTo }
        return upTo - given
    }

    /// What is left of the total.
    public var rest: Int64 { total - given }
}
