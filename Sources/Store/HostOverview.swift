public import Documents
public import Energy
public import Postgres

/// A host with what operators ask of it: where it stands, how it is metered, what it did.
public struct HostOverview: Sendable {
    /// Zone, PUE, slots and CPUs as the operator's record that counts now says them, else as its agent does.
    public let host: HostRow
    /// That record; nil where nobody wrote one.
    public let record: [String: JSONValue]?
    /// The simulator made it up.
    public let isSimulated: Bool
    public let arch: String
    public let os: String
    public let agentVersion: String
    public let parent: String?
    public var isEphemeral: Bool { host.isEphemeral }
    public var retiredBecause: String? { host.retiredBecause }
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
    public let meteredMicrojoules: Int128?
    public let jobsMicrojoules: Int128?

    /// - Parameter limit: hosts, those in service first and by pool and name.
    public static func read(since: Timestamp, now: Timestamp, limit: Int, _ connection: PostgresConnection) async throws -> [HostOverview] {
        try await connection.query(
            Statement(
                "host_overview",
                """
                SELECT h.*, (SELECT p.name FROM host p WHERE p.host_id = h.parent_host_id) AS parent,
                    described_host(h.host_id, $2) AS record,
                    ARRAY(SELECT alias FROM host_alias a WHERE a.host_id = h.host_id ORDER BY alias LIMIT 20) AS aliases,
                    ARRAY(
                        SELECT DISTINCT runner FROM runner_host r
                        WHERE r.host_id = h.host_id AND r.valid_to = 'infinity' ORDER BY runner LIMIT 100
                    ) AS runners,
                    ARRAY(
                        SELECT DISTINCT quality FROM curve c WHERE c.host_id = h.host_id AND c.kind = 'meter' AND c.in_cover ORDER BY quality
                    ) AS qualities,
                    j.n AS jobs, j.last_at, l.metered, l.jobs_uj
                FROM (SELECT \(HostTable.columns), arch, os, agent_version, clock_offset_us, is_simulated FROM host) h
                CROSS JOIN LATERAL (
                    SELECT count(*) FILTER (WHERE started_at >= $1) AS n, max(started_at) AS last_at FROM span_key k
                    WHERE k.host_id = h.host_id AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted AND started_at >= $1
                ) j
                CROSS JOIN LATERAL (
                    SELECT sum(metered_uj) AS metered, sum(job_dynamic_uj) + sum(idle_reserved_uj) AS jobs_uj FROM host_hour x
                    WHERE x.host_id = h.host_id AND x.hour >= $1
                ) l
                ORDER BY h.retired_at IS NOT NULL, h.pool NULLS LAST, h.name LIMIT $3
                """
            ),
            [
                .timestamptz(microseconds: since.microseconds), .timestamptz(microseconds: now.microseconds), .int8(Int64(limit)),
            ]
        ).map { row in
            let record = try row.jsonIfPresent("record").flatMap { try JSONValue(parsing: Array($0.utf8)).object }
            var host = try HostTable.host(row)
            if let zone = record?["grid_zone"]?.string { host.gridZone = zone }
            if let pue = record?["pue"]?.double, pue >= 1 { host.pue = pue }
            if let slots = record?["slots"]?.double, slots > 0 { host.slots = slots }
            if let threads = record?["threads"]?.integer, (1...1_000_000).contains(threads) { host.cpus = Int(threads) }
            return HostOverview(
                host: host,
                record: record,
                isSimulated: try row.bool("is_simulated"),
                arch: try row.string("arch"),
                os: try row.string("os"),
                agentVersion: try row.string("agent_version"),
                parent: try row.stringIfPresent("parent"),
                clockOffset: try row.int64IfPresent("clock_offset_us").map { Microseconds($0) },
                aliases: try row.stringArray("aliases"),
                runners: try row.stringArray("runners"),
                qualities: try row.stringArray("qualities"),
                jobs: try row.int64("jobs"),
                lastJobAt: try row.timestampMicrosecondsIfPresent("last_at").map { Timestamp(microseconds: $0) },
                meteredMicrojoules: try row.numericStringIfPresent("metered").flatMap { Int128($0) },
                jobsMicrojoules: try row.numericStringIfPresent("jobs_uj").flatMap { Int128($0) }
            )
        }
    }
}
