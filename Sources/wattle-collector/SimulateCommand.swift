import ArgumentParser
import Collector
import Documents
import Energy
import Glibc
import Logging
import Postgres
import ServiceLifecycle
import Simulation
import Store

/// Simulated hosts through the real path.
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Make up hosts and jobs whose true energy is known, report them, and compare the answers.",
        discussion: """
            Hosts enrol, send readings as agents do and spans as CI does: late, twice and out of order. All of it is marked as simulated \
            wherever it shows, and is never public. The same seed makes the same hosts and jobs: a second run adds nothing.

            EXAMPLES
              # A collector of its own, with a Postgres below DIR, for as long as it takes
              wattle-collector simulate --embedded DIR --hosts 13 --hours 2

              # A collector that runs elsewhere; the tokens come from the environment
              WATTLE_ENROL_TOKEN=... WATTLE_TOKEN=... WATTLE_READ_TOKEN=... \\
                wattle-collector simulate --url http://127.0.0.1:8480 --hosts 4 --hours 1 --family smt --speed 60

              wattle-collector simulate --embedded DIR --hosts 2 --hours 1 --seed 7 --format json

            Exit codes: 0 done, 1 failed or an answer is missing, 2 wrong usage or configuration.
            """
    )

    private static var families: String { NoiseFamily.allCases.map(\.rawValue).joined(separator: ", ") }

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(help: ArgumentHelp("Hosts to make up (1 to 1000).", valueName: "n"))
    var hosts = 13

    @Option(help: ArgumentHelp("How long their time lasts (1 to 168).", valueName: "h"))
    var hours = 1

    @Option(help: ArgumentHelp("Names the hosts and everything that happens to them.", valueName: "n"))
    var seed: UInt64 = 1

    @Option(
        help: ArgumentHelp(
            "Noise that the engine is not told of (default: each in turn): \(Self.families).",
            valueName: "name"
        )
    )
    var family: String?

    @Option(help: ArgumentHelp("When their time begins; the hour of it counts.", valueName: "time"))
    var start = "2026-09-01T00:00:00Z"

    @Option(help: ArgumentHelp("Median length of most jobs.", valueName: "s"))
    var jobSeconds = 120.0

    @Option(help: ArgumentHelp("Simulated seconds a second (default: as fast as it goes).", valueName: "factor"))
    var speed: Double?

    @Option(help: ArgumentHelp("A collector that runs, instead of one for the occasion.", valueName: "url"))
    var url: String?

    @Option(help: ArgumentHelp("What is printed at the end: table or json.", valueName: "format"))
    var format = Format.table

    @OptionGroup var database: DatabaseOptions

    func validate() throws {
        guard (1...1_000).contains(hosts) else { throw ValidationError("--hosts: expected 1 to 1000, found \(hosts)") }
        guard (1...168).contains(hours) else { throw ValidationError("--hours: expected 1 to 168, found \(hours)") }
        guard (1...86_400).contains(jobSeconds) else { throw ValidationError("--job-seconds: expected 1 to 86400, found \(jobSeconds)") }
        if let speed, !(speed > 0) { throw ValidationError("--speed: expected more than 0, found \(speed)") }
        if let family, NoiseFamily(rawValue: family) == nil {
            throw ValidationError("--family: expected one of \(Self.families), found \(family)")
        }
        guard let begin = RFC3339.parse(start) else {
            throw ValidationError("--start: expected a time such as 2026-09-01T00:00:00Z, found \(start)")
        }
        guard begin.hour.start + Microseconds(Microseconds.hour.count * Int64(hours)) <= wallClock() else {
            throw ValidationError("--start: expected a time at least --hours \(hours) ago, because readings of the future are refused")
        }
        if url != nil, database.embedded != nil || database.databaseURL != nil {
            throw ValidationError("expected --url, or --embedded or --database-url, found both")
        }
    }

    func run() async throws {
        let report: SimulationReport
        if let url {
            let known = environment()
            func token(_ name: String, _ scope: String) throws -> String {
                guard let token = known[name], !token.isEmpty else {
                    throw Failure(code: 2, message: "\(name): expected a token of scope \(scope) in the environment, found nothing")
                }
                return token
            }
            let tokens = SimulationRun.Tokens(
                enrol: try token("WATTLE_ENROL_TOKEN", "enrol"),
                ci: try token("WATTLE_TOKEN", "ci"),
                read: try token("WATTLE_READ_TOKEN", "read")
            )
            report = try await simulate(at: url.hasSuffix("/") ? String(url.dropLast()) : url, tokens: tokens)
        } else {
            report = try await withCollector { url, tokens in try await simulate(at: url, tokens: tokens) }
        }
        switch format {
        case .json: print(try report.json.text)
        case .table: print(report.table)
        }
        if report.all.final < report.all.jobs {
            throw Failure(code: 1, message: "\(report.all.jobs - report.all.final) of \(report.all.jobs) jobs have no final answer yet")
        }
    }

    private func simulate(at url: String, tokens: SimulationRun.Tokens) async throws -> SimulationReport {
        let isTerminal = isatty(STDERR_FILENO) == 1
        let settings = SimulationRun.Settings(
            hosts: hosts,
            duration: Microseconds(Microseconds.hour.count * Int64(hours)),
            seed: seed,
            family: family.flatMap(NoiseFamily.init(rawValue:)),
            start: (RFC3339.parse(start) ?? wallClock()).hour.start,
            jobSeconds: jobSeconds,
            speed: speed
        )
        do {
            return try await SimulationRun(settings: settings, url: url, tokens: tokens) { note in
                if isTerminal { printError(note) }
            }.run()
        } catch let fault as SimulationRun.Fault {
            throw Failure(code: 1, message: fault.description)
        }
    }

    // MARK: - A collector for the occasion

    /// Runs a collector on a free port of this machine, with tokens that are revoked afterwards.
    private func withCollector(
        _ body: @escaping @Sendable (String, SimulationRun.Tokens) async throws -> SimulationReport
    ) async throws -> SimulationReport {
        let configuration = try database.configuration()
        var log = try makeLogger(level: configuration["log_level"])
        if database.logLevel == nil { log.logLevel = .error }
        let opened = try await Database.open(configuration, log: log)
        let result: Result<SimulationReport, any Error>
        do {
            result = .success(try await serve(opened, connections: configuration.connections(), log: log, body))
        } catch {
            result = .failure(error)
        }
        try await opened.cluster?.stop()
        return try result.get()
    }

    private func serve(
        _ opened: Database,
        connections: Int,
        log: Logger,
        _ body: @escaping @Sendable (String, SimulationRun.Tokens) async throws -> SimulationReport
    ) async throws -> SimulationReport {
        let connection = try await opened.connect(log)
        try await CollectorServices.prepare(connection, log: log, now: wallClock())
        var tokens: [TokenGrant.Scope: Token] = [:]
        var names: [String] = []
        for scope in [TokenGrant.Scope.enrol, .ci, .read] {
            let token = Token()
            var draft = TokenTable.Draft(name: "simulator-\(scope.rawValue)-\(UInt32.random(in: 0 ... .max))", scope: scope)
            draft.expiresAt = wallClock() + .day
            if scope == .enrol { draft.pool = SimulationRun.pool }
            if scope == .ci { draft.source = "simulator" }
            _ = try await TokenTable.insert(draft, sha256: token.sha256, connection)
            tokens[scope] = token
            names.append(draft.name)
        }
        guard let enrol = tokens[.enrol], let ci = tokens[.ci], let read = tokens[.read] else {
            throw Failure(code: 1, message: "expected three tokens to be made, found fewer")
        }
        let made = SimulationRun.Tokens(enrol: enrol.text, ci: ci.text, read: read.text)
        let pool = PostgresPool(
            connectionString: opened.connectionString,
            maximumConnections: connections,
            waitLimit: .seconds(30),
            applicationName: "wattle-collector simulate",
            logger: log
        )
        let result: Result<SimulationReport, any Error>
        do {
            result = .success(try await answered(pool: pool, tokens: made, log: log, body))
        } catch {
            result = .failure(error)
        }
        await pool.shutDown()
        for name in names { _ = try await TokenTable.revoke(name: name, connection) }
        await connection.close()
        return try result.get()
    }

    private func answered(
        pool: PostgresPool,
        tokens: SimulationRun.Tokens,
        log: Logger,
        _ body: @escaping @Sendable (String, SimulationRun.Tokens) async throws -> SimulationReport
    ) async throws -> SimulationReport {
        let (ports, port) = AsyncStream<Int>.makeStream()
        let collector = try CollectorServices(
            pool: pool,
            host: "127.0.0.1",
            port: 0,
            baseURL: "http://127.0.0.1",
            log: log,
            now: wallClock,
            takesHooks: false,
            access: .token,
            onListening: { port.yield($0) }
        )
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: collector.services, logger: log))
        return try await withThrowingTaskGroup(of: SimulationReport?.self) { tasks in
            tasks.addTask {
                try await group.run()
                return nil
            }
            tasks.addTask {
                for await number in ports { return try await body("http://127.0.0.1:\(number)", tokens) }
                return nil
            }
            var report: SimulationReport?
            while report == nil, let next = try await tasks.next() { report = next }
            await group.triggerGracefulShutdown()
            guard let report else { throw Failure(code: 1, message: "the collector stopped before the simulation ended") }
            return report
        }
    }
}
