import Energy

/// What one unit of each kind of claim gets while nothing changes; the same for every component that goes by the CPU.
struct ShareFactors {
    /// Of dynamic energy, per unit of weight.
    var perWeight = 0.0
    /// What a span that declared nothing has: `1 / max(slots, spans running)`.
    var equalPart = 0.0
    /// Of dynamic energy, per unit of measured CPU.
    var perMeasured = 0.0
    /// All that nobody was measured to use.
    var remainder = 0.0
    /// What all running spans have of it together.
    var spans = 0.0
    /// Of idle energy: per unit of claim, per running span.
    var perClaim = 0.0
    var perSlot = 0.0
    /// Of dynamic energy to the agent, and to nobody that is known.
    var agent = 0.0
    var leftover = 0.0
    /// Busy fraction of the host.
    var busy = 0.0
    var isBusyKnown = false
    /// Every running span's CPU is measured: what they have together is known.
    var isMeasured = false
    /// By how much all that was measured may be off at any instant, µs on every CPU of the host.
    var epsilon = 0.0

    var perEqualWeight: Double { perWeight * equalPart }
    var perEqualClaim: Double { perClaim * equalPart }
    var perSpans: Double { spans > 0 ? 1 / spans : 0 }
    var system: Double { isBusyKnown ? leftover : 0 }
    var unknown: Double { isBusyKnown ? 0 : leftover }
    /// Nothing ran.
    var idle: Double { busy > 0 ? 0 : 1 }
}

/// A stretch of time in which every curve is a line.
struct Stretch {
    /// µs since the window's start.
    var time: Int64
    var factors: Int32
    /// The row that ends here; -1 where nobody asks for the sums at this instant.
    var row: Int32
}

/// An instant at which some span starts, ends or changes, or a piece ends: the sums up to it are kept.
struct TimelineRow {
    /// µs since the window's start.
    var time: Int64
    /// Of the stretch that begins here.
    var stretch: Int
    /// CPU-µs of the host per unit of weight and per part of an equal one, up to here.
    var perWeight: Double
    var perEqualWeight: Double
    /// µs of the whole host per unit of claim and per part of an equal one, up to here.
    var perClaim: Double
    var perEqualClaim: Double
}

/// How the energy of a GPU goes while nothing changes.
struct GPUShare {
    enum Rule { case nobody, time, owners, equal }
    var rule: Rule
    /// Per unit of GPU time, per owner, or per running span.
    var factor: Double
}

/// A host's window as a row of stretches, with what each gives to whom. One pass over everything that happens, in order of time.
struct Timeline {
    let window: Interval
    let length: Int64
    /// The window divided at its cuts.
    let pieces: [Interval]
    /// The row at which each piece starts, and the last row.
    private(set) var pieceRows: [Int] = []
    /// In order of their ids.
    private(set) var spans: [ActiveSpan]
    private(set) var tracked: TrackedSpans
    private(set) var stretches: [Stretch] = []
    private(set) var factors: [ShareFactors] = []
    private(set) var rows: [TimelineRow] = []
    private(set) var flags: AccountFlags = []

    private(set) var memory = RateTracks()
    /// Per factors: what a unit of memory gets of DRAM's dynamic energy, and how many units there are; 0 where not all have a curve.
    private(set) var memoryFactors: [Double] = []
    private(set) var memorySums: [Double] = []
    /// One for each GPU's meter, with those that own it.
    private(set) var gpus: [RateTracks] = []
    private(set) var owners: [Set<Int>] = []
    private(set) var gpuNames: [String]
    /// Per factors and GPU.
    private(set) var gpuShares: [GPUShare] = []

    var hasMemory: Bool { !memory.all.isEmpty }

