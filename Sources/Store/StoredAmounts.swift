public import Energy
public import Postgres

/// How much is stored, and what of it waits to be packed or deleted.
public struct StoredAmounts: Sendable, Hashable {
    public struct Table: Sendable, Hashable {
        public let name: String
        /// With indexes and long values.
        public let bytes: Int64
        public let indexBytes: Int64
        /// As the server estimates them.
        public let rows: Int64
    }

    public struct Day: Sendable, Hashable {
        public let start: Timestamp
        public let bytes: Int64
        public let rows: Int64
        /// No knot is left in it.
        public let isEmpty: Bool
    }

    /// Those with a megabyte or more and those that knots and ledgers are in; the largest first.
    public var tables: [Table] = []
    /// Days of knots that have a partition.
    public var days: [Day] = []
    /// Knots outside all partitions, which are given one.
    public var knotsOutside: Int64 = 0
    public var hosts: Int64 = 0
    /// Host-hours in the ledger, and those of them that are old enough to be packed.
    public var accountedHours: Int64 = 0
    public var packableHours: Int64 = 0
    /// Events that are old enough to be deleted.
    public var oldEvents: Int64 = 0

    /// - Parameters:
    ///   - packable: hours before it are packed.
    ///   - events: events before it are deleted; nil where none are.
    public static func read(packable: Timestamp, events: Timestamp?, _ connection: PostgresConnection) async throws -> StoredAmounts {
        var amounts = StoredAmounts()
        amounts.tables = try await connection.query(
            Statement(
                "stored_tables",
                """
                WITH t AS (
                    SELECT coalesce(p.relname, c.relname)::text AS name, sum(pg_total_relation_size(c.oid))::int8 AS bytes,
                        sum(pg_indexes_size(c.oid))::int8 AS index_bytes, sum(greatest(c.reltuples, 0))::int8 AS n
                    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
                    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
                    GROUP BY 1)
                SELECT name, bytes, index_bytes, n FROM t
                WHERE bytes >= 1048576 OR name IN ('knot', 'curve_hour', 'host_hour', 'stored_slice', 'accounted_hour', 'ci_event')
                ORDER BY bytes DESC, name
                """
            )
        ).map {
            Table(
                name: try $0.string("name"),
                bytes: try $0.int64("bytes"),
                indexBytes: try $0.int64("index_bytes"),
                rows: try $0.int64("n")
            )
        }
        for day in try await KnotPartitions.days(connection) {
            let size = try await connection.query(
                Statement(
                    "stored_day",
                    """
                    SELECT pg_total_relation_size(c.oid) AS bytes, greatest(c.reltuples, 0)::int8 AS n FROM pg_class c
                    WHERE c.oid = to_regclass('knot_' || to_char($1::timestamptz AT TIME ZONE 'UTC', 'YYYYMMDD'))
                    """
                ),
                [.timestamptz(microseconds: day.microseconds)]
            ).first
            // Somebody dropped it in between.
            guard let size else { continue }
            amounts.days.append(
                Day(
                    start: day,
                    bytes: try size.int64("bytes"),
                    rows: try size.int64("n"),
                    isEmpty: try await KnotPartitions.isEmpty(day, connection)
                )
            )
        }
        let counts = try await connection.query(
            Statement(
                "stored_counts",
                """
                SELECT (SELECT count(*) FROM host) AS hosts, (SELECT count(*) FROM knot_default) AS outside,
                    (SELECT count(*) FROM accounted_hour) AS accounted, (SELECT count(*) FROM accounted_hour WHERE hour < $1) AS packable,
                    (SELECT count(*) FROM ci_event WHERE received_at < $2 AND processed_at IS NOT NULL) AS events
                """
            ),
            [.timestamptz(microseconds: packable.microseconds), events.map { .timestamptz(microseconds: $0.microseconds) }]
        ).only()
        amounts.hosts = try counts.int64("hosts")
        amounts.knotsOutside = try counts.int64("outside")
        amounts.accountedHours = try counts.int64("accounted")
        amounts.packableHours = try counts.int64("packable")
        amounts.oldEvents = try counts.int64("events")
        return amounts
    }
}
