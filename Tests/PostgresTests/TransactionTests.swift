import Postgres
import TestSupport
import Testing

@Suite("A transaction happens as a whole or not at all")
struct TransactionTests {
    private static let insert = Statement("insert_t", "INSERT INTO t VALUES ($1)")
    private static let count = Statement("count_t", "SELECT count(*) FROM t")

    private struct Stop: Error {}

    @Test("What the body returns is returned, and is committed")
    func commit() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            let value = try await connection.transaction { transaction in
                try await transaction.execute(Self.insert, [1])
                return 5
            }
            #expect(value == 5)
            try await connection.executeScript("ROLLBACK")
            #expect(try await connection.query(Self.count).only().int64(0) == 1)
        }
    }

    @Test("An error of the body rolls back and is thrown on")
    func rollBack() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            await #expect(throws: Stop.self) {
                try await connection.transaction { transaction in
                    try await transaction.execute(Self.insert, [1])
                    throw Stop()
                }
            }
            #expect(try await connection.query(Self.count).only().int64(0) == 0)
        }
    }

    @Test("An error that the body swallows still fails the transaction")
    func swallowedError() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            let error = try await postgresError {
                try await connection.transaction { transaction in
                    try await transaction.execute(Self.insert, [1])
                    _ = try await postgresError { _ = try await transaction.query(Statement("bad", "SELECT 1 / 0")) }
                }
            }
            #expect(error.sqlState == "25P02")
            #expect(try await connection.query(Self.count).only().int64(0) == 0)
        }
    }

    @Test("A deferred constraint speaks at COMMIT, and the connection goes on")
    func deferredConstraint() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4 UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            let error = try await postgresError {
                try await connection.transaction { transaction in
                    try await transaction.execute(Self.insert, [1])
                    try await transaction.execute(Self.insert, [1])
                }
            }
            #expect(error.isUniqueViolation && error.statementName == "commit")
            #expect(try await connection.query(Self.count).only().int64(0) == 0)
        }
    }

    @Test("A cancelled task rolls back, even when its last statement had succeeded")
    func cancelled() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                let (inserted, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                group.addTask {
                    try await postgresError {
                        try await connection.transaction { transaction in
                            try await transaction.execute(Self.insert, [1])
                            continuation.yield()
                            // Ignores the cancellation, like a body that is nearly done.
                            try? await Task.sleep(for: .seconds(60))
                        }
                    }
                }
                for await _ in inserted { break }
                group.cancelAll()
                return try #require(try await group.next())
            }
            #expect(error.isCancelled)
            #expect(try await connection.query(Self.count).only().int64(0) == 0)
        }
    }

    @Test("Transactions do not nest, and the outer one goes on")
    func nesting() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            try await connection.transaction { transaction in
                try await transaction.execute(Self.insert, [1])
                let error = try await postgresError { try await transaction.transaction { _ in } }
                #expect(error.kind == .usage)
            }
            #expect(try await connection.query(Self.count).only().int64(0) == 1)
        }
    }

    @Test("Read only and isolation reach the server; a serialization failure can be told")
    func isolation() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let one = try await PostgresConnection.connect(to: connectionString)
            let two = try await PostgresConnection.connect(to: connectionString)
            try await one.executeScript("CREATE TABLE t (a int4); INSERT INTO t VALUES (1)")
            let level = Statement("level", "SELECT current_setting('transaction_isolation')")
            #expect(try await one.transaction(isolation: .serializable) { try await $0.query(level).only().string(0) } == "serializable")
            let readOnly = try await postgresError {
                _ = try await one.transaction(readOnly: true) { try await $0.execute(Self.insert, [1]) }
            }
            #expect(readOnly.sqlState == "25006")
            let update = Statement("update_t", "UPDATE t SET a = a + 1")
            let conflict = try await postgresError {
                try await one.transaction(isolation: .repeatableRead) { transaction in
                    _ = try await transaction.query(Self.count)
                    try await two.execute(update)
                    try await transaction.execute(update)
                }
            }
            #expect(conflict.isSerializationFailure && conflict.isRetryable)
        }
    }
}
