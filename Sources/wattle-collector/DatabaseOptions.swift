import ArgumentParser
import Collector
import Foundation
import Logging
import Postgres

/// Which database, for every command that needs one.
struct DatabaseOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Make and run a private Postgres in this directory.", valueName: "dir"))
    var embedded: String?

    @Option(help: ArgumentHelp("A Postgres 15 or newer of your own.", valueName: "url"))
    var databaseURL: String?

    @Option(
        help: ArgumentHelp("Settings file (default: ~/.config/wattle/config.yaml, then /etc/wattle/collector.yaml).", valueName: "file")
    )
    var config: String?

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical (default: info).", valueName: "level"))
    var logLevel: String?

    func configuration(flags: [String: String?] = [:]) throws -> CollectorConfiguration {
        var all = flags
        all["embedded"] = embedded
        all["database_url"] = databaseURL
        all["log_level"] = logLevel
        return try CollectorConfiguration(flags: all, environment: environment(), file: config)
    }
}

/// A database to work with: a connection string, and the private cluster behind it if there is one.
struct Database {
    let connectionString: String
    let cluster: EmbeddedCluster?

    /// Starts or adopts the embedded cluster, or takes the URL as it is.
    ///
    /// - Parameter making: whether a cluster is made in a directory that is not there; who only looks does not make one by a slip of the pen.
    static func open(_ configuration: CollectorConfiguration, log: Logger, making: Bool = true) async throws -> Database {
        if let directory = configuration["embedded"] {
            guard making || FileManager.default.fileExists(atPath: directory) else {
                throw Failure(code: 2, message: "--embedded: expected the directory of a collector, found no \(directory)")
            }
            do {
                let cluster = try await EmbeddedCluster.start(directory: directory, log: log)
                return Database(connectionString: cluster.connectionString, cluster: cluster)
            } catch {
                throw Failure(code: 2, message: "the embedded Postgres in \(directory) cannot be started: \(error)")
            }
        }
        guard let url = configuration["database_url"] else {
            throw Failure(code: 2, message: "expected --embedded DIR or --database-url URL, found neither")
        }
        return Database(connectionString: url, cluster: nil)
    }

    /// Connects; a server that is just starting, and a cluster that has no primary at the moment, are waited for.
    func connect(_ log: Logger) async throws -> PostgresConnection {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            do {
                return try await PostgresConnection.connect(
                    to: connectionString,
                    applicationName: "wattle-collector",
                    connectTimeout: .seconds(10),
                    logger: log
                )
            } catch {
                guard isPassing(error), .now < deadline else {
                    throw Failure(
                        code: 2,
                        message: "cannot connect to the database: \(error)\nexpected a running Postgres; check --database-url"
                    )
                }
                log.notice("waiting for the database", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// 57P03: the server is starting. Who asks for a certain kind of server has several, and one of them is about to become it.
    private func isPassing(_ error: PostgresError) -> Bool {
        error.sqlState == "57P03" || (error.sqlState == nil && connectionString.contains("target_session_attrs="))
    }

    /// Runs a closure with one connection to a database that is up to date, and leaves everything as it was found.
    ///
    /// - Parameter making: as in `open`.
    static func withConnection<T>(
        _ options: DatabaseOptions,
        making: Bool = true,
        _ body: (PostgresConnection, Logger) async throws -> T
    ) async throws -> T {
        let configuration = try options.configuration()
        var log = try makeLogger(level: configuration["log_level"])
        if options.logLevel == nil { log.logLevel = .warning }
        let database = try await open(configuration, log: log, making: making)
        let result: Result<T, any Error>
        do {
            let connection = try await database.connect(log)
            do {
                try await CollectorServices.prepare(connection, log: log, now: wallClock())
                result = .success(try await body(connection, log))
            } catch {
                await connection.close()
                throw error
            }
            await connection.close()
        } catch {
            try await database.cluster?.stop()
            throw error
        }
        try await database.cluster?.stop()
        return try result.get()
    }
}
