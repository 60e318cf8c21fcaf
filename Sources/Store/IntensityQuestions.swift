public import Carbon
public import Energy
public import Postgres

/// What people ask of a zone's intensities beyond what counts in its accounts.
extension IntensityTable {
    /// Where a row came from.
    public struct Origin: Sendable, Hashable {
        public let fetchedAt: Timestamp
        public let source: String?
        public let licence: String?
        /// Nil where nobody said.
        public let mayBeRedistributed: Bool?
    }

    /// Whether any figure of a zone was ever stored.
    public static func isKnown(zone: String, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.query(
            Statement("intensity_zone_known", "SELECT EXISTS (SELECT FROM intensity WHERE zone = $1) AS known"),
            [.text(zone)]
        ).only().bool("known")
    }

    /// Some zones with figures whose names begin alike.
    public static func zones(like prefix: String, limit: Int32, _ connection: PostgresConnection) async throws -> [String] {
        try await connection.query(
            Statement(
                "intensity_zones_like",
                "SELECT DISTINCT zone FROM intensity WHERE starts_with(zone, $1) ORDER BY zone LIMIT $2"
            ),
            [.text(prefix), .int4(limit)]
        ).map { try $0.string("zone") }
    }

    /// What is known of a zone on one basis, which need not be the one that counts there.
    public static func series(
        zone: String,
        basis: Intensity.Basis,
        _ interval: Interval,
        _ connection: PostgresConnection
    ) async throws -> IntensitySeries {
        let candidates = try await connection.query(
            Statement(
                "intensity_series_of_basis",
                """
                SELECT \(joinedColumns) FROM intensity i WHERE zone = $1 AND basis = $4 AND from_t < $3 AND to_t > $2 ORDER BY intensity_id
                """
            ),
            [
                .text(zone), .timestamptz(microseconds: interval.start.microseconds),
                .timestamptz(microseconds: interval.end.microseconds), .text(basis.description),
            ]
        ).compactMap { row in try joined(row).map { IntensitySeries.Candidate(stored: $0, interval: $0.interval) } }
        return IntensitySeries(candidates, over: interval)
    }

    /// The last figure of a zone that is of what was and not of what is expected, on one basis or any.
    public static func latest(
        zone: String,
        basis: Intensity.Basis?,
        before now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> StoredIntensity? {
        try await connection.query(
            Statement(
                "latest_intensity",
                """
                SELECT \(joinedColumns) FROM intensity i
                WHERE zone = $1 AND from_t <= $2 AND kind IN ('actual', 'estimated') AND ($3::text IS NULL OR basis = $3)
                    AND isfinite(from_t) AND isfinite(to_t)
                ORDER BY from_t DESC, kind, version COLLATE "C" DESC, intensity_id DESC LIMIT 1
                """
            ),
            [.text(zone), .timestamptz(microseconds: now.microseconds), basis.map { .text($0.description) }]
        ).first.flatMap(joined)
    }

    /// Where rows came from, by their ids.
    public static func origins(_ ids: [Int64], _ connection: PostgresConnection) async throws -> [Int64: Origin] {
        guard !ids.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement(
                "intensity_origins",
                """
                SELECT intensity_id, fetched_at, p.source, p.licence, p.may_be_redistributed
                FROM intensity LEFT JOIN grid_provider p USING (provider) WHERE intensity_id = ANY($1)
                """
            ),
            [.int8Array(ids)]
        ).map { row in
            (
                try row.int64("intensity_id"),
                Origin(
                    fetchedAt: Timestamp(microseconds: try row.timestampMicroseconds("fetched_at")),
                    source: try row.stringIfPresent("source"),
                    licence: try row.stringIfPresent("licence"),
                    mayBeRedistributed: try row.boolIfPresent("may_be_redistributed")
                )
            )
        }
        return Dictionary(rows, uniquingKeysWith: { first, _ in first })
    }
}
