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
        let times = Set(curves.flatMap { $0.curve.knots.map(\.time) } + [end]).filter { first <= $0 && $0 <= end }
        let knots = times.map { time in
            let value = curves.reduce(0.0) { sum, one in
                guard let extent = one.curve.extent else { return sum }
                return sum + (one.curve.value(at: Swift.min(Swift.max(time, extent.start), extent.end)) ?? 0)
            }
            return Knot(time: time, value: Int64(saturating: value.rounded()))
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
