import Energy
import Glibc
import Tracker

/// A CI system's job hook: an exact edge at the agent, with the job's cgroup, and the span posted where a collector is configured.
///
/// It takes two seconds at the most.
struct JobHook: Sendable {
    /// The longest that the agent is waited for, and the collector.
    static let agentLimit = Microseconds.milliseconds(700)
    static let postLimit = Duration.milliseconds(1_100)

    let job: JobEnvironment
    let socket: String?
    /// The job is to get a socket of its own.
    var wantsJobSocket = false

    /// What went not as it should, for people.
    struct Edge: Sendable {
        var note: HookNote.Content
        var finishedAt: Timestamp?
        var host: String
        /// CPU time of the job's cgroup between the edges.
        var cpuTime: Microseconds?
        /// The job's own socket.
        var jobSocket: String?
        var warnings: [String] = []
    }

    /// The job begins: it gets a cgroup of its own where that may be made, else it is the container or the runner's unit it runs in.
    func start() async -> Edge {
        await OwnThread.run { [job] in
            let parent = getppid()
            let now = Timestamp.systemNow()
            var note = HookNote.Content(id: "", startedAt: now)
            let process = JobProcess.find(job.system, parent: parent)
            let made = process.flatMap { JobCgroup.make(for: $0, name: String(UInt64.random(in: .min ... .max), radix: 16)) }
            note.workload = made?.path
            note.madeDirectory = made?.directory
            note.process = made == nil ? nil : process
            note.id = job.spanID(startedMicroseconds: now.microseconds)
            var edge = Edge(note: note, host: HostName.system())
            if let reply = ask(.start, key: note.id, made, parent, &edge) {
                edge.note.startedAt = reply.snapshot.time
                edge.note.cpuTime = reply.cpuTime
                edge.note.workload = edge.note.workload ?? reply.cgroup
                if wantsJobSocket { openJobSocket(&edge) }
            } else {
                edge.note.cpuTime = made?.cpuTime()
            }
            if !HookNote(job).write(edge.note) {
                edge.warnings.append("\(HookNote(job).path): the start could not be noted: \(String(cString: strerror(errno)))")
            }
            return edge
        }
    }

    /// The job ends. Nil where nothing is known of its start.
    func finish() async -> Edge? {
        await OwnThread.run { [job] in
            let file = HookNote(job)
            let noted = file.read()
            // GitLab tells when a job began; its id is its own, so its span can be ended without a note.
            let told = job.startedAt.flatMap { Timestamp(rfc3339: $0) }.flatMap { start in
                job.jobID.map { HookNote.Content(id: $0, startedAt: start) }
            }
            guard let note = noted ?? told else { return nil }
            var edge = Edge(note: note, finishedAt: .systemNow(), host: HostName.system())
            let made = note.madeDirectory.flatMap { directory in note.workload.flatMap { JobCgroup(path: $0, directory: directory) } }
            let own = made?.cpuTime()
            var end = own
            if let reply = ask(.finish, key: note.id, made, getppid(), &edge) {
                edge.finishedAt = max(note.startedAt, reply.snapshot.time)
                end = reply.cpuTime ?? own
            }
            if let end, let start = note.cpuTime, end >= start { edge.cpuTime = end - start }
            if let made, let process = note.process { made.end(process) }
            file.remove()
            return edge
        }
    }

    private func openJobSocket(_ edge: inout Edge) {
        guard let socket else { return }
        do throws(AgentSocket.Failure) {
            edge.jobSocket = try AgentSocket(path: socket).ask(
                .jobSocket(key: edge.note.id),
                within: Microseconds(Self.agentLimit.count / 2)
            ).socket
        } catch {
            edge.warnings.append("the job has no socket of its own: \(error.description)")
        }
    }

    private func ask(
        _ phase: AgentRequest.Phase,
        key: String,
        _ made: JobCgroup?,
        _ parent: Int32,
        _ edge: inout Edge
    ) -> AgentReply? {
        guard let socket else { return nil }
        // An agent that sees another cgroup tree, or may not take that cgroup for this user, still has the host's edges to give.
        for isPlaced in [true, false] {
            do throws(AgentSocket.Failure) {
                let reply = try AgentSocket(path: socket).ask(
                    .span(
                        phase: phase,
                        key: key,
                        cgroup: isPlaced ? made?.path : nil,
                        cgroupDirectory: isPlaced ? made?.directory : nil,
                        pid: parent,
                        inOwnCgroup: isPlaced && made == nil && phase == .start
                    ),
                    within: Microseconds(Self.agentLimit.count / 2)
                )
                edge.host = reply.host ?? edge.host
                return reply
            } catch {
                edge.warnings.append(error.description)
                guard error.kind == .unusable else { return nil }
            }
        }
        return nil
    }

    /// The span as it is posted: what the agent read and what the environment tells.
    func span(_ edge: Edge, labels: SpanLabels) -> SpanPost {
        var span = labels.span(id: edge.note.id, startedAt: edge.note.startedAt)
        span.source = "wattle-span"
        span.instance = job.instance
        span.host = edge.host
        span.workload = edge.note.workload
        span.finishedAt = edge.finishedAt
        span.cpuTime = edge.cpuTime
        span.timeResolutionMilliseconds = 0
        span.repository = span.repository ?? job.repository
        span.commit = span.commit ?? job.commit
        span.ref = job.ref
        span.pipeline = job.pipeline
        span.job = span.job ?? job.job
        span.runID = job.runID.isEmpty ? nil : job.runID
        span.jobID = job.jobID
        span.runner = job.runner
        span.runnerID = job.runnerID
        span.attempt = job.attempt
        span.url = job.url
        if job.jobID == nil { span.isHook = true }
        return span
    }
}

extension JobHook {
    /// Takes the edge and posts it.
    ///
    /// - Throws: where `isStrict`, what went wrong; else nothing: a hook must not fail its job.
    static func run(
        _ phase: AgentRequest.Phase,
        _ job: JobEnvironment,
        _ settings: Settings,
        labels: SpanLabels,
        outcome: String? = nil,
        wantsJobSocket: Bool = false,
        isStrict: Bool
    ) async throws {
        let hook = JobHook(job: job, socket: settings.socket.value, wantsJobSocket: wantsJobSocket)
        do {
            let edge: Edge
            if phase == .start {
                edge = await hook.start()
            } else {
                guard let end = await hook.finish() else {
                    throw Failure.failed("nothing is noted of this job's start at \(HookNote(job).path): was there `wattle span start`?")
                }
                edge = end
            }
            if let path = edge.jobSocket { JobSocketExport.write(path) }
            for warning in edge.warnings { StandardError.write("wattle: \(warning)\n") }
            if isStrict, let warning = edge.warnings.first { throw Failure.failed(warning) }
            guard settings.url.value != nil else { return }
            var span = hook.span(edge, labels: labels)
            span.outcome = outcome
            let collector = try settings.collector()
            do throws(CollectorError) {
                _ = try await collector.post(span, timeout: postLimit)
            } catch {
                throw Failure.failed("the span was not posted: \(error.description)")
            }
        } catch let failure as Failure {
            guard !isStrict else { throw failure }
            StandardError.write("wattle: \(failure.message); the job goes on\n")
        }
    }
}
