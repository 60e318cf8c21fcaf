import Documents
public import Energy
public import Postgres

/// Reads curves: their knots around an interval, the tail as the last knot, and the gaps; packed hours and knots alike.
public enum CurveReading {
    public struct Loaded: Sendable {
        public let curve: Curve
        /// `Int64.max` microseconds: the curve has ended.
        public let completeUntil: Int64
        /// The curve's last knot, wherever the interval lies.
        let tailTime: Timestamp

        /// Since when CPU time may be missing from a cgroup's curve whose end nobody read; nil where that is after the interval.
        ///
        /// An agent ends such a curve at the death with the last count that it has, so that the last line holds what was lost.
        func partialSince(bornAt: Timestamp) -> Timestamp? {
            guard let last = curve.knots.last, last.time >= tailTime else { return nil }
            return curve.knots.dropLast().last?.time ?? min(bornAt, last.time)
        }

        /// What counts within a part of what was read: its knots, and the nearest one on either side where none is at its very edge.
        func part(_ interval: Interval) -> Loaded {
            let all = curve.knots
            var first = all.firstPosition { $0.time >= interval.start }
            var end = all.firstPosition { $0.time > interval.end }
            if first > 0, first == all.count || all[first].time > interval.start { first -= 1 }
            if end < all.count, end == 0 || all[end - 1].time < interval.end { end += 1 }
            return Loaded(
                curve: Curve(
                    knots: Array(all[first..<max(first, end)]),
                    gaps: curve.gaps.filter { $0.interval.intersection(interval) != nil }
                ),
                completeUntil: completeUntil,
                tailTime: tailTime
            )
        }
    }

    /// More knots than were asked for at once.
    public struct TooMany: Error, CustomStringConvertible {
        public let limit: Int
        public var description: String { "more than \(limit) knots; read a shorter stretch" }
    }

    /// The curves' knots within the interval, and the nearest one on either side where none is at its very edge.
    ///
    /// - Parameter limit: `TooMany` is thrown beyond so many knots.
    public static func read(
        hostID: Int32,
        curveIDs: [Int32],
        around interval: Interval,
        limit: Int = .max,
        _ connection: PostgresConnection
    ) async throws -> [Int32: Loaded] {
        guard !curveIDs.isEmpty else { return [:] }
        let parameters: [PostgresValue?] = [
            .int4(hostID), .int4Array(curveIDs), .timestamptz(microseconds: interval.start.microseconds),
            .timestamptz(microseconds: interval.end.microseconds),
        ]
        // Knots before packed hours: an hour that is packed in between is then seen twice, and never not at all.
        var knots = try await rows(hostID: hostID, curveIDs: curveIDs, interval, limit: limit, connection)
        for row in try await connection.query(nearest, parameters) { knots[try row.int32("curve_id"), default: []].append(try knot(row)) }
        for row in try await connection.query(packed, parameters) {
            let hour = try PackedHour(bytes: try row.bytes("knots"))
            let id = try row.int32("curve_id")
            // What lies beside the hour may have got knots since: that is read where it is.
            knots[id, default: []] += hour.knots
            if knots[id, default: []].count > limit { throw TooMany(limit: limit) }
        }
        let gaps = try await gaps(parameters, connection)
        var loaded: [Int32: Loaded] = [:]
        let tails = try await connection.query(
            Statement(
                "read_tails",
                "SELECT curve_id, t, value, complete_until FROM curve_tail WHERE host_id = $1 AND curve_id = ANY($2)"
            ),
            [.int4(hostID), .int4Array(curveIDs)]
        )
        for row in tails {
            let id = try row.int32("curve_id")
            let tail = Knot(time: Timestamp(microseconds: try row.timestampMicroseconds("t")), value: try row.int64("value"))
            var all = Curve(knots: knots.removeValue(forKey: id) ?? [], gaps: gaps[id] ?? [])
            // The tail is the last knot, unless a knot after the interval stands for it.
            if all.knots.last.map({ $0.time < tail.time && $0.time <= interval.end }) ?? true {
                all = Curve(knots: all.knots + [tail], gaps: all.gaps)
            }
            loaded[id] = Loaded(curve: all, completeUntil: try row.timestampMicroseconds("complete_until"), tailTime: tail.time)
                .part(interval)
        }
        return loaded
    }

    /// The knots within the interval that are rows, by binary COPY: there may be hundreds of thousands.
    static func rows(
        hostID: Int32,
        curveIDs: [Int32],
        _ interval: Interval,
        limit: Int,
        _ connection: PostgresConnection
    ) async throws -> [Int32: [Knot]] {
        // COPY takes no parameters. Numbers and instants of our own making only.
        let statement = Statement(
            "copy_knots_out",
            """
            COPY (SELECT curve_id, t, value, flags FROM knot
                WHERE host_id = \(hostID) AND curve_id = ANY ('{\(curveIDs.map(String.init).joined(separator: ","))}'::int4[])
                    AND t >= timestamptz '\(RFC3339.format(interval.start))' AND t <= timestamptz '\(RFC3339.format(interval.end))')
            TO STDOUT (FORMAT binary)
            """
        )
        var fields = CopyFields(statement.name)
        // By place: the table has few knots of a curve beside one another.
        var lists = curveIDs.map { _ in [Knot]() }
        let places = Dictionary(zip(curveIDs, curveIDs.indices)) { first, _ in first }
        var current: Int32?
        var place = 0
        var count = 0
        try await connection.copyOut(statement, chunkSize: 1 << 18) { chunk in
            try fields.read(chunk, columns: 4) { fields throws(PostgresError) in
                let id = try fields.int4()
                if id != current {
                    guard let known = places[id] else {
                        throw PostgresError(.decoding, "knots of curve \(id), which nobody asked for", statementName: statement.name)
                    }
                    (current, place) = (id, known)
                }
                lists[place].append(
                    Knot(
                        time: Timestamp(microseconds: try fields.timestamptzMicroseconds()),
                        value: try fields.int8(),
                        flags: KnotFlags(rawValue: UInt16(truncatingIfNeeded: try fields.int2()))
                    )
                )
                count += 1
            }
            if count > limit { throw TooMany(limit: limit) }
        }
        return Dictionary(zip(curveIDs, lists)) { first, _ in first }
    }

