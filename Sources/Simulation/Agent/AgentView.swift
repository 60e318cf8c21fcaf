public import Accounting
public import Energy

/// What `wattle-agent` knows of a simulated host, and what webhooks say of its jobs: what the engine is given.
///
/// Counters are read at 10 Hz, `/proc` and cgroups once a second and at their births and ends, a BMC every 10 s, through the agent's own
/// unwrapping and thinning. Nothing of the truth gets here but through those readings.
public struct AgentView: Sendable {
    /// What is known of one job.
    public struct JobView: Sendable {
        public var id: Int64
        /// As webhooks say it.
        public var posted: Interval
        /// CPU time of its cgroup, and whether the agent saw the cgroup born and gone; nil where it never saw it.
        public var cgroup: (curve: Curve, born: Timestamp, died: Timestamp)?
    }

    public let host: SimulatedHost
    public let meters: [MeterInput]
    public let wholes: [WholeMeterInput]
    public let busy: Curve
    public let agent: Curve
    public let jobs: [JobView]

    /// Webhooks say whole seconds; a second more for the clocks, which is what a collector assumes of a source that says nothing.
    public static let edgeResolution = Microseconds.seconds(1)
    public static let clockError = Microseconds.seconds(1)
    static let energyEpsilon: Int64 = 1_000_000
    static let cpuEpsilon: Int64 = 50_000

    public init(of host: SimulatedHost) {
        self.host = host
        var lateness = RandomDraws(seed: host.seed, stream: 20)
        let seen = host.draw.hasCgroups ? host.jobs.filter { job in host.isMeasuredDuring(job.interval) } : []
        let edges = seen.flatMap { [$0.interval.start, $0.interval.end] }.filter(host.isMeasured)
        let fast = Self.readings(host, every: .milliseconds(100), edges: edges)
        let slow = Self.readings(host, every: .seconds(1), edges: edges)

        busy = Self.curve(slow, epsilon: Self.cpuEpsilon) { Int64(host.busy.value(at: $0)) }
        agent = Self.curve(slow, epsilon: Self.cpuEpsilon) { Int64(host.agentCPU.value(at: $0)) }

        var meters: [MeterInput] = []
        var wholes: [WholeMeterInput] = []
        let draw = host.draw
        let told = draw.toldFloorRatio
        if draw.hasCounters {
            for package in 0..<draw.packages {
                let most = 2 * (draw.power.idleWatts + draw.power.dynamicWatts) / Double(draw.packages)
                var recorded = RecordedCurve(
                    epsilon: Self.energyEpsilon,
                    counter: CounterUnwrapping(modulus: draw.counterModulus, maximumRate: most)
                )
                for (time, isEdge) in fast {
                    recorded.read(register: host.packageRegister(package, at: Self.late(time, draw, &lateness)), at: time, isEdge: isEdge)
                }
                let idle = Power(watts: draw.power.idleWatts / Double(draw.packages) * told)
                meters.append(
                    MeterInput(
                        name: "package-\(package)",
                        component: .cpu,
                        quality: .measured,
                        curve: recorded.curve,
                        epsilonMicrojoules: Self.energyEpsilon,
                        samplePeriod: .milliseconds(100),
                        maximumPower: Power(watts: most),
                        idle: UtilisationModel.Point(low: idle, best: idle, high: idle),
                        errorRatio: HostDraw.sensorErrorRatio
                    )
                )
            }
            let most = 2 * (draw.power.dramIdleWatts + draw.power.dramDynamicWatts)
            var recorded = RecordedCurve(
                epsilon: Self.energyEpsilon,
                counter: CounterUnwrapping(modulus: draw.counterModulus, maximumRate: most)
            )
            for (time, isEdge) in fast {
                recorded.read(register: host.dramRegister(at: Self.late(time, draw, &lateness)), at: time, isEdge: isEdge)
            }
            let idle = Power(watts: draw.power.dramIdleWatts * told)
            meters.append(
                MeterInput(
                    name: "dram",
                    component: .dram,
                    quality: .measured,
                    curve: recorded.curve,
                    epsilonMicrojoules: Self.energyEpsilon,
                    samplePeriod: .milliseconds(100),
                    maximumPower: Power(watts: most),
                    idle: UtilisationModel.Point(low: idle, best: idle, high: idle),
                    errorRatio: HostDraw.sensorErrorRatio
                )
            )
        } else {
            meters.append(Self.model(draw, busy: slow.map { ($0.time, host.busy.value(at: $0.time)) }))
        }
        if draw.hasNodeMeter {
            wholes.append(
                WholeMeterInput(
                    name: "node",
                    quality: .sampled,
                    curve: Self.bmc(host),
                    inner: Set(meters.map(\.name)),
                    epsilonMicrojoules: Self.energyEpsilon,
                    samplePeriod: .seconds(10),
                    maximumPower: Power(watts: 3 * (draw.power.idleWatts + draw.power.dynamicWatts)),
                    errorRatio: HostDraw.sensorErrorRatio
                )
            )
        }
        self.meters = meters
        self.wholes = wholes

        let cgroups = Dictionary(uniqueKeysWithValues: seen.map { ($0.id, Self.cgroup($0, slow: slow, host: host)) })
        jobs = host.jobs.map { job in
            JobView(
                id: job.id,
                posted: Interval(host.webhookTime(of: job.interval.start), host.webhookTime(of: job.interval.end)),
                cgroup: cgroups[job.id] ?? nil
            )
        }
    }

