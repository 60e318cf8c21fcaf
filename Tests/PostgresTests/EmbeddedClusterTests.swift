import Glibc
import Logging
@testable import Postgres
import TestSupport
import Testing

/// Works as root and as an ordinary user; root's run starts the other, see `OrdinaryUserTests`.
@Suite("An embedded cluster comes up, whatever happened before", .serialized)
struct EmbeddedClusterTests {
    private static let log = Logger(label: "cluster-tests", factory: { _ in SwiftLogNoOpLogHandler() })
    private static let one = Statement("one", "SELECT 1")

    /// A directory that only this user can enter, as in a clone under a home of mode 0700. Removed with the cluster afterwards.
    private func withDirectory(
        _ below: String = "farm",
        _ body: nonisolated(nonsending) (_ directory: String) async throws -> Void
    ) async throws {
        let folder = try TestClusterFolder(clusterIn: below)
        do {
            try await body(folder.directory)
        } catch {
            Issue.record(error)
        }
        try await folder.remove()
    }

    private func withConnection(
        _ cluster: EmbeddedCluster,
        _ body: nonisolated(nonsending) (PostgresConnection) async throws -> Void
    ) async throws {
        let connection = try await PostgresConnection.connect(to: cluster.connectionString)
        try await body(connection)
        await connection.close()
    }

    @Test("It is made, stops, starts again and has its data, private to its user and root")
    func lifeCycle() async throws {
        try await withDirectory { directory in
            #expect(try EmbeddedCluster.locate(directory: directory) == nil)
            let first = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            #expect(!first.isAdopted)
            #expect(try EmbeddedCluster.locate(directory: directory) == first.connectionString)
            #expect(getsid(first.serverProcessID) == first.serverProcessID, "Ctrl-C at our terminal must not reach it")
            try await withConnection(first) { connection in
                try await connection.executeScript("CREATE TABLE t AS SELECT 5 AS a")
                func setting(_ name: String) async throws -> String {
                    try await connection.query(Statement("setting", "SELECT current_setting($1)"), [.text(name)]).only().string(0)
                }
                #expect(try await setting("listen_addresses") == "")
                #expect(try await setting("fsync") == "on")
                #expect(try await setting("synchronous_commit") == "on")
                #expect(try await setting("server_encoding") == "UTF8")
                #expect(try await setting("lc_collate") == "C")
                #expect(try await setting("TimeZone") == "UTC")
                #expect(try await setting("data_checksums") == "on")
                #expect(try await connection.query(Statement("me", "SELECT current_user::text")).only().string(0) == "wattle")
            }
            let layout = try #require(try ClusterLayout.existing(directory: directory))
            #expect(ClusterFiles.isPrivateDirectory(layout.data, of: layout.account))
            let sockets = try layout.makeSocketDirectory()
            #expect(ClusterFiles.isPrivateDirectory(sockets, of: layout.account))
            #expect(try await first.stop())
            #expect(access("/proc/\(first.serverProcessID)", F_OK) != 0, "not even a zombie is left")
            #expect(!ClusterFiles.exists(sockets))
            #expect(try EmbeddedCluster.locate(directory: directory) == nil)
            #expect(try await first.stop(), "stopping twice is fine")

            let second = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            #expect(!second.isAdopted)
            try await withConnection(second) { connection in
                let value = try await connection.query(Statement("t", "SELECT a FROM t")).only().int32("a")
                #expect(value == 5)
            }
            try await second.stop()
        }
    }

    @Test("A folder so deep that no socket could lie in it is as good as any")
    func deepFolder() async throws {
        let below = Array(repeating: "a-rather-long-name-of-a-folder ü'", count: 8).joined(separator: "/")
        #expect(below.utf8.count > 200)
        try await withDirectory(below) { directory in
            let cluster = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            try await withConnection(cluster) { _ = try await $0.query(Self.one) }
            try await cluster.stop()
        }
    }

