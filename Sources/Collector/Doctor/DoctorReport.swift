import Documents
public import Energy
public import Postgres
import Store

/// What is wrong, and the command that fixes each.
public struct DoctorReport: Sendable {
    public let findings: [Finding]

    public var needsAction: Bool { findings.contains { $0.severity == .action } }

    /// Reads the facts in one snapshot that cannot take long, and looks at them.
    ///
    /// - Parameter freeBytes: what is free in a directory; nil where that cannot be told.
    public static func make(
        now: Timestamp,
        freeBytes: @Sendable (String) -> Int64?,
        _ connection: PostgresConnection
    ) async throws -> DoctorReport {
        let facts = try await connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in
            _ = try await tx.execute(Statement("bound_doctor", "SET LOCAL statement_timeout = '60s'"), [])
            return try await DoctorFacts.read(now: now, classes: knownClasses, tx)
        }
        return DoctorReport(findings: Doctor(facts: facts, now: now, freeBytes: facts.dataDirectory.flatMap(freeBytes)).findings)
    }

    /// Marks the hours that were set aside with an error, so that a running collector accounts them again. Returns how many.
    public static func retryPoisonedHours(_ connection: PostgresConnection) async throws -> Int {
        try await DoctorFacts.retryPoisonedHours(connection)
    }

    /// Opens the events again that a source sent and that did not become jobs: after an update, or once its claims were widened. Returns how
    /// many; nil where there is no such source.
    public static func retryEvents(source name: String, _ connection: PostgresConnection) async throws -> Int? {
        try await connection.transaction { tx in
            guard let source = try await SourceTable.find(name: name, tx) else { return nil }
            let events = try await EventTable.reopen(sourceID: source.id, tx)
            try await AuditLog.add(
                who: "operator",
                action: "source.retry_events",
                subject: name,
                after: .object(["events": .integer(Int64(events))]),
                tx
            )
            return events
        }
    }

    private static let knownClasses = HostClasses.shipped.keys.map { $0.lowercased() }.sorted()

    public func json() throws -> String {
        try JSONValue.object([
            "needs_action": .bool(needsAction), "findings": .array(findings.map(\.json)),
        ]).text
    }

    /// For people.
    public var text: String {
        var text = ""
        for finding in findings {
            let mark =
                switch finding.severity {
                case .action: "ACTION"
                case .note: "note  "
                case .ok: "ok    "
                }
            text += "\(mark)  \(finding.what)\n"
            for example in finding.examples { text += "          \(example)\n" }
            for command in finding.commands { text += "        > \(command)\n" }
        }
        let actions = findings.filter { $0.severity == .action }.count
        return text + (actions == 0 ? "nothing needs action\n" : "\(actions) \(actions == 1 ? "thing needs" : "things need") action\n")
    }
}
