import Energy

@testable import Accounting

/// The accounts by their definition: over each stretch between two breakpoints, for each running span, its share of what flowed. Takes
/// time for every span in every stretch, and is what the sweep by prefix sums is compared with.
///
/// Of what `HostInput` holds it knows meters with their floors given, cgroups with their nesting and sharing, memory, GPUs, and spans
/// within spans (without cycles); nothing of cuts, and of meters around others.
struct PlainSweep {
    struct Figure {
        var dynamic = 0.0
        var reserved = 0.0
        var busy = 0.0
        var equal = 0.0
        var low = 0.0
        var lowFloor = 0.0
        var high = 0.0
        var highFloor = 0.0
        var missing = 0.0
        var metered = 0.0
        var use = 0.0
    }

    struct Accounts {
        var figures: [Int64: Figure] = [:]
        var agent = 0.0
        var system = 0.0
        var unknown = 0.0
        var idleDynamic = 0.0
        var floor = 0.0
    }

    private struct Share {
        var span: SpanInput
        var share: Double
        var least: Double
        var most: Double
        var claim: Double
        var slots: Double
        /// Whether what nobody was measured to use may be its own, and how much of the dynamic energy that is, beside `most`.
        var isOpen: Bool
        var open: Double
    }

    /// What a running span has, as parts of the host: of the CPU what was measured, else its weight.
    private struct Part {
        var measured: Double?
        var least = 0.0
        var most = 0.0
        var isOpen = true
        var weight: Double
        var claim: Double
        var slots: Double
    }

    let host: HostInput
    let times: [Timestamp]

    init(_ host: HostInput) {
        self.host = host
        var times: Set<Timestamp> = [host.window.start, host.window.end]
        var curves = host.meters.map(\.curve) + [host.busy, host.agent].compactMap { $0 }
        for span in host.spans {
            curves += [span.workload?.curve, span.memory].compactMap { $0 } + span.gpuTimes.values
            times.formUnion([span.interval.start, span.interval.end, span.workload?.partialSince].compactMap { $0 })
        }
        for curve in curves {
            times.formUnion(curve.knots.map(\.time))
            times.formUnion(curve.gaps.flatMap { [$0.interval.start, $0.interval.end] })
        }
        self.times = times.filter { host.window.start <= $0 && $0 <= host.window.end }.sorted()
    }

    private func increase(_ curve: Curve, _ stretch: Interval) -> Double? {
        curve.known(within: stretch) == [stretch] ? curve.increase(over: stretch) : nil
    }

    private func cpuTime(_ span: SpanInput, _ stretch: Interval) -> Double? {
        guard let workload = span.workload else { return nil }
        if let known = increase(workload.curve, stretch) { return known }
        guard let extent = workload.curve.extent else { return nil }
        return stretch.end <= extent.start || (workload.isClosed && stretch.start >= extent.end) ? 0 : nil
    }

    func accounts(of component: Component) -> Accounts {
        let meters = host.meters.filter { $0.component == component }
        var energy = 0.0
        var floor = 0.0
        for meter in meters {
            for part in meter.curve.known(within: host.window) {
                energy += meter.curve.increase(over: part)
                floor += (meter.idle?.best ?? .zero).microjoules(over: part.duration)
            }
        }
        let scale = floor > energy ? energy / floor : 1
        var accounts = Accounts()
        for (start, end) in zip(times, times.dropFirst()) {
            add(Interval(start, end), component, meters, scale, &accounts)
        }
        return accounts
    }