    init(_ host: HostInput, meters: [MeterInput], alternatives: [MeterInput]) {
        let window = host.window
        self.window = window
        length = window.end.microseconds - window.start.microseconds
        let cuts = Set(host.cuts).filter { window.start < $0 && $0 < window.end }.sorted()
        let edges = [window.start] + cuts + [window.end]
        pieces = zip(edges, edges.dropFirst()).map { Interval($0, $1) }

        var active: [ActiveSpan] = []
        active.reserveCapacity(host.spans.count)
        var isSorted = true
        // By the buffer: a span taken out of an array has all its references counted.
        host.spans.withUnsafeBufferPointer { spans in
            for i in spans.indices {
                guard let clipped = spans[i].interval.intersection(window) else { continue }
                let span = ActiveSpan(spans[i], input: i, clipped: clipped, window: window, cpus: host.cpus, slots: host.slots)
                if let last = active.last, last.id > span.id { isSorted = false }
                active.append(span)
            }
        }
        if !isSorted { active.sort { $0.id < $1.id } }
        tracked = TrackedSpans(&active, host: host)
        // Handed over, not shared: the walk changes them.
        spans = consume active
        gpuNames = meters.filter { $0.component == .gpu }.map(\.name)
        findRates(host, meters)
        walk(host, events(host, meters + alternatives, cuts))
    }

    private mutating func findRates(_ host: HostInput, _ meters: [MeterInput]) {
        gpus = gpuNames.map { _ in RateTracks() }
        owners = gpuNames.map { _ in [] }
        guard !tracked.isEmpty else { return }
        let hasDRAM = meters.contains { $0.component == .dram }
        for one in tracked.all {
            let input = host.spans[spans[one.span].input]
            let start = window.start + Microseconds(spans[one.span].start)
            if hasDRAM, let curve = input.memory { memory.append(one.span, curve, from: start) }
            for (g, name) in gpuNames.enumerated() {
                if let curve = input.gpuTimes[name] { gpus[g].append(one.span, curve, from: start) }
                if input.ownedGPUs.contains(name) { owners[g].insert(one.span) }
            }
        }
        memory.nest(tracked)
    }

    private func events(_ host: HostInput, _ meters: [MeterInput], _ cuts: [Timestamp]) -> [TimedEvent] {
        var events: [TimedEvent] = []
        let curves = meters.map(\.curve) + [host.busy, host.agent].compactMap { $0 }
        events.reserveCapacity(spans.count * 4 + curves.reduce(0) { $0 + $1.knots.count } + cuts.count + 2)
        let origin = window.start.microseconds
        for cut in [window.start] + cuts + [window.end] { events.append(TimedEvent(cut.microseconds - origin, .cut)) }
        for meter in meters {
            CurveCursor.changes(of: meter.curve, within: window) { events.append(TimedEvent($0.microseconds - origin, .knot)) }
        }
        if let busy = host.busy {
            CurveCursor.changes(of: busy, within: window) { events.append(TimedEvent($0.microseconds - origin, .busy)) }
        }
        if let agent = host.agent {
            CurveCursor.changes(of: agent, within: window) { events.append(TimedEvent($0.microseconds - origin, .agent)) }
        }
        for i in spans.indices {
            events.append(TimedEvent(spans[i].start, .start, i))
            events.append(TimedEvent(spans[i].end, .end, i))
            if spans[i].late >= 0 { events.append(TimedEvent(spans[i].late, .late, i)) }
            if spans[i].early >= 0 { events.append(TimedEvent(spans[i].early, .early, i)) }
        }
        for (i, one) in tracked.all.enumerated() {
            let input = host.spans[spans[one.span].input]
            let own = Interval(
                window.start + Microseconds(spans[one.span].start),
                window.start + Microseconds(spans[one.span].end)
            )
            let curves = [input.workload?.curve, input.memory].compactMap { $0 } + input.gpuTimes.values
            for curve in curves {
                CurveCursor.changes(of: curve, within: own) { events.append(TimedEvent($0.microseconds - origin, .tracked, i)) }
            }
            if let since = input.workload?.partialSince, own.contains(since) {
                events.append(TimedEvent(since.microseconds - origin, .tracked, i))
            }
        }
        TimedEvent.sort(&events)
        return events
    }

    /// What runs, in sums that any of it can be taken from again.
    private struct Running {
        var weight = ExactSum()
        var equalWeight = ExactSum()
        var measured = ExactSum()
        var epsilon = ExactSum()
        var claim = ExactSum()
        var equalClaim = ExactSum()
        var slots = ExactSum()
        var count = 0
        /// How many of them may have used what nobody was measured to use.
        var unmeasured = 0

