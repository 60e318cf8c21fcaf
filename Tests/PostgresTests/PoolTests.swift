import Postgres
import TestSupport
import Testing

@Suite("A pool lends a bounded number of connections")
struct PoolTests {
    private static let one = Statement("one", "SELECT 1")

    @Test("Never more connections than allowed, and everyone is served")
    func bound() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 3, waitLimit: .seconds(120))
            let pids = try await withThrowingTaskGroup(of: Int32.self) { group in
                for _ in 0..<60 {
                    group.addTask {
                        try await pool.withConnection { connection in
                            _ = try await connection.query(Statement("nap", "SELECT pg_sleep(0.002)"))
                            #expect(pool.counts.inUse <= 3)
                            return connection.backendProcessID
                        }
                    }
                }
                return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
            }
            #expect(pids.count <= 3)
            #expect(pool.counts.inUse == 0 && pool.counts.waiting == 0)
            await pool.shutDown()
        }
    }

    @Test("Who waits too long is told how many are in use and what to do")
    func waitLimit() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 1, waitLimit: .milliseconds(100))
            try await pool.withConnection { _ in
                var error: PostgresError?
                let time = try await duration {
                    error = try await postgresError { try await pool.withConnection { _ in } }
                }
                #expect(time > .milliseconds(95))
                #expect(error?.kind == .pool)
                #expect(error?.message.contains("1 in use") ?? false)
                #expect(pool.counts.waiting == 0)
            }
            try await pool.withConnection { _ = try await $0.query(Self.one) }
            await pool.shutDown()
        }
    }

    @Test("A cancelled request leaves the queue, and nothing gets lost with it")
    func cancelledWaiter() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 1)
            try await pool.withConnection { _ in
                try await withThrowingTaskGroup(of: PostgresError.self) { group in
                    group.addTask { try await postgresError { try await pool.withConnection { _ in } } }
                    while pool.counts.waiting == 0 { try await Task.sleep(for: .milliseconds(1)) }
                    group.cancelAll()
                    let error = try #require(try await group.next())
                    #expect(error.isCancelled)
                }
                #expect(pool.counts.waiting == 0)
            }
            try await pool.withConnection { _ = try await $0.query(Self.one) }
            #expect(pool.counts.inUse == 0)
            await pool.shutDown()
        }
    }

    @Test("Cancelling at random moments never loses a connection, nor stops the pool", .timeLimit(.minutes(5)))
    func cancellationStorm() async throws {
        try await TestPostgres.withDatabase { connectionString in
            // Some are served, some cancelled, some give up, often at the same moment.
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 2, waitLimit: .milliseconds(5))
            for round in 0..<100 {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<24 {
                        group.addTask {
                            do {
                                try await pool.withConnection { _ = try await $0.query(Statement("nap", "SELECT pg_sleep(0.001)")) }
                            } catch let error as PostgresError {
                                #expect(error.isCancelled || error.kind == .pool, "\(error)")
                            } catch {
                                Issue.record(error)
                            }
                        }
                    }
                    try? await Task.sleep(for: .microseconds(round * 100))
                    group.cancelAll()
                }
                #expect(pool.counts.inUse == 0 && pool.counts.waiting == 0)
            }
            try await pool.withConnection { _ = try await $0.query(Self.one) }
            await pool.shutDown()
        }
    }

    @Test("A connection that the server ended is not lent again")
    func brokenConnection() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 1)
            let observer = try await PostgresConnection.connect(to: connectionString)
            let kill = Statement("kill", "SELECT pg_terminate_backend($1, 5000)")
            // Ended in use: the user sees the error, the pool throws the connection away.
            let error = try await postgresError {
                try await pool.withConnection { connection in
                    _ = try await observer.query(kill, [.int4(connection.backendProcessID)])
                    _ = try await connection.query(Self.one)
                }
            }
            #expect(error.isConnectionLost)
            #expect(pool.counts.idle == 0)
            let pid = try await pool.withConnection { connection in
                _ = try await connection.query(Self.one)
                return connection.backendProcessID
            }
            // Ended while idle: nobody sees it.
            _ = try await observer.query(kill, [.int4(pid)])
            try await Task.sleep(for: .milliseconds(1100))
            let other = try await pool.withConnection { connection in
                _ = try await connection.query(Self.one)
                return connection.backendProcessID
            }
            #expect(other != pid)
            await pool.shutDown()
        }
    }

    @Test("A connection that comes back inside a transaction is closed")
    func openTransaction() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 1)
            let pid = try await pool.withConnection { connection in
                try await connection.executeScript("BEGIN")
                return connection.backendProcessID
            }
            #expect(try await pool.withConnection { $0.backendProcessID } != pid)
            await pool.shutDown()
        }
    }

    @Test("When no connection can be opened, every waiter hears why, and the places are free again")
    func cannotOpen() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString + " dbname=nowhere", maximumConnections: 2)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        let error = try await postgresError { try await pool.withConnection { _ in } }
                        #expect(error.sqlState == "3D000")
                    }
                }
                try await group.waitForAll()
            }
            #expect(pool.counts == (0, 0, 0))
            await pool.shutDown()
        }
    }

    @Test("Shutting down refuses the new, wakes the waiting, and waits for those at work")
    func shutDown() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 1)
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (working, begun) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                let (ending, end) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                group.addTask {
                    try await pool.withConnection { connection in
                        begun.yield()
                        for await _ in ending { break }
                        _ = try await connection.query(Self.one)
                    }
                }
                for await _ in working { break }
                group.addTask {
                    let error = try await postgresError { try await pool.withConnection { _ in } }
                    #expect(error.kind == .pool && error.message.contains("shut down"))
                }
                while pool.counts.waiting == 0 { try await Task.sleep(for: .milliseconds(1)) }
                group.addTask {
                    await pool.shutDown()
                    #expect(pool.counts == (0, 0, 0))
                }
                while pool.counts.waiting > 0 { try await Task.sleep(for: .milliseconds(1)) }
                let error = try await postgresError { try await pool.withConnection { _ in } }
                #expect(error.kind == .pool && error.message.contains("shut down"))
                #expect(pool.counts.inUse == 1, "the one at work has its connection still")
                end.yield()
                try await group.waitForAll()
            }
        }
    }
}
