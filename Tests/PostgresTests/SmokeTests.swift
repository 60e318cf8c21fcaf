import Postgres
import TestSupport
import Testing

@Suite struct SmokeTests {
    @Test func selectOne() async throws {
        try await TestPostgres.withDatabase { s in
            let c = try await PostgresConnection.connect(to: s)
            let rows = try await c.query(Statement("one", "SELECT 1 AS a, $1::text AS b"), ["x"])
            #expect(try rows.only().int64("a") == 1)
            #expect(try rows.only().string("b") == "x")
        }
    }
}
