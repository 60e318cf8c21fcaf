import Documents
public import Energy
public import Postgres

/// Daily partitions of `knot`: made ahead of time, and dropped once nothing is in them.
public enum KnotPartitions {
    /// Makes those from yesterday to `daysAhead` days after `now` that are missing.
    ///
    /// Where somebody reads the table for long, a dump perhaps, it is left to the next round: whoever waited for the lock would make all who
    /// write wait behind. Knots of a day without a partition go into the default one.
    ///
    /// - Returns: false where some are left.
    @discardableResult
    public static func make(now: Timestamp, daysAhead: Int64 = 3, _ connection: PostgresConnection) async throws -> Bool {
        for day in -1...daysAhead {
            let at = Timestamp(microseconds: now.microseconds + day * Microseconds.day.count)
            guard try await makeUnlessBusy(at, connection) else { return false }
        }
        return true
    }

    private static func makeUnlessBusy(_ at: Timestamp, _ connection: PostgresConnection) async throws -> Bool {
        do {
            try await connection.transaction { tx in
                try await boundLockWait(tx)
                try await makeOne(at, tx)
            }
            return true
        } catch let error as PostgresError where error.isLockNotAvailable || error.isRetryable {
            return false
        }
    }

    private static func makeOne(_ at: Timestamp, _ connection: PostgresConnection) async throws {
        _ = try await connection.query(
            Statement("make_knot_partition", "SELECT make_knot_partition($1)"),
            [.timestamptz(microseconds: at.microseconds)]
        )
    }

    /// Makes the partitions again of days that were dropped and have got knots since, the oldest first; those wait in the default partition.
    ///
    /// - Returns: how many were made. None where somebody has the table for long: the next round tries again.
    public static func remake(limit: Int = 31, _ connection: PostgresConnection) async throws -> Int {
        let days = try await connection.query(
            Statement(
                "days_without_partition",
                """
                SELECT DISTINCT date_trunc('day', t AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS day FROM knot_default ORDER BY day LIMIT $1
                """
            ),
            [.int8(Int64(limit))]
        ).map { Timestamp(microseconds: try $0.timestampMicroseconds("day")) }
        var made = 0
        for day in days {
            guard try await makeUnlessBusy(day, connection) else { return made }
            made += 1
        }
        return made
    }

    /// The first instants of the days that have a partition, in order.
    public static func days(_ connection: PostgresConnection) async throws -> [Timestamp] {
        try await connection.query(
            Statement(
                "knot_days",
                """
                SELECT to_date(substr(relname, 6), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' AS day
                FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'knot'::regclass AND c.relname ~ '^knot_[0-9]{8}$' ORDER BY 1
                """
            )
        ).map { Timestamp(microseconds: try $0.timestampMicroseconds("day")) }
    }

    /// The hosts that have knots of a day, some of them after another.
    public static func hosts(day: Timestamp, after hostID: Int32, limit: Int64, _ connection: PostgresConnection) async throws -> [Int32] {
        // From one host to the next by the key: a day has many knots of each.
        try await connection.query(
            Statement(
                "hosts_of_day",
                """
                WITH RECURSIVE h (host_id, n) AS (
                    SELECT (SELECT host_id FROM knot WHERE host_id > $2 AND t >= $1 AND t < $1::timestamptz + interval '24 hours'
                        ORDER BY host_id LIMIT 1), 1
                    UNION ALL
                    SELECT (SELECT k.host_id FROM knot k WHERE k.host_id > h.host_id AND k.t >= $1
                        AND k.t < $1::timestamptz + interval '24 hours' ORDER BY k.host_id LIMIT 1), n + 1
                    FROM h WHERE h.host_id IS NOT NULL AND n < $3)
                SELECT host_id FROM h WHERE host_id IS NOT NULL
                """
            ),
            [.timestamptz(microseconds: day.microseconds), .int4(hostID), .int8(limit)]
        ).map { try $0.int32("host_id") }
    }

    /// The hours of a day that a host has knots of, in order.
    public static func hours(hostID: Int32, day: Timestamp, _ connection: PostgresConnection) async throws -> [Hour] {
        try await connection.query(
            Statement(
                "hours_of_day",
                """
                WITH RECURSIVE c (curve_id) AS (
                    SELECT (SELECT curve_id FROM knot WHERE host_id = $1 AND t >= $2 AND t < $2::timestamptz + interval '24 hours'
                        ORDER BY curve_id LIMIT 1)
                    UNION ALL
                    SELECT (SELECT k.curve_id FROM knot k WHERE k.host_id = $1 AND k.curve_id > c.curve_id AND k.t >= $2
                        AND k.t < $2::timestamptz + interval '24 hours' ORDER BY k.curve_id LIMIT 1)
                    FROM c WHERE c.curve_id IS NOT NULL)
                SELECT hour FROM generate_series($2::timestamptz, $2::timestamptz + interval '23 hours', interval '1 hour') AS g (hour)
                WHERE EXISTS (SELECT FROM c CROSS JOIN LATERAL (
                    SELECT FROM knot k WHERE k.host_id = $1 AND k.curve_id = c.curve_id AND k.t >= hour
                        AND k.t < hour + interval '1 hour' LIMIT 1) AS one WHERE c.curve_id IS NOT NULL)
                ORDER BY hour
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: day.microseconds)]
        ).map { Hour(containing: Timestamp(microseconds: try $0.timestampMicroseconds("hour"))) }
    }

    /// Drops a day's partition if no transaction sees a knot in it any more, nor can one come into it while it is looked at.
    ///
    /// A partition of no bytes is one from which a vacuum removed all: it removes only what every snapshot, also a long one, sees as deleted.
    ///
    /// - Returns: false where it stays, or has gone already.
    public static func dropIfEmpty(day: Timestamp, _ connection: PostgresConnection) async throws -> Bool {
        let name = name(of: day)
        do {
            guard try await isEmpty(day, connection) else { return false }
            // Not in a transaction. The name is of our own making.
            try await connection.executeScript("VACUUM (TRUNCATE true) \(name)")
            return try await connection.transaction { tx in
                try await boundLockWait(tx)
                // The whole before its parts, as those who write lock them.
                try await tx.executeScript("LOCK TABLE ONLY knot IN ACCESS EXCLUSIVE MODE")
                let bytes = try await tx.query(
                    Statement("bytes_of_day", "SELECT pg_relation_size(to_regclass($1)) AS bytes"),
                    [.text(name)]
                ).only().int64IfPresent("bytes")
                guard bytes == 0 else { return false }
                try await tx.executeScript("DROP TABLE \(name)")
                return true
            }
        } catch let error as PostgresError where error.isLockNotAvailable || error.isRetryable || error.isUndefinedTable {
            return false
        }
    }

    /// Whether no knot of a day is left to be seen.
    public static func isEmpty(_ day: Timestamp, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.query(
            Statement(
                "day_is_empty",
                "SELECT NOT EXISTS (SELECT FROM knot WHERE t >= $1 AND t < $1::timestamptz + interval '24 hours') AS is_empty"
            ),
            [.timestamptz(microseconds: day.microseconds)]
        ).only().bool("is_empty")
    }

    /// Who waits for the table's lock makes all others wait behind.
    private static func boundLockWait(_ tx: PostgresConnection) async throws {
        _ = try await tx.execute(Statement("bound_partition_lock", "SET LOCAL lock_timeout = '500ms'"))
    }

    /// `knot_20260901`.
    private static func name(of day: Timestamp) -> String {
        "knot_" + RFC3339.format(day).prefix(10).filter { $0 != "-" }
    }
}
