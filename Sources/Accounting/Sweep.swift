import Energy

/// Keeps the accounts of one host over one window.
///
/// A pure function of its input. Between two breakpoints (knots, edges of spans and gaps) every curve is a line, so every rate is
/// constant there and each account is a sum over those stretches. Dynamic energy is signed until the end: sums then depend on the
/// curves at their ends only, whatever thinning did in between.
public struct Sweep {
    private let host: HostInput
    private let times: [Timestamp]
    private let spans: [ActiveSpan]
    /// For each span, the indexes of those nested in it.
    private let children: [[Int]]
    /// For each span, the indexes of those that own the same cgroup.
    private let sharing: [[Int]]
    /// For each span, the indexes of those that it is nested in.
    private let parents: [[Int]]
    private let busy: Track?
    private let agent: Track?

    /// The accounts of each component that has a meter, in the order of `Component`.
    public static func accounts(of host: HostInput) -> [ComponentAccounts] { Sweep(host).run() }

    private init(_ host: HostInput) {
        self.host = host
        let clipped = host.spans
            .compactMap { span in span.interval.intersection(host.window).map { (span, $0) } }
            .sorted { $0.0.id < $1.0.id }
        let curves = host.meters.map(\.curve) + [host.busy, host.agent].compactMap { $0 } + clipped.compactMap { $0.0.workload?.curve }
        let times = Sweep.breakpoints(
            of: curves,
            spans: clipped.map(\.1),
            others: clipped.compactMap { $0.0.workload?.partialSince },
            in: host.window
        )
        self.times = times
        busy = host.busy.map { Track($0, at: times) }
        agent = host.agent.map { Track($0, at: times) }
        spans = clipped.map { ActiveSpan(span: $0.0, clipped: $0.1, times: times) }
        let indexes = Dictionary(clipped.enumerated().map { ($1.0.id, $0) }) { first, _ in first }
        let children = clipped.map { span, _ in (span.workload?.childSpanIDs ?? []).compactMap { indexes[$0] } }
        self.children = children
        var parents = [[Int]](repeating: [], count: clipped.count)
        for (parent, below) in children.enumerated() { for child in below { parents[child].append(parent) } }
        self.parents = parents
        sharing = clipped.map { span, _ in (span.workload?.sharingSpanIDs ?? []).compactMap { indexes[$0] } }
    }

    /// How many of the spans that run in a stretch own this one's cgroup.
    private func owners(_ index: Int, _ i: Int) -> Double {
        sharing[index].reduce(1) { $0 + (spans[$1].isRunning(i) && spans[$1].cpuTime(i) != nil ? 1 : 0) }
    }

    /// CPU-µs of a span's cgroup and those below it that are the span's in a stretch; nil where nobody measured.
    private func charged(_ index: Int, _ i: Int) -> Double? {
        guard spans[index].isRunning(i), let all = spans[index].cpuTime(i) else { return nil }
        return all / owners(index, i)
    }

    private static func breakpoints(of curves: [Curve], spans: [Interval], others: [Timestamp], in window: Interval) -> [Timestamp] {
        var times = [window.start, window.end] + others.filter { window.contains($0) }
        for span in spans { times += [span.start, span.end] }
        for curve in curves {
            for knot in curve.knots where window.contains(knot.time) { times.append(knot.time) }
            for gap in curve.gaps {
                for edge in [gap.interval.start, gap.interval.end] where window.contains(edge) { times.append(edge) }
            }
        }
        times.sort()
        var unique: [Timestamp] = []
        unique.reserveCapacity(times.count)
        for time in times where unique.last != time { unique.append(time) }
        return unique
    }

    /// What one stretch of time gives to whom, as fractions; the same for every component.
    private struct Stretch {
        var duration: Microseconds
        var formula: ShareFormula
        /// Indexes into `spans`, with their fraction of dynamic energy and their claim on idle.
        var running: [RunningShare]
        var claims: Double
        var shares: Double
    }

    private func run() -> [ComponentAccounts] {
        var components: [Component: ComponentSweep] = [:]
        for component in Component.allCases {
            let meters = host.meters.filter { $0.component == component }
            guard !meters.isEmpty else { continue }
            components[component] = ComponentSweep(component: component, meters: meters, times: times, spanCount: spans.count)
        }
        guard !components.isEmpty, times.count > 1 else { return [] }

        var flags: AccountFlags = []
        var cpuTimes = [Double](repeating: 0, count: spans.count)
        var shared = [Microseconds](repeating: .zero, count: spans.count)
        var isPartial = [Bool](repeating: false, count: spans.count)
        let starting = Dictionary(grouping: spans.indices.filter { !spans[$0].stretches.isEmpty }) { spans[$0].stretches.lowerBound }
        // In the order of the accounts, whoever came first.
        var running: [Int] = []
        for i in 0..<(times.count - 1) {
            running.removeAll { spans[$0].stretches.upperBound == i }
            if let new = starting[i] { running = (running + new).sorted() }
            let stretch = stretch(i, running: running, flags: &flags)
            for part in stretch.running {
                cpuTimes[part.span] += part.share * stretch.formula.busy * Double(stretch.duration.count)
                if part.isCgroupShared { shared[part.span] += stretch.duration }
                if part.isPartial { isPartial[part.span] = true }
            }
            for component in components.keys {
                components[component]!.add(i, stretch.duration, stretch.formula, stretch.running, stretch.claims, stretch.shares)
            }
        }
        return Component.allCases.compactMap { component in
            components[component]?.close(
                spans: spans,
                cpuTimes: cpuTimes,
                shared: shared,
                isPartial: isPartial,
                flags: flags,
                window: host.window
            )
        }
    }

