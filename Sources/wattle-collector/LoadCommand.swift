import ArgumentParser
import Collector
import Documents
import Energy
import Glibc

/// Measured load from made-up hosts.
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Put load on a collector from made-up hosts, and say what it took.",
        discussion: """
            Hosts enrol with WATTLE_ENROL_TOKEN and open a stream each; everything they send is encoded before the clock starts. Their \
            knots lie in the running hour. All of it is marked as simulated wherever it shows. Printed are rates, how long \
            acknowledgements took, what was put off (429) or refused, and this program's own CPU time.

            EXAMPLES
              # As fast as it goes: 200 hosts, 20 batches of 1000 knots each
              WATTLE_ENROL_TOKEN=... wattle-collector load --url http://127.0.0.1:8480

              # 100,000 knots a second in batches of 100, for half a minute
              WATTLE_ENROL_TOKEN=... wattle-collector load --url http://127.0.0.1:8480 --hosts 500 --knots 100 --batches 60 \\
                --rate 100000 --seconds 30

              # What real meters counted: each file t_us and a column of uJ a meter, kept as an agent keeps it, within 1 J
              WATTLE_ENROL_TOKEN=... wattle-collector load --url http://127.0.0.1:8480 --traces DIR --hosts 200 --batch-seconds 10

            Another machine than this one is loaded only with --yes-really.
            Exit codes: 0 done, 1 failed or something was refused, 2 wrong usage or configuration.
            """
    )

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(help: ArgumentHelp("The collector.", valueName: "url"))
    var url = "http://127.0.0.1:8480"

    @Option(help: ArgumentHelp("Hosts to make up (1 to 10000).", valueName: "n"))
    var hosts = 200

    @Option(help: ArgumentHelp("Meters of each (1 to 64).", valueName: "n"))
    var meters = 4

    @Option(help: ArgumentHelp("Knots of a batch, all meters together (1 to 50000).", valueName: "n"))
    var knots = 1_000

    @Option(help: ArgumentHelp("Batches of each host (1 to 10000).", valueName: "n"))
    var batches = 20

    @Option(
        help: ArgumentHelp(
            "Recordings to replay, a file a host and over again; in place of --meters, --knots, --batches.",
            valueName: "dir"
        )
    )
    var traces: String?

    @Option(help: ArgumentHelp("Of a recording, in one batch (0.1 to 3600).", valueName: "s"))
    var batchSeconds = 10.0

    @Option(help: ArgumentHelp("When the knots begin (default: with the running hour).", valueName: "time"))
    var start: String?

    @Option(help: ArgumentHelp("Connections that are kept open (1 to 1000).", valueName: "n"))
    var connections = 32

    @Option(help: ArgumentHelp("Knots a second (default: as fast as it goes).", valueName: "n"))
    var rate: Double?

    @Option(help: ArgumentHelp("Stop after so long.", valueName: "s"))
    var seconds: Double?

    @Flag(help: "Send bodies as they are, not compressed.")
    var plain = false

    @Option(help: ArgumentHelp("Decides what the knots look like.", valueName: "n"))
    var seed: UInt64 = 1

    @Flag(help: "Load a collector on another machine.")
    var yesReally = false

    @Option(help: ArgumentHelp("What is printed at the end: table or json.", valueName: "format"))
    var format = Format.table

    func validate() throws {
        func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError("--\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
            }
        }
        try check("hosts", hosts, 1...10_000)
        try check("meters", meters, 1...64)
        try check("knots", knots, meters...50_000)
        try check("batches", batches, 1...10_000)
        try check("connections", connections, 1...1_000)
        try check("hosts x --batches x --knots", hosts * batches * knots, 1...100_000_000)
        guard (0.1...3_600).contains(batchSeconds) else {
            throw ValidationError("--batch-seconds: expected 0.1 to 3600, found \(batchSeconds)")
        }
        if let start, RFC3339.parse(start) == nil {
            throw ValidationError("--start: expected a time such as 2026-09-01T09:00:00Z, found \(start)")
        }
        if let rate, !(rate > 0) { throw ValidationError("--rate: expected more than 0, found \(rate)") }
        if let seconds, !(seconds > 0) { throw ValidationError("--seconds: expected more than 0, found \(seconds)") }
        guard let target = LoadTarget(url) else { throw ValidationError("--url: expected http://HOST:PORT, found \(url)") }
        guard target.isLoopback || yesReally else {
            throw ValidationError(
                "--url: expected this machine (127.0.0.1, ::1 or localhost), found \(target.host); give --yes-really to load another one"
            )
        }
    }

    func run() async throws {
        guard let token = environment()["WATTLE_ENROL_TOKEN"], !token.isEmpty else {
            throw Failure(code: 2, message: "WATTLE_ENROL_TOKEN: expected a token of scope enrol in the environment, found nothing")
        }
        guard let target = LoadTarget(url) else { throw Failure(code: 2, message: "--url: expected http://HOST:PORT, found \(url)") }
        var plan = LoadPlan(
            hosts: hosts,
            meters: meters,
            knotsPerBatch: knots,
            batchesPerHost: batches,
            connections: connections,
            knotsPerSecond: rate,
            seconds: seconds,
            isCompressed: !plain,
            seed: seed
        )
        plan.batchInterval = Microseconds(Int64(batchSeconds * 1e6))
        plan.start = start.flatMap(RFC3339.parse)
        if let traces {
            guard let folder = opendir(traces) else {
                let found = String(cString: strerror(errno))
                throw Failure(code: 2, message: "--traces: expected a folder of recordings (*.csv), found \(traces): \(found)")
            }
            closedir(folder)
            do {
                plan.recordings = try LoadRecording.read(folder: traces)
            } catch {
                throw Failure(code: 2, message: "--traces: \(error)")
            }
        }
        let isTerminal = isatty(STDERR_FILENO) == 1
        let report: LoadReport
        do {
            report = try await LoadRun(plan: plan, url: target, enrolToken: token, now: wallClock()) { note in
                if isTerminal { printError(note) }
            }.run()
        } catch let fault as LoadRun.Fault {
            throw Failure(code: 1, message: fault.description)
        } catch {
            throw Failure(code: 1, message: "the collector cannot be loaded: \(error)")
        }
        switch format {
        case .json: print(try report.json.text)
        case .table: print(report.table)
        }
        if report.refused > 0 { throw Failure(code: 1, message: "\(report.refused) batches were refused") }
    }
}
