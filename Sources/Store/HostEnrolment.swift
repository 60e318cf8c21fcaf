import Documents
public import Postgres

/// Trades an enrol token for an agent's token of one host in the token's pool.
public enum HostEnrolment {
    public struct Wish: Sendable, Hashable {
        public var host: String
        /// SHA-256 of the machine's id: tells a machine that comes back from another of its name.
        public var machineID: [UInt8]
        public var names: [String]

        public init(host: String, machineID: [UInt8], names: [String]) {
            self.host = host
            self.machineID = machineID
            self.names = names
        }
    }

    public enum Outcome: Sendable, Hashable {
        /// The agent's token of that name is in force; an older one of the same machine is revoked.
        case enrolled(host: String, tokenName: String)
        case noUsesLeft
        /// Another machine of that name reported within the last hour.
        case taken(host: String)
        /// The name belongs to a host that no enrolment may touch.
        case otherHost(host: String)
    }

    /// In a transaction of the caller's, which ends in ROLLBACK for anything but `enrolled`: a refused wish costs no use.
    ///
    /// - Parameter sha256: of the agent's new token.
    public static func enrol(
        _ wish: Wish,
        by grant: TokenGrant,
        sha256: [UInt8],
        _ connection: PostgresConnection
    ) async throws -> Outcome {
        let pool = try await connection.query(
            Statement(
                "use_enrol_token",
                """
                UPDATE token SET uses_left = uses_left - 1
                WHERE token_id = $1 AND scope = 'enrol' AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
                    AND (uses_left IS NULL OR uses_left > 0)
                RETURNING pool
                """
            ),
            [.int4(grant.id)]
        ).first?.string("pool")
        guard let pool else { return .noUsesLeft }

        var isNew = false
        if try await HostTable.reporting(as: wish.host, connection) == nil {
            isNew = try await HostTable.make(name: wish.host, connection)
        }
        guard let found = try await HostTable.reporting(as: wish.host, connection) else { return .otherHost(host: wish.host) }
        let row = try await connection.query(
            Statement(
                "lock_host_to_enrol",
                """
                SELECT name, is_ephemeral AND pool = $2 AS is_of_pool, machine_id_sha256 = $3 AS is_same,
                    retired_at IS NOT NULL OR seen_at < now() - interval '1 hour' AS is_silent, retired_because = 'operator' AS is_out
                FROM host WHERE host_id = $1 FOR UPDATE
                """
            ),
            [.int4(found.id), .text(pool), .bytea(wish.machineID)]
        ).only()
        let name = try row.string("name")
        if !isNew {
            guard try row.boolIfPresent("is_of_pool") == true, try row.boolIfPresent("is_out") != true else {
                return .otherHost(host: name)
            }
            let isSame = try row.boolIfPresent("is_same") == true
            guard try isSame || row.bool("is_silent") else { return .taken(host: name) }
        }
        // An operator gave that host a token of its own, whether or not it has reported yet.
        let isGiven =
            try await connection.query(
                Statement(
                    "host_has_own_token",
                    """
                    SELECT FROM token WHERE scope = 'agent' AND enrolled_by IS NULL AND revoked_at IS NULL AND lower(host_name) = lower($1)
                        AND (expires_at IS NULL OR expires_at > now()) LIMIT 1
                    """
                ),
                [.text(name)]
            ).first != nil
        guard !isGiven else { return .otherHost(host: name) }
        _ = try await connection.execute(
            Statement(
                "enrol_host",
                """
                UPDATE host SET is_ephemeral = true, pool = $2, machine_id_sha256 = $3, seen_at = now(), retired_at = NULL,
                    retired_because = NULL
                WHERE host_id = $1
                """
            ),
            [.int4(found.id), .text(pool), .bytea(wish.machineID)]
        )
        try await HostAliasTable.offer(wish.names, hostID: found.id, connection)
        let revoked = try await connection.execute(
            Statement(
                "revoke_enrolled_tokens",
                "UPDATE token SET revoked_at = now() WHERE host_name = $1 AND enrolled_by IS NOT NULL AND revoked_at IS NULL"
            ),
            [.text(name)]
        )
        let tokenName = try await connection.query(
            Statement(
                "insert_enrolled_token",
                """
                INSERT INTO token (name, scope, sha256, host_name, enrolled_by)
                VALUES ($1 || '@enrolled-' || nextval(pg_get_serial_sequence('token', 'token_id')), 'agent', $2, $1, $3)
                RETURNING name
                """
            ),
            [.text(name), .bytea(sha256), .int4(grant.id)]
        ).only().string("name")
        try await AuditLog.add(
            who: grant.name,
            action: "host.enrol",
            subject: name,
            after: .object(["pool": .string(pool), "token": .string(tokenName), "revoked_tokens": .integer(Int64(revoked))]),
            connection
        )
        return .enrolled(host: name, tokenName: tokenName)
    }
}