    private func stretch(_ i: Int, running: [Int], flags: inout AccountFlags) -> Stretch {
        let duration = times[i + 1] - times[i]
        let capacity = Double(duration.count) * Double(host.cpus)
        let count = Double(running.count { spans[$0].span.takesSlot })

        var measuredSum = 0.0
        var weightSum = 0.0
        var parts: [(span: Int, value: Double, owners: Double?)] = []
        for index in running {
            if let all = spans[index].cpuTime(i) {
                // A cgroup counts what those below it used; a span is charged its own.
                let own = max(0, children[index].reduce(all) { $0 - (charged($1, i) ?? 0) })
                // Equal parts to those that share it: what they get together never exceeds what it used.
                let owners = owners(index, i)
                parts.append((index, own / owners / capacity, owners))
                measuredSum += own / owners / capacity
            } else {
                let weight = spans[index].span.weight(cpus: host.cpus, slots: host.slots, running: count)
                parts.append((index, weight, nil))
                weightSum += weight
            }
        }
        let busyFraction = busy.flatMap { $0.isKnown[i] ? min(1, $0.increase(i) / capacity) : nil }
        let agentFraction = agent.map { $0.isKnown[i] ? $0.increase(i) / capacity : 0 } ?? 0
        if busyFraction == nil { flags.insert(.busyUnknown) }
        let formula = ShareFormula(busy: busyFraction, measured: measuredSum, agent: agentFraction, weights: weightSum)

        // What spans whose cgroup's last CPU time is lost may have used beyond what they are charged.
        let partial = Set(running.filter { spans[$0].isPartial(i) })
        let values = partial.isEmpty ? [:] : Dictionary(uniqueKeysWithValues: parts.filter { $0.owners != nil }.map { ($0.span, $0.value) })
        let robbed = Set(partial.flatMap { parents[$0] })
        if !partial.isEmpty { flags.insert(.cpuTimePartial) }

        var result = Stretch(duration: duration, formula: formula, running: [], claims: 0, shares: 0)
        result.running.reserveCapacity(parts.count)
        for part in parts {
            let span = spans[part.span].span
            let share = part.owners != nil ? formula.measured(part.value) : formula.declared(part.value)
            let isShared = (part.owners ?? 1) > 1
            if isShared { flags.insert(.cgroupShared) }
            var limits: (least: Double, most: Double)?
            switch part.owners {
            case nil: limits = (0, formula.mostUndeclared)
            case .some(let owners) where owners > 1: limits = (0, formula.measured(part.value * owners))
            case .some: limits = nil
            }
            if part.owners != nil {
                if partial.contains(part.span) {
                    let known = limits ?? (share, share)
                    let lost = formula.remainder + outer(part.span, values: values, partial: partial)
                    limits = (known.least, min(1, known.most + formula.measured(lost)))
                }
                // What a cgroup below lost, its parent's count may hold.
                if robbed.contains(part.span) { limits = (0, limits?.most ?? share) }
            }
            let claim = span.claim(cpus: host.cpus, slots: host.slots, running: count)
            if claim.isGuess { flags.insert(.slotsUnknown) }
            result.running.append(
                RunningShare(
                    span: part.span,
                    share: share,
                    limits: limits,
                    isCgroupShared: isShared,
                    isPartial: partial.contains(part.span),
                    claim: claim.value,
                    takesSlot: span.takesSlot
                )
            )
            result.claims += claim.value
            result.shares += share
        }
        return result
    }

    /// What those were charged whose counts may hold what a span's cgroup lost: those around it, further out where theirs lost too.
    private func outer(_ index: Int, values: [Int: Double], partial: Set<Int>) -> Double {
        var seen: Set<Int> = [index]
        var open = parents[index]
        var sum = 0.0
        while let parent = open.popLast() {
            guard seen.insert(parent).inserted else { continue }
            sum += values[parent] ?? 0
            if partial.contains(parent) { open += parents[parent] }
        }
        return sum
    }
}

/// A span's part of one stretch.
struct RunningShare {
    /// Index into the sweep's spans.
    var span: Int
    /// Its fraction of dynamic energy.
    var share: Double
    /// The least and the most that it can have been; nil where it was measured.
    var limits: (least: Double, most: Double)?
    /// Its cgroup is another running span's too.
    var isCgroupShared: Bool
    /// CPU time of its cgroup may be missing here.
    var isPartial: Bool
    /// Its claim on idle.
    var claim: Double
    /// It counts among the jobs that the host runs.
    var takesSlot: Bool
}

