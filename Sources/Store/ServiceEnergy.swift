public import Energy
public import Postgres

/// What jobs used in a time, with what rules may ask of them.
public enum ServiceEnergy {
    public struct Job: Sendable {
        public let jobID: String
        public let source: String
        public let hostName: String
        public let startedAt: Timestamp
        /// The winning fields, as JSON.
        public let documentJSON: String
        /// The service that the job says itself.
        public let postedService: String?
        /// Dynamic energy, and idle energy by the reserved policy.
        public let microjoules: Int64
    }

    /// Hosts with accounts.
    public static func hosts(_ connection: PostgresConnection) async throws -> [Int32] {
        try await connection.query(
            Statement(
                "hosts_with_accounts",
                "SELECT host_id FROM host h WHERE EXISTS (SELECT FROM accounted_hour a WHERE a.host_id = h.host_id) ORDER BY host_id"
            )
        ).map { try $0.int32("host_id") }
    }

    /// The jobs of a host with energy in the accounted hours that begin in an interval.
    public static func jobs(hostID: Int32, _ interval: Interval, _ connection: PostgresConnection) async throws -> [Job] {
        try await connection.query(
            Statement(
                "service_energy",
                """
                WITH e AS (
                    SELECT span_id, sum(dynamic_uj + idle_reserved_uj)::int8 AS uj FROM slice
                    WHERE host_id = $1 AND hour >= $2 AND hour < $3 GROUP BY span_id)
                SELECT k.job_id, k.source, h.name AS host_name, s.started_at, k.document, e.uj,
                    coalesce(k.registers -> 'service' ->> 'v', (SELECT a.registers -> 'service' ->> 'v' FROM span_key a
                        WHERE a.alias_of = k.job_id AND a.alias_cause = 'hook' AND jsonb_exists(a.registers, 'service')
                        ORDER BY a.job_id LIMIT 1)) AS posted_service
                FROM e JOIN span s ON s.host_id = $1 AND s.span_id = e.span_id JOIN span_key k ON k.job_id = s.job_id
                JOIN host h ON h.host_id = $1
                ORDER BY s.started_at, k.job_id
                """
            ),
            [
                .int4(hostID), .timestamptz(microseconds: interval.start.microseconds),
                .timestamptz(microseconds: interval.end.microseconds),
            ]
        ).map { row in
            Job(
                jobID: try row.string("job_id"),
                source: try row.string("source"),
                hostName: try row.string("host_name"),
                startedAt: Timestamp(microseconds: try row.timestampMicroseconds("started_at")),
                documentJSON: try row.json("document"),
                postedService: try row.stringIfPresent("posted_service"),
                microjoules: try row.int64("uj")
            )
        }
    }
}
