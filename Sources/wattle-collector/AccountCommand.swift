import ArgumentParser
import Collector
import Documents
import Energy
import Glibc
import Logging
import Postgres

struct AccountCommand: AsyncParsableCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Account every host-hour that waits, and stop.",
        discussion: """
            A running collector does this all the time; any number of machines may do it at once. With --from or --to the hours in between
            that were accounted before are accounted again: the same inputs give the same figures and no new version.
            Exit code 1 when an hour had to be set aside with its error; doctor shows which.

            EXAMPLES
              wattle-collector account --embedded DIR
              wattle-collector account --database-url postgresql://wattle@db/wattle --from 2026-09-01 --to 2026-10-01
            """
    )

    @OptionGroup var database: DatabaseOptions

    @Option(help: ArgumentHelp("Hours since then again; a day or an instant in UTC.", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("Hours before then again.", valueName: "time"))
    var to: String?

    @Option(help: ArgumentHelp("Hosts accounted at a time.", valueName: "n"))
    var hosts = 3

    @Option(help: "table or json.")
    var format = Format.table

    func validate() throws {
        guard (1...64).contains(hosts) else { throw ValidationError("--hosts: expected 1 to 64, found \(hosts)") }
        guard try time("--from", from) ?? Timestamp(microseconds: .min) < time("--to", to) ?? Timestamp(microseconds: .max) else {
            throw ValidationError("--to: expected a time after --from, found \(to ?? "")")
        }
    }

    func run() async throws {
        var again: Interval?
        if from != nil || to != nil {
            again = Interval(try time("--from", from) ?? Timestamp(microseconds: 0), try time("--to", to) ?? wallClock())
        }
        let configuration = try database.configuration()
        var log = try makeLogger(level: configuration["log_level"])
        if database.logLevel == nil { log.logLevel = .warning }
        let opened = try await Database.open(configuration, log: log)
        let outcome: Result<(AccountingRun.Outcome, Duration), any Error>
        do {
            let connection = try await opened.connect(log)
            try await CollectorServices.prepare(connection, log: log, now: wallClock())
            await connection.close()
            let pool = PostgresPool(
                connectionString: opened.connectionString,
                maximumConnections: hosts + 1,
                applicationName: "wattle-collector account",
                logger: log
            )
            let start = ContinuousClock.now
            let done = try await AccountingRun.run(pool: pool, again: again, hostsAtOnce: hosts, now: wallClock, log: log)
            outcome = .success((done, ContinuousClock.now - start))
            await pool.shutDown()
        } catch {
            outcome = .failure(error)
        }
        try await opened.cluster?.stop()
        let (done, duration) = try outcome.get()
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
        switch format {
        case .table: print("\(done.hours) host-hours accounted in \((seconds * 1000).rounded() / 1000) s; \(done.setAside) set aside")
        case .json: print(#"{"host_hours": \#(done.hours), "set_aside": \#(done.setAside), "seconds": \#(seconds)}"#)
        }
        if done.setAside > 0 { leave(withCode: 1) }
    }

    private func time(_ flag: String, _ text: String?) throws -> Timestamp? {
        guard let text else { return nil }
        guard let time = RFC3339.parse(text) ?? RFC3339.parse(text + "T00:00:00Z") else {
            throw ValidationError("\(flag): expected a day (2026-09-01) or an instant (2026-09-01T09:00:00Z), found \(text)")
        }
        return time
    }
}