/// A curve's values at the breakpoints.
struct Track {
    /// At each breakpoint; held constant outside the curve's extent.
    let values: [Double]
    /// Per stretch between two breakpoints: inside the extent, outside every gap.
    let isKnown: [Bool]

    init(_ curve: Curve, at times: [Timestamp]) {
        let knots = curve.knots
        var values: [Double] = []
        values.reserveCapacity(times.count)
        var k = 0
        for time in times {
            while k + 1 < knots.count, knots[k + 1].time <= time { k += 1 }
            guard let first = knots.first else {
                values.append(0)
                continue
            }
            if time <= first.time {
                values.append(Double(first.value))
            } else if k + 1 == knots.count || knots[k].time == time {
                values.append(Double(knots[k].value))
            } else {
                let a = knots[k]
                let b = knots[k + 1]
                let fraction = Double((time - a.time).count) / Double((b.time - a.time).count)
                values.append(Double(a.value) + fraction * Double(b.value - a.value))
            }
        }
        self.values = values
        var isKnown = [Bool](repeating: false, count: max(0, times.count - 1))
        if let extent = curve.extent {
            var g = 0
            for i in isKnown.indices {
                while g < curve.gaps.count, curve.gaps[g].interval.end <= times[i] { g += 1 }
                let isInGap = g < curve.gaps.count && curve.gaps[g].interval.start <= times[i]
                isKnown[i] = extent.start <= times[i] && times[i + 1] <= extent.end && !isInGap
            }
        }
        self.isKnown = isKnown
    }

    func increase(_ i: Int) -> Double { values[i + 1] - values[i] }
}

/// A span clipped to the window, with its workload's curve at the breakpoints.
struct ActiveSpan {
    let span: SpanInput
    let clipped: Interval
    /// The stretches in which the span runs.
    let stretches: Range<Int>
    private let workload: Track?
    private let birth: Timestamp
    private let death: Timestamp
    private let times: [Timestamp]

    init(span: SpanInput, clipped: Interval, times: [Timestamp]) {
        self.span = span
        self.clipped = clipped
        self.times = times
        stretches = Self.index(of: clipped.start, in: times)..<Self.index(of: clipped.end, in: times)
        // The curve's values where the span runs, not over the whole window: there may be thousands of spans.
        workload = span.workload.map { [stretches] in
            Track($0.curve, at: stretches.isEmpty ? [] : Array(times[stretches.lowerBound...stretches.upperBound]))
        }
        birth = span.workload?.curve.extent?.start ?? Timestamp(microseconds: .max)
        death = span.workload.flatMap { $0.isClosed ? $0.curve.extent?.end : nil } ?? Timestamp(microseconds: .max)
    }

    func isRunning(_ i: Int) -> Bool { stretches.contains(i) }

    /// Whether the span's cgroup may have used more in a stretch than its curve says.
    func isPartial(_ i: Int) -> Bool { span.workload?.partialSince.map { times[i] >= $0 } ?? false }

    /// CPU-µs that the span used in a stretch; nil where nobody measured.
    func cpuTime(_ i: Int) -> Double? {
        guard let workload else { return nil }
        guard stretches.contains(i) else { return 0 }
        let own = i - stretches.lowerBound
        if workload.isKnown[own] { return workload.increase(own) }
        if times[i + 1] <= birth && birth.microseconds != .max || times[i] >= death { return 0 }
        return nil
    }

    /// `times` holds every edge of every span.
    private static func index(of time: Timestamp, in times: [Timestamp]) -> Int {
        var low = 0
        var high = times.count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension SpanInput {
    /// How the span's share is found, wherever its workload is known.
    public var shareMethod: ShareMethod {
        if workload != nil { return .measured }
        if postedCPUTime != nil, fullDuration > .zero { return .measuredClient }
        return cpuShare != nil || cpus != nil || weight != nil ? .declared : .equal
    }

    /// The part of the host's CPU that an unmeasured span is taken to have used.
    func weight(cpus hostCPUs: Int, slots: Double?, running: Double) -> Double {
        if let postedCPUTime, fullDuration > .zero {
            return min(1, Double(postedCPUTime.count) / (Double(fullDuration.count) * Double(hostCPUs)))
        }
        if let cpuShare { return cpuShare }
        if let cpus { return min(1, cpus / Double(hostCPUs)) }
        if let weight, let slots, slots > 0 { return min(1, weight / slots) }
        return 1 / max(1, slots ?? 0, running)
    }

    /// The part of the host that the span reserved; a guess where neither the span nor the host said anything.
    func claim(cpus hostCPUs: Int, slots: Double?, running: Double) -> (value: Double, isGuess: Bool) {
        if let cpus { return (min(1, cpus / Double(hostCPUs)), false) }
        if let cpuShare { return (cpuShare, false) }
        if let slots, slots > 0 {
            if let weight { return (min(1, weight / slots), false) }
            return (1 / max(slots, running), false)
        }
        return (1 / max(1, running), true)
    }
}
