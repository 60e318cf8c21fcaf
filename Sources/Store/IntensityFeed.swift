public import Carbon
import Documents
public import Energy
public import Postgres

extension IntensityTable {
    /// A figure of a feed, for a time of its own.
    public struct Row: Sendable, Hashable {
        public var interval: Interval
        public var value: Intensity
        /// The provider's own edition, later ones larger; nil where it names none: then what is fetched later is later.
        public var version: String?

        public init(interval: Interval, value: Intensity, version: String?) {
            self.interval = interval
            self.value = value
            self.version = version
        }
    }

    /// Adds figures that differ from the latest of their zone, times, kind, basis and provider, and marks the hours of the hosts of their
    /// zones that they fall into. Nothing is ever taken away.
    ///
    /// A figure without an edition gets `now` as its version, to the second; so does, behind its edition, one that differs from what was
    /// stored under that edition.
    ///
    /// - Returns: how many were new.
    @discardableResult
    public static func add(_ rows: [Row], now: Timestamp, _ connection: PostgresConnection) async throws -> Int {
        guard !rows.isEmpty else { return 0 }
        let second = Timestamp(microseconds: now.microseconds - (now.microseconds % 1_000_000 + 1_000_000) % 1_000_000)
        let added = try await connection.query(
            Statement(
                "add_intensities",
                """
                INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version, fetched_at)
                SELECT r.zone, r.from_t, r.to_t, r.g, r.low, r.high, r.kind, r.basis, r.provider,
                    CASE WHEN r.edition IS NULL THEN $11::text
                        WHEN same.version IS NULL THEN r.edition
                        ELSE r.edition || ' ' || $11 END,
                    $12::timestamptz
                FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::float8[], $5::float8[], $6::float8[], $7::text[],
                        $8::text[], $9::text[], $10::text[])
                    AS r (zone, from_t, to_t, g, low, high, kind, basis, provider, edition)
                    LEFT JOIN LATERAL (
                        SELECT g_per_kwh, low_g_per_kwh, high_g_per_kwh FROM intensity i
                        WHERE (i.zone, i.from_t, i.to_t, i.kind, i.basis, i.provider) = (r.zone, r.from_t, r.to_t, r.kind, r.basis, r.provider)
                        ORDER BY version COLLATE "C" DESC LIMIT 1
                    ) latest ON true
                    LEFT JOIN LATERAL (
                        SELECT version, g_per_kwh, low_g_per_kwh, high_g_per_kwh FROM intensity i
                        WHERE (i.zone, i.from_t, i.to_t, i.kind, i.basis, i.provider) = (r.zone, r.from_t, r.to_t, r.kind, r.basis, r.provider)
                            AND (version = r.edition OR starts_with(version, r.edition || ' '))
                        ORDER BY version COLLATE "C" DESC LIMIT 1
                    ) same ON true
                WHERE (latest.g_per_kwh, latest.low_g_per_kwh, latest.high_g_per_kwh) IS DISTINCT FROM (r.g, r.low, r.high)
                    AND (same.g_per_kwh, same.low_g_per_kwh, same.high_g_per_kwh) IS DISTINCT FROM (r.g, r.low, r.high)
                ON CONFLICT DO NOTHING RETURNING intensity_id
                """
            ),
            [
                .textArray(rows.map(\.value.zone)), .timestamptzArray(microseconds: rows.map(\.interval.start.microseconds)),
                .timestamptzArray(microseconds: rows.map(\.interval.end.microseconds)),
                .float8Array(rows.map(\.value.gramsPerKilowattHour)), .float8Array(rows.map(\.value.low)),
                .float8Array(rows.map(\.value.high)), .textArray(rows.map(\.value.kind.rawValue)),
                .textArray(rows.map(\.value.basis.description)), .textArray(rows.map(\.value.provider)), .textArray(rows.map(\.version)),
                .text(RFC3339.format(second)), .timestamptz(microseconds: now.microseconds),
            ]
        ).map { try $0.int64("intensity_id") }
        guard !added.isEmpty else { return 0 }
        try await markHours(of: added, now: now, connection)
        return added.count
    }

    /// An hour that waits to be accounted for the first time is marked, too: it may be under way with what was there before.
    private static func markHours(of added: [Int64], now: Timestamp, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "mark_hours_of_intensities",
                """
                WITH stretch AS (
                    SELECT DISTINCT zone, from_t, to_t FROM intensity WHERE intensity_id = ANY($1)
                ), zone AS (
                    SELECT zone, min(from_t) AS from_t, max(to_t) AS to_t FROM stretch GROUP BY zone
                ), there AS (
                    -- Hosts that may be in a zone at some time; whether they are in an hour is asked below.
                    SELECT z.zone, z.from_t, z.to_t, h.host_id FROM zone z JOIN host h ON h.grid_zone = z.zone
                        OR EXISTS (
                            SELECT FROM host_record r WHERE r.host_id = h.host_id AND (r.record ->> 'grid_zone' = z.zone
                                OR site_key(r.record ->> 'site') IN (SELECT site FROM site_record s WHERE s.record ->> 'grid_zone' = z.zone)))
                )
                INSERT INTO dirty (host_id, hour, reason)
                SELECT a.host_id, a.hour, 'intensity'
                FROM there t JOIN markable_hour a ON a.host_id = t.host_id AND a.hour < t.to_t AND a.hour > t.from_t - interval '1 hour'
                    AND a.hour < $2
                WHERE EXISTS (
                        SELECT FROM stretch s WHERE s.zone = t.zone AND a.hour < s.to_t AND a.hour > s.from_t - interval '1 hour')
                    AND grid_zone_of(a.host_id, a.hour) = t.zone
                """
            ),
            [.int8Array(added), .timestamptz(microseconds: now.hour.start.microseconds)]
        )
    }

    /// Forecasts of a zone beside what came, for intervals that began since an instant; the same provider's both. A forecast was made at its
    /// version where that is a time, else when it was fetched.
    public static func forecastPairs(
        zone: String,
        basis: Intensity.Basis,
        since: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [ForecastError.Pair] {
        try await connection.query(
            Statement(
                "forecast_pairs",
                """
                SELECT f.version, f.fetched_at, f.from_t, f.to_t, f.g_per_kwh AS forecast_g, came.g_per_kwh AS came_g FROM intensity f
                    CROSS JOIN LATERAL (
                        SELECT g_per_kwh FROM intensity i
                        WHERE (i.zone, i.from_t, i.to_t, i.basis, i.provider) = (f.zone, f.from_t, f.to_t, f.basis, f.provider)
                            AND i.kind IN ('actual', 'estimated')
                        ORDER BY kind, version COLLATE "C" DESC LIMIT 1
                    ) came
                WHERE f.zone = $1 AND f.basis = $2 AND f.from_t >= $3 AND f.kind = 'forecast' ORDER BY f.from_t, f.version
                """
            ),
            [.text(zone), .text(basis.description), .timestamptz(microseconds: since.microseconds)]
        ).map { row in
            let version = try row.string("version")
            // An edition that was told twice has the time of the second telling behind it.
            let told = version.split(separator: " ").last.map(String.init) ?? version
            return ForecastError.Pair(
                madeAt: try RFC3339.parse(told) ?? Timestamp(microseconds: row.timestampMicroseconds("fetched_at")),
                interval: Interval(
                    Timestamp(microseconds: try row.timestampMicroseconds("from_t")),
                    Timestamp(microseconds: try row.timestampMicroseconds("to_t"))
                ),
                forecastGramsPerKilowattHour: try row.double("forecast_g"),
                actualGramsPerKilowattHour: try row.double("came_g")
            )
        }
    }
}
