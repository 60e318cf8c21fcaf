import ArgumentParser
import Energy
import Glibc
import Tracker

/// One edge of a hook's span: what the agent reads there.
struct SpanEdge: Sendable {
    var time: Timestamp
    var host: String
    /// The job's cgroup below the hierarchy's mount: that of the process that called the hook.
    var workload: String?
    var cpuTime: Microseconds?
    var failure: AgentSocket.Failure?

    /// Reads it, with at most a second for the agent: a hook is no measured command.
    static func read(_ phase: AgentRequest.Phase, key: String, socket: String?) async -> SpanEdge {
        await OwnThread.run {
            let parent = getppid()
            let cgroup = CgroupMembership.of(process: parent)
            var edge = SpanEdge(time: .systemNow(), host: HostName.system(), workload: cgroup?.path)
            guard let socket else { return edge }
            do throws(AgentSocket.Failure) {
                let reply = try AgentSocket(path: socket).ask(
                    .span(phase: phase, key: key, cgroup: cgroup?.path, cgroupDirectory: cgroup?.directory, pid: parent),
                    within: .seconds(1)
                )
                edge.time = reply.snapshot.time
                edge.host = reply.host ?? edge.host
                edge.cpuTime = reply.cpuTime
            } catch {
                edge.failure = error
            }
            return edge
        }
    }
}

/// `wattle span start`.
struct SpanStart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start",
        abstract: "Begin a span now: knots at the agent, and a post to the collector where one is configured.",
        discussion: """
            In a job hook of GitHub's or GitLab's runner everything comes from the job's environment: the span is joined with what the
            system's webhook says of the job. The job gets a cgroup of its own where that may be made, else its container's or its
            runner's unit counts. A hook takes at most two seconds and never fails its job unless --strict is given.

            EXAMPLES
              wattle span start --github-hook
              wattle span start --gitlab
              wattle span start --id nightly/42 --service docs --job build
            """
    )

    @OptionGroup(title: "What the work is")
    var labels: SpanLabels

    @Option(help: ArgumentHelp("The span's id, the same at its end (WATTLE_SPAN_ID).", valueName: "id"))
    var id: String?

    @OptionGroup(title: "In a CI system's job hook")
    var hook: HookOptions

    @OptionGroup var collectorOptions: CollectorOptions
    @OptionGroup var agentOptions: AgentOptions

    func run() async throws {
        let settings = Settings(
            url: collectorOptions.collector,
            token: collectorOptions.token,
            zone: nil,
            socket: agentOptions.socket
        )
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        if let job = try hook.job(isIDGiven: SpanIdentity.id(given: id) != nil) {
            return try await JobHook.run(.start, job, settings, labels: labels, wantsJobSocket: hook.jobSocket, isStrict: hook.strict)
        }
        if hook.jobSocket { throw Failure.usage("--job-socket: expected a CI job's hook (--github-hook, --gitlab), found none") }
        guard let id = SpanIdentity.id(given: id) else { throw Failure.usage("no id: \(SpanIdentity.expectation)") }
        let edge = await SpanEdge.read(.start, key: id, socket: settings.socket.value)
        if let failure = edge.failure { StandardError.write("wattle: \(failure.description)\n") }
        if !SpanNote(id: id).write(edge.time) {
            StandardError.write("wattle: the start could not be noted; give `wattle span finish` --started-at \(edge.time.rfc3339)\n")
        }
        guard settings.url.value != nil else { return }
        var span = labels.span(id: id, startedAt: edge.time)
        span.fill(from: edge)
        try await settings.post(span)
    }
}

/// `wattle span finish`.
struct SpanFinish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "finish",
        abstract: "End a span now: knots at the agent, and a post to the collector where one is configured.",
        discussion: """
            EXAMPLES
              wattle span finish --github-hook
              wattle span finish --id nightly/42 --outcome failure
            """
    )

    @OptionGroup(title: "What the work is")
    var labels: SpanLabels

    @Option(help: ArgumentHelp("The span's id, as at its start (WATTLE_SPAN_ID).", valueName: "id"))
    var id: String?

    @Option(help: ArgumentHelp("success, failure, or another word that the CI system has.", valueName: "word"))
    var outcome: String?

    @Option(name: .customLong("started-at"), help: ArgumentHelp("When it began, where `span start` ran elsewhere.", valueName: "time"))
    var startedAt: String?

    @OptionGroup(title: "In a CI system's job hook")
    var hook: HookOptions

    @OptionGroup var collectorOptions: CollectorOptions
    @OptionGroup var agentOptions: AgentOptions

    func run() async throws {
        let settings = Settings(
            url: collectorOptions.collector,
            token: collectorOptions.token,
            zone: nil,
            socket: agentOptions.socket
        )
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        if let job = try hook.job(isIDGiven: SpanIdentity.id(given: id) != nil) {
            return try await JobHook.run(.finish, job, settings, labels: labels, outcome: outcome, isStrict: hook.strict)
        }
        guard let id = SpanIdentity.id(given: id) else { throw Failure.usage("no id: \(SpanIdentity.expectation)") }
        let edge = await SpanEdge.read(.finish, key: id, socket: settings.socket.value)
        if let failure = edge.failure { StandardError.write("wattle: \(failure.description)\n") }
        let note = SpanNote(id: id)
        let start: Timestamp
        if let startedAt {
            guard let time = Timestamp(rfc3339: startedAt) else {
                throw Failure.usage("--started-at: expected a time such as 2026-09-01T09:00:10Z, found \(startedAt)")
            }
            start = time
        } else if let time = note.read() {
            start = time
        } else {
            throw Failure.failed("\(id): nothing noted of its start at \(note.path): expected `wattle span start` before, or --started-at")
        }
        defer { note.remove() }
        guard settings.url.value != nil else { return }
        var span = labels.span(id: id, startedAt: start)
        span.fill(from: edge)
        span.finishedAt = max(start, edge.time)
        span.outcome = outcome
        try await settings.post(span)
    }
}

extension SpanPost {
    /// What the edge tells.
    fileprivate mutating func fill(from edge: SpanEdge) {
        source = "wattle-span"
        host = edge.host
        workload = edge.workload
        timeResolutionMilliseconds = 0
        within(JobEnvironment(variable: Settings.variable))
    }

    /// The CI job that the work is a part of. Its runner and its id are that job's own: posted under those names, the part would claim the
    /// whole job's cgroup.
    mutating func within(_ job: JobEnvironment?) {
        guard let job else { return }
        repository = repository ?? job.repository
        commit = commit ?? job.commit
        self.job = self.job ?? job.job
        runID = job.runID.isEmpty ? nil : job.runID
        parentRunner = job.runner
        parentJobID = job.jobID
    }
}

extension Settings {
    /// Posts a span; where that fails, says so and prints what is to be sent again.
    fileprivate func post(_ span: SpanPost) async throws {
        let collector = try collector()
        do throws(CollectorError) {
            let accepted = try await collector.post(span)
            StandardOutput.write("\(accepted.id)\n")
        } catch {
            StandardError.write(String(decoding: span.json, as: UTF8.self) + "\n")
            throw Failure.failed("\(error.description)\nto send the span later, save the line above and run `wattle span post FILE`")
        }
    }
}
