public import Documents
public import Energy
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
        /// Send other exporters' series of some hosts.
        case telemetry
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
    /// What a CI system's own token says of its job, as fields of a span: the body's word on them does not count. Empty for our tokens.
    public var bound: [String: JSONValue] = [:]

    public init(
        id: Int32,
        name: String,
        scope: Scope,
        hostName: String?,
        claims: Claims = Claims(),
        source: String,
        readRepositories: [String]? = nil,
        pool: String? = nil,
        bound: [String: JSONValue] = [:]
    ) {
        self.id = id
        self.name = name
        self.scope = scope
        self.hostName = hostName
        self.claims = claims
        self.source = source
        self.readRepositories = readRepositories
        self.pool = pool
        self.bound = bound
    }
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

    /// What a new token is for.
    public struct Draft: Sendable {
        public var name: String
        public var scope: TokenGrant.Scope
        public var hostName: String?
        public var expiresAt: Timestamp?
        public var claims = Claims()
        public var source: String?
        public var readRepositories: [String]?
        public var pool: String?
        /// How many hosts an enrol token may still enrol; nil for any number.
        public var usesLeft: Int32?
        /// The enrol token that it was traded for.
        public var enrolledBy: Int32?

        public init(name: String, scope: TokenGrant.Scope) {
            self.name = name
            self.scope = scope
        }
    }

    /// - Throws: `PostgresError` with `isUniqueViolation` when the name is taken.
    public static func insert(_ draft: Draft, sha256: [UInt8], _ connection: PostgresConnection) async throws -> TokenGrant {
        try grant(
            await connection.query(
                Statement(
                    "insert_token",
                    """
                    INSERT INTO token (name, scope, sha256, host_name, expires_at, claims, source, read_repositories, pool, uses_left,
                        enrolled_by)
                    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                    RETURNING \(columns)
                    """
                ),
                [
                    .text(draft.name), .text(draft.scope.rawValue), .bytea(sha256), draft.hostName.map { .text($0) },
                    draft.expiresAt.map { .timestamptz(microseconds: $0.microseconds) }, .jsonb(try draft.claims.json.text),
                    draft.source.map { .text($0) }, draft.readRepositories.map { .textArray($0) }, draft.pool.map { .text($0) },
                    draft.usesLeft.map { .int4($0) }, draft.enrolledBy.map { .int4($0) },
                ]
            ).only()
        )
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
        var draft = Draft(name: name, scope: scope)
        draft.hostName = hostName
        draft.expiresAt = expiresAtMicroseconds.map { Timestamp(microseconds: $0) }
        return try await insert(draft, sha256: sha256, connection)
    }

    public struct Listed: Sendable {
        public let grant: TokenGrant
        public let createdAtMicroseconds: Int64
        public let expiresAtMicroseconds: Int64?
        public let revokedAtMicroseconds: Int64?
        /// To the minute.
        public let lastUsedAtMicroseconds: Int64?
        public let usesLeft: Int32?

        /// `valid`, `revoked`, `expired` or `used up`.
        public func state(now: Timestamp) -> String {
            if revokedAtMicroseconds != nil { return "revoked" }
            if let expiresAtMicroseconds, expiresAtMicroseconds <= now.microseconds { return "expired" }
            return usesLeft == 0 ? "used up" : "valid"
        }
    }

    public static func all(_ connection: PostgresConnection) async throws -> [Listed] {
        try await connection.query(
            Statement(
                "list_tokens",
                "SELECT \(columns), created_at, expires_at, revoked_at, last_used_at, uses_left FROM token ORDER BY token_id"
            )
        ).map { row in
            Listed(
                grant: try grant(row),
                createdAtMicroseconds: try row.timestampMicroseconds("created_at"),
                expiresAtMicroseconds: try row.timestampMicrosecondsIfPresent("expires_at"),
                revokedAtMicroseconds: try row.timestampMicrosecondsIfPresent("revoked_at"),
                lastUsedAtMicroseconds: try row.timestampMicrosecondsIfPresent("last_used_at"),
                usesLeft: try row.int32IfPresent("uses_left")
            )
        }
    }

    /// Notes that tokens are in use now.
    public static func noteUse(tokenIDs: [Int32], _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "note_token_use",
                "UPDATE token SET last_used_at = now() WHERE token_id = ANY($1) AND (last_used_at IS NULL OR last_used_at < now())"
            ),
            [.int4Array(tokenIDs)]
        )
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
