import ArgumentParser
import Collector
import Documents
import Logging
import Postgres

struct StorageCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    static let configuration = CommandConfiguration(
        commandName: "storage",
        abstract: "Show what is stored and what would be packed or dropped; with --now, do it.",
        discussion: """
            A running collector does it every ten minutes, as `storage:` of its settings says; any number may at once. Without --now nothing
            is changed. Safe to run twice. Exit code 1 when something that was packed before is damaged.

            EXAMPLES
              wattle-collector storage --embedded DIR
              wattle-collector storage --database-url postgresql://wattle@db/wattle --format json
              wattle-collector storage --embedded DIR --now
            """
    )

    @OptionGroup var database: DatabaseOptions

    @Flag(help: "Pack, drop and delete what is due.")
    var now = false

    @Flag(help: "Change nothing (the default).")
    var dryRun = false

    @Option(help: "table or json.")
    var format = Format.table

    func validate() throws {
        guard !(now && dryRun) else { throw ValidationError("expected --now or --dry-run, found both; leave one out") }
    }

    func run() async throws {
        let configuration = try database.configuration()
        let terms = configuration.storage
        guard now else {
            let report = try await Database.withConnection(database, making: false) { connection, _ in
                try await StorageReport.make(terms: terms, now: wallClock(), connection)
            }
            switch format {
            case .table: print(report.text)
            case .json: print(try report.json.text)
            }
            return
        }
        var log = try makeLogger(level: configuration["log_level"])
        if database.logLevel == nil { log.logLevel = .warning }
        let opened = try await Database.open(configuration, log: log, making: false)
        let outcome: Result<[(name: String, count: Int)], any Error>
        do {
            let connection = try await opened.connect(log)
            try await CollectorServices.prepare(connection, log: log, now: wallClock())
            await connection.close()
            let pool = PostgresPool(
                connectionString: opened.connectionString,
                maximumConnections: 2,
                applicationName: "wattle-collector storage",
                logger: log
            )
            do {
                outcome = .success(try await StorageReport.keep(terms: terms, pool: pool, now: wallClock, log: log))
            } catch {
                await pool.shutDown()
                throw error
            }
            await pool.shutDown()
        } catch {
            try await opened.cluster?.stop()
            throw error
        }
        try await opened.cluster?.stop()
        let done = try outcome.get()
        switch format {
        case .table: for (name, count) in done { print("\(name.replacing("_", with: " ")): \(count)") }
        case .json:
            let counts = Dictionary(uniqueKeysWithValues: done.map { ($0.name, JSONValue.integer(Int64($0.count))) })
            print(try JSONValue.object(counts).text)
        }
        if done.contains(where: { $0.name == "host_hours_failed" && $0.count > 0 }) { leave(withCode: 1) }
    }
}
