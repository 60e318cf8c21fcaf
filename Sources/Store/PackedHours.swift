import Crypto
public import Energy
public import Postgres

/// Settled hours of curves, each in one row. `CurveReading` reads them like knots; late knots stand beside them until the hour is packed
/// anew, as another version.
public enum PackedHours {
    /// Packs an hour of a host, and deletes its knots.
    ///
    /// A curve whose last sample lies in the hour and that has not ended is left as it is: nobody knows yet how it goes on. So is an hour
    /// that is not accounted, that a mark waits for, or that a worker has.
    ///
    /// - Returns: how many curves were packed.
    @discardableResult
    public static func pack(hostID: Int32, hour: Hour, _ connection: PostgresConnection) async throws -> Int {
        // In one snapshot: what comes meanwhile is not seen, and not deleted.
        try await connection.transaction(isolation: .repeatableRead) { tx in
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
            else { return 0 }
            let curveIDs = try await tx.query(
                Statement(
                    "pack_curves",
                    """
                    SELECT c.curve_id FROM curve c WHERE c.host_id = $1 AND EXISTS (
                        SELECT FROM knot k WHERE k.host_id = $1 AND k.curve_id = c.curve_id AND k.t >= $2
                            AND k.t < $2::timestamptz + interval '1 hour')
                    ORDER BY c.curve_id
                    """
                ),
                at
            ).map { try $0.int32("curve_id") }
            let loaded = try await CurveReading.read(hostID: hostID, curveIDs: curveIDs, around: hour.interval, tx)
            let packed = curveIDs.compactMap { id -> (id: Int32, bytes: [UInt8])? in
                guard let curve = loaded[id], let extent = curve.curve.extent,
                    curve.completeUntil == .max || extent.end >= hour.end
                else { return nil }
                return (id, PackedHour(curve.curve, hour: hour).bytes)
            }
            guard !packed.isEmpty else { return 0 }
            let ids = PostgresValue.int4Array(packed.map(\.id))
            _ = try await tx.execute(
                Statement(
                    "insert_packed_hours",
                    """
                    INSERT INTO curve_hour (host_id, curve_id, hour, version, knots, sha256)
                    SELECT $1, c, $2, 1 + coalesce((SELECT max(version) FROM curve_hour o
                        WHERE o.host_id = $1 AND o.curve_id = c AND o.hour = $2), 0), k, s
                    FROM unnest($3::int4[], $4::bytea[], $5::bytea[]) AS p (c, k, s)
                    """
                ),
                at + [ids, .byteaArray(packed.map(\.bytes)), .byteaArray(packed.map { Array(SHA256.hash(data: $0.bytes)) })]
            )
            _ = try await tx.execute(
                Statement(
                    "delete_packed_knots",
                    """
                    DELETE FROM knot
                    WHERE host_id = $1 AND curve_id = ANY($3) AND t >= $2 AND t < $2::timestamptz + interval '1 hour'
                    """
                ),
                at + [ids]
            )
            return packed.count
        }
    }
}
