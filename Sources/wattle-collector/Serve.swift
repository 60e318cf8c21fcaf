import ArgumentParser
import Collector
import Logging
import Postgres
import ServiceLifecycle
import Telemetry
import UnixSignals

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the collector.",
        discussion: """
            EXAMPLES
              wattle-collector serve --embedded .wattle/postgres
              wattle-collector serve --database-url postgresql://wattle@db/wattle --listen 0.0.0.0:8480
              wattle-collector serve --embedded .wattle/postgres --poll-only --reconcile-interval-s 300
              wattle-collector serve --read-url 'postgresql://wattle@db1,db2/wattle?target_session_attrs=prefer-standby' \\
                --database-url 'postgresql://wattle@db1,db2/wattle?target_session_attrs=read-write'

            SIGTERM and Ctrl-C stop it within 10 s: open requests are answered, and an embedded Postgres is shut down.
            """
    )

    @OptionGroup var database: DatabaseOptions

    @Option(help: ArgumentHelp("Address and port (default: 127.0.0.1:8480).", valueName: "address:port"))
    var listen: String?

    @Option(help: ArgumentHelp("Where people reach the collector (default: http://LISTEN).", valueName: "url"))
    var baseURL: String?

    @Option(help: ArgumentHelp("A replica that answers what only reads; the primary where it is away.", valueName: "url"))
    var readURL: String?

    @Option(help: ArgumentHelp("Connections to the database, at most, and as many to the replica (default: 10).", valueName: "n"))
    var connections: Int?

    @Flag(help: "Take no webhooks: ask the systems of the sources for their jobs (see reconcile_interval_s).")
    var pollOnly = false

    @Option(help: ArgumentHelp("A table of other exporters' series, before the shipped one (config/meters.yaml).", valueName: "file"))
    var meters: String?

    @Option(help: ArgumentHelp("What people without a token see: public jobs, or nothing (default: public).", valueName: "public|token"))
    var access: String?

    @Option(help: ArgumentHelp("Seconds between two rounds of asking the systems of the sources (default: 3600).", valueName: "s"))
    var reconcileIntervalS: Int?

    @Flag(help: "Print each setting and where it came from, and stop.")
    var showConfig = false

    func run() async throws {
        let configuration = try database.configuration(flags: [
            "listen": listen, "base_url": baseURL, "read_url": readURL, "connections": connections.map { String($0) },
            "access": access, "meters": meters, "poll_only": pollOnly ? "true" : nil,
            "reconcile_interval_s": reconcileIntervalS.map { String($0) },
        ])
        if showConfig {
            for setting in configuration.settings { print("\(setting.name): \(setting.shown)  # \(setting.origin.rawValue)") }
            return
        }
        let log = try makeLogger(level: configuration["log_level"])
        let (host, port) = try configuration.listen()
        let connections = try configuration.connections()
        _ = try (configuration.isPollOnly(), configuration.reconcileInterval())
        let grid = try configuration.gridChains(environment: environment())
        // Before a cluster is made, which takes longer than to find this out.
        guard AddressProbe.isFree(host: host, port: port) else {
            throw Failure(
                code: 2,
                message: "expected \(host):\(port) to be free, found that something listens there (another collector?); choose --listen"
            )
        }

        let opened = try await Database.open(configuration, log: log)
        let embedded: EmbeddedPostgres? =
            if let cluster = opened.cluster, let directory = configuration["embedded"] {
                EmbeddedPostgres(directory: directory, cluster: cluster, log: log)
            } else { nil }
        do {
            try await serve(
                opened,
                embedded: embedded,
                host: host,
                port: port,
                connections: connections,
                configuration: configuration,
                grid: grid,
                log: log
            )
        } catch {
            try await embedded?.stop()
            throw error
        }
        try await embedded?.stop()
    }

    private func serve(
        _ opened: Database,
        embedded: EmbeddedPostgres?,
        host: String,
        port: Int,
        connections: Int,
        configuration: CollectorConfiguration,
        grid: [GridChain],
        log: Logger
    ) async throws {
        let connection = try await opened.connect(log)
        do {
            try await CollectorServices.prepare(connection, log: log, now: wallClock())
        } catch {
            throw Failure(code: 2, message: "the database cannot be brought up to date: \(error)")
        }
        await connection.close()

        let pool = PostgresPool(
            connectionString: opened.connectionString,
            maximumConnections: connections,
            waitLimit: .seconds(10),
            applicationName: "wattle-collector",
            sessionSettings: Self.sessionSettings,
            logger: log
        )
        let replicaPool = configuration["read_url"].map { url in
            PostgresPool(
                connectionString: url,
                maximumConnections: connections,
                waitLimit: .seconds(10),
                // The primary answers in its place.
                connectTimeout: .seconds(2),
                applicationName: "wattle-collector reading",
                sessionSettings: Self.sessionSettings,
                logger: log
            )
        }
        let rules: MeterRules
        do { rules = try MeterTable.rules(file: configuration["meters"]) } catch { throw Failure(code: 2, message: "\(error)") }
        let baseURL = configuration["base_url"] ?? "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        let collector = try CollectorServices(
            pool: pool,
            host: host,
            port: port,
            baseURL: baseURL.hasSuffix("/") ? String(baseURL.dropLast()) : baseURL,
            log: log,
            now: wallClock,
            reconcileEvery: try configuration.reconcileInterval(),
            takesHooks: try !configuration.isPollOnly(),
            access: try configuration.access(),
            meterRules: rules,
            scrapeTargets: configuration.scrapeTargets,
            grid: grid,
            storage: configuration.storage,
            replica: replicaPool.map { ReadReplica(pool: $0, log: log) },
            onListening: { port in log.notice("listening", metadata: ["address": "\(host):\(port)"]) }
        )
        var services: [any Service] = collector.services
        if let embedded { services.insert(embedded, at: 0) }
        let stopLimit = StopLimit(log: log)
        services.append(stopLimit)
        var group = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: log)
        group.maximumGracefulShutdownDuration = .seconds(7)
        let outcome: Result<Void, any Error>
        do {
            try await ServiceGroup(configuration: group).run()
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await pool.shutDown()
        await replicaPool?.shutDown()
        stopLimit.lift()
        if case .failure(let error) = outcome, !(error is CancellationError) {
            throw Failure(code: 1, message: "the collector stopped: \(error)")
        }
    }

    /// A server whose collector is gone without a word lets go of what it had locked within a minute, not after the kernel's two hours:
    /// until then no other collector could take those hosts' batches.
    private static let sessionSettings = [
        "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "20s",
        "client_connection_check_interval": "5s", "idle_in_transaction_session_timeout": "60s",
    ]
}

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring a database up to date; safe to run twice.",
        discussion: """
            EXAMPLE
              wattle-collector migrate --database-url postgresql://wattle@db/wattle
            """
    )

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        try await Database.withConnection(database) { _, _ in print("the schema is up to date") }
    }
}
