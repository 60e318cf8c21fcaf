import CLinux
import Carbon
import Energy
import Glibc

/// Measures work on this machine: a command with everything it starts, or a stretch of this program.
///
/// With an agent on the machine its meters are read at both edges; without one the machine's own counters are, and where there are
/// none the model of its processor is used. Nothing here ever delays a command by more than 50 ms or stops it.
public struct Tracker: Sendable {
    /// The longest that a command waits for the agent before it starts.
    static let agentStartLimit = Microseconds.milliseconds(50)
    /// The longest that the end of a command waits for the agent's reading.
    static let agentFinishLimit = Microseconds.milliseconds(100)

    public let options: TrackerOptions

    public init(options: TrackerOptions = TrackerOptions()) { self.options = options }

    /// Runs a command to its end and measures it.
    ///
    /// Standard streams, environment and process group are the caller's. While it runs, HUP, INT, QUIT, TERM, USR1 and USR2 that
    /// others than the terminal send to this process are passed on to it; so only one command may run at a time.
    ///
    /// - Parameters:
    ///   - key: names the span to the agent.
    ///   - whileRunning: runs beside the command from the moment it has started; cancelled and awaited when it has ended.
    /// - Throws: `CommandError` where the command could not be started.
    public func run(
        _ command: Command,
        key: String,
        whileRunning: @escaping @Sendable (RunStart) async -> Void = { _ in }
    ) async throws(CommandError) -> RunReport {
        let running = try await OwnThread.run { Result { () throws(CommandError) in try start(command, key: key) } }.get()
        // These three run beside the command; what is not awaited is cancelled and then awaited when this scope ends.
        async let _ = whileRunning(running.start)
        async let _ = running.meters.keepReading()
        async let model = localModel(isLikely: running.edge.agent == nil)
        let ended = await OwnThread.run { finish(running, key: key) }
        return await report(running, ended, model: model)
    }

    /// Measures a stretch of this program: the CPU time of the whole process while `work` runs.
    ///
    /// - Returns: what `work` returns and the footprint, which is nil where nothing can be measured or modelled here.
    public func measure<Value>(
        key: String,
        _ work: () async throws -> Value
    ) async rethrows -> (value: Value, footprint: Footprint?) {
        let meters = await OwnThread.run { LocalMeters() }
        let start = await OwnThread.run { edge(.start, key: key, cgroup: nil, meters: meters) }
        let before = Tracker.ownCPUTime()
        async let _ = meters.keepReading()
        let value = try await work()
        let used = Tracker.ownCPUTime() - before
        let end = await OwnThread.run { edge(.finish, key: key, cgroup: nil, meters: meters, agentIsThere: start.agent != nil) }
        let result = await OwnThread.run { footprint(cpuTime: used, from: start, to: end, meters: meters, model: nil) }
        return (value, try? result.get())  // the reason is only for people at a terminal
    }

    private static func ownCPUTime() -> Microseconds {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage.cpuTime
    }

    /// A command between its start and its end.
    private struct Running: Sendable {
        var child: ChildProcess
        var cgroup: RunCgroup?
        var meters: LocalMeters
        var edge: Edge
        var start: RunStart
        var warnings: [String]
    }

    /// A command after its end.
    private struct Finished: Sendable {
        var process: ChildProcess.Ended
        /// CPU time that the cgroup counted.
        var counted: Microseconds?
        var memoryPeakBytes: Int64?
        var edge: Edge
        var warnings: [String]
    }

    /// Everything read at one edge of the work.
    struct Edge: Sendable {
        var local: LocalReading
        var agent: AgentReply?
        var agentFailure: AgentSocket.Failure?

        /// The agent's own time where it answered: its knots stand there.
        var time: Timestamp { agent?.snapshot.time ?? local.time }
    }

    private func edge(
        _ phase: AgentRequest.Phase,
        key: String,
        cgroup: RunCgroup?,
        meters: LocalMeters,
        agentIsThere: Bool = true
    ) -> Edge {
        var reply: AgentReply?
        var failure: AgentSocket.Failure?
        if agentIsThere, let path = options.socketPath {
            let limit = phase == .start ? Tracker.agentStartLimit : Tracker.agentFinishLimit
            // An agent that cannot see this cgroup (it runs in a container, or reads another tree) still has the host's edges to give.
            for cgroup in cgroup == nil ? [nil] : [cgroup, nil] {
                let request = AgentRequest.span(
                    phase: phase,
                    key: key,
                    cgroup: cgroup?.path,
                    cgroupDirectory: cgroup?.directory,
                    pid: getpid()
                )
                do throws(AgentSocket.Failure) {
                    reply = try AgentSocket(path: path).ask(request, within: limit)
                    break
                } catch {
                    failure = failure ?? error
                    guard error.kind == .unusable else { break }
                }
            }
        }
        return Edge(local: meters.read(), agent: reply, agentFailure: failure)
    }

    /// Blocks until the command runs.
    private func start(_ command: Command, key: String) throws(CommandError) -> Running {
        var warnings: [String] = []
        var (cgroup, _) = RunCgroup.make(in: options.cgroupPlaces ?? CgroupPlace.mounted(), name: Tracker.cgroupName())
        let meters = LocalMeters()
        let edge = edge(.start, key: key, cgroup: cgroup, meters: meters)
        wattle_forward_signals_begin()
        let child: ChildProcess
        do throws(CommandError) {
            child = try ChildProcess.start(command, in: cgroup, withoutClone3: options.withoutClone3)
        } catch {
            wattle_forward_signals_end()
            _ = cgroup?.remove()
            throw error
        }
        wattle_forward_signals_to(child.pid)
        if let made = cgroup, !child.isInCgroup {
            warnings.append("\(made.directory) could not be entered: \(child.cgroupFailure ?? "no reason known")")
            _ = made.remove()
            cgroup = nil
        }
        let start = RunStart(
            startedAt: edge.time,
            host: edge.agent?.host ?? HostName.system(),
            workload: cgroup?.path,
            agentAnswered: edge.agent != nil
        )
        return Running(child: child, cgroup: cgroup, meters: meters, edge: edge, start: start, warnings: warnings)
    }

