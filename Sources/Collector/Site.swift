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
    /// What people without a token see.
    var access = Access.public

    /// Runs a closure in one read-only snapshot, so that the numbers of one answer belong together.
    func snapshot<T: Sendable>(_ body: @escaping @Sendable (PostgresConnection) async throws -> T) async throws -> T {
        try await pool.withConnection { connection in
            try await connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in try await body(tx) }
        }
    }

    /// A snapshot for questions that may touch many rows: one that takes too long is ended, and the asker told to ask for less.
    func bounded<T: Sendable>(_ body: @escaping @Sendable (PostgresConnection) async throws -> T) async throws -> T {
        do {
            return try await snapshot { connection in
                _ = try await connection.execute(Statement("bound_statements", "SET LOCAL statement_timeout = '5s'"), [])
                return try await body(connection)
            }
        } catch let error as PostgresError where error.isCancelled && !Task.isCancelled {
            throw Problem.unprocessable(
                "question-too-large",
                "The question touches too much",
                "expected an answer within 5 s, found more; ask for a shorter time (from, to) or for less (service, repository, host)"
            )
        }
    }
}