        @inline(__always)
        mutating func add(_ state: SpanState) {
            weight.add(state.weight)
            equalWeight.add(state.equalWeight)
            measured.add(state.measured)
            epsilon.add(state.epsilon)
            claim.add(state.claim)
            equalClaim.add(state.equalClaim)
            slots.add(state.slots)
            if state.remainder > 0 { unmeasured += 1 }
        }

        @inline(__always)
        mutating func remove(_ state: SpanState) {
            weight.remove(state.weight)
            equalWeight.remove(state.equalWeight)
            measured.remove(state.measured)
            epsilon.remove(state.epsilon)
            claim.remove(state.claim)
            equalClaim.remove(state.equalClaim)
            slots.remove(state.slots)
            if state.remainder > 0 { unmeasured -= 1 }
        }

        @inline(__always)
        mutating func add(_ span: ActiveSpan) {
            weight.add(span.weight)
            equalWeight.add(span.equalWeight)
            claim.add(span.claim)
            equalClaim.add(span.equalClaim)
            slots.add(span.slots)
            unmeasured += 1
        }

        @inline(__always)
        mutating func remove(_ span: ActiveSpan) {
            weight.remove(span.weight)
            equalWeight.remove(span.equalWeight)
            claim.remove(span.claim)
            equalClaim.remove(span.equalClaim)
            slots.remove(span.slots)
            unmeasured -= 1
        }
    }

    private mutating func walk(_ host: HostInput, _ events: [TimedEvent]) {
        var tracked = self.tracked
        var memory = self.memory
        var gpus = self.gpus
        var running = Running()
        var ownerCounts = gpuNames.map { _ in 0 }
        var busy = host.busy.map { CurveCursor($0, from: window.start) }
        var agent = host.agent.map { CurveCursor($0, from: window.start) }
        let cpus = Double(host.cpus)
        let slots = max(1, host.slots ?? 0)
        let hasRates = !memory.all.isEmpty || !gpus.isEmpty

        rows.reserveCapacity(spans.count * 2 + pieces.count + 1)
        stretches.reserveCapacity(events.count)
        factors.reserveCapacity(events.count)
        var current = ShareFactors()
        var isStale = true
        var perWeight = 0.0
        var perEqualWeight = 0.0
        var perClaim = 0.0
        var perEqualClaim = 0.0
        var before: Int64 = 0
        var i = 0
        while i < events.count {
            let time = Int64(events[i].time)
            let now = Timestamp(microseconds: window.start.microseconds + time)
            let capacity = Double(time - before) * current.busy
            perWeight += capacity * current.perWeight
            perEqualWeight += capacity * current.perEqualWeight
            perClaim += Double(time - before) * current.perClaim
            perEqualClaim += Double(time - before) * current.perEqualClaim
            before = time
            let row = rows.count
            var isRow = false
            var hasChanges = false
            while i < events.count, Int64(events[i].time) == time {
                let event = events[i]
                i += 1
                let index = event.index
                switch event.kind {
                case .knot: break
                case .cut:
                    isRow = true
                    pieceRows.append(row)
                case .late:
                    isRow = true
                    spans[index].lateRow = Int32(truncatingIfNeeded: row)
                case .early:
                    isRow = true
                    spans[index].earlyRow = Int32(truncatingIfNeeded: row)
                case .start, .end:
                    isRow = true
                    isStale = true
                    let isStart = event.kind == .start
                    if isStart {
                        spans[index].startRow = Int32(truncatingIfNeeded: row)
                    } else {
                        spans[index].endRow = Int32(truncatingIfNeeded: row)
                    }
                    running.count += isStart ? 1 : -1
                    let place = spans[index].tracked
                    if place < 0 {
                        if isStart { running.add(spans[index]) } else { running.remove(spans[index]) }
                    } else {
                        hasChanges = true
                        if isStart { tracked.start(place) } else { tracked.end(place) }
                        if hasRates {
                            if let one = memory.byActive[index] { memory.set(one, isRunning: isStart, at: now, row: row) }
                            for g in gpus.indices {
                                if let one = gpus[g].byActive[index] { gpus[g].set(one, isRunning: isStart, at: now, row: row) }
                                if owners[g].contains(index) { ownerCounts[g] += isStart ? 1 : -1 }
                            }
                        }
                    }
                case .busy:
                    busy?.advance(to: now)
                    isStale = true
                case .agent:
                    agent?.advance(to: now)
                    isStale = true
                case .tracked:
                    hasChanges = true
                    isRow = true
                    tracked.change(index)
                    if hasRates {
                        let span = tracked.all[index].span
                        if let one = memory.byActive[span] { memory.change(one, at: now, row: row) }
                        for g in gpus.indices {
                            if let one = gpus[g].byActive[span] { gpus[g].change(one, at: now, row: row) }
                        }
                    }
                }
            }
            if hasChanges {
                isStale = true
                tracked.settle(at: now, row: row) { old, new in
                    running.remove(old)
                    running.add(new)
                }
            }
            if isStale, !tracked.isEmpty, tracked.setEqualPart(1 / max(slots, running.slots.value)) {
                isRow = true
                tracked.settle(at: now, row: row) { old, new in
                    running.remove(old)
                    running.add(new)
                }
            }
            if isRow {
                rows.append(
                    TimelineRow(
                        time: time,
                        stretch: stretches.count,
                        perWeight: perWeight,
                        perEqualWeight: perEqualWeight,
                        perClaim: perClaim,
                        perEqualClaim: perEqualClaim
                    )
                )
            }
            guard time < length else { break }
            if isStale {
                isStale = false
                let busyFraction = busy.flatMap { $0.isKnown ? min(1, $0.rate / cpus) : nil }
                let agentFraction = agent.map { max(0, $0.rate) / cpus } ?? 0
                current = Self.factors(running, busy: busyFraction, agent: agentFraction, slots: slots)
                if !current.isBusyKnown { flags.insert(.busyUnknown) }
                if host.slots.map({ $0 <= 0 }) ?? true, running.equalClaim.value > 0 { flags.insert(.slotsUnknown) }
                factors.append(current)
                if hasRates {
                    let sum = memory.sum.value
                    let isShared = running.count > 0 && memory.knownCount == running.count && sum > 0
                    memoryFactors.append(isShared ? current.spans / sum : 0)
                    memorySums.append(isShared ? sum : 0)
                    for g in gpus.indices {
                        gpuShares.append(
                            Self.gpuShare(time: gpus[g].sum.value, owners: ownerCounts[g], slots: running.slots.value)
                        )
                    }
                }
            }
            stretches.append(
                Stretch(time: time, factors: Int32(truncatingIfNeeded: factors.count - 1), row: isRow ? Int32(truncatingIfNeeded: row) : -1)
            )
        }
        if tracked.wasShared { flags.insert(.cgroupShared) }
        if tracked.wasUndivided { flags.insert(.stepsUndivided) }
        if tracked.hasCycle { flags.insert(.nestedInItself) }
        if tracked.wasPartial { flags.insert(.cpuTimePartial) }
        self.tracked = tracked
        self.memory = memory
        self.gpus = gpus
    }

