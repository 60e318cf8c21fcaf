public import Energy
public import Postgres

/// Daily partitions of `knot`, made ahead of time.
public enum KnotPartitions {
    /// Makes those from yesterday to `daysAhead` days after `now` that are missing.
    public static func make(now: Timestamp, daysAhead: Int64 = 3, _ connection: PostgresConnection) async throws {
        for day in -1...daysAhead {
            let at = Timestamp(microseconds: now.microseconds + day * Microseconds.day.count)
            _ = try await connection.query(
                Statement("make_knot_partition", "SELECT make_knot_partition($1)"),
                [.timestamptz(microseconds: at.microseconds)]
            )
        }
    }
}
