public import Documents
public import Energy
public import Postgres

/// What an operator says of a host, from an instant on until the next record of it.
///
/// A record's fields: `site`, `grid_zone`, `pue`, `arch`, `os`, `cpu`, `threads`, `ram_bytes`, `disks`, `gpus`, `pool`, `slots`,
/// `parent`, `embodied`, `cloud` and, of imported pages, `model`, `notes`, `latitude`, `longitude`.
public enum HostRecordTable {
    /// From when a record counts that names no day.
    public static let always = Timestamp(microseconds: 0)

    public struct Entry: Sendable, Hashable {
        public let from: Timestamp
        public let record: JSONValue
    }

    /// A host's records, oldest first.
    public static func all(hostID: Int32, _ connection: PostgresConnection) async throws -> [Entry] {
        try await connection.query(
            Statement("list_host_records", "SELECT valid_from, record FROM host_record WHERE host_id = $1 ORDER BY valid_from"),
            [.int4(hostID)]
        ).map {
            Entry(
                from: Timestamp(microseconds: try $0.timestampMicroseconds("valid_from")),
                record: try JSONValue(parsing: Array(try $0.json("record").utf8))
            )
        }
    }

    /// What counts of a host, with its site's zone and PUE where its own record says nothing: from each instant at which that changes, oldest
    /// first.
    static func effective(hostID: Int32, _ connection: PostgresConnection) async throws -> [Entry] {
        try await connection.query(
            Statement(
                "effective_host_records",
                """
                WITH own AS (
                    SELECT valid_from, record FROM host_record WHERE host_id = $1 OR host_id IN (SELECT hosts_around($1))
                ), change AS (
                    SELECT valid_from FROM own
                    UNION
                    SELECT valid_from FROM site_record WHERE site IN (SELECT site_key(record ->> 'site') FROM own)
                )
                SELECT valid_from, record FROM (SELECT valid_from, described_host($1, valid_from) AS record FROM change) AS c
                WHERE record IS NOT NULL ORDER BY valid_from
                """
            ),
            [.int4(hostID)]
        ).map {
            Entry(
                from: Timestamp(microseconds: try $0.timestampMicroseconds("valid_from")),
                record: try JSONValue(parsing: Array(try $0.json("record").utf8))
            )
        }
    }

    /// Every host's latest record, by host, with its site's zone and PUE where it says nothing.
    public static func latest(_ connection: PostgresConnection) async throws -> [Int32: JSONValue] {
        let rows = try await connection.query(
            Statement(
                "latest_host_records",
                "SELECT host_id, described_host(host_id, 'infinity') AS record FROM (SELECT DISTINCT host_id FROM host_record) AS h"
            )
        )
        return Dictionary(
            uniqueKeysWithValues: try rows.map { (try $0.int32("host_id"), try JSONValue(parsing: Array(try $0.json("record").utf8))) }
        )
    }

    /// Replaces the record that begins at that instant.
    ///
    /// - Parameter marking: whether to account the hours anew for which it counts: its zone, PUE, slots and threads are in their figures.
    public static func set(
        _ record: JSONValue,
        hostID: Int32,
        from: Timestamp,
        now: Timestamp,
        marking: Bool,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "set_host_record",
                """
                INSERT INTO host_record (host_id, valid_from, record) VALUES ($1, $2, $3)
                ON CONFLICT (host_id, valid_from) DO UPDATE SET record = excluded.record
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: from.microseconds), .jsonb(try record.text)]
        )
        if marking { try await markAccounted(hostID: hostID, from: from, now: now, connection) }
    }

    private static let hoursAtOnce: Int64 = 1_000

    private static func markAccounted(hostID: Int32, from: Timestamp, now: Timestamp, _ connection: PostgresConnection) async throws {
        var next = from
        while true {
            let hours = try await connection.query(
                Statement(
                    "accounted_hours_of_record",
                    """
                    SELECT hour FROM markable_hour
                    WHERE host_id = $1 AND hour >= $2
                        AND hour < coalesce(
                            (SELECT min(valid_from) FROM host_record WHERE host_id = $1 AND valid_from > $3), 'infinity'::timestamptz)
                    ORDER BY hour LIMIT $4
                    """
                ),
                [
                    .int4(hostID), .timestamptz(microseconds: next.microseconds), .timestamptz(microseconds: from.microseconds),
                    .int8(hoursAtOnce),
                ]
            ).map { Hour(containing: Timestamp(microseconds: try $0.timestampMicroseconds("hour"))) }
            try await WorkQueue.mark(hostID: hostID, hours: hours, now: now, reason: "host record", as: .bulk, connection)
            guard let last = hours.last, hours.count == Int(hoursAtOnce) else { return }
            next = last.next.start
        }
    }
}
