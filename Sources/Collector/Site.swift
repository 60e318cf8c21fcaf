import Energy
import Logging
import Postgres

/// What every route needs.
struct Site: Sendable {
    let pool: PostgresPool
    let metrics: CollectorMetrics
    let now: @Sendable () -> Timestamp
    /// Where people reach this collector, without a slash at the end.
    let baseURL: String

    /// Runs a closure in one read-only snapshot, so that the numbers of one answer belong together.
    func snapshot<T: Sendable>(_ body: @escaping @Sendable (PostgresConnection) async throws -> T) async throws -> T {
        try await pool.withConnection { connection in
            try await connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in try await body(tx) }
        }
    }
}
