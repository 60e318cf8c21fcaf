public import Energy

/// A host over some time: jobs in its slots, what they did, and what everything truly drew.
///
/// Between two events (a phase of a job or of the system begins, the sensors' scale moves) every rate is constant, so each energy is a sum
/// in closed form; nothing is stepped through.
public struct SimulatedHost: Sendable {
    public let seed: UInt64
    public let draw: HostDraw
    public let window: Interval
    public private(set) var jobs: [SimulatedJob] = []
    /// Busy CPU time of the host, µs.
    public private(set) var busy = CumulativeTrack()
    /// CPU time of the agent, µs.
    public private(set) var agentCPU = CumulativeTrack()
    /// CPU time of everything that is nobody's job, the agent's included, µs.
    public private(set) var systemCPU = CumulativeTrack()
    /// What the sensors count of all packages, of DRAM and of the node, µJ.
    public private(set) var countedPackages = CumulativeTrack()
    public private(set) var countedDRAM = CumulativeTrack()
    public private(set) var countedNode = CumulativeTrack()
    /// What truly flowed, µJ: packages and DRAM, and with all the rest.
    public private(set) var trueInner = 0.0
    public private(set) var trueNode = 0.0
    /// How far the CI server's clock is ahead of the host's, by time.
    public private(set) var skews: [(from: Timestamp, offset: Microseconds)] = []
    /// When nobody measures.
    public private(set) var outages: [Interval] = []

    /// CPUs that the agent itself keeps busy.
    static let agentCPUs = 0.002

    /// - Parameters:
    ///   - jobLength: median length of most jobs, in s; others run beside them.
    ///   - start: of the window; an hour, so that hours stand alone.
    ///   - withShapley: whether each job's Shapley value is worked out too (2^slots sums per event).
    public init(
        seed: UInt64,
        family: NoiseFamily,
        jobLength: Double,
        start: Timestamp,
        duration: Microseconds,
        withShapley: Bool = false
    ) {
        self.seed = seed
        window = Interval(start, start + duration)
        var draws = RandomDraws(seed: seed, stream: 1)
        draw = HostDraw(family: family, draws: &draws)
        var jobDraws = RandomDraws(seed: seed, stream: 2)
        jobs = Self.jobs(draw, window: window, jobLength: jobLength, draws: &jobDraws)
        var others = RandomDraws(seed: seed, stream: 3)
        skews = Self.skews(family, window: window, draws: &others)
        outages = family == .outages ? Self.outages(window, draws: &others) : []
        live(withShapley: withShapley, draws: &others)
    }

    /// The CI server's clock at one of the host's instants, to whole seconds as webhooks say it.
    public func webhookTime(of time: Timestamp) -> Timestamp {
        let offset = skews.last { $0.from <= time }?.offset ?? .zero
        let shifted = (time + offset).microseconds
        return Timestamp(microseconds: shifted - ((shifted % 1_000_000) + 1_000_000) % 1_000_000)
    }

    /// Whether anything on the host is read at this instant.
    public func isMeasured(at time: Timestamp) -> Bool { !outages.contains { $0.contains(time) } }

    /// Packages' counter as its register shows it: in units of a 2^32th of its modulus, refreshed every millisecond, turning over.
    public func packageRegister(_ package: Int, at time: Timestamp) -> Int64 {
        register(countedPackages.value(at: refreshed(time)) / Double(draw.packages), stream: UInt64(10 + package))
    }

    public func dramRegister(at time: Timestamp) -> Int64 { register(countedDRAM.value(at: refreshed(time)), stream: 9) }

    private func refreshed(_ time: Timestamp) -> Timestamp { Timestamp(microseconds: time.microseconds / 1_000 * 1_000) }

    private func register(_ counted: Double, stream: UInt64) -> Int64 {
        let unit = Double(draw.counterModulus) / 4_294_967_296
        // Where the counter stood as the window began.
        var offsets = RandomDraws(seed: seed, stream: stream)
        let count = UInt64(counted / unit) &+ offsets.next() % 4_294_967_296
        return Int64(Double(count % 4_294_967_296) * unit)
    }

    /// Mean power of the node over the second before, in whole watts, as a BMC says it.
    public func nodeWatts(at time: Timestamp) -> Double {
        let from = max(window.start, time - .seconds(1))
        guard from < time else { return 0 }
        return ((countedNode.value(at: time) - countedNode.value(at: from)) / Double((time - from).count)).rounded()
    }

    // MARK: - Drawing

