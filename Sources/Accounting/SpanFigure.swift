import Energy

/// What a span has of a component between two rows of the timeline, before anything is clamped or rounded; fractional µJ.
struct SpanFigure {
    /// Its part of all energy, and of the idle floor: the difference is dynamic.
    var drawn = 0.0
    var floor = 0.0
    var reserved = 0.0
    var busy = 0.0
    var equal = 0.0
    var low = 0.0
    var lowFloor = 0.0
    var high = 0.0
    var highFloor = 0.0
    /// What the missing meters can have counted at most.
    var missing = 0.0
    /// µs in which no meter was missing.
    var metered = 0.0
    /// The component's, of the whole host.
    var energy = 0.0
    /// CPU-µs per CPU of the host.
    var use = 0.0
    /// µs of the whole host that it had reserved.
    var reservedTime = 0.0
    /// µs in which its cgroup was another span's too.
    var shared = 0.0
    var isPartial = false

    var dynamic: Double { drawn - floor }
}

extension ComponentSums {
    private typealias L = Lane
    private typealias M = MeasuredLane
    private typealias C = ChannelLane

    /// What a span has between two rows at which nothing of it lies outside.
    func figure(of index: Int, from first: Int, to last: Int, _ timeline: Timeline) -> SpanFigure {
        let span = timeline.spans[index]
        let d = rows.between(first, last)
        var figure = SpanFigure()
        figure.missing = d[L.missing]
        figure.metered = d[L.metered]
        figure.energy = d[L.energy]
        if span.tracked < 0 {
            figure.drawn = span.weight * d[L.drawn] + span.equalWeight * d[L.drawnEqual]
            figure.floor = span.weight * d[L.floor] + span.equalWeight * d[L.floorEqual]
            figure.busy = span.weight * d[L.busy] + span.equalWeight * d[L.busyEqual]
            figure.reserved = span.claim * d[L.reserved] + span.equalClaim * d[L.reservedEqual]
            figure.equal = span.slots * d[L.equal]
            figure.low = d[L.low]
            figure.lowFloor = d[L.lowFloor]
            figure.high = d[L.high]
            figure.highFloor = d[L.highFloor]
            let (a, b) = (timeline.rows[first], timeline.rows[last])
            figure.use = span.weight * (b.perWeight - a.perWeight) + span.equalWeight * (b.perEqualWeight - a.perEqualWeight)
            figure.reservedTime = span.claim * (b.perClaim - a.perClaim) + span.equalClaim * (b.perEqualClaim - a.perEqualClaim)
            if !channels.isEmpty { addChannels(&figure, span, index, first, last, timeline) }
            return figure
        }
        let log = timeline.tracked.all[span.tracked].log
        var i = Self.firstIndex(in: log.count, at: first) { log[$0].row }
        while i < log.count, log[i].row < last {
            let from = max(first, log[i].row)
            let to = i + 1 < log.count ? min(last, log[i + 1].row) : last
            if from < to { add(log[i].state, from, to, &figure, timeline) }
            i += 1
        }
        if !channels.isEmpty { addChannels(&figure, span, index, first, last, timeline) }
        return figure
    }

    /// The last of some entries in order of their rows that is not after a row; the first where all are.
    private static func firstIndex(in count: Int, at row: Int, _ rowOf: (Int) -> Int) -> Int {
        var low = 0
        var high = count
        while high - low > 1 {
            let middle = (low + high) / 2
            if rowOf(middle) <= row { low = middle } else { high = middle }
        }
        return low
    }

    private func add(_ state: SpanState, _ from: Int, _ to: Int, _ figure: inout SpanFigure, _ timeline: Timeline) {
        let d = rows.between(from, to)
        figure.drawn += state.weight * d[L.drawn] + state.equalWeight * d[L.drawnEqual]
        figure.floor += state.weight * d[L.floor] + state.equalWeight * d[L.floorEqual]
        figure.busy += state.weight * d[L.busy] + state.equalWeight * d[L.busyEqual]
        figure.reserved += state.claim * d[L.reserved] + state.equalClaim * d[L.reservedEqual]
        figure.equal += state.slots * d[L.equal]
        figure.low += state.remainder * d[L.low]
        figure.lowFloor += state.remainder * d[L.lowFloor]
        figure.high += state.remainder * d[L.high]
        figure.highFloor += state.remainder * d[L.highFloor]
        let (a, b) = (timeline.rows[from], timeline.rows[to])
        let time = Double(b.time - a.time)
        figure.use += state.weight * (b.perWeight - a.perWeight) + state.equalWeight * (b.perEqualWeight - a.perEqualWeight)
        figure.use += state.measured * time
        figure.reservedTime += state.claim * (b.perClaim - a.perClaim) + state.equalClaim * (b.perEqualClaim - a.perEqualClaim)
        if state.isShared { figure.shared += time }
        if state.isPartial { figure.isPartial = true }
        guard state.mostMeasured > 0, !measuredRows.isEmpty else { return }
        let m = measuredRows.between(from, to)
        let floorMinus = m[M.floor] - m[M.floorPlus]
        figure.drawn += state.measured * m[M.drawn]
        figure.floor += state.measured * m[M.floor]
        figure.busy += state.measured * m[M.busy]
        // Where the energy is below the floor the extremes change places: who used less then has more.
        figure.low += state.leastMeasured * m[M.lowPlus] + state.mostMeasured * m[M.lowMinus]
        figure.lowFloor += state.leastMeasured * m[M.floorPlus] + state.mostMeasured * floorMinus
        figure.high += state.mostMeasured * m[M.highPlus] + state.leastMeasured * m[M.highMinus]
        figure.highFloor += state.mostMeasured * m[M.floorPlus] + state.leastMeasured * floorMinus
    }

    private func addChannels(
        _ figure: inout SpanFigure,
        _ span: ActiveSpan,
        _ index: Int,
        _ first: Int,
        _ last: Int,
        _ timeline: Timeline
    ) {
        func add(_ channel: Channel, _ rate: Double, _ from: Int, _ to: Int) {
            guard rate > 0, from < to else { return }
            let d = channel.rows.between(from, to)
            figure.drawn += rate * d[C.drawn]
            figure.floor += rate * d[C.floor]
            figure.busy += rate * d[C.busy]
            figure.low += rate * d[C.low]
            figure.lowFloor += rate * d[C.lowFloor]
            figure.high += rate * d[C.high]
            figure.highFloor += rate * d[C.highFloor]
        }
        func add(_ channel: Channel, _ tracks: RateTracks) {
            guard let one = tracks.byActive[index] else { return }
            let log = tracks.all[one].log
            var i = Self.firstIndex(in: log.count, at: first) { log[$0].row }
            while i < log.count, log[i].row < last {
                add(channel, log[i].rate, max(first, log[i].row), i + 1 < log.count ? min(last, log[i + 1].row) : last)
                i += 1
            }
        }
        for channel in channels {
            switch channel.rate {
            case .memory: add(channel, timeline.memory)
            case .gpuTime(let g): add(channel, timeline.gpus[g])
            case .owners(let g): if timeline.owners[g].contains(index) { add(channel, 1, first, last) }
            case .slots:
                guard span.tracked >= 0 else {
                    add(channel, span.slots, first, last)
                    continue
                }
                let log = timeline.tracked.all[span.tracked].log
                var i = Self.firstIndex(in: log.count, at: first) { log[$0].row }
                while i < log.count, log[i].row < last {
                    add(channel, log[i].state.slots, max(first, log[i].row), i + 1 < log.count ? min(last, log[i + 1].row) : last)
                    i += 1
                }
            }
        }
    }
}
