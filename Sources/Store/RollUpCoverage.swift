public import Energy
public import Postgres

/// How a host is measured, and how much of a time.
public struct HostCoverage: Sendable {
    public struct Meter: Sendable, Hashable {
        public let name: String
        public let zone: String
        public let sensor: String
        public let quality: String
        public let basis: String
    }

    public let name: String
    public let pool: String?
    public let parent: String?
    public let isRetired: Bool
    public let isSimulated: Bool
    public let gridZone: String?
    /// Those whose sum is the host's energy.
    public let meters: [Meter]
    /// The first accounted hour with energy.
    public let meteredSince: Timestamp?
    /// Of the time: hours in the ledger, and of the component with the least the time in which it was not metered.
    public let hours: Int64
    public let unmetered: Microseconds
    public let meteredMicrojoules: Int128
    /// Of jobs under the policy `reserved`, by how their share was found.
    public let byMethod: [String: Int128]
}

extension RollUpTable {
    /// All hosts, in the order of their names.
    public static func coverage(_ interval: Interval, _ connection: PostgresConnection) async throws -> [HostCoverage] {
        try await connection.query(
            Statement(
                "host_coverage",
                """
                SELECT h.name, h.pool, h.retired_at IS NOT NULL AS is_retired, h.is_simulated, grid_zone_of(h.host_id, now()) AS grid_zone,
                    (SELECT p.name FROM host p WHERE p.host_id = h.parent_host_id) AS parent, c.names, c.zones, c.sensors, c.qualities,
                    c.bases, (SELECT min(hour) FROM host_hour x WHERE x.host_id = h.host_id AND x.metered_uj > 0) AS since,
                    coalesce(l.hours, 0) AS hours, coalesce(l.unmetered_us, 0) AS unmetered_us, coalesce(l.metered_uj, 0) AS metered_uj,
                    coalesce(s.methods, '{}') AS methods, coalesce(s.energies, '{}') AS energies
                FROM host h
                CROSS JOIN LATERAL (
                    SELECT coalesce(array_agg(c.name ORDER BY c.name), '{}') AS names, coalesce(array_agg(zone ORDER BY c.name), '{}') AS zones,
                        coalesce(array_agg(sensor ORDER BY c.name), '{}') AS sensors,
                        coalesce(array_agg(quality ORDER BY c.name), '{}') AS qualities, coalesce(array_agg(basis ORDER BY c.name), '{}') AS bases
                    FROM curve c WHERE c.host_id = h.host_id AND c.kind = 'meter' AND c.in_cover
                ) c
                LEFT JOIN LATERAL (
                    SELECT max(n) AS hours, max(unmetered_us) AS unmetered_us, sum(metered_uj) AS metered_uj FROM (
                        SELECT count(*) AS n, sum(unmetered_us) AS unmetered_us, sum(metered_uj) AS metered_uj FROM host_hour l
                        WHERE l.host_id = h.host_id AND l.hour >= $1 AND l.hour < $2 GROUP BY component
                    ) x
                ) l ON true
                LEFT JOIN LATERAL (
                    SELECT array_agg(share_method ORDER BY share_method) AS methods,
                        array_agg(uj::text ORDER BY share_method) AS energies FROM (
                        SELECT share_method, sum(dynamic_uj + idle_reserved_uj) AS uj FROM slice s
                        WHERE s.host_id = h.host_id AND s.hour >= $1 AND s.hour < $2 GROUP BY share_method
                    ) x
                ) s ON true
                ORDER BY h.name
                """
            ),
            [
                .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds),
            ]
        ).map { row in
            let (names, zones) = (try row.stringArray("names"), try row.stringArray("zones"))
            let (sensors, qualities) = (try row.stringArray("sensors"), try row.stringArray("qualities"))
            let bases = try row.stringArray("bases")
            var byMethod: [String: Int128] = [:]
            for (method, energy) in zip(try row.stringArray("methods"), try row.stringArray("energies")) {
                byMethod[method] = Int128(energy) ?? 0
            }
            return HostCoverage(
                name: try row.string("name"),
                pool: try row.stringIfPresent("pool"),
                parent: try row.stringIfPresent("parent"),
                isRetired: try row.bool("is_retired"),
                isSimulated: try row.bool("is_simulated"),
                gridZone: try row.stringIfPresent("grid_zone"),
                meters: names.indices.map {
                    HostCoverage.Meter(
                        name: names[$0],
                        zone: zones[$0],
                        sensor: sensors[$0],
                        quality: qualities[$0],
                        basis: bases[$0]
                    )
                },
                meteredSince: try row.timestampMicrosecondsIfPresent("since").map { Timestamp(microseconds: $0) },
                hours: try row.int64("hours"),
                unmetered: Microseconds(Int64(clamping: try whole(row, "unmetered_us"))),
                meteredMicrojoules: try whole(row, "metered_uj"),
                byMethod: byMethod
            )
        }
    }
}
