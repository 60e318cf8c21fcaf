import Foundation
import Postgres

/// A Postgres server of a test's own that listens on a port, may be killed, followed by a standby and promoted.
actor DatabaseServer {
    nonisolated let port: Int
    private let scratch: Scratch
    private let directory: String
    private let settings: [String: String]
    private var program: Program?

    private init(_ scratch: Scratch, name: String, settings: [String: String]) throws {
        self.scratch = scratch
        self.settings = settings
        directory = scratch.path + "/" + name
        port = try Collector.freePort()
    }

    /// A conninfo string for the server itself, past any relay.
    nonisolated var connectionString: String { "host=127.0.0.1 port=\(port) user=wattle dbname=wattle" }

    /// Makes a cluster with a database, and starts it.
    static func primary(_ scratch: Scratch, name: String = "primary", settings: [String: String] = [:]) async throws -> DatabaseServer {
        let server = try DatabaseServer(scratch, name: name, settings: settings)
        try await server.makeDirectory()
        try await server.command(
            "initdb",
            ["-U", "wattle", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-D", server.directory]
        )
        try await server.start()
        try await server.command("createdb", ["-h", "127.0.0.1", "-p", "\(server.port)", "-U", "wattle", "wattle"])
        return server
    }

    /// A copy of a running server that follows it.
    ///
    /// - Parameter port: where the other is reached.
    static func standby(
        _ scratch: Scratch,
        name: String = "standby",
        followingPort port: Int,
        settings: [String: String] = [:]
    ) async throws -> DatabaseServer {
        let server = try DatabaseServer(scratch, name: name, settings: settings)
        try await server.makeDirectory()
        try await server.command(
            "pg_basebackup",
            ["-h", "127.0.0.1", "-p", "\(port)", "-U", "wattle", "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D", server.directory]
        )
        try await server.start()
        return server
    }

    /// Starts it, again after a kill, and waits until it answers.
    func start() async throws {
        try await patiently("the database server in \(directory)", log: { self.program?.errors ?? "" }) {
            // After a kill the old server's processes need a moment to notice; until then a new one ends at once.
            if program?.isRunning != true { try launch() }
            do {
                let connection = try await PostgresConnection.connect(
                    to: "host=127.0.0.1 port=\(port) user=wattle dbname=postgres",
                    connectTimeout: .seconds(5)
                )
                await connection.close()
                return true
            } catch {
                return false
            }
        }
    }

    /// As the kernel does when memory is short.
    func kill() async throws {
        program?.signal(SIGKILL)
        _ = try await program?.wait()
    }

    func stop() async throws {
        program?.signal(SIGQUIT)
        _ = try await program?.wait()
        program = nil
    }

    func promote() async throws { try await command("pg_ctl", ["promote", "-w", "-D", directory]) }

    func query(_ sql: String) async throws -> PostgresRows {
        let connection = try await PostgresConnection.connect(to: connectionString)
        do {
            let rows = try await connection.query(Statement("test", sql))
            await connection.close()
            return rows
        } catch {
            await connection.close()
            throw error
        }
    }

    // MARK: Programs

    private func launch() throws {
        let fixed = [
            "port": "\(port)", "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "shared_buffers": "32MB",
            "max_wal_senders": "4", "logging_collector": "off",
        ]
        let options = fixed.merging(settings) { $1 }.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
        let (name, arguments) = try Self.asOwner("postgres", ["-D", directory] + options)
        program = try Program(name, arguments, in: scratch, log: "postgres")
    }

    private func command(_ name: String, _ arguments: [String]) async throws {
        let (program, all) = try Self.asOwner(name, arguments)
        let done = try await Program.run(program, all, in: scratch)
        guard done.code == 0 else { throw Timeout(what: "\(name) to succeed", log: done.errors + done.output) }
    }

    private func makeDirectory() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        chmod(directory, 0o700)
        guard geteuid() == 0 else { return }
        guard let owner = getpwnam("postgres") else { throw Timeout(what: "a user postgres", log: "apt install postgresql makes it") }
        chown(directory, owner.pointee.pw_uid, owner.pointee.pw_gid)
    }

    /// The server refuses root. `setpriv` becomes what it starts, so the process is the server itself.
    private static func asOwner(_ name: String, _ arguments: [String]) throws -> (String, [String]) {
        let path = try binaries() + "/" + name
        guard geteuid() == 0 else { return (path, arguments) }
        return ("setpriv", ["--reuid=postgres", "--regid=postgres", "--init-groups", path] + arguments)
    }

    private static func binaries() throws -> String {
        if let named = ProcessInfo.processInfo.environment["WATTLE_PG_BINDIR"], !named.isEmpty { return named }
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []  // Elsewhere than on Debian: PATH's, below.
        if let newest = versions.max(by: { (Double($0) ?? 0) < (Double($1) ?? 0) }) { return "\(root)/\(newest)/bin" }
        for directory in (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        where FileManager.default.isExecutableFile(atPath: "\(directory)/initdb") { return String(directory) }
        throw Timeout(what: "a PostgreSQL server on this machine", log: "install it, or name its folder in WATTLE_PG_BINDIR")
    }
}
