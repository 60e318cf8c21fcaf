public import Energy

extension Curve {
    /// The value at an instant in whole units, exact however large the counter is: a counter of µJ passes 2^53 within a year.
    /// Outside the extent it is that of the nearest knot; 0 of no knots.
    public func wholeValue(at t: Timestamp) -> Int64 {
        let (knot, beyond) = place(of: t)
        return knot.addingReportingOverflow(Int64(rounding: beyond)).partialValue
    }

    /// How much it grows over an interval, held constant outside its extent.
    func exactIncrease(over interval: Interval) -> Double {
        let (a, b) = (place(of: interval.start), place(of: interval.end))
        return CurveCursor.difference(b.knot, a.knot) + (b.beyond - a.beyond)
    }

    /// The value of the last knot, and how far beyond it the line is.
    private func place(of t: Timestamp) -> (knot: Int64, beyond: Double) {
        guard let first = knots.first, let last = knots.last else { return (0, 0) }
        if t <= first.time { return (first.value, 0) }
        if t >= last.time { return (last.value, 0) }
        let i = CurveCursor.index(atOrBefore: t, in: knots)
        let (a, b) = (knots[i], knots[i + 1])
        let fraction =
            CurveCursor.difference(t.microseconds, a.time.microseconds)
            / CurveCursor.difference(b.time.microseconds, a.time.microseconds)
        return (a.value, fraction * CurveCursor.difference(b.value, a.value))
    }
}

/// Goes along a curve once: between two changes its rate is constant.
struct CurveCursor {
    private let knots: [Knot]
    private let gaps: [Gap]
    /// The last knot at or before where the cursor stands; -1 before the first.
    private var knot: Int
    private var gap: Int
    /// Inside the extent and outside every gap.
    private(set) var isKnown = false
    /// Units a µs; 0 where the curve is not known.
    private(set) var rate = 0.0
    /// When the next knot or edge of a gap comes.
    private(set) var next = Timestamp(microseconds: .max)

    /// Stands at `start` at once, however many knots lie before it.
    init(_ curve: Curve, from start: Timestamp) {
        knots = curve.knots
        gaps = curve.gaps
        knot = knots.isEmpty || start < knots[0].time ? -1 : Self.index(atOrBefore: start, in: knots)
        gap = 0
        advance(to: start)
    }

    /// The time of the last knot passed.
    var lastKnot: Timestamp { knot < 0 ? Timestamp(microseconds: .min) : knots[knot].time }
    var isEmpty: Bool { knots.isEmpty }
    var isBeforeFirst: Bool { knot < 0 }
    var isAfterLast: Bool { knot == knots.count - 1 }

    /// - Precondition: not before where it stands.
    mutating func advance(to t: Timestamp) {
        while knot + 1 < knots.count, knots[knot + 1].time <= t { knot += 1 }
        next = knot + 1 < knots.count ? knots[knot + 1].time : Timestamp(microseconds: .max)
        isKnown = knot >= 0 && knot + 1 < knots.count
        while gap < gaps.count, gaps[gap].interval.end <= t { gap += 1 }
        if gap < gaps.count {
            if gaps[gap].interval.start <= t {
                isKnown = false
                next = min(next, gaps[gap].interval.end)
            } else {
                next = min(next, gaps[gap].interval.start)
            }
        }
        guard isKnown else {
            rate = 0
            return
        }
        let (a, b) = (knots[knot], knots[knot + 1])
        rate = Self.difference(b.value, a.value) / Self.difference(b.time.microseconds, a.time.microseconds)
    }

    /// The last knot at or before an instant, which is not before the first.
    static func index(atOrBefore t: Timestamp, in knots: [Knot]) -> Int {
        var low = 0
        var high = knots.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if knots[middle].time <= t { low = middle } else { high = middle }
        }
        return low
    }

    /// `a - b` without a trap, and without loss where both are large and near each other.
    @inline(__always)
    static func difference(_ a: Int64, _ b: Int64) -> Double {
        let (difference, overflow) = a.subtractingReportingOverflow(b)
        return overflow ? Double(a) - Double(b) : Double(difference)
    }

    /// The instants within a window at which a curve's rate may change.
    static func changes(of curve: Curve, within window: Interval, _ body: (Timestamp) -> Void) {
        let knots = curve.knots
        if let first = knots.first {
            var i = first.time < window.start ? index(atOrBefore: window.start, in: knots) : 0
            while i < knots.count, knots[i].time < window.end {
                if window.start <= knots[i].time { body(knots[i].time) }
                i += 1
            }
        }
        for gap in curve.gaps where gap.interval.start < window.end && window.start < gap.interval.end {
            if window.contains(gap.interval.start) { body(gap.interval.start) }
            if window.contains(gap.interval.end) { body(gap.interval.end) }
        }
    }
}