    /// The instants at which the agent reads, edges among them.
    private static func readings(
        _ host: SimulatedHost,
        every period: Microseconds,
        edges: [Timestamp]
    ) -> [(time: Timestamp, isEdge: Bool)] {
        var times: [Timestamp: Bool] = [:]
        var time = host.window.start
        while time <= host.window.end {
            times[time] = false
            time = time + period
        }
        for edge in edges { times[edge] = true }
        var kept = times.map { (time: $0.key, isEdge: $0.value) }.sorted { $0.time < $1.time }
        if !host.outages.isEmpty { kept.removeAll { !host.isMeasured(at: $0.time) } }
        return kept
    }

    private static func curve(_ readings: [(time: Timestamp, isEdge: Bool)], epsilon: Int64, _ count: (Timestamp) -> Int64) -> Curve {
        var recorded = RecordedCurve(epsilon: epsilon)
        for (time, isEdge) in readings { recorded.add(count(time), at: time, isEdge: isEdge) }
        return recorded.curve
    }

    /// The moment that a reading truly shows: a reader that was held up has looked at the clock before.
    private static func late(_ time: Timestamp, _ draw: HostDraw, _ draws: inout RandomDraws) -> Timestamp {
        guard draw.family == .heavyTails else { return time }
        return time + Microseconds(Int64(min(50_000, 1_000 * abs(draws.studentT(degreesOfFreedom: 2)))))
    }

    /// What is known of a cgroup: read at its birth and as it empties, where nobody slept.
    private static func cgroup(
        _ job: SimulatedJob,
        slow: [(time: Timestamp, isEdge: Bool)],
        host: SimulatedHost
    ) -> (curve: Curve, born: Timestamp, died: Timestamp)? {
        var recorded = RecordedCurve(epsilon: cpuEpsilon)
        var low = 0
        var high = slow.count
        while low < high {
            let middle = (low + high) / 2
            if slow[middle].time < job.interval.start { low = middle + 1 } else { high = middle }
        }
        for (time, isEdge) in slow[low...] {
            if time > job.interval.end { break }
            recorded.add(
                Int64(job.cpuTime.value(at: time)),
                at: time,
                isEdge: isEdge && (time == job.interval.start || time == job.interval.end)
            )
        }
        let curve = recorded.curve
        guard let extent = curve.extent else { return nil }
        return (curve, extent.start, extent.end)
    }

    /// A table's power at each second's utilisation.
    private static func model(_ draw: HostDraw, busy: [(time: Timestamp, microseconds: Double)]) -> MeterInput {
        let idle = Power(watts: draw.tableIdleWatts)
        let full = Power(watts: draw.tableFullWatts)
        let model = UtilisationModel(
            idle: .init(low: Power(watts: idle.watts / 2), best: idle, high: Power(watts: idle.watts * 2)),
            full: .init(low: Power(watts: full.watts / 2), best: full, high: Power(watts: full.watts * 2))
        )
        var recorded = RecordedCurve(epsilon: energyEpsilon)
        var total = 0.0
        for (index, reading) in busy.enumerated() {
            if index > 0 {
                total += model.microjoules(
                    over: reading.time - busy[index - 1].time,
                    busy: Microseconds(Int64(reading.microseconds - busy[index - 1].microseconds)),
                    cpus: draw.cpus
                )
            }
            recorded.add(Int64(total), at: reading.time)
        }
        return MeterInput(
            name: "model",
            component: .cpu,
            quality: .modelled,
            curve: recorded.curve,
            epsilonMicrojoules: energyEpsilon,
            samplePeriod: .seconds(1),
            maximumPower: Power(watts: full.watts * 2),
            idle: model.idle,
            boundRatios: model.boundRatios,
            errorRatio: 0.15
        )
    }

    /// Sampled power, integrated by trapezoid.
    private static func bmc(_ host: SimulatedHost) -> Curve {
        var recorded = RecordedCurve(epsilon: energyEpsilon)
        var last: (time: Timestamp, watts: Double)?
        var total = 0.0
        var time = host.window.start + .seconds(1)
        while time <= host.window.end {
            let watts = host.nodeWatts(at: time)
            if let last { total += (watts + last.watts) / 2 * Double((time - last.time).count) }
            recorded.add(Int64(total), at: time)
            last = (time, watts)
            time = time + .seconds(10)
        }
        return recorded.curve
    }
}

extension SimulatedHost {
    /// Whether anybody measured for a moment of an interval.
    func isMeasuredDuring(_ interval: Interval) -> Bool {
        !outages.contains { $0.start <= interval.start && interval.end <= $0.end }
    }
}
