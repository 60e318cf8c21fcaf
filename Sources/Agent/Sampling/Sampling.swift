import Energy
import Meters
import SwiftProtobuf
import Wire

/// Everything that is measured on this host: meters, busy time, the agent itself, workloads. Holds no clock and no thread: each
/// operation is given the time at which it reads.
struct Sampling {
    let timeBase: TimeBase
    let settings: SamplingSettings
    private let processCPUTime: @Sendable () -> Microseconds

    private(set) var meters: MeterBank
    private var stat: ProcStatReader
    private var busy: CountedCurve
    private var agent: CountedCurve
    private var cpus = 1
    private(set) var workloads: Workloads
    private var generation: UInt64
    /// For how long the host had been suspended in this boot at the last reading.
    private var suspended: Microseconds?
    private var lastFull: Timestamp?
    private var edges = EdgeAllowance()
    private var factor: Int64 = 1
    /// Said once each, for the log.
    private var news: [String] = []
    private var said: Set<String> = []

    /// - Parameters:
    ///   - resumed: the state of an earlier run; nil to start all counts at 0.
    ///   - hierarchies: the cgroups that are followed, in the order in which they are preferred.
    ///   - memoryMount: of v1's `memory` hierarchy, where there is one.
    ///   - drawOrigin: draws a random number that names a count.
    /// - Throws: `SensorFault` where `/proc/stat` cannot be read.
    init(
        sensors: HostSensors,
        roots: HostRoots,
        hierarchies: [CgroupHierarchy],
        memoryMount: String? = nil,
        settings: SamplingSettings,
        timeBase: TimeBase,
        resumed: AgentState?,
        processCPUTime: @escaping @Sendable () -> Microseconds = ClockReading.processCPUTime,
        drawOrigin: @escaping @Sendable () -> UInt64 = { UInt64.random(in: 1 ... .max) }
    ) throws(SensorFault) {
        self.timeBase = timeBase
        self.settings = settings
        self.processCPUTime = processCPUTime
        stat = try ProcStatReader(roots: roots)
        cpus = try stat.read().cpus
        generation = resumed?.generation ?? 0
        let isSameBoot = resumed?.bootID == timeBase.bootID
        var numbers = CurveNumbers(next: isSameBoot ? resumed?.nextRef ?? 1 : 1)
        let own = ["cpu/busy", "agent/cpu"]
        busy = CountedCurve(
            announcement: Self.cpuAnnouncement(own[0], .hostBusy, sensor: "proc", settings),
            modulus: nil,
            maximumRate: Double(cpus),
            absence: .counted
        )
        agent = CountedCurve(
            announcement: Self.cpuAnnouncement(own[1], .agentCpu, sensor: "proc", settings),
            modulus: nil,
            maximumRate: Double(cpus),
            absence: .nothing
        )
        if isSameBoot { suspended = resumed?.suspended.map { Microseconds($0) } }
        let known = Dictionary((resumed?.curves ?? []).map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        meters = MeterBank(
            settings: settings,
            resumed: known.values.filter { !own.contains($0.name) }.sorted { $0.name < $1.name },
            drawOrigin: drawOrigin
        )
        Self.begin(&busy, known[own[0]], isSameBoot: isSameBoot, numbers: &numbers, drawOrigin)
        Self.begin(&agent, known[own[1]], isSameBoot: isSameBoot, numbers: &numbers, drawOrigin)
        meters.adopt(sensors, at: nil, isSameBoot: isSameBoot, numbers: &numbers)
        workloads = Workloads(
            hierarchies: hierarchies,
            memoryMount: memoryMount,
            settings: WorkloadSettings(
                cpuEpsilon: settings.cpuEpsilon,
                readPeriod: settings.slowPeriod,
                maximumSpans: settings.maximumWorkloads,
                isWatching: settings.isWatchingCgroups
            ),
            cpus: cpus,
            nextRef: numbers.next,
            resumed: resumed?.workloads ?? [],
            isSameBoot: isSameBoot,
            drawOrigin: drawOrigin
        )
    }

    private static func begin(
        _ curve: inout CountedCurve,
        _ state: AgentState.Curve?,
        isSameBoot: Bool,
        numbers: inout CurveNumbers,
        _ drawOrigin: () -> UInt64
    ) {
        curve.announcement.ref = numbers.take(isSameBoot ? state?.ref : nil)
        if let state {
            curve.resume(state, isSameBoot: isSameBoot)
        } else {
            curve.announcement.origin = drawOrigin()
        }
    }

    /// Takes up meters that were found while it runs.
    mutating func adopt(_ sensors: HostSensors, at clock: ClockReading) {
        var numbers = CurveNumbers(next: workloads.nextRef)
        meters.adopt(sensors, at: timeBase.time(of: clock), isSameBoot: true, numbers: &numbers)
        workloads.nextRef = numbers.next
        // What is counted begins now, not at the next deadline.
        sample(.host, at: clock)
    }

    private static func cpuAnnouncement(
        _ name: String,
        _ kind: WireCurveKind,
        sensor: String,
        _ settings: SamplingSettings
    ) -> WireCurveAnnouncement {
        var announcement = WireCurveAnnouncement()
        announcement.name = name
        announcement.kind = kind
        announcement.sensor = sensor
        announcement.quality = Quality.measured.rawValue
        announcement.epsilon = settings.cpuEpsilon.count
        announcement.samplePeriodUs = UInt64(settings.slowPeriod.count)
        announcement.boundLowPpm = 1_000_000
        announcement.boundHighPpm = 1_000_000
        return announcement
    }

    // MARK: Reading

    var isSpanRunning: Bool { workloads.isSpanRunning }

    /// Time between two readings of the fast meters.
    var fastPeriod: Microseconds { meters.period }

    enum Depth {
        /// The fast meters.
        case fast
        /// Everything.
        case all
        /// Everything but the workloads: at the edge of a span, whose own cgroup is read beside.
        case host
    }

    /// Reads now. Returns the time of the samples.
    @discardableResult
    mutating func sample(_ depth: Depth, at clock: ClockReading, flags: KnotFlags = []) -> Timestamp {
        let time = timeBase.time(of: clock)
        let isSuspended = wasSuspended(until: clock)
        // A suspend is seen once, so every meter must be read at it.
        let depth = isSuspended && depth == .fast ? .host : depth
        meters.read(onlyFast: depth == .fast, at: time, flags: flags, isSuspended: isSuspended)
        guard depth != .fast else { return time }
        do throws(SensorFault) {
            let now = try stat.read()
            cpus = now.cpus
            workloads.cpus = cpus
            // A tick less than before a restart is rounding in the kernel, no reset.
            busy.read(raw: max(now.busy.count, busyFloor(now.busy.count)), at: time, flags: flags)
        } catch {
            sayOnce("busy time is not known for now: \(error)")
        }
        agent.read(raw: processCPUTime().count, at: time, flags: flags)
        if depth == .all {
            workloads.takeEvents(at: time)
            workloads.read(at: time)
        }
        lastFull = time
        return time
    }

    /// Cgroups came, went, filled or emptied. Where work began or ended the meters are read at that instant: a job that only its CI
    /// knows of has exact edges all the same.
    mutating func takeEvents(at clock: ClockReading) {
        workloads.takeEvents(at: timeBase.time(of: clock))
        guard workloads.takeEdge(), edges.take(at: clock.monotonic) else { return }
        sample(.host, at: clock, flags: .edge)
    }

    /// Containers and pods of which more may be known than their path tells, and what was found out.
    mutating func identify(_ answers: [IdentityAnswer]) { workloads.identify(answers) }

    private func busyFloor(_ raw: Int64) -> Int64 {
        guard let last = busy.raw, last > raw, last - raw < 1_000_000 else { return raw }
        return last
    }

    private mutating func wasSuspended(until clock: ClockReading) -> Bool {
        let now = clock.boottime - clock.monotonic
        defer { suspended = now }
        guard let suspended else { return false }
        return (now - suspended).count > 200_000
    }

    private mutating func sayOnce(_ text: String) {
        guard said.insert(text).inserted, said.count < 256 else { return }
        news.append(text)
    }

    /// What happened that an operator should know, since the last call.
    mutating func takeNews() -> [String] {
        defer { news = [] }
        return meters.takeNews() + workloads.takeNews() + news
    }

    // MARK: Spans

    /// Reads everything at the edge of a span and makes knots of it.
    mutating func edge(_ request: SpanRequest, at clock: ClockReading) throws(SpanFault) -> HostSnapshot {
        let entry = try workloads.admit(request)
        let time = sample(.host, at: clock, flags: .edge)
        let cpuTime =
            switch entry.phase {
            case .start: workloads.start(entry, at: time)
            case .finish: workloads.finish(entry, at: time)
            }
        var snapshot = figures(at: time)
        snapshot.cpuTime = cpuTime
        return snapshot
    }

    // MARK: Looking

    /// The figures now, read anew unless the last full reading is fresher than the sampling period.
    mutating func snapshot(at clock: ClockReading) -> HostSnapshot {
        let now = timeBase.time(of: clock)
        if let lastFull, (now - lastFull) < settings.fastPeriod { return figures(at: lastFull) }
        // Two statements: as one, the figures would be those from before the reading.
        let time = sample(.host, at: clock)
        return figures(at: time)
    }

    /// For the metrics, but for what the spool knows.
    func metrics(unused: [String]) -> MetricsSnapshot {
        MetricsSnapshot(
            version: AgentProgram.version,
            unusedSensors: unused,
            meters: meters.readings,
            hostBusy: Microseconds(busy.value),
            agentCPU: Microseconds(agent.value),
            workloads: workloads.counts.curves
        )
    }

    private func figures(at time: Timestamp) -> HostSnapshot {
        var snapshot = HostSnapshot(time: time, busy: busy.value, agentCPU: agent.value, cpus: cpus)
        meters.figures(into: &snapshot)
        return snapshot
    }

    // MARK: Sealing

    /// Makes every curve's latest sample a knot: the agent is about to stop.
    mutating func forceTails() {
        meters.forceTails()
        busy.force()
        agent.force()
        workloads.forceTails()
    }

    /// Announce every live curve again with the next batch.
    mutating func announceAll() {
        meters.announceAll()
        busy.isAnnounced = false
        agent.isAnnounced = false
        workloads.announceAll()
    }

    /// Coarser curves while the spool is short of room: every ε is multiplied by `factor`.
    mutating func setCoarseness(_ factor: Int64) {
        guard factor != self.factor else { return }
        self.factor = factor
        meters.setCoarseness(factor)
        busy.setCoarseness(factor, of: settings.cpuEpsilon.count)
        agent.setCoarseness(factor, of: settings.cpuEpsilon.count)
        workloads.setCoarseness(factor)
    }

    /// Refs of the curves whose unit is µJ.
    var energyRefs: Set<UInt32> { meters.energyRefs }

    /// Takes what was gathered since the last call; workloads that have ended are let go.
    mutating func take() -> Sealable {
        generation += 1
        var sealable = Sealable(
            state: AgentState(
                generation: generation,
                bootID: timeBase.bootID,
                wallOffset: timeBase.offset.count,
                suspended: suspended?.count,
                nextRef: workloads.nextRef,
                curves: [],
                workloads: []
            )
        )
        meters.take(into: &sealable)
        sealable.take(&busy)
        sealable.take(&agent)
        sealable.state.curves += [busy.state, agent.state].compactMap { $0 }
        workloads.take(into: &sealable)
        return sealable
    }
}
