public import Energy
public import Postgres

/// What the jobs of a service, activity and team cost, as far as their hours are settled.
public struct ServiceOverview: Sendable, Hashable {
    public let service: String?
    public let activity: String?
    public let team: String?
    public let jobs: Int64
    /// Jobs whose host is not known.
    public let hostless: Int64
    /// Jobs on machines that nobody can meter.
    public let hosted: Int64
    /// Jobs with energy in the ledger.
    public let accounted: Int64
    /// Under the policy `reserved`, with hard limits; nil where no job has any.
    public let microjoules: Int64?
    public let lowMicrojoules: Double
    public let highMicrojoules: Double
    /// The energy's parts by what the share rests on: `measured`, `measured_client`, `declared`, `equal`.
    public let byMethod: [String: Int64]
    /// The part that a model says and no sensor.
    public let modelledMicrojoules: Int64

    /// Most energy first. The limits of a slice are those of `SliceBounds.limits`.
    public static func read(_ interval: Interval, limit: Int, _ connection: PostgresConnection) async throws -> [ServiceOverview] {
        let methods = ["measured", "measured_client", "declared", "equal"]
        let sums = methods.map { "sum(own) FILTER (WHERE share_method = '\($0)') AS \($0)" }.joined(separator: ", ")
        let totals = methods.map { "coalesce(sum(\($0)), 0)::bigint AS \($0)" }.joined(separator: ", ")
        return try await connection.query(
            Statement(
                "service_overview",
                """
                SELECT service, activity, team, count(*) AS jobs, count(*) FILTER (WHERE host_id IS NULL AND host_class IS NULL) AS hostless,
                    count(*) FILTER (WHERE host_class IS NOT NULL) AS hosted, count(own) AS accounted, sum(own)::bigint AS own,
                    coalesce(sum(low), 0) AS low, coalesce(sum(high), 0) AS high, coalesce(sum(modelled), 0)::bigint AS modelled, \(totals)
                FROM span_key k
                LEFT JOIN LATERAL (
                    SELECT sum(own) AS own, sum(least(own, greatest(0, low))) AS low, sum(greatest(own, 0, high)) AS high,
                        sum(own) FILTER (WHERE quality = 'modelled') AS modelled, \(sums)
                    FROM (
                        SELECT share_method, quality, dynamic_uj + idle_reserved_uj AS own,
                            drawn_low_uj + least(
                                (idle_reserved_uj - floor_low_uj) * floor_ratio_low, (idle_reserved_uj - floor_low_uj) * floor_ratio_high
                            ) AS low,
                            drawn_high_uj + greatest(
                                (idle_reserved_uj - floor_high_uj) * floor_ratio_low, (idle_reserved_uj - floor_high_uj) * floor_ratio_high
                            ) + unmetered_high_uj AS high
                        FROM slice s WHERE s.host_id = k.host_id AND s.span_id = k.span_id
                    ) x
                ) c ON true
                WHERE started_at >= $1 AND started_at < $2 AND alias_of IS NULL AND NOT is_deleted
                GROUP BY 1, 2, 3 ORDER BY sum(own) DESC NULLS LAST, count(*) DESC, 1, 2, 3 LIMIT $3
                """
            ),
            [
                .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds),
                .int8(Int64(limit)),
            ]
        ).map { row in
            ServiceOverview(
                service: try row.stringIfPresent("service"),
                activity: try row.stringIfPresent("activity"),
                team: try row.stringIfPresent("team"),
                jobs: try row.int64("jobs"),
                hostless: try row.int64("hostless"),
                hosted: try row.int64("hosted"),
                accounted: try row.int64("accounted"),
                microjoules: try row.int64IfPresent("own"),
                lowMicrojoules: try row.double("low"),
                highMicrojoules: try row.double("high"),
                byMethod: Dictionary(uniqueKeysWithValues: try methods.map { ($0, try row.int64($0)) }),
                modelledMicrojoules: try row.int64("modelled")
            )
        }
    }
}
