import Energy

extension ComponentSums {
    /// How far what a unit of measured CPU gets, and what is open, change. On a machine that did next to nothing a unit is worth any number;
    /// more than this would cost later sums their digits.
    @inline(__always)
    static func bend(from old: SIMD2<Double>, to new: SIMD2<Double>) -> SIMD2<Double> {
        SIMD2(min(1e9, (new.x - old.x).magnitude), min(1, (new.y - old.y).magnitude))
    }

    /// What thinning may hide within a cell, µJ: where a span's part of the energy changes and nobody read the meters just then, some of what
    /// is counted on one side may have flowed on the other. Hard limits, for the least and the most that the span can have.
    ///
    /// Each change of its part times what the curves may be off by at that instant. Between its start and its end only; what is shared out
    /// by memory or by a GPU's use is left out.
    func bends(of cell: Cell, _ timeline: Timeline) -> (least: Double, most: Double) {
        let (first, last) = (Int(cell.from), Int(cell.to))
        guard first < last, channels.isEmpty else { return (0, 0) }
        func factors(_ row: Int, before: Bool) -> ShareFactors {
            let stretch = timeline.rows[row].stretch - (before ? 1 : 0)
            return timeline.factors[Int(timeline.stretches[max(0, stretch)].factors)]
        }
        /// Without the changes at the two rows themselves.
        func within(_ from: Int, _ to: Int) -> (perMeasured: Double, remainder: Double) {
            let d = marks[to].bendsBefore - marks[from].bends
            return (max(0, d.x), max(0, d.y))
        }
        let tracked = timeline.spans[Int(cell.span)].tracked
        guard tracked >= 0 else { return (0, within(first, last).remainder) }
        var (least, most) = (0.0, 0.0)
        var before: SpanState?
        let log = timeline.tracked.all[tracked].log
        for (i, entry) in log.enumerated() {
            let from = max(first, entry.row)
            let to = i + 1 < log.count ? min(last, log[i + 1].row) : last
            guard from < to else { continue }
            let state = entry.state
            if let before {
                let (old, new) = (factors(from, before: true), factors(from, before: false))
                let limit = edge(at: from).limit
                least += (state.leastMeasured * new.perMeasured - before.leastMeasured * old.perMeasured).magnitude * limit
                let upper = state.mostMeasured * new.perMeasured + state.remainder * new.remainder
                most += (upper - before.mostMeasured * old.perMeasured - before.remainder * old.remainder).magnitude * limit
            }
            let inner = within(from, to)
            least += state.leastMeasured * inner.perMeasured
            most += state.mostMeasured * inner.perMeasured + state.remainder * inner.remainder
            before = state
        }
        return (least, most)
    }
}
