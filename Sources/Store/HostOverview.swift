public import Energy
public import Postgres

/// A host with what operators ask of it: where it stands, how it is metered, what it did.
public struct HostOverview: Sendable {
    public let host: HostRow
    public let arch: String
    public let os: String
    public let agentVersion: String
    public let parent: String?
    public let isEphemeral: Bool
    public let retiredBecause: String?
    /// The collector's clock minus the agent's.
    public let clockOffset: Microseconds?
    public let aliases: [String]
    /// Names of the runners that the map says it runs now.
    public let runners: [String]
    /// Qualities of the meters in its cover; empty for a host without any.
    public let qualities: [String]
    /// Jobs that started since the instant asked about, and the last start of all.
    public let jobs: Int64
    public let lastJobAt: Timestamp?
    /// Of settled hours since that instant; nil where there is none.
    public let meteredMicrojoules: Int64?
    public let jobsMicrojoules: Int64?

    /// - Parameter limit: hosts, those in service first and by pool and name.
    public static func read(since: Timestamp, limit: Int, _ connection: PostgresConnection) async throws -> [HostOverview] {
        try await connection.query(
            Statement(
                "host_overview",
                """
                SELECT \(HostTable.columns.split(separator: ", ").map { "h.\($0)" }.joined(separator: ", ")), h.arch, h.os, h.agent_version,
                    h.is_ephemeral, h.retired_because, h.clock_offset_us, (SELECT p.name FROM host p WHERE p.host_id = h.parent_host_id) AS parent,
                    ARRAY(SELECT alias FROM host_alias a WHERE a.host_id = h.host_id ORDER BY alias LIMIT 20) AS aliases,
                    ARRAY(
                        SELECT DISTINCT runner FROM runner_host r
                        WHERE r.host_id = h.host_id AND r.valid_to = 'infinity' ORDER BY runner LIMIT 100
                    ) AS runners,
                    ARRAY(
                        SELECT DISTINCT quality FROM curve c WHERE c.host_id = h.host_id AND c.kind = 'meter' AND c.in_cover ORDER BY quality
                    ) AS qualities,
                    j.n AS jobs, j.last_at, l.metered, l.jobs_uj
                FROM host h
                CROSS JOIN LATERAL (
                    SELECT count(*) FILTER (WHERE started_at >= $1) AS n, max(started_at) AS last_at FROM span_key k
                    WHERE k.host_id = h.host_id AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted AND started_at >= $1
                ) j
                CROSS JOIN LATERAL (
                    SELECT sum(metered_uj)::bigint AS metered, sum(job_dynamic_uj + idle_reserved_uj)::bigint AS jobs_uj FROM host_hour x
                    WHERE x.host_id = h.host_id AND x.hour >= $1
                ) l
                ORDER BY h.retired_at IS NOT NULL, h.pool NULLS LAST, h.name LIMIT $2
                """
            ),
            [.timestamptz(microseconds: since.microseconds), .int8(Int64(limit))]
        ).map { row in
            HostOverview(
                host: try HostTable.host(row),
                arch: try row.string("arch"),
                os: try row.string("os"),
                agentVersion: try row.string("agent_version"),
                parent: try row.stringIfPresent("parent"),
                isEphemeral: try row.bool("is_ephemeral"),
                retiredBecause: try row.stringIfPresent("retired_because"),
                clockOffset: try row.int64IfPresent("clock_offset_us").map { Microseconds($0) },
                aliases: try row.stringArray("aliases"),
                runners: try row.stringArray("runners"),
                qualities: try row.stringArray("qualities"),
                jobs: try row.int64("jobs"),
                lastJobAt: try row.timestampMicrosecondsIfPresent("last_at").map { Timestamp(microseconds: $0) },
                meteredMicrojoules: try row.int64IfPresent("metered"),
                jobsMicrojoules: try row.int64IfPresent("jobs_uj")
            )
        }
    }
}
