public import Energy
public import Postgres

/// A file of rules as it was applied, and the walk that puts its labels on the spans of its time.
public struct RuleSetRow: Sendable {
    public let validFrom: Timestamp
    /// The file, as JSON.
    public let documentJSON: String
    public let createdAt: Timestamp
    /// Whether every span of the set's time has its labels.
    public let isWalked: Bool
}

/// Files of service rules, each of which counts from its day until the next one's.
public enum RuleSetTable {
    /// What changes whenever a set does; different in every database.
    public static func version(_ connection: PostgresConnection) async throws -> String {
        try await connection.query(
            Statement(
                "rule_set_version",
                """
                SELECT current_database() || ' ' || count(*) || ' ' || coalesce(max(created_at)::text, '-') AS version
                FROM rule_set WHERE kind = 'services'
                """
            )
        ).only().string("version")
    }

    /// All sets, the oldest first.
    public static func all(_ connection: PostgresConnection) async throws -> [RuleSetRow] {
        try await connection.query(
            Statement(
                "list_rule_sets",
                """
                SELECT valid_from, document, created_at, walked_at IS NOT NULL AS is_walked
                FROM rule_set WHERE kind = 'services' ORDER BY valid_from
                """
            )
        ).map { row in
            RuleSetRow(
                validFrom: Timestamp(microseconds: try row.timestampMicroseconds("valid_from")),
                documentJSON: try row.json("document"),
                createdAt: Timestamp(microseconds: try row.timestampMicroseconds("created_at")),
                isWalked: try row.bool("is_walked")
            )
        }
    }

    /// Stores a set in place of the one of the same day, whose walk starts over. Nobody else changes sets until the transaction ends.
    /// Returns the document that it replaces.
    public static func store(validFrom: Timestamp, documentJSON: String, _ connection: PostgresConnection) async throws -> String? {
        _ = try await connection.execute(Statement("lock_rule_sets", "LOCK TABLE rule_set IN SHARE ROW EXCLUSIVE MODE"))
        let before = try await connection.query(
            Statement("find_rule_set", "SELECT document FROM rule_set WHERE kind = 'services' AND valid_from = $1"),
            [.timestamptz(microseconds: validFrom.microseconds)]
        ).first.map { try $0.json("document") }
        _ = try await connection.execute(
            Statement(
                "store_rule_set",
                """
                INSERT INTO rule_set (kind, valid_from, document) VALUES ('services', $1, $2)
                ON CONFLICT (kind, valid_from) DO UPDATE SET document = excluded.document, created_at = clock_timestamp(),
                    walk_began_at = NULL, walked_to_t = NULL, walked_to_job = NULL, walked_at = NULL, needs_second_walk = false
                """
            ),
            [.timestamptz(microseconds: validFrom.microseconds), .jsonb(documentJSON)]
        )
        return before
    }

    /// A step of a walk: spans to place again, in the order of their starts.
    public struct WalkStep: Sendable {
        public let validFrom: Timestamp
        public let jobIDs: [String]
        /// The last of them.
        let last: (startedAt: Timestamp, jobID: String)?
        /// The walk began when no transaction could still hold the rules from before: once it has passed all, it is done.
        let isDecisive: Bool
    }

