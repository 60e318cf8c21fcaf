import Postgres

extension PostgresPool {
    /// Runs a transaction that may meet others on the same rows: after a deadlock, a failed serialisation or a moved run it is run again,
    /// a few times and a little later each time.
    func retriedTransaction<Value: Sendable>(
        attempts: Int = 8,
        _ body: @escaping @Sendable (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        var attempt = 1
        while true {
            do {
                return try await withConnection { connection in try await connection.transaction { tx in try await body(tx) } }
            } catch let error where attempt < attempts && Self.isWorthAnotherTry(error) {
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
