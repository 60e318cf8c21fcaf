public import Documents
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
}
