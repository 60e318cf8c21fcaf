import ArgumentParser
import Collector
import Glibc

/// How the findings are printed.
enum DoctorFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what is wrong, and the command that fixes each.",
        discussion: """
            Looks at hosts, runners, sources, tokens, rules and the ledger of the last 7 days. Exit code 1 when something needs action.

            EXAMPLES
              wattle-collector doctor --embedded DIR
              wattle-collector doctor --embedded DIR --format json
              wattle-collector doctor --embedded DIR --retry-hours
              wattle-collector doctor --embedded DIR --retry-events my-org
            """
    )

    @OptionGroup var database: DatabaseOptions

    @Option(help: "table or json.")
    var format = DoctorFormat.table

    @Flag(help: "First mark the hours that were set aside with an error; a running collector accounts them again.")
    var retryHours = false

    @Option(help: ArgumentHelp("First open again the events of this source that did not become jobs.", valueName: "source"))
    var retryEvents: String?

    func run() async throws {
        // Of a server of somebody's own nobody knows whose disk its directory's name means.
        let isOurs = try database.configuration()["embedded"] != nil
        let report = try await Database.withConnection(database, making: false) { connection, _ in
            if retryHours {
                let hours = try await DoctorReport.retryPoisonedHours(connection)
                printError("wattle-collector: \(hours) hours are marked to be accounted again")
            }
            if let retryEvents {
                guard let events = try await DoctorReport.retryEvents(source: retryEvents, connection) else {
                    throw Failure(code: 2, message: "--retry-events: expected a source's name (source list), found \(retryEvents)")
                }
                printError("wattle-collector: \(events) events are open again")
            }
            return try await DoctorReport.make(now: wallClock(), freeBytes: { isOurs ? Self.freeBytes($0) : nil }, connection)
        }
        switch format {
        case .table: print(report.text, terminator: "")
        case .json: print(try report.json())
        }
        if report.needsAction { leave(withCode: 1) }
    }

    /// What is free for those who are not root; nil for a directory of another machine.
    @Sendable private static func freeBytes(_ directory: String) -> Int64? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return nil }
        return Int64(clamping: UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue)
    }
}