    private static func gpuShare(time: Double, owners: Int, slots: Double) -> GPUShare {
        if time > 0 { return GPUShare(rule: .time, factor: 1 / time) }
        if owners > 0 { return GPUShare(rule: .owners, factor: 1 / Double(owners)) }
        if slots > 0 { return GPUShare(rule: .equal, factor: 1 / slots) }
        return GPUShare(rule: .nobody, factor: 0)
    }

    private static func factors(_ running: Running, busy: Double?, agent: Double, slots: Double) -> ShareFactors {
        let count = running.slots.value
        let part = 1 / max(slots, count)
        let weights = running.weight.value + part * running.equalWeight.value
        let measured = running.measured.value
        let formula = ShareFormula(busy: busy, measured: measured, agent: agent, weights: weights)
        var factors = ShareFactors()
        factors.perWeight = formula.declared(1)
        factors.equalPart = part
        factors.perMeasured = formula.measured(1)
        factors.remainder = formula.mostUndeclared
        factors.spans = factors.perWeight * weights + formula.measured(measured)
        let claims = running.claim.value + part * running.equalClaim.value
        factors.perClaim = 1 / max(1, claims)
        factors.perSlot = count > 0 ? 1 / count : 0
        factors.agent = formula.agent
        factors.leftover = formula.system + formula.unknown
        factors.busy = formula.busy
        factors.isBusyKnown = busy != nil
        factors.isMeasured = running.unmeasured == 0
        factors.epsilon = running.epsilon.value
        return factors
    }
}
