import Energy
import Meters
import SwiftProtobuf
import Wire

/// Everything that is measured on this host: meters, busy time, the agent itself, workloads. Holds no clock and no thread: each
/// operation is given the time at which it reads.
struct Sampling {
    let timeBase: TimeBase
    let settings: SamplingSettings
    private let hierarchies: [CgroupHierarchy]
    private let processCPUTime: @Sendable () -> Microseconds

    private(set) var meters: MeterBank
    private var stat: ProcStatReader
    private var busy: CountedCurve
    private var agent: CountedCurve
    private var cpus = 1
    private var workloads: [Workload] = []
    private var spans: Set<String> = []
    private var numbers: CurveNumbers
    private var generation: UInt64
    /// For how long the host had been suspended in this boot at the last reading.
    private var suspended: Microseconds?
    private var lastFull: Timestamp?
    private let drawOrigin: @Sendable () -> UInt64
    private var factor: Int64 = 1
    /// Said once each, for the log.
    private var news: [String] = []
    private var said: Set<String> = []

    /// - Parameters:
    ///   - resumed: the state of an earlier run; nil to start all counts at 0.
    ///   - drawOrigin: draws a random number that names a count.
    /// - Throws: `SensorFault` where `/proc/stat` cannot be read.
    init(
        sensors: HostSensors,
        roots: HostRoots,
        hierarchies: [CgroupHierarchy],
        settings: SamplingSettings,
        timeBase: TimeBase,
        resumed: AgentState?,
        processCPUTime: @escaping @Sendable () -> Microseconds = ClockReading.processCPUTime,
        drawOrigin: @escaping @Sendable () -> UInt64 = { UInt64.random(in: 1 ... .max) }
    ) throws(SensorFault) {
        self.timeBase = timeBase
        self.settings = settings
        self.hierarchies = hierarchies
        self.processCPUTime = processCPUTime
        self.drawOrigin = drawOrigin
        stat = try ProcStatReader(roots: roots)
        cpus = try stat.read().cpus
        generation = resumed?.generation ?? 0
        let isSameBoot = resumed?.bootID == timeBase.bootID
        numbers = CurveNumbers(next: isSameBoot ? resumed?.nextRef ?? 1 : 1)
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
        for state in resumed?.workloads ?? [] { resume(state, isSameBoot: isSameBoot) }
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
        meters.adopt(sensors, at: timeBase.time(of: clock), isSameBoot: true, numbers: &numbers)
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

    var isSpanRunning: Bool { !spans.isEmpty || workloads.contains { $0.died == nil } }

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
            // A tick less than before a restart is rounding in the kernel, no reset.
            busy.read(raw: max(now.busy.count, busyFloor(now.busy.count)), at: time, flags: flags)
        } catch {
            sayOnce("busy time is not known for now: \(error)")
        }
        agent.read(raw: processCPUTime().count, at: time, flags: flags)
        if depth == .all {
            for i in workloads.indices { readWorkload(i, at: time, flags: []) }
        }
        lastFull = time
        return time
    }

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
        return meters.takeNews() + news
    }

    // MARK: Spans and workloads

    /// Reads everything at the edge of a span and makes knots of it.
    mutating func edge(_ request: SpanRequest, at clock: ClockReading) throws(SpanFault) -> HostSnapshot {
        guard !request.key.isEmpty, request.key.utf8.count <= SpanRequest.longestKey else {
            throw SpanFault(description: "expected a key of 1 to \(SpanRequest.longestKey) bytes, found \(request.key.utf8.count)")
        }
        let place = try place(of: request)
        return switch request.phase {
        case .start: try start(request.key, place, at: clock)
        case .finish: finish(request.key, place, at: clock)
        }
    }

    private mutating func start(_ key: String, _ place: Place?, at clock: ClockReading) throws(SpanFault) -> HostSnapshot {
        guard spans.contains(key) || spans.count < settings.maximumWorkloads else {
            throw SpanFault(
                description: "expected at most \(settings.maximumWorkloads) spans at a time, found as many running; finish some first"
            )
        }
        let isRegistered = place != nil && living(key).map { workloads[$0].directory } == place?.directory
        var source: CgroupCPUTime?
        if let place, !isRegistered {
            do throws(SensorFault) {
                source = try CgroupCPUTime(directory: place.directory, kind: place.kind)
            } catch {
                throw SpanFault(description: "expected a cgroup at \(place.directory), found none to read: \(error)")
            }
        }
        let time = sample(.host, at: clock, flags: .edge)
        spans.insert(key)
        if let place, let source {
            // The key's earlier cgroup, if it is still open, ends here.
            if let old = living(key) {
                readWorkload(old, at: time, flags: .edge)
                close(old, at: time)
            }
            register(key, place, source, born: time)
        }
        var snapshot = figures(at: time)
        if let i = living(key) {
            readWorkload(i, at: time, flags: .edge)
            snapshot.cpuTime = workloads[i].curve.raw
        }
        return snapshot
    }

    private mutating func finish(_ key: String, _ place: Place?, at clock: ClockReading) -> HostSnapshot {
        let time = sample(.host, at: clock, flags: .edge)
        spans.remove(key)
        var snapshot = figures(at: time)
        if let i = living(key) {
            readWorkload(i, at: time, flags: .edge)
            snapshot.cpuTime = workloads[i].curve.raw
            close(i, at: time)
        } else if let place {
            // Not registered: the agent was not there at its start. Its total is all that can be told, if it is still there.
            do throws(SensorFault) {
                snapshot.cpuTime = try CgroupCPUTime(directory: place.directory, kind: place.kind).read().count
            } catch {
                sayOnce("a span finished whose cgroup the agent did not know and cannot read: \(error)")
            }
        }
        return snapshot
    }

    private func living(_ key: String) -> Int? { workloads.firstIndex { $0.died == nil && $0.key == key } }

    private mutating func close(_ i: Int, at time: Timestamp) {
        guard workloads[i].died == nil else { return }
        workloads[i].died = workloads[i].curve.tail?.time ?? time
        workloads[i].isChanged = true
        workloads[i].source = nil
    }

    private struct Place {
        var cgroup: String
        var directory: String
        var kind: CgroupHierarchy.Kind
    }

    /// Where a client's cgroup is, if it is within a cgroup mount: a client must not make the agent read elsewhere.
    private func place(of request: SpanRequest) throws(SpanFault) -> Place? {
        if let directory = request.directory {
            guard CgroupHierarchy.isPlain(directory), let hierarchy = hierarchies.first(where: { $0.contains(directory: directory) }) else {
                let mounts = hierarchies.map(\.mount).joined(separator: ", ")
                throw SpanFault(
                    description: "expected cgroup_dir below a cgroup mount (\(mounts.isEmpty ? "none here" : mounts)), found '\(directory)'"
                )
            }
            let below = String(directory.dropFirst(hierarchy.mount.count))
            let cgroup = request.cgroup ?? (below.isEmpty ? "/" : below)
            guard CgroupHierarchy.isPlain(cgroup) else {
                throw SpanFault(description: "expected a cgroup path such as /wattle/run-1, found '\(cgroup)'")
            }
            return Place(cgroup: cgroup, directory: directory, kind: hierarchy.kind)
        }
        guard let cgroup = request.cgroup else { return nil }
        guard CgroupHierarchy.isPlain(cgroup) else {
            throw SpanFault(description: "expected a cgroup path such as /wattle/run-1, found '\(cgroup)'")
        }
        guard let hierarchy = hierarchies.first else {
            throw SpanFault(description: "expected a mounted cgroup hierarchy for '\(cgroup)', found none on this host")
        }
        return Place(cgroup: cgroup, directory: hierarchy.directory(of: cgroup), kind: hierarchy.kind)
    }

    private mutating func register(_ key: String, _ place: Place, _ source: CgroupCPUTime, born: Timestamp) {
        var announcement = Self.cpuAnnouncement("cgroup\(place.cgroup)#\(born.microseconds)", .workloadCpu, sensor: "cgroup", settings)
        announcement.ref = numbers.take(nil)
        announcement.origin = drawOrigin()
        announcement.epsilon *= factor
        let curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: Double(cpus), absence: .counted)
        workloads.append(
            Workload(
                curve: curve,
                cgroup: place.cgroup,
                directory: place.directory,
                kind: place.kind,
                key: key,
                born: born,
                source: source
            )
        )
    }

    private mutating func resume(_ state: AgentState.Workload, isSameBoot: Bool) {
        var announcement = Self.cpuAnnouncement(state.curve.name, .workloadCpu, sensor: "cgroup", settings)
        announcement.ref = numbers.take(isSameBoot ? state.curve.ref : nil)
        var curve = CountedCurve(announcement: announcement, modulus: nil, maximumRate: Double(cpus), absence: .counted)
        curve.resume(state.curve, isSameBoot: isSameBoot)
        let kind: CgroupHierarchy.Kind = state.isUnified ? .unified : .cpuacct
        var workload = Workload(
            curve: curve,
            cgroup: state.cgroup,
            directory: state.directory,
            kind: kind,
            key: state.key,
            born: Timestamp(microseconds: state.born),
            source: nil
        )
        let ended = Timestamp(microseconds: state.curve.time)
        if isSameBoot {
            do throws(SensorFault) {
                workload.source = try CgroupCPUTime(directory: state.directory, kind: kind)
            } catch {
                news.append("the cgroup of span \(state.key) went while the agent did not run; its CPU time ends at its last reading")
                workload.died = ended
            }
        } else {
            workload.died = ended
        }
        if workload.died == nil { spans.insert(state.key) }
        workloads.append(workload)
    }

    private mutating func readWorkload(_ i: Int, at time: Timestamp, flags: KnotFlags) {
        guard let source = workloads[i].source else { return }
        do throws(SensorFault) {
            let raw = try source.read().count
            workloads[i].curve.read(raw: raw, at: time, flags: flags)
        } catch {
            // Removed before anybody said so: it ends with its last reading.
            close(i, at: time)
            spans.remove(workloads[i].key)
            if !error.isVanished { sayOnce("the cgroup of span \(workloads[i].key) cannot be read any more: \(error)") }
        }
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
            workloads: workloads.count
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
        for i in workloads.indices { workloads[i].curve.force() }
    }

    /// Announce every live curve again with the next batch.
    mutating func announceAll() {
        meters.announceAll()
        busy.isAnnounced = false
        agent.isAnnounced = false
        for i in workloads.indices { workloads[i].curve.isAnnounced = false }
    }

    /// Coarser curves while the spool is short of room: every ε is multiplied by `factor`.
    mutating func setCoarseness(_ factor: Int64) {
        guard factor != self.factor else { return }
        self.factor = factor
        meters.setCoarseness(factor)
        MeterBank.coarsen(&busy, settings.cpuEpsilon.count, factor)
        MeterBank.coarsen(&agent, settings.cpuEpsilon.count, factor)
        for i in workloads.indices { MeterBank.coarsen(&workloads[i].curve, settings.cpuEpsilon.count, factor) }
    }

    /// Refs of the curves whose unit is µJ.
    var energyRefs: Set<UInt32> { meters.energyRefs }

    /// Takes what was gathered since the last call; workloads that have died are let go.
    mutating func take() -> Sealable {
        generation += 1
        var sealable = Sealable(
            state: AgentState(
                generation: generation,
                bootID: timeBase.bootID,
                wallOffset: timeBase.offset.count,
                suspended: suspended?.count,
                nextRef: numbers.next,
                curves: [],
                workloads: []
            )
        )
        meters.take(into: &sealable)
        sealable.take(&busy)
        sealable.take(&agent)
        sealable.state.curves += [busy.state, agent.state].compactMap { $0 }
        for i in workloads.indices {
            sealable.take(&workloads[i].curve, isClosed: workloads[i].died != nil)
            if workloads[i].isChanged, workloads[i].curve.tail != nil {
                sealable.workloads.append(workloads[i].change)
                workloads[i].isChanged = false
            }
            if let state = workloads[i].state { sealable.state.workloads.append(state) }
        }
        workloads.removeAll { $0.died != nil }
        return sealable
    }
}
