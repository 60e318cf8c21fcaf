import Glibc
import Postgres
import Synchronization

/// A folder for one embedded cluster of a test process, named so that another process can tell whether this one still runs, and closed to
/// everyone else.
public struct TestClusterFolder: Sendable {
    private static let count = Mutex(0)
    private static let atExit = Mutex<[TestClusterFolder]>([])

    /// The folder.
    public var path: String
    /// Where the cluster is to be made, in the folder or deep below it. Not made yet.
    public var directory: String

    /// Makes the folder.
    public init(clusterIn below: String) throws {
        let number = Self.count.withLock {
            $0 += 1
            return $0
        }
        // Process numbers come again; together with the start time they do not.
        let pid = getpid()
        path = "\(try Self.parent())/\(pid)-\(ProcessTable.startTime(of: pid) ?? 0)-\(number)"
        directory = path + "/" + below
        guard mkdir(path, 0o700) == 0 else {
            throw PostgresError(.cluster, "cannot make \(path): \(String(cString: strerror(errno)))")
        }
        let note = open(path + "/directory", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        let bytes = Array(directory.utf8)
        guard note >= 0, write(note, bytes, bytes.count) == bytes.count else {
            throw PostgresError(.cluster, "cannot write into \(path): \(String(cString: strerror(errno)))")
        }
        close(note)
    }

    private init(abandoned path: String) {
        self.path = path
        var bytes = [UInt8](repeating: 0, count: 4096)
        let note = open(path + "/directory", O_RDONLY | O_CLOEXEC)
        let count = read(note, &bytes, bytes.count)
        close(note)
        directory = count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : path
    }

    /// Ends the cluster and removes the folder.
    public func remove() async throws {
        try await EmbeddedCluster.destroy(directory: directory, andFolder: path)
    }

    /// Removes it at the normal end of this process, when no task runs any more.
    func removeAtExit() {
        let isFirst = Self.atExit.withLock {
            $0.append(self)
            return $0.count == 1
        }
        guard isFirst else { return }
        atexit {
            for folder in TestClusterFolder.atExit.withLock({ $0 }) {
                do {
                    try EmbeddedCluster.destroyNow(directory: folder.directory, andFolder: folder.path)
                } catch {
                    TestClusterFolder.complain(error)
                }
            }
        }
    }

    /// Removes what processes that are gone have left.
    static func removeAbandoned() async {
        do {
            let parent = try parent()
            for name in names(in: parent) {
                let parts = name.split(separator: "-")
                guard parts.count == 3, let pid = Int32(parts[0]), let start = UInt64(parts[1]) else { continue }
                if ProcessTable.isRunning(pid) && ProcessTable.startTime(of: pid) == start { continue }
                try await TestClusterFolder(abandoned: "\(parent)/\(name)").remove()
            }
        } catch {
            // Another test process may be removing the same one. If not, the next run tries again.
            complain(error)
        }
    }

    /// Anyone can write to `/tmp`, hence the care.
    private static func parent() throws -> String {
        let path = "/tmp/wattle-tests-\(geteuid())"
        mkdir(path, 0o700)
        var facts = stat()
        guard lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == geteuid(), facts.st_mode & 0o077 == 0 else {
            throw PostgresError(.cluster, "\(path) is not a private folder of this user", hint: "Remove it.")
        }
        return path
    }

    private static func complain(_ error: any Error) {
        let message = Array("A test cluster could not be removed: \(error)\n".utf8)
        write(STDERR_FILENO, message, message.count)
    }

    private static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }
}