    /// Blocks until the command has ended.
    private func finish(_ running: Running, key: String) -> Finished {
        wattle_forward_signals_here()
        let ended = running.child.wait()
        wattle_forward_signals_end()
        let counted = running.cgroup?.cpuTime()
        let memoryPeak = running.cgroup?.memoryPeakBytes()
        let edge = edge(
            .finish,
            key: key,
            cgroup: running.cgroup,
            meters: running.meters,
            agentIsThere: running.edge.agent != nil
        )
        var warnings: [String] = []
        if let cgroup = running.cgroup, !cgroup.remove() {
            let left = cgroup.processes().count
            let who = left == 1 ? "1 process goes on" : "\(left) processes go on"
            warnings.append("\(who) after the command's end in \(cgroup.directory); what they use from now on is not counted")
        }
        return Finished(process: ended, counted: counted, memoryPeakBytes: memoryPeak, edge: edge, warnings: warnings)
    }

    /// The model is looked up beside the command where no agent answered at its start, so that its end need not wait for it.
    private func localModel(isLikely: Bool) async -> Result<LocalModel, Unmeasurable>? {
        isLikely ? await OwnThread.run { LocalModel.find() } : nil
    }

    private func report(_ running: Running, _ ended: Finished, model: Result<LocalModel, Unmeasurable>?) async -> RunReport {
        let cpuTime = ended.counted ?? ended.process.cpuTime
        var report = RunReport(
            start: running.start,
            finishedAt: max(running.start.startedAt, ended.edge.time),
            exit: ended.process.exit,
            cpuTime: cpuTime,
            countedByCgroup: ended.counted != nil,
            memoryPeakBytes: ended.memoryPeakBytes,
            footprint: nil,
            footprintFailure: nil,
            warnings: running.warnings + ended.warnings,
            agentFailure: running.edge.agentFailure ?? ended.edge.agentFailure
        )
        let result = await OwnThread.run {
            footprint(cpuTime: cpuTime, from: running.edge, to: ended.edge, meters: running.meters, model: model)
        }
        switch result {
        case .success(let footprint):
            report.footprint = footprint
            report.attributionMode = attributionMode(
                quality: footprint.quality,
                agent: Tracker.agentSnapshots(from: running.edge.agent, to: ended.edge.agent)?.1,
                isCountedByCgroup: ended.counted != nil
            )
        case .failure(let failure): report.footprintFailure = failure.description
        }
        return report
    }

    /// The agent's word for both edges; nil where it has none for this span: it was not there at both, or the span is so short that it
    /// tells others than root only their running total.
    private static func agentSnapshots(from start: AgentReply?, to end: AgentReply?) -> (Snapshot, Snapshot)? {
        guard let start, var end, start.snapshot.time < end.snapshot.time, !end.snapshot.components.isEmpty else { return nil }
        if let own = end.spanEnergy {
            for (component, energy) in own { end.snapshot.components[component] = (start.snapshot.components[component] ?? .zero) + energy }
        } else if start.isEnergyHeld || end.isEnergyHeld {
            return nil
        }
        return (start.snapshot, end.snapshot)
    }

    private func attributionMode(quality: Quality, agent: Snapshot?, isCountedByCgroup: Bool) -> AttributionMode {
        if quality == .modelled { return .modelled }
        guard let agent else { return .monitorOnly }
        if agent.busy == nil { return .governorEnergy }
        return isCountedByCgroup ? .cgroup : .governorCPUTime
    }

    private func footprint(
        cpuTime: Microseconds,
        from start: Edge,
        to end: Edge,
        meters: LocalMeters,
        model: Result<LocalModel, Unmeasurable>?
    ) -> Result<Footprint, Unmeasurable> {
        let snapshots: (start: Snapshot, end: Snapshot)
        let source: String
        if let (first, last) = Tracker.agentSnapshots(from: start.agent, to: end.agent) {
            snapshots = (first, last)
            source = last.basis.isEmpty ? "\(last.quality.rawValue) by the agent" : "\(last.quality.rawValue) by the agent: \(last.basis)"
        } else {
            do throws(Unmeasurable) {
                snapshots = try meters.snapshots(from: start.local, to: end.local, used: cpuTime) { model ?? LocalModel.find() }
            } catch {
                return .failure(error)
            }
            source = "\(snapshots.end.quality.rawValue): \(snapshots.end.basis)"
        }
        let zone = options.zone ?? end.agent?.gridZone.flatMap { GridZone($0) }
        let intensity = zone.flatMap { CountryIntensity.find($0) }
        let footprint = Footprint(
            cpuTime: cpuTime,
            from: snapshots.start,
            to: snapshots.end,
            cpus: options.cpus,
            cpuShare: options.cpuShare,
            source: source,
            intensity: intensity?.intensity,
            intensityHasLimits: intensity?.hasLimits ?? false
        )
        return footprint.map { .success($0) } ?? .failure(Unmeasurable(description: "no time passed between the readings"))
    }

    /// `wattle-run-` and 64 random bits.
    private static func cgroupName() -> String { "wattle-run-" + String(UInt64.random(in: .min ... .max), radix: 16) }
}