    private static func jobs(_ draw: HostDraw, window: Interval, jobLength: Double, draws: inout RandomDraws) -> [SimulatedJob] {
        var jobs: [SimulatedJob] = []
        let perSlot = Double(draw.cpus) / Double(draw.slots)
        let storm = draw.family == .compileStorm
        for slot in 0..<draw.slots {
            var time = window.start + Microseconds(Int64(draws.uniform(0.5, max(2, jobLength / 4)) * 1e6))
            while true {
                // Six of ten jobs are of the length that is looked at; the others are whatever else a farm does.
                let length = draws.chance(0.6) ? jobLength * draws.logNormal(sigma: 0.15) : 20 * draws.logNormal(sigma: 1)
                let interval = Interval(time, time + Microseconds(Int64(max(0.3, length) * 1e6)))
                guard interval.end + .seconds(20) < window.end else { break }
                let appetite = draws.uniform(0.2, 1)
                var phases: [SimulatedJob.Phase] = []
                var at = interval.start
                while at < interval.end {
                    let seconds = storm ? draws.uniform(0.1, 1) : 0.3 + draws.exponential(mean: min(8, max(0.5, jobLength / 6)))
                    at = min(interval.end, at + Microseconds(Int64(seconds * 1e6)))
                    let isWaiting = draws.chance(0.15)
                    let intensity =
                        switch draw.family {
                        case .smt: draws.chance(0.5) ? 1 : 0.65
                        case .heavyTails: draws.logNormal(sigma: 0.5)
                        default: 1.0
                        }
                    phases.append(
                        SimulatedJob.Phase(
                            end: at,
                            cpus: isWaiting ? 0.02 * perSlot : perSlot * appetite * draws.uniform(0.3, 1.2),
                            intensity: intensity
                        )
                    )
                }
                jobs.append(
                    SimulatedJob(
                        id: Int64(slot) * 1_000_000 + Int64(jobs.count) + 1,
                        slot: slot,
                        interval: interval,
                        phases: phases,
                        memoryBytes: draws.uniform(0.1, 0.8) * draw.memoryBytes / Double(draw.slots),
                        hasShortProcesses: storm
                    )
                )
                time = interval.end + Microseconds(Int64(draws.exponential(mean: max(1.5, jobLength / 5)) * 1e6))
            }
        }
        return jobs
    }

    private static func skews(
        _ family: NoiseFamily,
        window: Interval,
        draws: inout RandomDraws
    ) -> [(from: Timestamp, offset: Microseconds)] {
        var offset = 0.2 * draws.normal()
        var skews = [(from: window.start, offset: Microseconds(Int64(offset * 1e6)))]
        guard family == .changingSkew else { return skews }
        var time = window.start
        while time < window.end {
            time = time + .seconds(120)
            offset = min(3, max(-3, offset + 0.5 * draws.normal()))
            skews.append((time, Microseconds(Int64(offset * 1e6))))
        }
        return skews
    }

    private static func outages(_ window: Interval, draws: inout RandomDraws) -> [Interval] {
        var outages: [Interval] = []
        var time = window.start + Microseconds(Int64(draws.exponential(mean: window.duration.seconds / 4) * 1e6))
        while true {
            let most = min(600, window.duration.seconds / 6)
            let outage = Interval(time, time + Microseconds(Int64(draws.uniform(30, max(31, most)) * 1e6)))
            guard outage.end + .seconds(60) < window.end else { return outages }
            outages.append(outage)
            time = outage.end + Microseconds(Int64((60 + draws.exponential(mean: window.duration.seconds / 4)) * 1e6))
        }
    }

    // MARK: - Living

    private enum Change {
        case phase(job: Int, phase: Int)
        case end(job: Int)
        case system(cpus: Double)
        case gain(Double)
    }

    private mutating func live(withShapley: Bool, draws: inout RandomDraws) {
        var changes: [(time: Int64, order: Int, change: Change)] = []
        for (index, job) in jobs.enumerated() {
            var at = job.interval.start
            for (number, phase) in job.phases.enumerated() {
                changes.append((at.microseconds, changes.count, .phase(job: index, phase: number)))
                at = phase.end
            }
            changes.append((job.interval.end.microseconds, changes.count, .end(job: index)))
        }
        var time = window.start
        while time < window.end {
            let burst = draws.chance(0.1) ? draws.uniform(0.02, 0.06) : draws.uniform(0.002, 0.015)
            changes.append((time.microseconds, changes.count, .system(cpus: burst * Double(draw.cpus))))
            time = time + Microseconds(Int64((2 + draws.exponential(mean: 15)) * 1e6))
        }
        if draw.family == .drift {
            var gain = 1.0
            time = window.start
            while time < window.end {
                time = time + .seconds(60)
                // 1 % per half hour, as a random walk.
                gain += 0.01 / 5.477 * draws.normal()
                changes.append((time.microseconds, changes.count, .gain(gain)))
            }
        }
        changes.sort { ($0.time, $0.order) < ($1.time, $1.order) }

        var state = State(host: self)
        var now = window.start.microseconds
        record(state, at: now)
        for (time, _, change) in changes where time <= window.end.microseconds {
            if time > now {
                advance(&state, by: time - now, withShapley: withShapley)
                now = time
                record(state, at: now)
            }
            switch change {
            case .phase(let job, let phase):
                if phase == 0 {
                    state.running.append(job)
                    jobs[job].cpuTime.append(now, 0)
                }
                state.phases[job] = jobs[job].phases[phase]
            case .end(let job):
                state.running.removeAll { $0 == job }
                state.phases[job] = nil
            case .system(let cpus): state.systemCPUs = cpus
            case .gain(let gain): state.gain = gain
            }
        }
        if now < window.end.microseconds {
            advance(&state, by: window.end.microseconds - now, withShapley: withShapley)
            record(state, at: window.end.microseconds)
        }
        trueInner = state.inner
        trueNode = state.node
    }