    private func add(_ stretch: Interval, _ component: Component, _ meters: [MeterInput], _ scale: Double, _ accounts: inout Accounts) {
        let running = host.spans.filter { $0.interval.start <= stretch.start && stretch.end <= $0.interval.end }
        let (formula, shares) = shares(running, stretch)
        let duration = Double(stretch.duration.count)
        let count = shares.reduce(0) { $0 + $1.slots }
        let claims = shares.reduce(0) { $0 + $1.claim }
        let isAnyKnown = meters.contains { increase($0.curve, stretch) != nil }
        var isWhole = true
        var missing = 0.0
        var groups: [(name: String, energy: Double, low: Double, high: Double, floor: Double)] = []
        for meter in meters {
            guard let increase = increase(meter.curve, stretch) else {
                let extent = meter.curve.extent
                // One that has not begun is missing, unless one that ended before it leaves it its place.
                let takesPlace = meters.contains { other in
                    guard other.isClosed, let end = other.curve.extent?.end, let start = extent?.start else { return false }
                    return end <= start
                }
                let hasEnded = extent.map { (stretch.end <= $0.start && takesPlace) || (meter.isClosed && stretch.start >= $0.end) } ?? true
                if hasEnded && isAnyKnown { continue }
                isWhole = false
                missing += meter.maximumPower.watts * duration
                continue
            }
            groups.append(
                (
                    meter.name, increase, increase * meter.boundRatios.low, increase * meter.boundRatios.high,
                    (meter.idle?.best.watts ?? 0) * duration * scale
                )
            )
        }
        let floor = groups.reduce(0) { $0 + $1.floor }
        let best = meters.reduce(0) { $0 + ($1.idle?.best.watts ?? 0) } * scale
        let ratios =
            best > 0
            ? (
                low: min(1, meters.reduce(0) { $0 + ($1.idle?.low.watts ?? 0) } / best),
                high: max(1, meters.reduce(0) { $0 + ($1.idle?.high.watts ?? 0) } / best)
            ) : (low: 1, high: 1)
        accounts.floor += floor
        for share in shares {
            accounts.figures[share.span.id, default: Figure()].reserved += floor * share.claim / max(1, claims)
            if share.slots > 0 { accounts.figures[share.span.id, default: Figure()].equal += floor * share.slots / count }
            accounts.figures[share.span.id, default: Figure()].missing += missing
            accounts.figures[share.span.id, default: Figure()].metered += isWhole ? duration : 0
            accounts.figures[share.span.id, default: Figure()].use += share.share * formula.busy * duration
        }
        if component != .gpu {
            groups = [
                ("", groups.reduce(0) { $0 + $1.energy }, groups.reduce(0) { $0 + $1.low }, groups.reduce(0) { $0 + $1.high }, floor)
            ]
        }
        for group in groups {
            var own = shares
            var others = (agent: formula.agent, system: formula.system, unknown: formula.unknown, idle: formula.idle)
            if component == .dram { byMemory(&own, formula, running, stretch) }
            if component == .gpu, byGPU(&own, group.name, stretch) {
                others = (0, 0, 0, 0)
            } else if component == .gpu {
                own = []
                others = (0, 0, 0, 1)
                if formula.busy > 0 {
                    let isBusyKnown = host.busy.map { increase($0, stretch) != nil } ?? false
                    others = isBusyKnown ? (0, 1, 0, 0) : (0, 0, 1, 0)
                }
            }
            let dynamic = group.energy - group.floor
            accounts.agent += dynamic * others.agent
            accounts.system += dynamic * others.system
            accounts.unknown += dynamic * others.unknown
            accounts.idleDynamic += dynamic * others.idle
            let sum = own.reduce(0) { $0 + $1.share }
            for share in own {
                var figure = accounts.figures[share.span.id, default: Figure()]
                figure.dynamic += dynamic * share.share
                figure.busy += sum > 0 ? group.floor * share.share / sum : 0
                let (atLow, atHigh) = dynamic >= 0 ? (share.least, share.most) : (share.most, share.least)
                figure.low += atLow * group.low
                figure.lowFloor += atLow * group.floor
                figure.high += atHigh * group.high
                figure.highFloor += atHigh * group.floor
                // Of what is open nothing or all, by the floor that makes it less or more.
                if group.low >= group.floor * ratios.high {
                    figure.high += share.open * group.high
                    figure.highFloor += share.open * group.floor
                } else if group.high < group.floor * ratios.low {
                    figure.low += share.open * group.low
                    figure.lowFloor += share.open * group.floor
                } else {
                    figure.low += share.open * (group.low - group.floor * ratios.high)
                    figure.high += share.open * max(0, group.high - group.floor * ratios.low)
                }
                accounts.figures[share.span.id] = figure
            }
        }
    }

