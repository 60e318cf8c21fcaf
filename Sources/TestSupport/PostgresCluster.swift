import Logging
public import Postgres

/// Real Postgres databases for tests.
///
/// A test process makes one throw-away cluster when the first test asks for a database, and removes it when it exits. What a killed test
/// process left behind is found and removed by the next one. Each database is empty, or a copy of a template, and shared with nobody.
public enum TestPostgres {
    /// Runs `body` with a new database and drops that afterwards.
    ///
    /// - Parameters:
    ///   - template: what the database is a copy of; nil: empty.
    ///   - body: gets the conninfo string.
    public nonisolated(nonsending) static func withDatabase<Value>(
        from template: TestTemplate? = nil,
        _ body: nonisolated(nonsending) (_ connectionString: String) async throws -> Value
    ) async throws -> Value {
        let name = try await TestCluster.shared.makeDatabase(from: template)
        let value: Value
        do {
            value = try await body(try await TestCluster.shared.connectionString(of: name))
        } catch {
            try await TestCluster.shared.drop(name)
            throw error
        }
        try await TestCluster.shared.drop(name)
        return value
    }

    /// A new database that lives until this process ends. Returns its conninfo string.
    public static func database(from template: TestTemplate? = nil) async throws -> String {
        let name = try await TestCluster.shared.makeDatabase(from: template)
        return try await TestCluster.shared.connectionString(of: name)
    }
}

/// A database that is prepared once in a test process and then copied, which is much faster than preparing each.
public struct TestTemplate: Sendable {
    /// Two templates of one name are taken for the same.
    public var name: String
    var prepare: @Sendable (PostgresConnection) async throws -> Void

    /// `prepare` fills the template: runs migrations, inserts what all tests share.
    public init(_ name: String, prepare: @escaping @Sendable (PostgresConnection) async throws -> Void) {
        self.name = name
        self.prepare = prepare
    }
}

/// The one cluster of this process.
private actor TestCluster {
    static let shared = TestCluster()

    // Tasks, so that all who ask while the first is still making it wait for the same one; each is awaited by whoever asks.
    private var running: Task<EmbeddedCluster, any Error>?
    private var administration: PostgresPool?
    private var templates: [String: Task<String, any Error>] = [:]
    private var count = 0

    func makeDatabase(from template: TestTemplate?) async throws -> String {
        let source: String
        if let template { source = try await name(of: template) } else { source = "template0" }
        count += 1
        let name = "test_\(count)"
        try await administer("CREATE DATABASE \(name) TEMPLATE \(source)")
        return name
    }

    func drop(_ name: String) async throws {
        try await administer("DROP DATABASE \(name) WITH (FORCE)")
    }

    func connectionString(of name: String) async throws -> String {
        // Of two values for one key, libpq takes the later one.
        try await cluster().connectionString + " dbname=\(name)"
    }

    private func name(of template: TestTemplate) async throws -> String {
        if let task = templates[template.name] { return try await task.value }
        let name = "template_\(templates.count)"
        let task = Task {
            try await administer("CREATE DATABASE \(name) TEMPLATE template0")
            let connection = try await PostgresConnection.connect(
                to: try await connectionString(of: name),
                applicationName: "test template"
            )
            do {
                try await template.prepare(connection)
            } catch {
                await connection.close()
                throw error
            }
            await connection.close()
            // The server process of the closed connection may need a moment to go, and a template must have no visitors.
            try await administer("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '\(name)'")
            return name
        }
        templates[template.name] = task
        return try await task.value
    }

    private func administer(_ sql: String) async throws {
        let cluster = try await cluster()
        let pool: PostgresPool
        if let administration {
            pool = administration
        } else {
            pool = PostgresPool(
                connectionString: cluster.connectionString,
                maximumConnections: 4,
                waitLimit: .seconds(120),
                applicationName: "test administration"
            )
            administration = pool
        }
        try await pool.withConnection { try await $0.executeScript(sql) }
    }

    private func cluster() async throws -> EmbeddedCluster {
        if let running { return try await running.value }
        let task = Task {
            await TestClusterFolder.removeAbandoned()
            let folder = try TestClusterFolder(clusterIn: "cluster")
            folder.removeAtExit()
            return try await EmbeddedCluster.start(
                directory: folder.directory,
                // Nothing in it has to outlive the process, let alone the machine.
                settings: [
                    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200",
                    "logging_collector": "off",
                ],
                log: Logger(label: "test-cluster", factory: { _ in SwiftLogNoOpLogHandler() })
            )
        }
        running = task
        return try await task.value
    }
}
