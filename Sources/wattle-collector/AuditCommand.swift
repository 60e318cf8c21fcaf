import ArgumentParser
import Collector
import Documents
import Energy
import Store

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Who changed what of the configuration, and which claims and deliveries were refused.",
        discussion: """
            EXAMPLES
              wattle-collector audit --embedded DIR
              wattle-collector audit --embedded DIR --since 24h --format json
            """
    )

    @OptionGroup var database: DatabaseOptions

    @Option(help: ArgumentHelp("How far back, or from when (default: 7d).", valueName: "7d|date"))
    var since = "7d"

    @Option(help: ArgumentHelp("How many rows at most, the newest ones.", valueName: "n"))
    var limit = 1_000

    @Option(help: "table or json.")
    var format = TableFormat.table

    private static func start(_ text: String) -> Timestamp? {
        if let length = TokenTerms.length(text) { return wallClock() - length }
        return RFC3339.parse(text) ?? RFC3339.parse(text + "T00:00:00Z")
    }

    func validate() throws {
        guard Self.start(since) != nil else {
            throw ValidationError("--since: expected 7d, 24h, a day such as 2026-12-31 or an RFC 3339 time, found \(since)")
        }
        guard (1...100_000).contains(limit) else { throw ValidationError("--limit: expected 1 to 100000, found \(limit)") }
    }

    func run() async throws {
        let since = Self.start(since) ?? wallClock()
        let rows = try await Database.withConnection(database, making: false) { connection, _ in
            try await AuditLog.list(since: since, limit: limit, connection)
        }
        switch format {
        case .json:
            let list = rows.map { row in
                JSONValue.object([
                    "at": .string(RFC3339.format(row.at)), "who": .string(row.who), "action": .string(row.action),
                    "subject": .string(row.subject), "before": row.before ?? .null, "after": row.after ?? .null,
                ])
            }
            print(try JSONValue.object(["audit": .array(list)]).text)
        case .table:
            print("AT\tWHO\tACTION\tSUBJECT\tBEFORE\tAFTER")
            for row in rows {
                let columns = [
                    RFC3339.format(row.at), row.who, row.action, row.subject, try row.before?.text ?? "-", try row.after?.text ?? "-",
                ]
                print(columns.joined(separator: "\t"))
            }
        }
    }
}
