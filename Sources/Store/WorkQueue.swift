public import Energy
public import Postgres

/// The append-only queue of host-hours to account anew.
///
/// There is no unique key: marking never waits for a worker. A worker reads the ids of a host-hour's marks, *then* the data, and
/// deletes exactly those ids, so a mark made in between stays.
public enum WorkQueue {
    public struct Item: Sendable, Hashable {
        public let hostID: Int32
        public let hour: Hour

        public init(hostID: Int32, hour: Hour) {
            self.hostID = hostID
            self.hour = hour
        }
    }

    /// Marks the hours that have ended by `now`; the running hour is computed on reading and never marked.
    public static func mark(
        hostID: Int32,
        hours: some Sequence<Hour>,
        now: Timestamp,
        reason: String,
        _ connection: PostgresConnection
    ) async throws {
        let ended = Set(hours).filter { $0.end <= now }.sorted()
        guard !ended.isEmpty else { return }
        _ = try await connection.execute(
            Statement("mark_dirty", "INSERT INTO dirty (host_id, hour, reason) SELECT $1, h, $3 FROM unnest($2::timestamptz[]) AS h"),
            [.int4(hostID), .timestamptzArray(microseconds: ended.map { $0.start.microseconds }), .text(reason)]
        )
    }

    /// Some host-hours that wait, oldest mark first.
    public static func candidates(limit: Int, _ connection: PostgresConnection) async throws -> [Item] {
        try await connection.query(
            Statement(
                "dirty_candidates",
                "SELECT host_id, hour FROM dirty GROUP BY host_id, hour ORDER BY min(id) LIMIT $1"
            ),
            [.int8(Int64(limit))]
        ).map {
            Item(hostID: try $0.int32("host_id"), hour: Hour(containing: Timestamp(microseconds: try $0.timestampMicroseconds("hour"))))
        }
    }

    /// Takes a host-hour for this transaction: the ids of its marks, or nil when another worker has it or nothing is left to do.
    public static func take(_ item: Item, _ connection: PostgresConnection) async throws -> [Int64]? {
        let isTaken = try await connection.query(
            Statement("take_hour", "SELECT pg_try_advisory_xact_lock($1, $2) AS taken"),
            [.int4(item.hostID), .int4(Int32(truncatingIfNeeded: item.hour.number))]
        ).only().bool("taken")
        guard isTaken else { return nil }
        let ids = try await connection.query(
            Statement("dirty_ids", "SELECT id FROM dirty WHERE host_id = $1 AND hour = $2"),
            [.int4(item.hostID), .timestamptz(microseconds: item.hour.start.microseconds)]
        ).map { try $0.int64("id") }
        return ids.isEmpty ? nil : ids
    }

    public static func finish(ids: [Int64], _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(Statement("finish_dirty", "DELETE FROM dirty WHERE id = ANY($1)"), [.int8Array(ids)])
    }

    /// Sets a host-hour aside with its error; a new mark tries it again.
    public static func poison(_ item: Item, ids: [Int64], error: String, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "poison_hour",
                """
                INSERT INTO poisoned_hour (host_id, hour, error) VALUES ($1, $2, $3)
                ON CONFLICT (host_id, hour) DO UPDATE SET error = excluded.error, at = now()
                """
            ),
            [.int4(item.hostID), .timestamptz(microseconds: item.hour.start.microseconds), .text(error)]
        )
        try await finish(ids: ids, connection)
    }

    /// Marks every hour of the last days that ended at least five minutes before `now`, has knots, tails or spans, and was never
    /// accounted.
    public static func markForgotten(now: Timestamp, _ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "mark_forgotten",
                """
                INSERT INTO dirty (host_id, hour, reason)
                SELECT h.host_id, g.hour, 'timer'
                FROM host h
                CROSS JOIN generate_series($1::timestamptz, $2::timestamptz, interval '1 hour') AS g (hour)
                WHERE NOT EXISTS (SELECT FROM accounted_hour a WHERE a.host_id = h.host_id AND a.hour = g.hour)
                    AND NOT EXISTS (SELECT FROM dirty d WHERE d.host_id = h.host_id AND d.hour = g.hour)
                    AND NOT EXISTS (SELECT FROM poisoned_hour p WHERE p.host_id = h.host_id AND p.hour = g.hour)
                    AND (
                        EXISTS (
                            SELECT FROM curve c JOIN knot k USING (host_id, curve_id)
                            WHERE c.host_id = h.host_id AND c.kind NOT IN ('workload_cpu', 'workload_memory') AND k.t >= g.hour AND k.t < g.hour + interval '1 hour')
                        OR EXISTS (
                            SELECT FROM curve_tail t
                            WHERE t.host_id = h.host_id AND t.knot_t < g.hour + interval '1 hour' AND t.t >= g.hour)
                        OR EXISTS (
                            SELECT FROM span s
                            WHERE s.host_id = h.host_id AND s.started_at < g.hour + interval '1 hour'
                                AND coalesce(s.finished_at, s.started_at + interval '7 days') > g.hour))
                """
            ),
            [
                .timestamptz(microseconds: Hour(number: (now - .seconds(300)).hour.number - 48).start.microseconds),
                .timestamptz(microseconds: Hour(number: (now - .seconds(300)).hour.number - 1).start.microseconds),
            ]
        )
    }

    public static func depth(_ connection: PostgresConnection) async throws -> Int64 {
        try await connection.query(Statement("dirty_depth", "SELECT count(*) AS n FROM dirty")).only().int64("n")
    }
}
