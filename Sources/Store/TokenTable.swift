import Documents
public import Postgres

/// What the bearer of a token may do.
public struct TokenGrant: Sendable, Hashable {
    public enum Scope: String, Sendable, CaseIterable {
        /// Send readings for one host.
        case agent
        /// Be traded for an agent's token of a host in one pool.
        case enrol
        /// Post spans.
        case ci
        /// Read everything.
        case read
        /// Everything.
        case admin
    }

    public let id: Int32
    public let name: String
    public let scope: Scope
    /// The only host an agent's token may report for.
    public let hostName: String?
    /// What a ci token may say.
    public var claims = Claims()
    /// Under whose name a ci token files its spans.
    public var source: String
    /// The repositories that a read token sees, as patterns; nil for all.
    public var readRepositories: [String]?
    /// The pool of an enrol token.
    public var pool: String?
}

/// Tokens are stored as SHA-256 hashes; what is hashed has 160 random bits, so no salt is needed.
public enum TokenTable {
    private static let columns = "token_id, name, scope, host_name, claims, source, read_repositories, pool"

    /// The grant of a token that is neither revoked nor expired.
    public static func find(sha256: [UInt8], _ connection: PostgresConnection) async throws -> TokenGrant? {
        try await connection.query(
            Statement(
                "find_token",
                """
                SELECT \(columns) FROM token
                WHERE sha256 = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
                """
            ),
            [.bytea(sha256)]
        ).first.map(grant)
    }

    /// - Throws: `PostgresError` with `isUniqueViolation` when the name is taken.
    public static func insert(
        name: String,
        scope: TokenGrant.Scope,
        sha256: [UInt8],
        hostName: String?,
        expiresAtMicroseconds: Int64?,
        _ connection: PostgresConnection
    ) async throws -> TokenGrant {
        try grant(
            await connection.query(
                Statement(
                    "insert_token",
                    """
                    INSERT INTO token (name, scope, sha256, host_name, expires_at) VALUES ($1, $2, $3, $4, $5)
                    RETURNING \(columns)
                    """
                ),
                [
                    .text(name), .text(scope.rawValue), .bytea(sha256), hostName.map { .text($0) },
                    expiresAtMicroseconds.map { .timestamptz(microseconds: $0) },
                ]
            ).only()
        )
    }

    public struct Listed: Sendable {
        public let grant: TokenGrant
        public let createdAtMicroseconds: Int64
        public let expiresAtMicroseconds: Int64?
        public let revokedAtMicroseconds: Int64?
    }

    public static func all(_ connection: PostgresConnection) async throws -> [Listed] {
        try await connection.query(
            Statement(
                "list_tokens",
                "SELECT \(columns), created_at, expires_at, revoked_at FROM token ORDER BY token_id"
            )
        ).map { row in
            Listed(
                grant: try grant(row),
                createdAtMicroseconds: try row.timestampMicroseconds("created_at"),
                expiresAtMicroseconds: try row.timestampMicrosecondsIfPresent("expires_at"),
                revokedAtMicroseconds: try row.timestampMicrosecondsIfPresent("revoked_at")
            )
        }
    }

    /// False when there is no token of that name that is not revoked.
    public static func revoke(name: String, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.execute(
            Statement("revoke_token", "UPDATE token SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL"),
            [.text(name)]
        ) > 0
    }

    private static func grant(_ row: PostgresRow) throws -> TokenGrant {
        let scope = try row.string("scope")
        guard let scope = TokenGrant.Scope(rawValue: scope) else { throw StoredValueError(what: "token scope", found: scope) }
        let name = try row.string("name")
        return TokenGrant(
            id: try row.int32("token_id"),
            name: name,
            scope: scope,
            hostName: try row.stringIfPresent("host_name"),
            claims: Claims(json: try JSONValue(parsing: Array(try row.json("claims").utf8))),
            source: try row.stringIfPresent("source") ?? name,
            readRepositories: try row.isNull("read_repositories") ? nil : row.stringArray("read_repositories"),
            pool: try row.stringIfPresent("pool")
        )
    }
}

/// A stored text that this program does not know: the database was written by another version.
public struct StoredValueError: Error, CustomStringConvertible {
    public let what: String
    public let found: String

    public var description: String { "unknown \(what) in the database: \(found)" }
}
