import Energy
import Postgres
import Store
import Testing

/// Days are 24 hours of UTC, and are made without holding anybody up.
@Suite struct KnotDaysTests {
    private static func bounds(_ connection: PostgresConnection) async throws -> [String] {
        try await connection.query(
            Statement(
                "bounds",
                """
                SELECT relname || ' ' || pg_get_expr(relpartbound, c.oid) AS line FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
                WHERE i.inhparent = 'knot'::regclass AND relname LIKE 'knot_2026102%' ORDER BY 1
                """
            )
        ).map { try $0.string("line") }
    }

    /// The 25th of October 2026 has 25 hours in Berlin.
    @Test func aServerOfAnotherTimeZoneHasTheSameDays() async throws {
        try await Farm.with { farm in
            let zone = Statement("zone", "SELECT current_setting('TimeZone') AS zone")
            #expect(try await farm.connection.query(zone).only().string("zone") == "UTC")
            let now = Timestamp(microseconds: 1_792_800_000_000_000)  // 2026-10-24T00:00:00Z
            // Whoever calls it from elsewhere: psql, an older session.
            try await farm.connection.executeScript("SET TimeZone TO 'Europe/Berlin'")
            #expect(try await KnotPartitions.make(now: now, farm.connection))
            #expect(try await KnotPartitions.hosts(day: now, after: 0, limit: 1, farm.connection).isEmpty)
            try await farm.connection.executeScript("SET TimeZone TO 'UTC'")
            let expected = (23...27).map {
                "knot_202610\($0) FOR VALUES FROM ('2026-10-\($0) 00:00:00+00') TO ('2026-10-\($0 + 1) 00:00:00+00')"
            }
            #expect(try await Self.bounds(farm.connection) == expected)
        }
    }

    /// A dump reads the table for as long as it takes.
    @Test func whereSomebodyReadsForLongADayIsLeftForLaterAndAllWrite() async throws {
        try await Farm.with { farm in
            let later = Farm.start + .seconds(30 * 86_400)
            try await farm.pool.withConnection { reader in
                try await reader.transaction { tx in
                    _ = try await tx.query(Statement("dump", "SELECT count(*) FROM knot"))
                    let clock = ContinuousClock()
                    let began = clock.now
                    #expect(try await !KnotPartitions.make(now: later, farm.connection))
                    #expect(clock.now - began < .seconds(5))
                    // What comes meanwhile lies in the default partition.
                    try await farm.connection.executeScript(
                        "INSERT INTO knot (host_id, curve_id, t, value) VALUES (1, 1, '2026-10-01T09:00:00Z', 5)"
                    )
                }
            }
            #expect(try await KnotPartitions.make(now: later, farm.connection))
            #expect(try await farm.count("knot") == 1)
            #expect(try await farm.count("knot_20261001") == 1)
        }
    }
}