    @Test("After kill -9 of the server amid work, the next start has all that was committed")
    func killedServer() async throws {
        try await withDirectory { directory in
            let first = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            let connection = try await PostgresConnection.connect(to: first.connectionString)
            try await connection.executeScript("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
            let backend = connection.backendProcessID
            let observer = try await PostgresConnection.connect(to: first.connectionString)
            // A backend that computes does not notice that its postmaster is gone, and keeps the next one from starting.
            async let computing = postgresError {
                _ = try await connection.query(Statement("compute", "SELECT count(*) FROM generate_series(1, 100000000000)"))
            }
            try await waitUntilActive(backend, observer)
            kill(first.serverProcessID, SIGKILL)

            let second = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            #expect(!second.isAdopted && second.serverProcessID != first.serverProcessID)
            #expect(!ProcessTable.isRunning(backend))
            let lost = try await computing
            #expect(lost.isConnectionLost)
            try await withConnection(second) { connection in
                let count = try await connection.query(Statement("t", "SELECT count(*) FROM t")).only().int64(0)
                #expect(count == 1000)
            }
            try await second.stop()
        }
    }

    @Test("A running server is adopted; the last user stops it")
    func adoption() async throws {
        try await withDirectory { directory in
            let first = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            let second = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            #expect(second.isAdopted && second.serverProcessID == first.serverProcessID)
            #expect(second.connectionString == first.connectionString)
            #expect(try await first.stop() == false)
            try await withConnection(second) { _ = try await $0.query(Self.one) }
            #expect(try await second.stop())
            #expect(!ProcessTable.isRunning(first.serverProcessID))
        }
    }

    @Test("Two that start at once in a new directory share one server")
    func concurrentStarts() async throws {
        try await withDirectory { directory in
            async let one = EmbeddedCluster.start(directory: directory, log: Self.log)
            async let two = EmbeddedCluster.start(directory: directory, log: Self.log)
            let clusters = try await [one, two]
            let adopted = clusters.count { $0.isAdopted }
            #expect(adopted == 1)
            #expect(clusters[0].serverProcessID == clusters[1].serverProcessID)
            for cluster in clusters { try await withConnection(cluster) { _ = try await $0.query(Self.one) } }
            #expect(try await clusters[0].stop() == false)
            #expect(try await clusters[1].stop())
        }
    }

    @Test("What an interrupted initdb left is thrown away")
    func halfMade() async throws {
        try await withDirectory { directory in
            let layout = try ClusterLayout.prepare(directory: directory)
            try ClusterFiles.makeDirectory(layout.making + "/base", mode: 0o700)
            try ClusterFiles.write("15\n", to: layout.making + "/PG_VERSION")
            // One of its processes is still at it.
            let straggler = try ChildProcess.start("sh", ["-c", "sleep 600; :", "initdb", layout.making], as: nil, output: .discard)
            let cluster = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            try await withConnection(cluster) { _ = try await $0.query(Self.one) }
            while straggler.end == nil { try await Task.sleep(for: .milliseconds(1)) }
            #expect(straggler.end == .signal(SIGKILL))
            #expect(!ClusterFiles.exists(layout.making))
            try await cluster.stop()
        }
    }

    @Test("A folder that is no cluster is not touched")
    func foreignData() async throws {
        try await withDirectory { directory in
            let layout = try ClusterLayout.prepare(directory: directory)
            try ClusterFiles.makeDirectory(layout.data, mode: 0o700)
            try ClusterFiles.write("precious", to: layout.data + "/file")
            let error = try await postgresError { _ = try await EmbeddedCluster.start(directory: directory, log: Self.log) }
            #expect(error.kind == .cluster && error.message.contains(layout.data))
            #expect(ClusterFiles.text(at: layout.data + "/file") == "precious")
        }
    }

    @Test("A postmaster.pid that names another program's process, or a zombie, does not stand in the way")
    func stalePidFile() async throws {
        try await withDirectory { directory in
            let first = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            try await first.stop()
            let layout = try #require(try ClusterLayout.existing(directory: directory))
            // Our child is not waited for until the end, so once it has ended it is a zombie.
            var zombie: pid_t = 0
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
            #expect(posix_spawnp(&zombie, "true", nil, nil, &arguments, nil) == 0)
            free(arguments[0])
            while ProcessTable.isRunning(zombie) { try await Task.sleep(for: .milliseconds(1)) }
            for pid in [getpid(), zombie] {
                let text = "\(pid)\n\(layout.data)\n1700000000\n5432\n/nowhere\n\n  5432   12345\nready   \n"
                try ClusterFiles.write(text, to: layout.data + "/postmaster.pid", mode: 0o600, owner: layout.account)
                #expect(try EmbeddedCluster.locate(directory: directory) == nil)
                let cluster = try await EmbeddedCluster.start(directory: directory, log: Self.log)
                #expect(!cluster.isAdopted)
                try await withConnection(cluster) { _ = try await $0.query(Self.one) }
                try await cluster.stop()
            }
            waitpid(zombie, nil, 0)
        }
    }

    @Test("A server that cannot start says why")
    func cannotStart() async throws {
        try await withDirectory { directory in
            let error = try await postgresError {
                _ = try await EmbeddedCluster.start(directory: directory, settings: ["shared_buffers": "nonsense"], log: Self.log)
            }
            #expect(error.kind == .cluster)
            #expect(error.description.contains("shared_buffers"))
        }
    }

    @Test("A version that is not installed is named with its package")
    func missingVersion() async throws {
        let error = try await postgresError { _ = try await blocking { try ServerBinaries.find(majorVersion: "9") } }
        #expect(error.kind == .cluster)
        #expect(error.description.contains("PostgreSQL 9") && error.description.contains("postgresql-9"))
    }

    @Test("Another user of the machine does not get in", .enabled(if: geteuid() == 0, "needs root, to become another user"))
    func otherUsers() async throws {
        try await withDirectory { directory in
            let cluster = try await EmbeddedCluster.start(directory: directory, log: Self.log)
            let psql = ["-X", "-c", "SELECT 1", cluster.connectionString]
            let nobody = try #require(ServerAccount.named("nobody"))
            let (refused, output) = try await blocking { try ChildProcess.run("psql", psql, as: nobody) }
            #expect(refused != .exit(0))
            #expect(output.contains("Permission denied"))
            let (admitted, _) = try await blocking { try ChildProcess.run("psql", psql, as: nil) }
            #expect(admitted == .exit(0))
            try await cluster.stop()
        }
    }
}

@Suite("The parts of the embedded cluster")
struct ClusterPartsTests {
    @Test("postmaster.pid is read at every stage of its being written")
    func postmasterFile() {
        #expect(PostmasterFile("") == nil)
        #expect(PostmasterFile("\n") == nil)
        #expect(PostmasterFile("junk\n") == nil)
        #expect(PostmasterFile("12\n")?.pid == 12)
        #expect(PostmasterFile("12\n/data\n1\n5432\n")?.socketDirectory == nil)
        let full = PostmasterFile("12\n/data\n1\n5432\n/run/x\n\n  5432 1\nready   \n")
        #expect(full?.socketDirectory == "/run/x" && full?.status == "ready")
        #expect(PostmasterFile("-12\n/data\n1\n")?.pid == 12, "a stand-alone backend")
    }

    @Test("Names of processes with parentheses and spaces do not confuse the process table")
    func processTable() throws {
        #expect(ProcessTable.isRunning(getpid()))
        #expect(ProcessTable.startTime(of: getpid()) != nil)
        let child = try ChildProcess.start("sh", ["-c", "printf ') Z 1 (' > /proc/self/comm; sleep 60"], as: nil, output: .discard)
        #expect(ProcessTable.isRunning(child.pid))
        child.send(SIGKILL)
        while child.end == nil { usleep(1000) }
        #expect(child.end == .signal(SIGKILL))
        #expect(!ProcessTable.isRunning(child.pid))
    }

    @Test("A child inherits no open file")
    func inheritance() throws {
        let leaked = open("/dev/null", O_RDONLY)
        defer { close(leaked) }
        let (end, output) = try ChildProcess.run("ls", ["/proc/self/fd"], as: nil)
        #expect(end == .exit(0))
        // 3 is ls' own look at the folder.
        #expect(output == "0\n1\n2\n3\n")
    }
}
