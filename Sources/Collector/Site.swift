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
    /// How long an answer may be computed once it has a connection.
    var longestAnswer = Duration.seconds(10)
    /// Agents' batches on their way into the database.
    var readings = ReadingsQueue()
    var admission = ReadingsAdmission()
    /// Who answers what only reads, where the asker may be told a little late; nil: the primary answers all.
    var replica: ReadReplica?

    /// For what is answered after its request: as the request under way wants it.
    var asWanted: Site {
        var site = self
        if ReadFreshness.current?.isLatestWanted ?? false { site.replica = nil }
        return site
    }

    /// Runs a closure in one read-only snapshot, so that the numbers of one answer belong together; twice where the replica gives up.
    func snapshot<T: Sendable>(_ body: @escaping @Sendable (PostgresConnection) async throws -> T) async throws -> T {
        if let replica = asWanted.replica, replica.isThere {
            do {
                return try await replica.pool.withConnection { connection in
                    // Before the snapshot: what it says is in there.
                    if let asOf = try await ReadReplica.asOf(connection) { ReadFreshness.current?.note(asOf) }
                    return try await connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in try await body(tx) }
                }
            } catch let error as PostgresError where replica.isReplaced(after: error) {}
        }
        return try await pool.withConnection { connection in
            try await connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in try await body(tx) }
        }
    }

    /// A snapshot for questions that may touch many rows: one that takes too long is ended, and the asker told to ask for less.
    ///
    /// Both are bounded: each statement, by the server, and the whole of it, however many statements it takes, from the moment that it has
    /// a connection.
    ///
    /// - Throws: `Problem` 422.
    func bounded<T: Sendable>(_ body: @escaping @Sendable (PostgresConnection) async throws -> T) async throws -> T {
        do {
            return try await snapshot { [longestAnswer] connection in
                _ = try await connection.execute(Statement("bound_statements", "SET LOCAL statement_timeout = '5s'"), [])
                return try await withThrowingTaskGroup(of: Race<T>.self) { tasks in
                    // Cancelling a task cancels the statement that it waits for.
                    defer { tasks.cancelAll() }
                    tasks.addTask { .answered(try await body(connection)) }
                    tasks.addTask {
                        try await Task.sleep(for: longestAnswer)
                        return .late
                    }
                    guard case .answered(let answer) = try await tasks.next() else { throw Self.tooLarge }
                    return answer
                }
            }
        } catch let error as PostgresError where error.isCancelled && !Task.isCancelled {
            throw Self.tooLarge
        }
    }

    private enum Race<T: Sendable>: Sendable {
        case answered(T)
        case late
    }

    static let tooLarge = Problem.unprocessable(
        "question-too-large",
        "The question touches too much",
        "expected an answer within 10 s, and within 5 s of each statement, found more; ask for a shorter time (from, to) or for less "
            + "(service, repository, host)"
    )
}
