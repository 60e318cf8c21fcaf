/// A stretch of time over which a curve's increase is not known, only its limits.
public struct Gap: Hashable, Sendable {
    public enum Cause: String, Sendable, CaseIterable {
        /// The counter may have wrapped more than once.
        case wrap
        /// The host was booted anew in between.
        case reboot
        /// A counter fell where it cannot wrap: a driver reload.
        case reset
        /// The host was suspended.
        case suspend
        /// Nobody was measuring: the agent was stopped, or lost its state.
        case absence
        /// The sensor did not answer.
        case unreadable
    }

    public var interval: Interval
    /// Limits of the increase within the gap, in the curve's unit.
    public var low: Int64
    public var high: Int64
    public var cause: Cause

    public init(interval: Interval, low: Int64, high: Int64, cause: Cause) {
        self.interval = interval
        self.low = low
        self.high = high
        self.cause = cause
    }
}

/// A cumulative quantity over time: monotone and linear between its knots.
///
/// The curve is known from its first to its last knot, less its gaps. Within a gap it is flat: a gap is not energy, its limits
/// are kept beside it.
public struct Curve: Sendable {
    /// In strictly increasing time; values never fall.
    public private(set) var knots: [Knot]
    /// In order of time, not overlapping.
    public private(set) var gaps: [Gap]

    /// Makes a curve from knots and gaps in any order. Of several knots at one instant the one with the largest value is kept;
    /// a knot whose value lies below an earlier one's is raised to it, since a cumulative quantity cannot fall.
    public init(knots: [Knot], gaps: [Gap] = []) {
        var sorted = knots
        if !zip(sorted, sorted.dropFirst()).allSatisfy({ $0.time < $1.time }) {
            sorted.sort { ($0.time, $0.value) < ($1.time, $1.value) }
        }
        var kept: [Knot] = []
        kept.reserveCapacity(sorted.count)
        for var knot in sorted {
            if let last = kept.last {
                knot.value = max(knot.value, last.value)
                if last.time == knot.time {
                    knot.flags.formUnion(last.flags)
                    kept.removeLast()
                }
            }
            kept.append(knot)
        }
        self.knots = kept
        self.gaps = gaps.filter { !$0.interval.isEmpty }.sorted { $0.interval.start < $1.interval.start }
    }

    /// The time from the first knot to the last.
    public var extent: Interval? {
        guard let first = knots.first, let last = knots.last else { return nil }
        return Interval(first.time, last.time)
    }

    /// The value at an instant, linear between knots; nil outside the extent.
    public func value(at t: Timestamp) -> Double? {
        guard let first = knots.first, let last = knots.last, first.time <= t, t <= last.time else { return nil }
        let i = indexOfLastKnot(atOrBefore: t)
        let a = knots[i]
        if a.time == t { return Double(a.value) }
        let b = knots[i + 1]
        let fraction = Double((t - a.time).count) / Double((b.time - a.time).count)
        return Double(a.value) + fraction * Double(b.value - a.value)
    }

    /// The increase over the part of an interval that lies in the extent.
    public func increase(over interval: Interval) -> Double {
        guard let extent, let part = extent.intersection(interval) else { return 0 }
        return value(at: part.end)! - value(at: part.start)!
    }

    /// The parts of an interval in which the curve is known: inside the extent and outside every gap.
    public func known(within interval: Interval) -> [Interval] {
        guard let extent, var rest = extent.intersection(interval) else { return [] }
        var parts: [Interval] = []
        for gap in gaps {
            guard let hole = gap.interval.intersection(rest) else { continue }
            if rest.start < hole.start { parts.append(Interval(rest.start, hole.start)) }
            rest = Interval(hole.end, rest.end)
            if rest.isEmpty { break }
        }
        if !rest.isEmpty { parts.append(rest) }
        return parts
    }

    /// The knot at exactly this instant, if there is one.
    public func knot(at t: Timestamp) -> Knot? {
        guard let first = knots.first, first.time <= t else { return nil }
        let knot = knots[indexOfLastKnot(atOrBefore: t)]
        return knot.time == t ? knot : nil
    }

    /// - Precondition: the first knot is not after `t`.
    private func indexOfLastKnot(atOrBefore t: Timestamp) -> Int {
        var low = 0
        var high = knots.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if knots[middle].time <= t { low = middle } else { high = middle }
        }
        return low
    }
}
