import Glibc

/// The few file operations that a cluster's keeper needs.
enum ClusterFiles {
    /// Names in a directory; empty when it cannot be read.
    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// The beginning of a file as text, nil when it is not there or cannot be read.
    static func text(at path: String, limit: Int = 65_536) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return String(decoding: bytes(of: descriptor, limit: limit), as: UTF8.self)
    }

    /// The end of a file as text, empty when it is not there.
    static func tail(of path: String, bytes count: Int) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        let size = lseek(descriptor, 0, SEEK_END)
        lseek(descriptor, max(0, size - count), SEEK_SET)
        return String(decoding: bytes(of: descriptor, limit: count), as: UTF8.self)
    }

    private static func bytes(of descriptor: Int32, limit: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
            while filled < limit {
                let count = read(descriptor, buffer.baseAddress.map { $0 + filled }, limit - filled)
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { return }
                filled += count
            }
        }
    }

    /// Writes a whole file so that after a crash either the old one or the new one is there.
    static func write(_ text: String, to path: String, mode: mode_t = 0o644, owner: ServerAccount? = nil) throws(PostgresError) {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failure("create", temporary) }
        let bytes = Array(text.utf8)
        var isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count
        if let owner, isWritten { isWritten = fchown(descriptor, owner.userID, owner.groupID) == 0 }
        isWritten = isWritten && fsync(descriptor) == 0
        let cause = errno
        close(descriptor)
        guard isWritten else {
            unlink(temporary)
            errno = cause
            throw failure("write", temporary)
        }
        guard rename(temporary, path) == 0 else { throw failure("rename", temporary) }
        syncDirectory(of: path)
    }

    /// Appends to a file that is there.
    static func append(_ text: String, to path: String) throws(PostgresError) {
        let descriptor = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else { throw failure("write", path) }
    }

    /// Makes a rename in the directory that holds `path` last.
    static func syncDirectory(of path: String) {
        let directory = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes a directory and those above it.
    static func makeDirectory(_ path: String, mode: mode_t) throws(PostgresError) {
        if mkdir(path, mode) == 0 { return }
        if errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            try makeDirectory(String(path[..<slash]), mode: mode)
            if mkdir(path, mode) == 0 { return }
        }
        guard errno == EEXIST, isDirectory(path) else { throw failure("make", path) }
    }

    static func isDirectory(_ path: String) -> Bool {
        var facts = stat()
        return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    /// A directory, no link, of that owner, closed to everyone else.
    static func isPrivateDirectory(_ path: String, of account: ServerAccount) -> Bool {
        var facts = stat()
        return lstat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR && facts.st_uid == account.userID
            && facts.st_mode & 0o077 == 0
    }

    static func chown(_ path: String, to account: ServerAccount) throws(PostgresError) {
        guard lchown(path, account.userID, account.groupID) == 0 else { throw failure("give to \(account.name)", path) }
    }

    /// The absolute path without links.
    static func realPath(_ path: String) throws(PostgresError) -> String {
        guard let resolved = realpath(path, nil) else { throw failure("resolve", path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    static func linkTarget(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = readlink(path, base, buffer.count)
            guard count > 0 else { return nil }
            return String(decoding: UnsafeRawBufferPointer(buffer)[..<count], as: UTF8.self)
        }
    }

    /// Removes a file or a whole folder. Nothing there is fine.
    static func removeTree(_ path: String) throws(PostgresError) {
        let (end, output) = try ChildProcess.run("rm", ["-rf", "--", path], as: nil)
        guard end == .exit(0) else { throw PostgresError(.cluster, "cannot remove \(path): \(output.trimmingTrailingNewlines)") }
    }

    static func failure(_ verb: String, _ path: String) -> PostgresError {
        PostgresError(.cluster, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
