public import Documents
public import Energy
public import Postgres

/// Who changed what of the configuration, and which claims were refused. Never holds a secret.
public enum AuditLog {
    /// - Parameters:
    ///   - who: a token's or source's name, or `operator` for a command on the collector's machine.
    ///   - action: `token.create`, `host.rename`, `claim.refused`...
    public static func add(
        who: String,
        action: String,
        subject: String,
        before: JSONValue? = nil,
        after: JSONValue? = nil,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "add_audit",
                "INSERT INTO audit (who, action, subject, before, after) VALUES ($1, $2, $3, $4, $5)"
            ),
            [
                .text(who), .text(action), .text(subject), try before.map { .jsonb(try $0.text) }, try after.map { .jsonb(try $0.text) },
            ]
        )
    }

    public struct Row: Sendable {
        public let at: Timestamp
        public let who: String
        public let action: String
        public let subject: String
        public let before: JSONValue?
        public let after: JSONValue?
    }

    /// The newest rows since an instant, oldest first.
    public static func list(since: Timestamp, limit: Int, _ connection: PostgresConnection) async throws -> [Row] {
        try await connection.query(
            Statement(
                "list_audit",
                "SELECT at, who, action, subject, before, after FROM audit WHERE at >= $1 ORDER BY audit_id DESC LIMIT $2"
            ),
            [.timestamptz(microseconds: since.microseconds), .int8(Int64(limit))]
        ).map { row in
            func json(_ name: String) throws -> JSONValue? {
                try row.jsonIfPresent(name).map { try JSONValue(parsing: Array($0.utf8)) }
            }
            return Row(
                at: Timestamp(microseconds: try row.timestampMicroseconds("at")),
                who: try row.string("who"),
                action: try row.string("action"),
                subject: try row.string("subject"),
                before: try json("before"),
                after: try json("after")
            )
        }.reversed()
    }
}
