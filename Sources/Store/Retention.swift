public import Energy
public import Postgres

/// What is kept for a time only. Each step deletes some and says how many; 0 when nothing is left to delete.
public enum Retention {
    /// Raw webhook events that came before a time and were worked on, the oldest first.
    public static func deleteEvents(before time: Timestamp, limit: Int64 = 1_000, _ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "delete_old_events",
                """
                DELETE FROM ci_event WHERE event_id = ANY (ARRAY(
                    SELECT event_id FROM ci_event WHERE received_at < $1 AND processed_at IS NOT NULL
                    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED))
                """
            ),
            [.timestamptz(microseconds: time.microseconds), .int8(limit)]
        )
    }

    /// A host's packed hours before a time. From then on its hours before that are never accounted anew: what they were made from is gone.
    ///
    /// - Returns: how many rows; 0 where another worker has the host at the moment.
    public static func deletePackedHours(
        hostID: Int32,
        before time: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Int {
        try await connection.transaction { tx in
            guard try await takeHost(hostID, tx) else { return 0 }
            let deleted = try await tx.execute(
                Statement("delete_old_packed_hours", "DELETE FROM curve_hour WHERE host_id = $1 AND hour < $2"),
                [.int4(hostID), .timestamptz(microseconds: time.microseconds)]
            )
            if deleted > 0 {
                _ = try await tx.execute(
                    Statement("note_curves_since", "UPDATE host SET curves_since = greatest(curves_since, $2) WHERE host_id = $1"),
                    [.int4(hostID), .timestamptz(microseconds: time.microseconds)]
                )
            }
            return deleted
        }
    }

    /// One at a time has a host, as when it is accounted.
    private static func takeHost(_ hostID: Int32, _ tx: PostgresConnection) async throws -> Bool {
        try await tx.query(
            Statement("take_host", "SELECT pg_try_advisory_xact_lock($1, -1) AS taken"),
            [.int4(hostID)]
        ).only().bool("taken")
    }

    /// A host's ledger before a time: host-hours, jobs' slices of them, and the record of their versions.
    ///
    /// - Returns: how many hours.
    public static func deleteLedger(
        hostID: Int32,
        before time: Timestamp,
        limit: Int64 = 168,
        _ connection: PostgresConnection
    ) async throws -> Int {
        try await connection.transaction { tx in
            guard try await takeHost(hostID, tx) else { return 0 }
            let hours = try await tx.query(
                Statement(
                    "old_ledger_hours",
                    "SELECT hour FROM accounted_hour WHERE host_id = $1 AND hour < $2 ORDER BY hour LIMIT $3"
                ),
                [.int4(hostID), .timestamptz(microseconds: time.microseconds), .int8(limit)]
            ).map { try $0.timestampMicroseconds("hour") }
            guard !hours.isEmpty else { return 0 }
            for table in ["stored_slice", "host_hour", "idle_minutes", "accounted_version", "accounted_hour"] {
                _ = try await tx.execute(
                    Statement("delete_old_\(table)", "DELETE FROM \(table) WHERE host_id = $1 AND hour = ANY($2)"),
                    [.int4(hostID), .timestamptzArray(microseconds: hours)]
                )
            }
            return hours.count
        }
    }
}
