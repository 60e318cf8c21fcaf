import ArgumentParser
import Carbon
import Energy
import Glibc
import Tracker

/// `wattle run`: measures a command and everything it starts.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a command and everything it starts; its exit code passes through.",
        discussion: """
            The footprint goes to standard error when the command has ended. With an agent on this machine its meters are read; without \
            one the machine's own counters are, else the model of its processor. Where a collector is configured the span is posted \
            too, and with --wait its final footprint is shown.

            Exit codes: the command's own; 128 + the number of the signal that ended it; 127 not found; 126 cannot be run; 2 wrong usage.

            EXAMPLES
              wattle run -- make -j8
              wattle run --zone FR -- cargo test
              wattle run --service opam-repo-ci --activity release-test --release pkg:opam/dune@3.17.0 -- opam install dune
              wattle run --format json --output footprint.json -- ./build.sh
            """
    )

    @OptionGroup(title: "What the work is")
    var labels: SpanLabels

    @Option(help: ArgumentHelp("The span's id; the same id posted twice is one span. Default: run/HOST/TIME-RANDOM.", valueName: "id"))
    var id: String?

    @Option(help: ArgumentHelp("Grid zone for the CO2e shown here, such as FR (WATTLE_ZONE).", valueName: "zone"))
    var zone: String?

    @Option(
        help: ArgumentHelp("Seconds to wait for the collector's final footprint. Default: 30 at a terminal, else 0.", valueName: "seconds")
    )
    var wait: Double?

    @Option(help: ArgumentHelp("table or json.", valueName: "format"))
    var format = OutputFormat.table

    @Option(help: ArgumentHelp("Write the footprint there instead of to standard error.", valueName: "file"))
    var output: String?

    @Flag(help: "Show no footprint; warnings still are.")
    var quiet = false

    @Flag(help: "Also say why no agent helped.")
    var verbose = false

    @OptionGroup(title: "Where it is sent")
    var collectorOptions: CollectorOptions

    @OptionGroup var agentOptions: AgentOptions

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The command and its arguments, after --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        if let wait, !(wait >= 0 && wait <= 86_400) { throw ValidationError("--wait: expected seconds from 0 to 86400, found \(wait)") }
        if command.isEmpty, !collectorOptions.showConfig {
            throw ValidationError("no command: expected it after --, as in `wattle run -- make -j8`")
        }
    }

    func run() async throws {
        let settings = Settings(
            url: collectorOptions.collector,
            token: collectorOptions.token,
            zone: zone,
            socket: agentOptions.socket
        )
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        for complaint in settings.complaints { warn(complaint) }
        let collector = settings.url.value == nil ? nil : try settings.collector()

        let tracker = Tracker(
            options: TrackerOptions(
                socketPath: settings.socket.value,
                zone: try settings.gridZone(),
                cpus: labels.cpus,
                cpuShare: labels.cpuShare
            )
        )
        let id = id ?? Run.newID()
        let labels = labels
        let parent = JobEnvironment(variable: Settings.variable)
        let jobName = labels.job ?? Run.programName(command)
        @Sendable func span(_ start: RunStart) -> SpanPost {
            var span = labels.span(id: id, startedAt: start.startedAt)
            span.source = "wattle-run"
            span.job = jobName
            span.host = start.host
            span.workload = start.workload
            span.timeResolutionMilliseconds = 0
            span.within(parent)
            return span
        }

        let report: RunReport
        do throws(CommandError) {
            report = try await tracker.run(Command(rawArguments: RawArguments.afterTerminator(command)), key: id) { start in
                // A failure is told once, by the post at the end, which holds everything that this one does.
                if let collector { _ = try? await collector.post(span(start)) }
            }
        } catch {
            StandardError.write("wattle: \(error.description)\n")
            throw ExitCode(error.shellCode)
        }
        for warning in report.warnings { warn(warning) }
        // That no agent is here need not be said where none was set up; anything else about it is news.
        if let failure = report.agentFailure, verbose || collector != nil || failure.kind != .absent || report.start.agentAnswered {
            warn(failure.description)
        }

        var final = span(report.start)
        final.finishedAt = report.finishedAt
        final.outcome = report.exit.isSuccess ? "success" : "failure"
        final.cpuTime = report.cpuTime
        final.memoryPeakBytes = report.memoryPeakBytes
        var posted: PostedSpan?
        if let collector { posted = await post(final, to: collector) }
        show(RunSummary(command: command, spanID: id, report: report, posted: posted, hasCollector: collector != nil))
        throw ExitCode(report.exit.shellCode)
    }

    private func post(_ span: SpanPost, to collector: CollectorClient) async -> PostedSpan? {
        do throws(CollectorError) {
            let accepted = try await postUntilHeard(span, by: collector)
            let seconds = wait ?? (StandardError.isTerminal ? 30 : 0)
            let waiting = FootprintWait(collector: collector, id: accepted.id, seconds: seconds)
            return PostedSpan(jobID: accepted.id, state: accepted.state, settled: try await waiting.settled())
        } catch {
            warn("the collector: \(error.description)")
            if error.status.map({ $0 >= 500 }) ?? true || error.status == 401 || error.status == 403 || error.status == 429 {
                warn("to send the span later, save the next line and give the file to `wattle span post FILE`")
                StandardError.write(String(decoding: span.json, as: UTF8.self) + "\n")
            }
            return nil
        }
    }

    /// How long a collector that is away for a moment (a restart, a failover) is tried.
    private static let patience = Duration.seconds(20)

    /// Posts again after a failure that may pass: without this post the job would stay unfinished for ever.
    private func postUntilHeard(_ span: SpanPost, by collector: CollectorClient) async throws(CollectorError) -> SpansAccepted.Span {
        let deadline = ContinuousClock.now + Self.patience
        var pause = Duration.milliseconds(200)
        while true {
            let failure: CollectorError
            do throws(CollectorError) { return try await collector.post(span) } catch { failure = error }
            let mayPass = failure.status.map { $0 >= 500 || $0 == 429 } ?? true
            guard mayPass, ContinuousClock.now + pause < deadline else { throw failure }
            // Interrupted: then there is no time to wait, and the failure is told.
            do { try await Task.sleep(for: pause) } catch { throw failure }
            pause = min(pause * 2, .seconds(3))
        }
    }

    private func show(_ summary: RunSummary) {
        guard !quiet || output != nil else { return }
        let text =
            switch format {
            case .table: summary.table
            case .json: summary.json
            }
        guard let output else {
            StandardError.write(text)
            return
        }
        let descriptor = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            warn("\(output): \(String(cString: strerror(errno))); the footprint follows")
            StandardError.write(text)
            return
        }
        writeAll(text, to: descriptor)
        close(descriptor)
    }

    private func warn(_ text: String) { StandardError.write("wattle: \(text)\n") }

    private static func newID() -> String {
        let random = String(UInt64.random(in: .min ... .max), radix: 36)
        return "run/\(HostName.system())/\(Timestamp.systemNow().compactUTC)-\(random)"
    }

    /// Only the program's name: its arguments may hold secrets.
    private static func programName(_ command: [String]) -> String? {
        command.first.flatMap { $0.split(separator: "/").last.map(String.init) }
    }
}
