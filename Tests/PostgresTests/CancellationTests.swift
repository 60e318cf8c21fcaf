import Postgres
import TestSupport
import Testing

@Suite("A cancelled task ends its statement on the server")
struct CancellationTests {
    private static let sleep = Statement("sleep", "SELECT pg_sleep(60)")

    @Test("A sleeping statement ends within 100 ms with 57014, and the connection goes on")
    func cancelSleep() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let connection = try await PostgresConnection.connect(to: connectionString)
            let observer = try await PostgresConnection.connect(to: connectionString)
            // The best of several, because the machine has other things to do.
            var best = Duration.seconds(60)
            for _ in 0..<10 where best >= .milliseconds(100) {
                try await withThrowingTaskGroup(of: PostgresError.self) { group in
                    group.addTask { try await postgresError { _ = try await connection.query(Self.sleep) } }
                    try await waitUntilActive(connection.backendProcessID, observer)
                    let start = ContinuousClock.now
                    group.cancelAll()
                    let error = try #require(try await group.next())
                    best = min(best, start.duration(to: .now))
                    #expect(error.isCancelled && error.sqlState == "57014" && error.statementName == "sleep")
                }
                #expect(connection.isUsable)
                #expect(try await connection.query(Statement("one", "SELECT 1")).only().int64(0) == 1)
            }
            #expect(best < .milliseconds(100))
        }
    }

    @Test("Wherever in a statement's life the cancellation falls, the statement ends and the next one is untouched")
    func cancelAtAnyMoment() async throws {
        try await withTestConnection { connection in
            for delay in 0..<60 {
                let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                    group.addTask { try await postgresError { _ = try await connection.query(Self.sleep) } }
                    try await Task.sleep(for: .microseconds(delay * 20))
                    group.cancelAll()
                    return try #require(try await group.next())
                }
                #expect(error.isCancelled)
                #expect(try await connection.query(Statement("one", "SELECT 1")).only().int64(0) == 1)
            }
        }
    }

    @Test("Nothing is sent for a task that is cancelled already")
    func cancelledBefore() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.cancelAll()
                group.addTask {
                    let error = try await postgresError { try await connection.execute(Statement("i", "INSERT INTO t VALUES (1)")) }
                    #expect(error.isCancelled)
                }
                try await group.waitForAll()
            }
            #expect(try await connection.query(Statement("c", "SELECT count(*) FROM t")).only().int64(0) == 0)
        }
    }

    @Test("Eight statements on eight connections run at once, and hold no thread that other tasks need", .timeLimit(.minutes(5)))
    func overlap() async throws {
        try await TestPostgres.withDatabase { connectionString in
            var connections: [PostgresConnection] = []
            for _ in 0..<8 { connections.append(try await PostgresConnection.connect(to: connectionString)) }
            // Not a matter of time, so that a busy machine does not matter: the statements end only when all eight have been seen at work,
            // and the eye that sees them is a task on the same pool as theirs.
            let observer = try await PostgresConnection.connect(to: connectionString)
            try await withThrowingTaskGroup(of: PostgresError.self) { group in
                for connection in connections {
                    group.addTask { try await postgresError { _ = try await connection.query(Self.sleep) } }
                }
                let asleep = Statement(
                    "asleep",
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
                )
                while try await observer.query(asleep).only().int64(0) < 8 { try await Task.sleep(for: .milliseconds(5)) }
                group.cancelAll()
                for try await error in group { #expect(error.isCancelled) }
            }
        }
    }

    @Test("Connecting can be cancelled", .timeLimit(.minutes(5)))
    func cancelConnect() async throws {
        let silent = try SilentServer()
        let port = silent.port
        try await withThrowingTaskGroup(of: PostgresError.self) { group in
            group.addTask {
                try await postgresError {
                    _ = try await PostgresConnection.connect(
                        to: "host=127.0.0.1 port=\(port) dbname=x sslmode=disable",
                        connectTimeout: .seconds(600)
                    )
                }
            }
            try await Task.sleep(for: .milliseconds(50))
            group.cancelAll()
            let error = try #require(try await group.next())
            #expect(error.isCancelled)
        }
        withExtendedLifetime(silent) {}
    }
}
