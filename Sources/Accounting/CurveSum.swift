public import Energy

extension Curve {
    /// The sum of several curves, each of which counts nothing before its first knot, and nothing after its last once it has ended.
    ///
    /// Known no further than the first of those that have not ended.
    public static func sum(_ curves: [(curve: Curve, isClosed: Bool)]) -> Curve {
        guard curves.count != 1 else { return curves[0].curve }
        let extents = curves.compactMap { $0.curve.extent }
        guard let first = extents.map(\.start).min(), let last = extents.map(\.end).max() else { return Curve(knots: []) }
        let end = min(last, curves.compactMap { $0.isClosed ? nil : $0.curve.extent?.end }.min() ?? last)
        // One pass over all knots in order of time. Of each curve the last knot passed, and how fast it grows since.
        var events: [(time: Timestamp, curve: Int, knot: Int)] = []
        events.reserveCapacity(curves.reduce(1) { $0 + $1.curve.knots.count })
        var whole: Int128 = 0
        for (c, one) in curves.enumerated() {
            for (k, knot) in one.curve.knots.enumerated() where knot.time <= end { events.append((knot.time, c, k)) }
            whole += one.curve.knots.first.map { Int128($0.value) } ?? 0
        }
        events.append((end, -1, 0))
        events.sort { $0.time < $1.time }
        var rates = [Double](repeating: 0, count: curves.count)
        var slope = 0.0
        /// What the curves have grown together since `whole`.
        var beyond = 0.0
        var growing = 0
        var before = first
        var knots: [Knot] = []
        knots.reserveCapacity(events.count)
        var i = 0
        while i < events.count {
            let time = events[i].time
            beyond += slope * Double((time - before).count)
            before = time
            while i < events.count, events[i].time == time {
                let (_, c, k) = events[i]
                i += 1
                guard c >= 0 else { continue }
                let own = curves[c].curve.knots
                if k > 0 {
                    whole += Int128(own[k].value) - Int128(own[k - 1].value)
                    beyond -= rates[c] * Double((own[k].time - own[k - 1].time).count)
                    slope -= rates[c]
                    growing -= 1
                }
                rates[c] = 0
                if k + 1 < own.count {
                    rates[c] = CurveCursor.difference(own[k + 1].value, own[k].value) / Double((own[k + 1].time - own[k].time).count)
                    slope += rates[c]
                    growing += 1
                }
            }
            // Nothing stays behind of sums from which everything was taken again.
            if growing == 0 { (slope, beyond) = (0, 0) }
            let value = whole + Int128(beyond.rounded())
            knots.append(Knot(time: time, value: Int64(clamping: value)))
        }
        return Curve(knots: knots, gaps: merged(curves.flatMap { $0.curve.gaps }))
    }

    /// Gaps that overlap become one.
    private static func merged(_ gaps: [Gap]) -> [Gap] {
        var result: [Gap] = []
        for gap in gaps.sorted(by: { $0.interval.start < $1.interval.start }) {
            if var last = result.last, gap.interval.start < last.interval.end {
                last.interval.end = Swift.max(last.interval.end, gap.interval.end)
                last.low += gap.low
                last.high += gap.high
                result[result.count - 1] = last
            } else {
                result.append(gap)
            }
        }
        return result
    }
}