    private func byMemory(_ shares: inout [Share], _ formula: ShareFormula, _ running: [SpanInput], _ stretch: Interval) {
        let byID = Dictionary(running.map { ($0.id, $0) }) { first, _ in first }
        func memory(_ span: SpanInput) -> Double? { span.memory.flatMap { increase($0, stretch) } }
        func owners(_ span: SpanInput) -> Double {
            (span.workload?.sharingSpanIDs ?? []).reduce(1) { $0 + (byID[$1].flatMap(memory) != nil ? 1 : 0) }
        }
        let memories = shares.map { share in
            memory(share.span).map { all in
                let below = (share.span.workload?.childSpanIDs ?? []).compactMap { byID[$0] }
                return max(0, all - below.reduce(0) { $0 + (memory($1) ?? 0) / owners($1) }) / owners(share.span)
            }
        }
        let total = memories.reduce(0) { $0 + ($1 ?? 0) }
        guard !memories.contains(nil), total > 0 else { return }
        let sum = shares.reduce(0) { $0 + $1.share }
        let isMeasured = !shares.contains { $0.isOpen }
        for i in shares.indices {
            let part = (memories[i] ?? 0) / total
            shares[i].share = sum * part
            shares[i].least = isMeasured ? sum * part : 0
            shares[i].most = isMeasured ? sum * part : max(sum, 1 - formula.agent) * part
            shares[i].open = 0
        }
    }

    /// False where no span has a part in it.
    private func byGPU(_ shares: inout [Share], _ name: String, _ stretch: Interval) -> Bool {
        let times = shares.map { share in share.span.gpuTimes[name].flatMap { increase($0, stretch) } ?? 0 }
        let total = times.reduce(0, +)
        let owners = Double(shares.count { $0.span.ownedGPUs.contains(name) })
        let count = shares.reduce(0) { $0 + $1.slots }
        guard total > 0 || owners > 0 || count > 0 else { return false }
        for i in shares.indices {
            shares[i].open = 0
            if total > 0 {
                shares[i].share = times[i] / total
                shares[i].least = shares[i].share
                shares[i].most = shares[i].share
            } else {
                let own = owners > 0 ? shares[i].span.ownedGPUs.contains(name) ? 1.0 : 0 : shares[i].slots
                let all = owners > 0 ? owners : count
                shares[i].share = own / all
                shares[i].least = all <= 1 ? own : 0
                shares[i].most = own
            }
        }
        return true
    }

