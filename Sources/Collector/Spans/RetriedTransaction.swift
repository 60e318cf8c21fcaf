import Postgres

extension PostgresPool {
    /// As `PostgresConnection.retriedTransaction`, on a connection of its own.
    func retriedTransaction<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await withConnection { connection in try await connection.retriedTransaction(body) }
    }
}

extension PostgresConnection {
    private static let attempts = 8

    /// Runs a transaction that may meet others on the same rows: after a deadlock, a failed serialisation or a moved run it is run again,
    /// a few times and a little later each time.
    func retriedTransaction<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        var attempt = 1
        while true {
            do {
                return try await transaction { tx in try await body(tx) }
            } catch let error where attempt < Self.attempts && Self.isWorthAnotherTry(error) {
                try await Task.sleep(for: .milliseconds(Int.random(in: 5...(20 * attempt * attempt))))
                attempt += 1
            }
        }
    }

    private static func isWorthAnotherTry(_ error: any Error) -> Bool {
        if error is SpanIntake.Moved { return true }
        return (error as? PostgresError)?.isRetryable ?? false
    }
}
