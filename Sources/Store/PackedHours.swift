import Crypto
public import Energy
public import Postgres

/// Settled hours of curves, each in one row. `CurveReading` reads them like knots; late knots stand beside them until the hour is packed
/// anew, as another version.
///
/// Two steps, each a transaction of its own: `pack` writes what the knots of an hour are, `release` reads that back from the database and
/// deletes those knots only that are in it. Whoever stops in between leaves knots that are there twice, which counts once.
public enum PackedHours {
    /// A packed hour whose bytes are not those that were written. Its knots are not deleted while there are any.
    public struct Corrupted: Error, CustomStringConvertible {
        public let hostID: Int32
        public let curveID: Int32
        public let hour: Hour
        public let version: Int32
        let reason: String

        public var description: String {
            "version \(version) of the packed hour \(hour.number) of curve \(curveID), host \(hostID): \(reason); restore that row of "
                + "curve_hour from a backup"
        }
    }

    /// Packs what an hour of a host has in knots that no packed hour has. The knots stay.
    ///
    /// An hour that is not accounted, that a mark waits for, or that a worker has is left as it is. The last sample of a curve is no knot:
    /// it is not packed, and the curve may go on.
    ///
    /// - Returns: how many curves were packed.
    /// - Throws: `Corrupted`, `PostgresError`.
    @discardableResult
    public static func pack(hostID: Int32, hour: Hour, _ connection: PostgresConnection) async throws -> Int {
        // In one snapshot: what comes meanwhile is not seen.
        try await connection.transaction(isolation: .repeatableRead) { tx in
            guard let rows = try await settled(hostID: hostID, hour: hour, tx), !rows.isEmpty else { return 0 }
            let ids = rows.keys.sorted()
            let known = try await latest(hostID: hostID, curveIDs: ids, hour: hour, tx)
            let loaded = try await CurveReading.read(hostID: hostID, curveIDs: ids, around: hour.interval, tx)
            var packed: [(id: Int32, bytes: [UInt8])] = []
            for id in ids {
                let own = (known[id]?.knots ?? []) + rows[id, default: []]
                var part = PackedHour(loaded[id]?.curve ?? Curve(knots: own), hour: hour)
                if let last = part.knots.last, !own.contains(where: { $0.time == last.time }) {
                    part.knots.removeLast()
                    part.after = nil
                }
                if part.knots != known[id]?.knots { packed.append((id, part.bytes)) }
            }
            guard !packed.isEmpty else { return 0 }
            _ = try await tx.execute(
                Statement(
                    "insert_packed_hours",
                    """
                    INSERT INTO curve_hour (host_id, curve_id, hour, version, knots, sha256)
                    SELECT $1, c, $2, 1 + coalesce((SELECT max(version) FROM curve_hour o
                        WHERE o.host_id = $1 AND o.curve_id = c AND o.hour = $2), 0), k, s
                    FROM unnest($3::int4[], $4::bytea[], $5::bytea[]) AS p (c, k, s)
                    ON CONFLICT DO NOTHING
                    """
                ),
                [
                    .int4(hostID), .timestamptz(microseconds: hour.start.microseconds), .int4Array(packed.map(\.id)),
                    .byteaArray(packed.map(\.bytes)), .byteaArray(packed.map { Array(SHA256.hash(data: $0.bytes)) }),
                ]
            )
            return packed.count
        }
    }

    /// Deletes the knots of an hour that a packed hour has, which is read back and held against its hash and against each of them.
    ///
    /// - Returns: how many knots were deleted.
    /// - Throws: `Corrupted`, `PostgresError`.
    @discardableResult
    public static func release(hostID: Int32, hour: Hour, _ connection: PostgresConnection) async throws -> Int {
        // In one snapshot: what comes meanwhile is not seen, and not deleted.
        try await connection.transaction(isolation: .repeatableRead) { tx in
            guard let rows = try await settled(hostID: hostID, hour: hour, tx), !rows.isEmpty else { return 0 }
            let known = try await latest(hostID: hostID, curveIDs: rows.keys.sorted(), hour: hour, tx)
            let whole = rows.keys.sorted().filter { id in
                guard let knots = known[id]?.knots else { return false }
                return Curve(knots: knots + rows[id, default: []]).knots == knots
            }
            guard !whole.isEmpty else { return 0 }
            return try await tx.execute(
                Statement(
                    "delete_packed_knots",
                    """
                    DELETE FROM knot
                    WHERE host_id = $1 AND curve_id = ANY($3) AND t >= $2 AND t < $2::timestamptz + interval '1 hour'
                    """
                ),
                [.int4(hostID), .timestamptz(microseconds: hour.start.microseconds), .int4Array(whole)]
            )
        }
    }

