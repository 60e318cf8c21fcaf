public import Energy
public import Postgres

/// What pages tell of jobs beside their footprints.
extension JobDirectory {
    /// The rows that a job is also known as; at most 20.
    public static func aliases(of jobID: String, _ connection: PostgresConnection) async throws -> [JobRow] {
        try await connection.query(
            Statement(
                "job_aliases",
                """
                SELECT \(columns.replacing("k.registers", with: "'{}'::jsonb AS registers")) FROM span_key k
                WHERE k.alias_of = $1 AND NOT k.is_deleted ORDER BY k.received_at LIMIT 20
                """
            ),
            [.text(jobID)]
        ).map(row)
    }

    /// How many jobs that started in an interval have neither a host nor a host class; counting stops at `limit`.
    public static func hostlessCount(_ interval: Interval, atMost limit: Int, _ connection: PostgresConnection) async throws -> Int {
        Int(
            try await connection.query(
                Statement(
                    "count_hostless_jobs",
                    """
                    SELECT count(*) AS n FROM (
                        SELECT FROM span_key WHERE host_id IS NULL AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted
                            AND host_class IS NULL AND started_at >= $1 AND started_at < $2 LIMIT $3
                    ) s
                    """
                ),
                [
                    .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds),
                    .int8(Int64(limit)),
                ]
            ).only().int64("n")
        )
    }
}