    private static let nearest = Statement(
        "nearest_knots",
        """
        SELECT c.id AS curve_id, k.t, k.value, k.flags FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
            SELECT t, value, flags FROM knot WHERE host_id = $1 AND curve_id = c.id AND t < $3 ORDER BY t DESC LIMIT 1) AS k
        UNION ALL
        SELECT c.id, k.t, k.value, k.flags FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
            SELECT t, value, flags FROM knot WHERE host_id = $1 AND curve_id = c.id AND t > $4 ORDER BY t LIMIT 1) AS k
        """
    )

    /// The last version of each packed hour that the interval touches, and of the nearest one on either side.
    private static let packed = Statement(
        "packed_hours",
        """
        SELECT c.id AS curve_id, p.knots FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
            SELECT DISTINCT ON (hour) knots FROM curve_hour
            WHERE host_id = $1 AND curve_id = c.id AND hour > $3::timestamptz - interval '1 hour' AND hour <= $4
            ORDER BY hour, version DESC) AS p
        UNION ALL
        SELECT c.id, p.knots FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
            SELECT knots FROM curve_hour WHERE host_id = $1 AND curve_id = c.id AND hour <= $3::timestamptz - interval '1 hour'
            ORDER BY hour DESC, version DESC LIMIT 1) AS p
        UNION ALL
        SELECT c.id, p.knots FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
            SELECT knots FROM curve_hour WHERE host_id = $1 AND curve_id = c.id AND hour > $4 ORDER BY hour, version DESC LIMIT 1) AS p
        """
    )

    private static func gaps(_ parameters: [PostgresValue?], _ connection: PostgresConnection) async throws -> [Int32: [Gap]] {
        var gaps: [Int32: [Gap]] = [:]
        let rows = try await connection.query(
            Statement(
                "read_gaps",
                """
                SELECT curve_id, from_t, to_t, low, high, cause FROM gap
                WHERE host_id = $1 AND curve_id = ANY($2) AND from_t < $4 AND to_t > $3
                """
            ),
            parameters
        )
        for row in rows {
            let cause = try row.string("cause")
            guard let known = Gap.Cause(rawValue: cause) else { throw StoredValueError(what: "gap cause", found: cause) }
            gaps[try row.int32("curve_id"), default: []].append(
                Gap(
                    interval: Interval(
                        Timestamp(microseconds: try row.timestampMicroseconds("from_t")),
                        Timestamp(microseconds: try row.timestampMicroseconds("to_t"))
                    ),
                    low: try row.int64("low"),
                    high: try row.int64("high"),
                    cause: known
                )
            )
        }
        return gaps
    }

    private static func knot(_ row: PostgresRow) throws -> Knot {
        Knot(
            time: Timestamp(microseconds: try row.timestampMicroseconds("t")),
            value: try row.int64("value"),
            flags: KnotFlags(rawValue: UInt16(truncatingIfNeeded: try row.int16("flags")))
        )
    }

    /// Until when a host's cover is complete, per host: the earliest over its meters; absent for a host without any.
    public static func coverCompleteUntil(hostIDs: [Int32], _ connection: PostgresConnection) async throws -> [Int32: Timestamp] {
        let rows = try await connection.query(
            Statement(
                "cover_complete",
                """
                SELECT c.host_id, min(t.complete_until) AS complete_until FROM curve c JOIN curve_tail t USING (host_id, curve_id)
                WHERE c.host_id = ANY($1) AND c.kind = 'meter' AND c.in_cover GROUP BY c.host_id
                """
            ),
            [.int4Array(hostIDs)]
        )
        return Dictionary(
            try rows.map { (try $0.int32("host_id"), Timestamp(microseconds: try $0.timestampMicroseconds("complete_until"))) }
        ) { $1 }
    }

    /// Until when all cgroups of each span are complete; absent for a span without any.
    public static func workloadCompleteUntil(
        hostID: Int32,
        workloads: [Int64: SpanWorkload],
        _ connection: PostgresConnection
    ) async throws -> [Int64: Timestamp] {
        let ids = Set(workloads.values.flatMap { $0.cgroups.map(\.curveID) }).sorted()
        guard !ids.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement("workload_complete", "SELECT curve_id, complete_until FROM curve_tail WHERE host_id = $1 AND curve_id = ANY($2)"),
            [.int4(hostID), .int4Array(ids)]
        )
        var complete: [Int32: Timestamp] = [:]
        for row in rows { complete[try row.int32("curve_id")] = Timestamp(microseconds: try row.timestampMicroseconds("complete_until")) }
        return workloads.compactMapValues { workload in workload.cgroups.compactMap { complete[$0.curveID] }.min() }
    }
}

extension [Knot] {
    /// Where those begin of which this is true; it is false of all before them.
    fileprivate func firstPosition(_ isAfter: (Knot) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