    /// Marks hours of a host that have knots, were never accounted and wait for nothing: those that ran while nobody looked.
    ///
    /// - Returns: how many.
    public static func markForgotten(hostID: Int32, hours: [Hour], _ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "mark_unpacked",
                """
                INSERT INTO dirty (host_id, hour, reason) SELECT $1, h, 'packing' FROM unnest($2::timestamptz[]) AS h
                WHERE NOT EXISTS (SELECT FROM accounted_hour WHERE host_id = $1 AND hour = h)
                    AND NOT EXISTS (SELECT FROM dirty WHERE host_id = $1 AND hour = h)
                    AND NOT EXISTS (SELECT FROM poisoned_hour WHERE host_id = $1 AND hour = h)
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: hours.map(\.start.microseconds))]
        )
    }

    /// The knots that are rows, by curve, of an hour that nobody works on; nil for one that waits for something.
    private static func settled(hostID: Int32, hour: Hour, _ tx: PostgresConnection) async throws -> [Int32: [Knot]]? {
        let isFree = try await tx.query(
            Statement("pack_lock", "SELECT pg_try_advisory_xact_lock($1, $2) AS taken"),
            [.int4(hostID), .int4(Int32(truncatingIfNeeded: hour.number))]
        ).only().bool("taken")
        let at: [PostgresValue?] = [.int4(hostID), .timestamptz(microseconds: hour.start.microseconds)]
        guard isFree,
            try await tx.query(
                Statement(
                    "pack_is_settled",
                    """
                    SELECT EXISTS (SELECT FROM accounted_hour WHERE host_id = $1 AND hour = $2)
                        AND NOT EXISTS (SELECT FROM dirty WHERE host_id = $1 AND hour = $2)
                        AND NOT EXISTS (SELECT FROM poisoned_hour WHERE host_id = $1 AND hour = $2) AS settled
                    """
                ),
                at
            ).only().bool("settled")
        else { return nil }
        let curveIDs = try await tx.query(
            Statement(
                "pack_curves",
                """
                WITH RECURSIVE c (curve_id) AS (
                    SELECT (SELECT curve_id FROM knot WHERE host_id = $1 AND t >= $2 AND t < $2::timestamptz + interval '1 hour'
                        ORDER BY curve_id LIMIT 1)
                    UNION ALL
                    SELECT (SELECT k.curve_id FROM knot k WHERE k.host_id = $1 AND k.curve_id > c.curve_id AND k.t >= $2
                        AND k.t < $2::timestamptz + interval '1 hour' ORDER BY k.curve_id LIMIT 1)
                    FROM c WHERE c.curve_id IS NOT NULL)
                SELECT curve_id FROM c WHERE curve_id IS NOT NULL
                """
            ),
            at
        ).map { try $0.int32("curve_id") }
        guard !curveIDs.isEmpty else { return [:] }
        return try await CurveReading.rows(hostID: hostID, curveIDs: curveIDs, hour.interval, limit: .max, tx)
            .mapValues { $0.filter { $0.time < hour.end } }
            .filter { !$0.value.isEmpty }
    }

    /// The last version of each packed hour.
    private static func latest(
        hostID: Int32,
        curveIDs: [Int32],
        hour: Hour,
        _ tx: PostgresConnection
    ) async throws -> [Int32: PackedHour] {
        var packed: [Int32: PackedHour] = [:]
        for row in try await tx.query(
            Statement(
                "latest_packed_hours",
                """
                SELECT DISTINCT ON (curve_id) curve_id, version, knots, sha256 FROM curve_hour
                WHERE host_id = $1 AND curve_id = ANY($2) AND hour = $3 ORDER BY curve_id, version DESC
                """
            ),
            [.int4(hostID), .int4Array(curveIDs), .timestamptz(microseconds: hour.start.microseconds)]
        ) {
            let (curveID, version, bytes) = (try row.int32("curve_id"), try row.int32("version"), try row.bytes("knots"))
            func corrupted(_ reason: String) -> Corrupted {
                Corrupted(hostID: hostID, curveID: curveID, hour: hour, version: version, reason: reason)
            }
            guard Array(SHA256.hash(data: bytes)) == (try row.bytes("sha256")) else {
                throw corrupted("expected bytes of the hash beside them, found others")
            }
            do throws(PackedHour.Malformed) {
                packed[curveID] = try PackedHour(bytes: bytes)
            } catch {
                throw corrupted("\(error)")
            }
            guard packed[curveID]?.hour == hour else { throw corrupted("expected that hour in it, found another") }
        }
        return packed
    }
}
