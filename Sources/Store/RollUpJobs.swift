public import Energy
public import Postgres

/// How many jobs of one group began in one bucket, and what became of them.
public struct RollUpJobs: Sendable {
    public var group: [String?]
    public var bucket: Timestamp?
    public var jobs: Int64 = 0
    public var succeeded: Int64 = 0
    public var running: Int64 = 0
    /// Neither a host nor a class of hosts is known: nobody can say what they used.
    public var withoutHost: Int64 = 0
    /// On machines that nobody can meter: modelled, outside every host's accounts.
    public var hosted: Int64 = 0
    /// On hosts without a meter in the window.
    public var withoutMeter: Int64 = 0
    /// Of several releases each: counted for each of them.
    public var shared: Int64 = 0
    /// Time within the window of the jobs that nothing metered; all of it, whatever the bucket they began in.
    public var unmetered = Microseconds.zero
    /// What the jobs say they made.
    public var units: [String: Double] = [:]

    public init(group: [String?], bucket: Timestamp?) {
        self.group = group
        self.bucket = bucket
    }
}

extension RollUpTable {
    /// The jobs that began in the question's time.
    public static func jobs(_ question: RollUpQuestion, now: Timestamp, _ connection: PostgresConnection) async throws -> [RollUpJobs] {
        let values = question.values(by: question.bucket?.rawValue) + [.timestamptz(microseconds: now.microseconds)]
        return try await connection.query(question.statement("jobs", jobsSQL(question)), values).map { row in
            var jobs = RollUpJobs(group: try group(row), bucket: try bucket(row))
            jobs.jobs = try row.int64("jobs")
            jobs.succeeded = try row.int64("succeeded")
            jobs.running = try row.int64("running")
            jobs.withoutHost = try row.int64("without_host")
            jobs.hosted = try row.int64("hosted")
            jobs.withoutMeter = try row.int64("without_meter")
            jobs.shared = try row.int64("shared")
            jobs.unmetered = Microseconds(Int64(clamping: try whole(row, "unmetered_us")))
            for (unit, count) in zip(try row.stringArray("units"), try row.doubleArray("counts")) { jobs.units[unit] = count }
            return jobs
        }
    }

    private static func jobsSQL(_ question: RollUpQuestion) -> String {
        let now = "$\(RollUpQuestion.parameters + 1)"
        // As for the energy: short jobs that are too few, or together too short, are not there.
        var shown = "SELECT * FROM job"
        if case .public = question.visibility {
            shown = """
                SELECT * FROM (
                    SELECT *, count(*) FILTER (WHERE is_short) OVER w AS together, sum(length) FILTER (WHERE is_short) OVER w AS time
                    FROM job WINDOW w AS (PARTITION BY shorts, hour)
                ) j WHERE NOT is_short OR (together >= \(RollUpQuestion.shortJobsTogether)
                    AND time >= interval '\(RollUpQuestion.aloneSeconds) seconds')
                """
        }
        let cells = (question.cellKeys ?? question.keys).filter { $0 != .release || question.keys.contains(.release) }
        return """
            WITH metered AS MATERIALIZED (
                SELECT host_id FROM host m WHERE EXISTS (SELECT FROM host_hour l WHERE l.host_id = m.host_id AND l.hour >= $1 AND l.hour < $2)
                    OR EXISTS (SELECT FROM curve c WHERE c.host_id = m.host_id AND c.kind = 'meter' AND c.in_cover)
            ), job AS (
                SELECT \(RollUpQuestion.groupExpression(question.keys)) AS cell, date_trunc($3::text, k.started_at, 'UTC') AS bucket,
                    k.host_id, k.host_class, k.finished_at, k.document ->> 'outcome' AS outcome,
                    k.host_id IS NULL OR k.host_id NOT IN (SELECT host_id FROM metered) AS is_unmetered,
                    least(coalesce(k.finished_at, \(now)), $2) - k.started_at AS length,
                    coalesce(\(RollUpQuestion.isShort), false) AS is_short,
                    jsonb_typeof(k.document -> 'release') = 'array' AND jsonb_array_length(CASE jsonb_typeof(k.document -> 'release')
                        WHEN 'array' THEN k.document -> 'release' ELSE '[]'::jsonb END) > 1 AS is_shared,
                    CASE WHEN jsonb_typeof(k.document -> 'units') = 'number' THEN (k.document ->> 'units')::float8 END AS units,
                    coalesce(k.document ->> 'unit', 'unit') AS unit,
                    \(RollUpQuestion.groupExpression(cells)) AS shorts, date_trunc('hour', k.started_at, 'UTC') AS hour
                FROM span_key k LEFT JOIN host h ON h.host_id = k.host_id \(RollUpQuestion.releaseJoin(question.keys))
                WHERE k.started_at >= $1 AND k.started_at < $2 AND k.alias_of IS NULL AND NOT k.is_deleted
                    AND \(question.condition(isByRelease: question.keys.contains(.release)))
            ), shown AS (
                \(shown)
            ), made AS (
                SELECT cell, bucket, array_agg(unit ORDER BY unit) AS units, array_agg(n ORDER BY unit) AS counts FROM (
                    SELECT cell, bucket, unit, sum(units) AS n FROM shown WHERE units IS NOT NULL GROUP BY cell, bucket, unit
                ) u GROUP BY cell, bucket
            )
            SELECT n.*, coalesce(m.units, '{}') AS units, coalesce(m.counts, '{}') AS counts FROM (
                SELECT cell, bucket, count(*) AS jobs, count(*) FILTER (WHERE outcome = 'success') AS succeeded,
                    count(*) FILTER (WHERE finished_at IS NULL) AS running,
                    count(*) FILTER (WHERE host_id IS NULL AND host_class IS NULL) AS without_host,
                    count(*) FILTER (WHERE host_class IS NOT NULL) AS hosted,
                    count(*) FILTER (WHERE host_id IS NOT NULL AND is_unmetered) AS without_meter,
                    count(*) FILTER (WHERE is_shared) AS shared,
                    coalesce(sum((extract(epoch FROM greatest(length, interval '0')) * 1000000)::int8) FILTER (WHERE is_unmetered), 0)
                        AS unmetered_us
                FROM shown GROUP BY cell, bucket
            ) n LEFT JOIN made m ON m.cell = n.cell AND m.bucket IS NOT DISTINCT FROM n.bucket
            """
    }
}
