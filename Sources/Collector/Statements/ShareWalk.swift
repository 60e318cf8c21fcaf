import Accounting
import Energy

/// Goes over the time of one span as the formulas of `docs/methodology.md` are written: between two instants at which anything changes every
/// rate is constant, and each line of the sum can be redone by hand.
///
/// The engine gets the same with running sums; this is the slow way, for one span at a time, and checks it.
struct ShareWalk {
    /// Time in which the share of the span does not change.
    struct Stretch {
        var interval: Interval
        /// Busy part of the host; nil where it was not measured, which counts as 1.
        var busy: Double?
        /// Sum over the running spans whose CPU time was measured.
        var measured: Double
        var agent: Double
        /// Sum of the weights of the running spans without a measurement.
        var weights: Double
        /// The span's own: of the host's CPU where it was measured, else its weight.
        var own: Double
        var isMeasured: Bool
        /// Spans that ran, itself among them.
        var running: Int
        /// Those of them that take a slot.
        var slotsTaken: Int
        /// Whether the span itself is one of these.
        var takesSlot: Bool
        /// The part of the host that the span reserved, and the sum of what all did.
        var claim: Double
        var claims: Double
        /// Sum of all running spans' fractions of dynamic energy.
        var shares: Double

        var formula: ShareFormula { ShareFormula(busy: busy, measured: measured, agent: agent, weights: weights) }
        /// The span's fraction of dynamic energy.
        var share: Double { isMeasured ? formula.measured(own) : formula.declared(own) }

        /// The span's fraction of idle energy.
        func idlePart(_ policy: Policy) -> Double {
            switch policy {
            case .dynamic: 0
            case .reserved: claim / max(1, claims)
            case .busy: shares > 0 ? share / shares : 0
            case .equal: takesSlot && slotsTaken > 0 ? 1 / Double(slotsTaken) : 0
            }
        }

        /// Whether all rates are those of another, as far as doubles tell.
        func isLike(_ other: Stretch) -> Bool {
            func isNear(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-9 }
            return (busy == nil) == (other.busy == nil) && isNear(busy ?? 0, other.busy ?? 0) && isNear(measured, other.measured)
                && isNear(agent, other.agent) && isNear(weights, other.weights) && isNear(own, other.own)
                && isMeasured == other.isMeasured && running == other.running && slotsTaken == other.slotsTaken
                && isNear(claim, other.claim) && isNear(claims, other.claims) && isNear(shares, other.shares)
        }
    }

    private let host: HostInput
    private let target: SpanInput
    /// All spans that run at some time of it, in the order of the accounts.
    private let spans: [SpanInput]

    private static let mostSteps = 200_000

    /// - Returns: nil for a span that is not of the host.
    init?(host: HostInput, spanID: Int64) {
        guard let target = host.spans.first(where: { $0.id == spanID }) else { return nil }
        self.host = host
        self.target = target
        spans = host.spans.filter { $0.interval.intersection(target.interval) != nil }.sorted { $0.id < $1.id }
    }

    /// The stretches of an interval in order, like neighbours as one.
    func stretches(of interval: Interval) -> [Stretch] {
        guard let whole = interval.intersection(target.interval).flatMap({ $0.intersection(host.window) }) else { return [] }
        let spans = spans.filter { $0.interval.intersection(whole) != nil }
        let times = times(whole, spans)
        // Each stretch looks at each span: of a host that ran thousands at once nobody follows that by hand.
        guard times.count * max(1, spans.count) <= Self.mostSteps else { return [] }
        var result: [Stretch] = []
        for (from, to) in zip(times, times.dropFirst()) {
            let stretch = stretch(Interval(from, to), spans)
            if let last = result.last, last.isLike(stretch) {
                result[result.count - 1].interval.end = to
            } else {
                result.append(stretch)
            }
        }
        return result
    }

    private func times(_ whole: Interval, _ spans: [SpanInput]) -> [Timestamp] {
        var times: Set<Timestamp> = [whole.start, whole.end]
        func note(_ time: Timestamp) { if whole.contains(time) { times.insert(time) } }
        for span in spans {
            note(span.interval.start)
            note(span.interval.end)
        }
        for curve in [host.busy, host.agent].compactMap({ $0 }) + spans.compactMap({ $0.workload?.curve }) {
            for knot in curve.knots { note(knot.time) }
            for gap in curve.gaps {
                note(gap.interval.start)
                note(gap.interval.end)
            }
        }
        return times.sorted()
    }

