import Dispatch
import Postgres
import TestSupport
import Testing

/// Runs `body` with a connection to a database of its own.
nonisolated(nonsending) func withTestConnection(_ body: nonisolated(nonsending) (_ connection: PostgresConnection) async throws -> Void)
    async throws
{
    try await TestPostgres.withDatabase { connectionString in
        let connection = try await PostgresConnection.connect(to: connectionString, applicationName: "tests")
        try await body(connection)
        await connection.close()
    }
}

/// The error that `body` throws; a test issue when it throws none or another type.
nonisolated(nonsending) func postgresError(
    _ sourceLocation: SourceLocation = #_sourceLocation,
    from body: nonisolated(nonsending) () async throws -> Void
) async throws -> PostgresError {
    do {
        try await body()
    } catch let error as PostgresError {
        return error
    }
    Issue.record("expected a PostgresError, nothing was thrown", sourceLocation: sourceLocation)
    throw PostgresError(.usage, "nothing was thrown")
}

/// How long `body` takes.
nonisolated(nonsending) func duration(of body: nonisolated(nonsending) () async throws -> Void) async rethrows -> Duration {
    let start = ContinuousClock.now
    try await body()
    return start.duration(to: .now)
}

/// Runs work that blocks on a thread of its own, for the pool that all other tests run on has only as many as there are cores.
func blocking<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "blocking-test").async { continuation.resume(with: Result { try work() }) }
    }
}
