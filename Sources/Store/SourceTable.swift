public import Documents
public import Energy
public import Postgres

/// Where events come from: a webhook's sender, or an OIDC issuer whose tokens count here.
public struct SourceRow: Sendable, Hashable {
    public let id: Int32
    /// Its spans are filed under this name.
    public let name: String
    /// A CI system's kind (`github`), or `oidc`.
    public let kind: String
    public let claims: Claims
    /// `api_url`, `organisation`, `group`, `issuer`, `audience`, `owners`...; no secret.
    public let settings: JSONValue
    /// For asking the system's API; never shown.
    public let apiToken: String?
    public let createdAt: Timestamp
    public let revokedAt: Timestamp?
    public let firstEventAt: Timestamp?
    public let lastEventAt: Timestamp?
    /// When the system's API was last asked for what the webhooks missed.
    public let reconciledAt: Timestamp?
    /// Where the history walk stands.
    public let reconcileState: JSONValue
    /// Why the last one failed; nil after one that did not.
    public let reconcileError: String?
}

/// The sources and their secrets. Secrets are kept as they are, because a signature needs them.
public enum SourceTable {
    private static let columns = """
        source_id, name, kind, claims, settings, api_token, created_at, revoked_at, first_event_at, last_event_at, reconciled_at,
        reconcile_state, reconcile_error
        """

    /// In the order in which they were made, revoked ones too.
    public static func all(_ connection: PostgresConnection) async throws -> [SourceRow] {
        try await connection.query(Statement("list_sources", "SELECT \(columns) FROM source ORDER BY source_id")).map(row)
    }

    public static func find(name: String, _ connection: PostgresConnection) async throws -> SourceRow? {
        try await connection.query(Statement("find_source", "SELECT \(columns) FROM source WHERE name = $1"), [.text(name)]).first.map(row)
    }

    /// Every source that is not revoked, with the secrets that count now: few, and asked for once a second.
    public static func live(_ connection: PostgresConnection) async throws -> [(source: SourceRow, secrets: [String])] {
        try await connection.query(
            Statement(
                "live_sources",
                """
                SELECT \(columns), ARRAY(
                    SELECT secret FROM source_secret x
                    WHERE x.source_id = source.source_id AND (x.expires_at IS NULL OR x.expires_at > now()) ORDER BY source_secret_id DESC
                ) AS secrets
                FROM source WHERE revoked_at IS NULL ORDER BY source_id
                """
            )
        ).map { (try row($0), try $0.stringArray("secrets")) }
    }

    /// - Throws: `PostgresError` with `isUniqueViolation` when the name is taken.
    public static func insert(
        name: String,
        kind: String,
        claims: Claims,
        settings: JSONValue,
        apiToken: String?,
        _ connection: PostgresConnection
    ) async throws -> SourceRow {
        try row(
            await connection.query(
                Statement(
                    "insert_source",
                    "INSERT INTO source (name, kind, claims, settings, api_token) VALUES ($1, $2, $3, $4, $5) RETURNING \(columns)"
                ),
                [.text(name), .text(kind), .jsonb(try claims.json.text), .jsonb(try settings.text), apiToken.map { .text($0) }]
            ).only()
        )
    }

    /// Replaces what a source may claim and how its API is asked.
    public static func update(
        sourceID: Int32,
        claims: Claims,
        settings: JSONValue,
        apiToken: String?,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement("update_source", "UPDATE source SET claims = $2, settings = $3, api_token = $4 WHERE source_id = $1"),
            [.int4(sourceID), .jsonb(try claims.json.text), .jsonb(try settings.text), apiToken.map { .text($0) }]
        )
    }

    public static func addSecret(_ secret: String, sourceID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement("add_source_secret", "INSERT INTO source_secret (source_id, secret) VALUES ($1, $2)"),
            [.int4(sourceID), .text(secret)]
        )
    }

    /// A new secret beside the newest one, which counts for as long as given; older ones end at once.
    ///
    /// - Parameter overlapSeconds: 0 ends the old one at once.
    public static func rotate(
        to secret: String,
        sourceID: Int32,
        overlapSeconds: Int64,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "end_source_secrets",
                """
                UPDATE source_secret x SET expires_at = least(x.expires_at, CASE
                    WHEN x.source_secret_id = (SELECT max(source_secret_id) FROM source_secret y WHERE y.source_id = $1)
                    THEN now() + $2 * interval '1 second' ELSE now() END)
                WHERE x.source_id = $1
                """
            ),
            [.int4(sourceID), .int8(overlapSeconds)]
        )
        try await addSecret(secret, sourceID: sourceID, connection)
    }

    /// Ends a source and its secrets. False when there is none of that name that is not revoked.
    public static func revoke(name: String, _ connection: PostgresConnection) async throws -> Bool {
        let ids = try await connection.query(
            Statement(
                "revoke_source",
                "UPDATE source SET revoked_at = now(), api_token = NULL WHERE name = $1 AND revoked_at IS NULL RETURNING source_id"
            ),
            [.text(name)]
        ).map { try $0.int32("source_id") }
        for id in ids {
            _ = try await connection.execute(
                Statement("delete_source_secrets", "DELETE FROM source_secret WHERE source_id = $1"),
                [.int4(id)]
            )
        }
        return !ids.isEmpty
    }

    /// Notes that an event came.
    public static func noteEvent(sourceID: Int32, at time: Timestamp, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "note_source_event",
                """
                UPDATE source SET first_event_at = least(first_event_at, $2), last_event_at = greatest(last_event_at, $2)
                WHERE source_id = $1
                """
            ),
            [.int4(sourceID), .timestamptz(microseconds: time.microseconds)]
        )
    }

    /// Notes where the history walk of a source stands.
    ///
    /// - Parameter error: why it stopped; nil where it did not fail.
    public static func noteReconciliation(
        sourceID: Int32,
        state: JSONValue,
        at time: Timestamp?,
        error: String?,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "note_reconciliation",
                """
                UPDATE source SET reconcile_state = $2, reconciled_at = coalesce($3, reconciled_at), reconcile_error = $4
                WHERE source_id = $1
                """
            ),
            [.int4(sourceID), .jsonb(try state.text), time.map { .timestamptz(microseconds: $0.microseconds) }, error.map { .text($0) }]
        )
    }

    private static func row(_ row: PostgresRow) throws -> SourceRow {
        func time(_ name: String) throws -> Timestamp? { try row.timestampMicrosecondsIfPresent(name).map { Timestamp(microseconds: $0) } }
        func json(_ name: String) throws -> JSONValue { try JSONValue(parsing: Array(try row.json(name).utf8)) }
        return SourceRow(
            id: try row.int32("source_id"),
            name: try row.string("name"),
            kind: try row.string("kind"),
            claims: Claims(json: try json("claims")),
            settings: try json("settings"),
            apiToken: try row.stringIfPresent("api_token"),
            createdAt: Timestamp(microseconds: try row.timestampMicroseconds("created_at")),
            revokedAt: try time("revoked_at"),
            firstEventAt: try time("first_event_at"),
            lastEventAt: try time("last_event_at"),
            reconciledAt: try time("reconciled_at"),
            reconcileState: try json("reconcile_state"),
            reconcileError: try row.stringIfPresent("reconcile_error")
        )
    }
}
