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

    /// Who waits for a mark.
    public enum Urgency: Sendable {
        /// Somebody may look at what has just come: a late knot, a span, and what follows from it.
        case fresh
        /// One of many that are made at once: an operator's record, a revised factor, a learned floor.
        case bulk
    }

    /// Marks of more hours at once than a day has are nobody's single late knot.
    static let mostFresh = 24

    /// Marks the hours that have ended by `now`; the running hour is computed on reading and never marked.
    public static func mark(
        hostID: Int32,
        hours: some Sequence<Hour>,
        now: Timestamp,
        reason: String,
        as urgency: Urgency = .fresh,
        _ connection: PostgresConnection
    ) async throws {
        var marks = Marks(now: now)
        marks.add(hostID: hostID, hours: hours, reason: reason, as: urgency)
        try await marks.write(connection)
    }

    /// Marks of several hosts' hours, written together.
    struct Marks {
        private let now: Timestamp
        private var hostIDs: [Int32] = []
        private var hours: [Int64] = []
        private var reasons: [String] = []
        private var areFresh: [Bool] = []

        init(now: Timestamp) { self.now = now }

        /// Those of a host's hours that have ended.
        mutating func add(hostID: Int32, hours: some Sequence<Hour>, reason: String, as urgency: Urgency = .fresh) {
            let ended = Set(hours).filter { $0.end <= now }.sorted()
            for hour in ended {
                hostIDs.append(hostID)
                self.hours.append(hour.start.microseconds)
                reasons.append(reason)
                areFresh.append(urgency == .fresh && ended.count <= mostFresh)
            }
        }

        func write(_ connection: PostgresConnection) async throws {
            guard !hostIDs.isEmpty else { return }
            _ = try await connection.execute(
                Statement(
                    "mark_dirty",
                    """
                    INSERT INTO dirty (host_id, hour, reason, is_fresh)
                    SELECT * FROM unnest($1::int4[], $2::timestamptz[], $3::text[], $4::bool[])
                    """
                ),
                [.int4Array(hostIDs), .timestamptzArray(microseconds: hours), .textArray(reasons), .boolArray(areFresh)]
            )
        }
    }

    /// Marked hours of one host that lie near one another: what is read and written in one step.
    public struct Run: Sendable, Hashable {
        public let hostID: Int32
        /// In order.
        public let hours: [Hour]

        public init(hostID: Int32, hours: [Hour]) {
            self.hostID = hostID
            self.hours = hours
        }

        /// The same hours in two runs; nil for a single one.
        public var halves: (Run, Run)? {
            guard hours.count > 1 else { return nil }
            let middle = hours.count / 2
            return (Run(hostID: hostID, hours: Array(hours[..<middle])), Run(hostID: hostID, hours: Array(hours[middle...])))
        }
    }

    /// Marks that are looked at to find the hosts that have waited longest.
    private static let oldestMarks: Int64 = 2_000

    /// What waits, by hosts: those with the oldest marks first.
    ///
    /// - Parameters:
    ///   - urgency: `fresh`: hours with a fresh mark only; `bulk`: all that are marked.
    ///   - limit: of hosts.
    ///   - except: hosts that are passed over.
    ///   - longest: how many hours a run may reach over, those included that nobody marked.
    public static func runs(
        _ urgency: Urgency,
        limit: Int,
        except: Set<Int32> = [],
        longest: Int64 = 48,
        _ connection: PostgresConnection
    ) async throws -> [Run] {
        let (name, isAsked) = urgency == .fresh ? ("fresh_runs", "is_fresh") : ("dirty_runs", "true")
        let rows = try await connection.query(
            Statement(
                name,
                """
                WITH host AS (
                    SELECT host_id, min(id) AS oldest FROM (
                        SELECT id, host_id FROM dirty WHERE \(isAsked) AND host_id <> ALL($4) ORDER BY id LIMIT $1) AS d
                    GROUP BY host_id ORDER BY min(id) LIMIT $2)
                SELECT host_id, hour FROM host CROSS JOIN LATERAL (
                    SELECT DISTINCT hour FROM dirty d WHERE d.host_id = host.host_id AND \(isAsked)
                        AND d.hour < (SELECT min(hour) FROM dirty f WHERE f.host_id = host.host_id AND \(isAsked)) + $3 * interval '1 hour') AS h
                ORDER BY oldest, hour
                """
            ),
            [.int8(oldestMarks), .int8(Int64(limit)), .int8(longest), .int4Array(except.sorted())]
        )
        var runs: [Run] = []
        for row in rows {
            let hostID = try row.int32("host_id")
            let hour = Hour(containing: Timestamp(microseconds: try row.timestampMicroseconds("hour")))
            if let last = runs.last, last.hostID == hostID {
                runs[runs.count - 1] = Run(hostID: hostID, hours: last.hours + [hour])
            } else {
                runs.append(Run(hostID: hostID, hours: [hour]))
            }
        }
        return runs
    }

    /// Of a run's hours those in which the host around this one waits too: a guest's energy is its part of that one's, so that goes first.
    public static func around(_ run: Run, _ connection: PostgresConnection) async throws -> Run? {
        let rows = try await connection.query(
            Statement(
                "dirty_around",
                """
                SELECT DISTINCT d.host_id, d.hour FROM host h JOIN dirty d ON d.host_id = h.parent_host_id AND d.hour = ANY($2)
                WHERE h.host_id = $1 ORDER BY d.hour
                """
            ),
            [.int4(run.hostID), .timestamptzArray(microseconds: run.hours.map { $0.start.microseconds })]
        )
        guard let first = rows.first else { return nil }
        return Run(
            hostID: try first.int32("host_id"),
            hours: try rows.map { Hour(containing: Timestamp(microseconds: try $0.timestampMicroseconds("hour"))) }
        )
    }

    /// Takes some hours of a host for this transaction: the ids of their marks, without the hours that another worker has or that are
    /// done. One worker at a time has a host, since what is learned of it in one hour counts in others.
    public static func take(_ run: Run, _ connection: PostgresConnection) async throws -> [Hour: [Int64]] {
        let isFree = try await connection.query(
            Statement("take_host", "SELECT pg_try_advisory_xact_lock($1, -1) AS taken"),
            [.int4(run.hostID)]
        ).only().bool("taken")
        guard isFree else { return [:] }
        let taken = try await connection.query(
            Statement("take_hours", "SELECT h, pg_try_advisory_xact_lock($1, h) AS taken FROM unnest($2::int4[]) AS h"),
            [.int4(run.hostID), .int4Array(run.hours.map { Int32(truncatingIfNeeded: $0.number) })]
        ).filter { try $0.bool("taken") }.map { Hour(number: Int64(try $0.int32("h"))) }
        guard !taken.isEmpty else { return [:] }
        var ids: [Hour: [Int64]] = [:]
        var late: [Int64] = []
        for row in try await connection.query(
            Statement(
                "dirty_ids",
                """
                SELECT d.id, d.hour, d.hour < h.curves_since AS is_late FROM dirty d JOIN host h USING (host_id)
                WHERE d.host_id = $1 AND d.hour = ANY($2)
                """
            ),
            [.int4(run.hostID), .timestamptzArray(microseconds: taken.map { $0.start.microseconds })]
        ) {
            let id = try row.int64("id")
            // What an hour was made from is kept no more: its figures stand as they are.
            if try row.bool("is_late") { late.append(id); continue }
            ids[Hour(containing: Timestamp(microseconds: try row.timestampMicroseconds("hour"))), default: []].append(id)
        }
        if !late.isEmpty { try await finish(ids: late, connection) }
        return ids
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

    /// Marks the hours of an interval that were accounted before, all hosts'; returns how many.
    public static func markAccounted(_ interval: Interval, now: Timestamp, _ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "mark_accounted_again",
                """
                INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'operator' FROM accounted_hour
                WHERE hour > $1::timestamptz - interval '1 hour' AND hour < $2
                """
            ),
            [
                .timestamptz(microseconds: interval.start.microseconds),
                .timestamptz(microseconds: min(interval.end, now.hour.start).microseconds),
            ]
        )
    }

    public static func depth(_ connection: PostgresConnection) async throws -> Int64 {
        try await connection.query(Statement("dirty_depth", "SELECT count(*) AS n FROM dirty")).only().int64("n")
    }
}
