import Postgres
import TestSupport
import Testing

@Suite("A connection runs statements, names its errors and survives them")
struct ConnectionTests {
    @Test("An error has SQLSTATE, the statement's name and the constraint, and no value in its description")
    func serverErrors() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript(
                """
                CREATE TABLE t (id int4 PRIMARY KEY, n int4 NOT NULL, CONSTRAINT small CHECK (n < 10));
                CREATE TABLE u (t_id int4 CONSTRAINT to_t REFERENCES t (id));
                INSERT INTO t VALUES (4711, 1);
                """
            )
            let insert = Statement("insert_t", "INSERT INTO t VALUES ($1, $2)")
            let unique = try await postgresError { try await connection.execute(insert, [4711, 1]) }
            #expect(unique.isUniqueViolation && unique.sqlState == "23505" && unique.kind == .server)
            #expect(unique.statementName == "insert_t" && unique.constraintName == "t_pkey" && unique.tableName == "t")
            #expect(unique.detail?.contains("4711") ?? false)
            #expect(!unique.description.contains("4711") && unique.description.contains("insert_t"))
            #expect(unique.debugDescription.contains("4711"))
            let check = try await postgresError { try await connection.execute(insert, [1, 4711]) }
            #expect(check.isCheckViolation && check.constraintName == "small")
            let null = try await postgresError { try await connection.execute(insert, [1, nil]) }
            #expect(null.isNotNullViolation && null.columnName == "n")
            let foreign = try await postgresError {
                try await connection.execute(Statement("insert_u", "INSERT INTO u VALUES ($1)"), [1])
            }
            #expect(foreign.isForeignKeyViolation && foreign.constraintName == "to_t")
            let missing = try await postgresError { try await connection.execute(Statement("gone", "SELECT * FROM nowhere")) }
            #expect(missing.isUndefinedTable && missing.statementName == "gone")
            let value = try await postgresError {
                _ = try await connection.query(Statement("parse", "SELECT $1::uuid"), ["not-a-uuid-4711"])
            }
            #expect(value.sqlState == "22P02" && value.isDataException)
            #expect(!value.description.contains("4711") && value.debugDescription.contains("4711"))
            #expect(connection.isUsable)
            #expect(try await connection.query(Statement("one", "SELECT 1")).only().int64(0) == 1)
        }
    }

    @Test("A name stands for one text of SQL")
    func statementNames() async throws {
        try await withTestConnection { connection in
            _ = try await connection.query(Statement("same", "SELECT 1"))
            let error = try await postgresError { _ = try await connection.query(Statement("same", "SELECT 2")) }
            #expect(error.kind == .usage)
            _ = try await postgresError { _ = try await connection.query(Statement("", "SELECT 2")) }
            _ = try await postgresError { _ = try await connection.query(Statement(String(repeating: "n", count: 64), "SELECT 2")) }
            let several = try await postgresError { _ = try await connection.query(Statement("several", "SELECT 1; SELECT 2")) }
            #expect(several.sqlState == "42601")
        }
    }

    @Test("A plan that the server has forgotten or outgrown is made anew")
    func forgottenPlans() async throws {
        try await withTestConnection { connection in
            let all = Statement("all \"t\"", "SELECT * FROM t")
            try await connection.executeScript("CREATE TABLE t (a int4); INSERT INTO t VALUES (1)")
            #expect(try await connection.query(all).columnNames == ["a"])
            try await connection.executeScript("ALTER TABLE t ADD b text DEFAULT 'new'")
            #expect(try await connection.query(all).only().string("b") == "new")
            try await connection.executeScript("DISCARD ALL")
            #expect(try await connection.query(all).columnNames == ["a", "b"])
            // Inside a transaction the statement has failed, but the next transaction works.
            try await connection.executeScript("ALTER TABLE t DROP b")
            let error = try await postgresError { try await connection.transaction { _ = try await $0.query(all) } }
            #expect(error.sqlState == "0A000")
            #expect(try await connection.query(all).columnNames == ["a"])
        }
    }

    @Test("execute counts the rows it touched")
    func affectedRows() async throws {
        try await withTestConnection { connection in
            try await connection.executeScript("CREATE TABLE t (a int4)")
            #expect(try await connection.execute(Statement("i", "INSERT INTO t SELECT generate_series(1, $1::int4)"), [7]) == 7)
            #expect(try await connection.execute(Statement("u", "UPDATE t SET a = a WHERE a > $1"), [5]) == 2)
            #expect(try await connection.execute(Statement("d", "DELETE FROM t")) == 7)
            #expect(try await connection.execute(Statement("c", "CREATE TABLE u ()")) == 0)
        }
    }

    @Test("A script is all or nothing, and a COPY in it is refused, not waited for")
    func scripts() async throws {
        try await withTestConnection { connection in
            let error = try await postgresError {
                try await connection.executeScript("CREATE TABLE a (); CREATE TABLE b (); SELECT 1 / 0; CREATE TABLE c ()")
            }
            #expect(error.sqlState == "22012")
            let count = Statement("count", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            #expect(try await connection.query(count).only().int64(0) == 0)
            try await connection.executeScript("CREATE TABLE a (x int4)")
            _ = try await postgresError { try await connection.executeScript("COPY a FROM STDIN") }
            _ = try await postgresError { try await connection.executeScript("COPY a TO STDOUT") }
            _ = try await postgresError { try await connection.execute(Statement("copy", "COPY a TO STDOUT")) }
            #expect(connection.isUsable)
            #expect(try await connection.query(count).only().int64(0) == 1)
        }
    }

    @Test("What the server closed is noticed, and says so")
    func lostConnection() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let victim = try await PostgresConnection.connect(to: connectionString)
            let other = try await PostgresConnection.connect(to: connectionString)
            let kill = Statement("kill", "SELECT pg_terminate_backend($1, 5000)")
            #expect(try await other.query(kill, [.int4(victim.backendProcessID)]).only().bool(0))
            let error = try await postgresError { _ = try await victim.query(Statement("one", "SELECT 1")) }
            #expect(error.isConnectionLost)
            #expect(!victim.isUsable)
            let after = try await postgresError { _ = try await victim.query(Statement("one", "SELECT 1")) }
            #expect(after.isConnectionLost)
            await victim.close()
            await victim.close()
            let closed = try await postgresError { try await victim.executeScript("SELECT 1") }
            #expect(closed.isConnectionLost)
        }
    }

    @Test("A statement under way when the connection is ended reports 57P01")
    func endedUnderWay() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let victim = try await PostgresConnection.connect(to: connectionString)
            let other = try await PostgresConnection.connect(to: connectionString)
            async let sleeping = postgresError { _ = try await victim.query(Statement("sleep", "SELECT pg_sleep(60)")) }
            try await waitUntilActive(victim.backendProcessID, other)
            _ = try await other.query(Statement("kill", "SELECT pg_terminate_backend($1)"), [.int4(victim.backendProcessID)])
            let error = try await sleeping
            #expect(error.sqlState == "57P01" && error.isConnectionLost && error.statementName == "sleep")
            #expect(!victim.isUsable)
        }
    }

    @Test("A failed connection says why, with SQLSTATE when a server answered")
    func connectFailures() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let missing = try await postgresError { _ = try await PostgresConnection.connect(to: connectionString + " dbname=nowhere") }
            #expect(missing.sqlState == "3D000" && missing.isConnectionLost)
            #expect(missing.message.contains("nowhere") && !missing.message.contains("LOCATION"))
            let noServer = try await postgresError { _ = try await PostgresConnection.connect(to: "host=/nonexistent dbname=x") }
            #expect(noServer.kind == .connection && noServer.sqlState == nil)
            let nonsense = try await postgresError { _ = try await PostgresConnection.connect(to: "host=") }
            #expect(nonsense.kind == .connection)
        }
    }

    @Test("Connecting ends after the time limit when nobody answers", .timeLimit(.minutes(5)))
    func connectTimeout() async throws {
        // A listener with a full backlog of nothing: it accepts the connection and never speaks.
        let silent = try SilentServer()
        let time = try await duration {
            let error = try await postgresError {
                _ = try await PostgresConnection.connect(
                    to: "host=127.0.0.1 port=\(silent.port) dbname=x sslmode=disable",
                    connectTimeout: .milliseconds(200)
                )
            }
            #expect(error.kind == .connection && error.message.contains("0.2 seconds"), "\(error)")
        }
        #expect(time > .milliseconds(190))
        withExtendedLifetime(silent) {}
    }

    @Test("The application name shows in pg_stat_activity")
    func applicationName() async throws {
        try await withTestConnection { connection in
            let row = try await connection.query(
                Statement("self", "SELECT application_name, pid FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            ).only()
            #expect(try row.string("application_name") == "tests")
            #expect(try row.int32("pid") == connection.backendProcessID)
        }
    }
}

/// Waits until the server process runs a statement.
func waitUntilActive(_ pid: Int32, _ observer: PostgresConnection) async throws {
    let state = Statement("state_of", "SELECT state FROM pg_stat_activity WHERE pid = $1 AND state = 'active'")
    while try await observer.query(state, [.int4(pid)]).isEmpty { try await Task.sleep(for: .milliseconds(2)) }
}
