public import Energy

/// A cumulative quantity that grows at a constant rate between its times: the truth behind a curve, not rounded to any unit.
public struct CumulativeTrack: Sendable {
    private(set) var times: [Int64] = []
    private(set) var values: [Double] = []

    public init() {}

    /// The last value, held from then on.
    public var total: Double { values.last ?? 0 }

    mutating func append(_ time: Int64, _ value: Double) {
        times.append(time)
        values.append(value)
    }

    /// Linear in between; held constant outside.
    public func value(at time: Timestamp) -> Double {
        let t = time.microseconds
        guard let first = times.first, let last = times.last else { return 0 }
        if t <= first { return values[0] }
        if t >= last { return total }
        var low = 0
        var high = times.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if times[middle] <= t { low = middle } else { high = middle }
        }
        let fraction = Double(t - times[low]) / Double(times[low + 1] - times[low])
        return values[low] + fraction * (values[low + 1] - values[low])
    }
}