    private func stretch(_ interval: Interval, _ spans: [SpanInput]) -> Stretch {
        let running = spans.filter { $0.interval.intersection(interval) != nil }
        let capacity = Double(interval.duration.count) * Double(host.cpus)
        let cpuTimes = Dictionary(uniqueKeysWithValues: running.compactMap { span in cpuTime(span, interval).map { (span.id, $0) } })
        let takers = running.count { $0.cpuShare != 0 }

        /// What each of those that share a cgroup is charged of it.
        func charged(_ span: SpanInput) -> Double? {
            cpuTimes[span.id].map { all in
                all / Double(1 + (span.workload?.sharingSpanIDs ?? []).count { cpuTimes[$0] != nil })
            }
        }
        var measured = 0.0
        var weights = 0.0
        var values: [Int64: (value: Double, isMeasured: Bool)] = [:]
        for span in running {
            if let all = cpuTimes[span.id] {
                let below = running.filter { span.workload?.childSpanIDs.contains($0.id) ?? false }
                let own = max(0, below.reduce(all) { $0 - (charged($1) ?? 0) })
                let owners = Double(1 + (span.workload?.sharingSpanIDs ?? []).count { cpuTimes[$0] != nil })
                values[span.id] = (own / owners / capacity, true)
                measured += own / owners / capacity
            } else {
                let weight = weight(span, running: Double(takers))
                values[span.id] = (weight, false)
                weights += weight
            }
        }
        let agent = host.agent.map { isKnown($0, interval) ? $0.increase(over: interval) / capacity : 0 } ?? 0
        let busy = host.busy.flatMap { isKnown($0, interval) ? min(1, $0.increase(over: interval) / capacity) : nil }
        let formula = ShareFormula(busy: busy, measured: measured, agent: agent, weights: weights)
        let own = values[target.id] ?? (0, false)
        return Stretch(
            interval: interval,
            busy: busy,
            measured: measured,
            agent: agent,
            weights: weights,
            own: own.value,
            isMeasured: own.isMeasured,
            running: running.count,
            slotsTaken: takers,
            takesSlot: target.cpuShare != 0,
            claim: claim(target, running: Double(takers)),
            claims: running.reduce(0) { $0 + claim($1, running: Double(takers)) },
            shares: running.reduce(0) { sum, span in
                let value = values[span.id] ?? (0, false)
                return sum + (value.isMeasured ? formula.measured(value.value) : formula.declared(value.value))
            }
        )
    }

    /// CPU-µs of a span's cgroups in a stretch; nil where nobody measured.
    private func cpuTime(_ span: SpanInput, _ interval: Interval) -> Double? {
        guard let workload = span.workload else { return nil }
        if isKnown(workload.curve, interval) { return workload.curve.increase(over: interval) }
        guard let extent = workload.curve.extent else { return nil }
        return interval.end <= extent.start || workload.isClosed && interval.start >= extent.end ? 0 : nil
    }

    private func isKnown(_ curve: Curve, _ interval: Interval) -> Bool { curve.known(within: interval) == [interval] }

    private func weight(_ span: SpanInput, running: Double) -> Double {
        if let posted = span.postedCPUTime, span.fullDuration > .zero {
            return min(1, Double(posted.count) / (Double(span.fullDuration.count) * Double(host.cpus)))
        }
        if let share = span.cpuShare { return share }
        if let cpus = span.cpus { return min(1, cpus / Double(host.cpus)) }
        if let weight = span.weight, let slots = host.slots, slots > 0 { return min(1, weight / slots) }
        return 1 / max(1, host.slots ?? 0, running)
    }

    private func claim(_ span: SpanInput, running: Double) -> Double {
        if let cpus = span.cpus { return min(1, cpus / Double(host.cpus)) }
        if let share = span.cpuShare { return share }
        if let slots = host.slots, slots > 0 { return span.weight.map { min(1, $0 / slots) } ?? 1 / max(slots, running) }
        return 1 / max(1, running)
    }
}

/// What the meters of a component counted in an interval, and the idle floor in it.
struct ComponentMetering {
    /// A meter's curve at both edges.
    struct Reading {
        var name: String
        /// µJ; nil where the curve does not reach there.
        var atStart: Double?
        var atEnd: Double?
        /// Counted while it was known, µJ.
        var energy: Double
        var known: Microseconds
        /// Idle power, W; nil where none is known.
        var idleWatts: Double?
    }

    var readings: [Reading] = []
    /// µJ.
    var energy = 0.0
    var floor = 0.0
    /// By how much the floor was lowered because the window's energy was below it; 1 where it was not.
    var floorScale = 1.0

    init(_ component: Component, of host: HostInput, in interval: Interval) {
        let meters = host.meters.filter { $0.component == component }
        var all = (energy: 0.0, floor: 0.0)
        for meter in meters {
            for part in meter.curve.known(within: host.window) {
                all.energy += meter.curve.increase(over: part)
                all.floor += (meter.idle?.best ?? .zero).microjoules(over: part.duration)
            }
        }
        if all.floor > all.energy, all.floor > 0 { floorScale = all.energy / all.floor }
        for meter in meters {
            let known = meter.curve.known(within: interval)
            let time = Microseconds(known.reduce(0) { $0 + $1.duration.count })
            let reading = Reading(
                name: meter.name,
                atStart: meter.curve.value(at: interval.start),
                atEnd: meter.curve.value(at: interval.end),
                energy: known.reduce(0) { $0 + meter.curve.increase(over: $1) },
                known: time,
                idleWatts: meter.idle?.best.watts
            )
            energy += reading.energy
            floor += (meter.idle?.best ?? .zero).microjoules(over: time) * floorScale
            readings.append(reading)
        }
    }
}