    private func shares(_ running: [SpanInput], _ stretch: Interval) -> (ShareFormula, [Share]) {
        let capacity = Double(stretch.duration.count) * Double(host.cpus)
        let byID = Dictionary(running.map { ($0.id, $0) }) { first, _ in first }
        func owners(_ span: SpanInput) -> Double {
            (span.workload?.sharingSpanIDs ?? []).reduce(1) { $0 + (byID[$1].flatMap { cpuTime($0, stretch) } != nil ? 1 : 0) }
        }
        func charged(_ span: SpanInput) -> Double? { cpuTime(span, stretch).map { $0 / owners(span) } }
        var values: [Int64: Double] = [:]
        for span in running {
            guard let all = cpuTime(span, stretch) else { continue }
            let below = (span.workload?.childSpanIDs ?? []).reduce(0) { $0 + (byID[$1].flatMap(charged) ?? 0) }
            values[span.id] = max(0, all - below) / owners(span) / capacity
        }
        func kids(_ id: Int64) -> [SpanInput] { running.filter { $0.parentID == id } }
        let roots = running.filter { $0.parentID.flatMap { byID[$0] } == nil }

        var slots: [Int64: Double] = [:]
        func takeSlots(_ span: SpanInput) {
            let within = kids(span.id).filter(\.takesSlot)
            for kid in kids(span.id) { slots[kid.id] = kid.takesSlot ? 1 : 0 }
            if let own = slots[span.id], own > 0, !within.isEmpty {
                for kid in within { slots[kid.id] = own / Double(within.count) }
                slots[span.id] = 0
            }
            for kid in kids(span.id) { takeSlots(kid) }
        }
        for root in roots {
            slots[root.id] = root.takesSlot ? 1 : 0
            takeSlots(root)
        }
        let equal = 1 / max(1, host.slots ?? 0, slots.values.reduce(0, +))

        let partial = Set(running.filter { $0.workload?.partialSince.map { $0 <= stretch.start } ?? false }.map(\.id))
        func around(_ id: Int64) -> [Int64] { running.filter { $0.workload?.childSpanIDs.contains(id) ?? false }.map(\.id) }
        let robbed = Set(partial.flatMap(around))
        func fixedWeight(_ span: SpanInput) -> Double? { span.fixedWeight(cpus: host.cpus, slots: host.slots) }
        func fixedClaim(_ span: SpanInput) -> Double? { span.fixedClaim(cpus: host.cpus, slots: host.slots) }
        var parts: [Int64: Part] = [:]
        for span in running {
            var part = Part(weight: fixedWeight(span) ?? equal, claim: fixedClaim(span) ?? equal, slots: slots[span.id] ?? 0)
            if let value = values[span.id] {
                part.measured = value
                part.weight = 0
                part.least = owners(span) > 1 || robbed.contains(span.id) ? 0 : value
                part.most = value * owners(span)
                part.isOpen = partial.contains(span.id)
                if part.isOpen {
                    var seen: Set<Int64> = [span.id]
                    var open = around(span.id)
                    while let id = open.popLast() {
                        guard seen.insert(id).inserted else { continue }
                        part.most += values[id] ?? 0
                        if partial.contains(id) { open += around(id) }
                    }
                }
            }
            parts[span.id] = part
        }
        for root in roots { divide(root.id, &parts, kids: kids, fixedWeight, fixedClaim) }

        let busy = host.busy.flatMap { increase($0, stretch) }.map { min(1, $0 / capacity) }
        let agent = host.agent.flatMap { increase($0, stretch) }.map { $0 / capacity } ?? 0
        let formula = ShareFormula(
            busy: busy,
            measured: parts.values.reduce(0) { $0 + ($1.measured ?? 0) },
            agent: agent,
            weights: parts.values.reduce(0) { $0 + $1.weight }
        )
        let shares = running.compactMap { span in
            parts[span.id].map { part in
                Share(
                    span: span,
                    share: formula.measured(part.measured ?? 0) + formula.declared(part.weight),
                    least: formula.measured(part.least),
                    most: formula.measured(part.most),
                    claim: part.claim,
                    slots: part.slots,
                    isOpen: part.isOpen,
                    open: part.isOpen ? formula.mostUndeclared : 0
                )
            }
        }
        return (formula, shares)
    }

    /// A job with all that runs within it has what it would have had alone: its steps take what they declare or were measured to use, and
    /// those that declare nothing equal parts of what is left.
    private func divide(
        _ id: Int64,
        _ parts: inout [Int64: Part],
        kids: (Int64) -> [SpanInput],
        _ fixedWeight: (SpanInput) -> Double?,
        _ fixedClaim: (SpanInput) -> Double?
    ) {
        let within = kids(id)
        guard !within.isEmpty, var own = parts[id] else { return }
        let unmeasured = within.filter { parts[$0.id]?.measured == nil }
        let open = unmeasured.filter { fixedWeight($0) == nil }
        let said = unmeasured.reduce(0) { $0 + (fixedWeight($1) ?? 0) }
        if let pot = own.measured {
            let rest = max(0, pot - said)
            for kid in unmeasured {
                var part = parts[kid.id] ?? Part(weight: 0, claim: 0, slots: 0)
                part.measured = fixedWeight(kid).map { said > pot ? $0 * pot / said : $0 } ?? rest / Double(open.count)
                (part.weight, part.least, part.most, part.isOpen) = (0, 0, own.most, own.isOpen)
                parts[kid.id] = part
            }
            if !unmeasured.isEmpty {
                own.measured = open.isEmpty ? rest : 0
                own.least = 0
            }
        } else {
            let measured = within.reduce(0) { $0 + (parts[$1.id]?.measured ?? 0) }
            let rest = max(0, own.weight - said - measured)
            for kid in open { parts[kid.id]?.weight = rest / Double(open.count) }
            own.weight = open.isEmpty ? rest : 0
        }
        let claiming = within.filter { fixedClaim($0) == nil }
        let rest = max(0, own.claim - within.reduce(0) { $0 + (fixedClaim($1) ?? 0) })
        for kid in claiming { parts[kid.id]?.claim = rest / Double(claiming.count) }
        own.claim = claiming.isEmpty ? rest : 0
        parts[id] = own
        for kid in within { divide(kid.id, &parts, kids: kids, fixedWeight, fixedClaim) }
    }
}
