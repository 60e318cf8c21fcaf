import TestSupport
import Testing

@testable import Postgres

@Suite("A connection string may name several hosts")
struct SeveralHostsTests {
    /// Host and port of the test cluster: the folder of its socket.
    private static func place(_ connectionString: String) throws -> (host: String, port: String) {
        let words = connectionString.split(separator: " ")
        func value(_ keyword: String) -> String? {
            words.last { $0.hasPrefix(keyword + "=") }.map { String($0.dropFirst(keyword.count + 1)) }
        }
        return (try #require(value("host")).filter { $0 != "'" }, value("port") ?? "5432")
    }

    @Test("A host that never answers costs its share of the time, and the next one is asked", .timeLimit(.minutes(5)))
    func silentHost() async throws {
        let silent = try SilentServer()
        try await TestPostgres.withDatabase { connectionString in
            let (directory, port) = try Self.place(connectionString)
            let time = try await duration {
                let connection = try await PostgresConnection.connect(
                    to: connectionString + " sslmode=disable host=127.0.0.1,\(directory) port=\(silent.port),\(port)",
                    connectTimeout: .milliseconds(1_000)
                )
                #expect(try await connection.query(Statement("one", "SELECT 1 AS n")).first?.int32("n") == 1)
                await connection.close()
            }
            #expect(time > .milliseconds(490))
        }
        withExtendedLifetime(silent) {}
    }

    @Test("When none can be reached, the error names each with its reason")
    func noHost() async throws {
        let error = try await postgresError {
            _ = try await PostgresConnection.connect(to: "host=/nowhere,/nowhere-else port=1,2 dbname=x")
        }
        #expect(error.isConnectionLost)
        #expect(error.message.contains("/nowhere:1: ") && error.message.contains("/nowhere-else:2: "), "\(error)")
    }

    @Test("A server that only reads is passed over for one that writes, and is no more lent once it says so", .timeLimit(.minutes(5)))
    func readOnly() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let observer = try await PostgresConnection.connect(to: connectionString)
            let name = try await observer.query(Statement("name", "SELECT current_database() AS name")).only().string("name")
            try await observer.executeScript("CREATE TABLE t (n int); ALTER DATABASE \(name) SET default_transaction_read_only = on")
            let (directory, _) = try Self.place(connectionString)
            let wanted = try await postgresError {
                _ = try await PostgresConnection.connect(
                    to: connectionString + " host=\(directory),\(directory) target_session_attrs=read-write"
                )
            }
            #expect(wanted.isConnectionLost && wanted.message.contains("read-only"), "\(wanted)")

            // Who names no attribute gets a server that only reads, until it is the one that writes.
            let pool = PostgresPool(connectionString: connectionString, maximumConnections: 1)
            let insert = Statement("insert", "INSERT INTO t VALUES (1)")
            let refused = try await postgresError { try await pool.withConnection { _ = try await $0.execute(insert) } }
            #expect(refused.sqlState == "25006" && refused.isConnectionLost)
            #expect(pool.counts.idle == 0)
            try await observer.executeScript("ALTER DATABASE \(name) RESET default_transaction_read_only")
            try await pool.withConnection { _ = try await $0.execute(insert) }
            await pool.shutDown()
            await observer.close()
        }
    }

    @Test("Each connection of a pool has its settings, but for those that the server does not take")
    func settings() async throws {
        try await TestPostgres.withDatabase { connectionString in
            let pool = PostgresPool(
                connectionString: connectionString,
                maximumConnections: 1,
                sessionSettings: ["idle_in_transaction_session_timeout": "61s", "client_connection_check_interval": "never"]
            )
            let shown = try await pool.withConnection {
                try await $0.query(Statement("show", "SHOW idle_in_transaction_session_timeout")).only().string(
                    "idle_in_transaction_session_timeout"
                )
            }
            #expect(shown == "61s")
            await pool.shutDown()
        }
    }

    @Test("Ports and addresses belong to hosts in their order; a preference asks all hosts before it is given up")
    func places() {
        let two = ServerPlace.places(of: "postgresql://u@a:1,b:2/db?target_session_attrs=read-write&connect_timeout=3")
        #expect(two.map(\.description) == ["a:1", "b:2"])
        #expect(two.allSatisfy { $0.connectTimeout == .seconds(3) })
        #expect(two[1].parameters.map { "\($0)=\($1)" } == ["host=b", "port=2"])
        #expect(ServerPlace.places(of: "host=a,b port=7").map(\.description) == ["a:7", "b:7"])
        #expect(ServerPlace.places(of: "host=a hostaddr=127.0.0.1 port=7").map(\.description) == [""])
        // Nothing that libpq can make sense of: it says so itself.
        #expect(ServerPlace.places(of: "host=a,b,c port=1,2").map(\.description) == [""])
        #expect(ServerPlace.places(of: "nonsense").count == 1)
        let preferred = ServerPlace.places(of: "host=a,b target_session_attrs=prefer-standby")
        #expect(preferred.map { $0.parameters.last?.1 } == ["standby", "standby", "any", "any"])
    }
}