    /// Takes the next spans of a walk that is not done, for this transaction; nil when every set is walked or another has the walk.
    ///
    /// A span that a transaction is just placing by the rules from before cannot be seen yet. So a walk that began within
    /// `settling` of the set's storing is walked once more.
    public static func takeStep(
        limit: Int,
        settling: Duration = .seconds(30),
        _ connection: PostgresConnection
    ) async throws -> WalkStep? {
        let settlingMilliseconds = settling.components.seconds * 1_000 + settling.components.attoseconds / 1_000_000_000_000_000
        guard
            let set = try await connection.query(
                Statement(
                    "take_rule_set_walk",
                    """
                    SELECT r.valid_from, r.walk_began_at IS NULL AS is_new, r.walked_to_t, r.walked_to_job,
                        coalesce(r.walk_began_at, clock_timestamp()) > r.created_at + $1::int8 * interval '1 millisecond' AS is_decisive,
                        (SELECT min(n.valid_from) FROM rule_set n WHERE n.kind = r.kind AND n.valid_from > r.valid_from) AS valid_to
                    FROM rule_set r WHERE r.kind = 'services' AND r.walked_at IS NULL
                        AND (NOT r.needs_second_walk OR clock_timestamp() > r.created_at + $1::int8 * interval '1 millisecond')
                    ORDER BY r.valid_from LIMIT 1
                    FOR UPDATE SKIP LOCKED
                    """
                ),
                [.int8(settlingMilliseconds)]
            ).first
        else { return nil }
        let validFrom = Timestamp(microseconds: try set.timestampMicroseconds("valid_from"))
        if try set.bool("is_new") {
            _ = try await connection.execute(
                Statement(
                    "begin_rule_set_walk",
                    "UPDATE rule_set SET walk_began_at = clock_timestamp() WHERE kind = 'services' AND valid_from = $1"
                ),
                [.timestamptz(microseconds: validFrom.microseconds)]
            )
        }
        let rows = try await connection.query(
            Statement(
                "spans_of_rule_set",
                """
                SELECT job_id, started_at FROM span_key
                WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted AND started_at >= $1
                    AND started_at < coalesce($2, 'infinity'::timestamptz)
                    AND ($3::timestamptz IS NULL OR started_at >= $3 AND (started_at, job_id) > ($3, $4::text))
                ORDER BY started_at, job_id LIMIT $5
                """
            ),
            [
                .timestamptz(microseconds: validFrom.microseconds),
                try set.timestampMicrosecondsIfPresent("valid_to").map { .timestamptz(microseconds: $0) },
                try set.timestampMicrosecondsIfPresent("walked_to_t").map { .timestamptz(microseconds: $0) },
                try set.stringIfPresent("walked_to_job").map { .text($0) }, .int8(Int64(limit)),
            ]
        )
        return WalkStep(
            validFrom: validFrom,
            jobIDs: try rows.map { try $0.string("job_id") },
            last: try rows.last.map { (Timestamp(microseconds: try $0.timestampMicroseconds("started_at")), try $0.string("job_id")) },
            isDecisive: try set.bool("is_decisive")
        )
    }

    /// Says that a step's spans have been placed; in the transaction that took it.
    public static func finishStep(_ step: WalkStep, _ connection: PostgresConnection) async throws {
        let validFrom = PostgresValue.timestamptz(microseconds: step.validFrom.microseconds)
        if let last = step.last {
            _ = try await connection.execute(
                Statement(
                    "advance_rule_set_walk",
                    "UPDATE rule_set SET walked_to_t = $2, walked_to_job = $3 WHERE kind = 'services' AND valid_from = $1"
                ),
                [validFrom, .timestamptz(microseconds: last.startedAt.microseconds), .text(last.jobID)]
            )
            return
        }
        _ = try await connection.execute(
            Statement(
                "end_rule_set_walk",
                """
                UPDATE rule_set SET walked_at = CASE WHEN $2 THEN clock_timestamp() END, needs_second_walk = NOT $2, walk_began_at = NULL,
                    walked_to_t = NULL, walked_to_job = NULL
                WHERE kind = 'services' AND valid_from = $1
                """
            ),
            [validFrom, .bool(step.isDecisive)]
        )
    }

    /// How many spans started in a set's time.
    public static func spanCount(validFrom: Timestamp, validTo: Timestamp?, _ connection: PostgresConnection) async throws -> Int64 {
        try await connection.query(
            Statement(
                "count_spans_of_rule_set",
                """
                SELECT count(*) AS n FROM span_key
                WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted AND started_at >= $1
                    AND started_at < coalesce($2, 'infinity'::timestamptz)
                """
            ),
            [
                .timestamptz(microseconds: validFrom.microseconds), validTo.map { .timestamptz(microseconds: $0.microseconds) },
            ]
        ).only().int64("n")
    }
}