    private struct State {
        var running: [Int] = []
        var phases: [Int: SimulatedJob.Phase] = [:]
        var cpuTimes: [Double]
        var systemCPUs = 0.0
        var gain = 1.0
        var busy = 0.0
        var agent = 0.0
        var system = 0.0
        var packages = 0.0
        var dram = 0.0
        var bmc = 0.0
        var inner = 0.0
        var node = 0.0

        init(host: SimulatedHost) { cpuTimes = [Double](repeating: 0, count: host.jobs.count) }
    }

    private mutating func record(_ state: State, at time: Int64) {
        busy.append(time, state.busy)
        agentCPU.append(time, state.agent)
        systemCPU.append(time, state.system)
        countedPackages.append(time, state.packages)
        countedDRAM.append(time, state.dram)
        countedNode.append(time, state.bmc)
        for job in state.running where jobs[job].cpuTime.times.last != time { jobs[job].cpuTime.append(time, state.cpuTimes[job]) }
    }

    /// Lets a stretch pass in which nothing changes.
    private mutating func advance(_ state: inout State, by length: Int64, withShapley: Bool) {
        let dt = Double(length)
        let capacity = Double(draw.cpus)
        let power = draw.power
        let asked = state.running.reduce(state.systemCPUs + Self.agentCPUs) { $0 + (state.phases[$1]?.cpus ?? 0) }
        // Who asks for more than there is gets a part of it.
        let granted = asked > capacity ? capacity / asked : 1
        let system = (state.systemCPUs + Self.agentCPUs) * granted
        var loads: [(job: Int, load: Double)] = []
        var busyCPUs = system
        for job in state.running {
            guard let phase = state.phases[job] else { continue }
            let cpus = phase.cpus * granted
            busyCPUs += cpus
            state.cpuTimes[job] += cpus * dt
            loads.append((job, cpus * phase.intensity / capacity))
        }
        let load = loads.reduce(system / capacity) { $0 + $1.load }
        let curve = { (load: Double) in power.shape.fraction(ofLoad: load) }
        let cpuDynamic = power.dynamicWatts * curve(load)
        let dramDynamic = power.dramDynamicWatts * min(1, load)
        let innerWatts = power.idleWatts + power.dramIdleWatts + cpuDynamic + dramDynamic
        let nodeWatts = (innerWatts + power.restIdleWatts) * (1 + power.lossRatio)
        let idlePart = 1 / Double(max(draw.slots, loads.count))
        for (job, own) in loads {
            let part = load > 0 ? own / load : 0
            var truth = jobs[job].truth
            let (cpu, dram) = (cpuDynamic * part * dt, dramDynamic * part * dt)
            let (cpuIdle, dramIdle) = (power.idleWatts * idlePart * dt, power.dramIdleWatts * idlePart * dt)
            truth.cpuDynamic += cpu
            truth.dramDynamic += dram
            truth.cpuIdle += cpuIdle
            truth.dramIdle += dramIdle
            truth.restDynamic += (cpu + dram) * power.lossRatio
            truth.restIdle += (cpuIdle + dramIdle) * power.lossRatio + power.restIdleWatts * (1 + power.lossRatio) * idlePart * dt
            truth.marginal +=
                (cpuDynamic - power.dynamicWatts * curve(load - own) + dramDynamic - power.dramDynamicWatts * min(1, load - own)) * dt
            jobs[job].truth = truth
        }
        if withShapley, !loads.isEmpty {
            let values = ShapleyValue.values(of: loads.map(\.load) + [system / capacity]) { power.dynamicWatts * curve($0) }
            for (index, entry) in loads.enumerated() {
                let dram = load > 0 ? dramDynamic * entry.load / load : 0
                jobs[entry.job].truth.shapley += (values[index] + dram) * dt
            }
        }
        state.busy += busyCPUs * dt
        state.agent += Self.agentCPUs * granted * dt
        state.system += system * dt
        state.packages += (power.idleWatts + cpuDynamic) * draw.packageGain * state.gain * dt
        state.dram += (power.dramIdleWatts + dramDynamic) * draw.dramGain * state.gain * dt
        state.bmc += nodeWatts * draw.nodeGain * dt
        state.inner += innerWatts * dt
        state.node += nodeWatts * dt
    }
}
