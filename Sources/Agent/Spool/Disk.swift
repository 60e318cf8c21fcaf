import Glibc

/// Why a file of the agent's own could not be read or written.
struct DiskFault: Error, Hashable, Sendable, CustomStringConvertible {
    var path: String
    var reason: String
    /// The `errno`, where a system call failed.
    var number: Int32?

    init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    init(path: String, doing action: String, errno number: Int32 = errno) {
        self.path = path
        self.number = number
        reason = "cannot \(action): \(Errno.text(number))"
    }

    var description: String { "\(path): \(reason)" }
}

enum Errno {
    static func text(_ number: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The few file operations that durability needs.
enum Disk {
    /// The whole file; nil where there is none.
    static func read(_ path: String) throws(DiskFault) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw DiskFault(path: path, doing: "open it")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw DiskFault(path: path, doing: "look at it") }
        return try read(descriptor, path: path, offset: 0, count: Int(status.st_size))
    }

    /// Up to `count` bytes at an offset; fewer at the end of the file.
    static func read(_ descriptor: Int32, path: String, offset: Int, count: Int) throws(DiskFault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + done, count - done, off_t(offset + done)) }
            if got > 0 {
                done += got
            } else if got == 0 {
                break
            } else if errno != EINTR {
                throw DiskFault(path: path, doing: "read it")
            }
        }
        bytes.removeLast(count - done)
        return bytes
    }

    static func write(_ bytes: [UInt8], to descriptor: Int32, path: String) throws(DiskFault) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw DiskFault(path: path, doing: "write it")
            }
        }
    }

    /// Writes a new file beside the old one, makes it durable, and puts it in the old one's place.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o640) throws(DiskFault) {
        do {
            try replace(path, mode: mode) { try $0(bytes) }
        } catch let fault as DiskFault {
            throw fault
        } catch {
            throw DiskFault(path: path, reason: "\(error)")
        }
    }

    /// The same for a file that is written piece by piece.
    static func replace(_ path: String, mode: mode_t = 0o640, writing body: (_ write: ([UInt8]) throws -> Void) throws -> Void) throws {
        let temporary = path + ".tmp"
        // One that was left there may have another mode, and may be open elsewhere.
        try remove(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw DiskFault(path: temporary, doing: "make it") }
        do {
            defer { close(descriptor) }
            try body { try write($0, to: descriptor, path: temporary) }
            guard fsync(descriptor) == 0 else { throw DiskFault(path: temporary, doing: "make it durable") }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else { throw DiskFault(path: path, doing: "replace it") }
        try syncDirectory(of: path)
    }

    /// Makes the names in the directory of a path durable.
    static func syncDirectory(of path: String) throws(DiskFault) {
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw DiskFault(path: directory, doing: "open it") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw DiskFault(path: directory, doing: "make it durable") }
    }

    /// Makes a directory and those above it.
    static func makeDirectory(_ path: String, mode: mode_t = 0o750) throws(DiskFault) {
        var end = path.startIndex
        while end < path.endIndex {
            end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
            let part = String(path[..<end])
            guard mkdir(part, mode) == 0 || errno == EEXIST else {
                // An ancestor may be there and forbid making what is there already; the last one tells.
                if end < path.endIndex, access(part, F_OK) == 0 { continue }
                throw DiskFault(path: part, doing: "make the directory")
            }
        }
    }

    static func names(in path: String) throws(DiskFault) -> [String] {
        guard let directory = opendir(path) else { throw DiskFault(path: path, doing: "list it") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func remove(_ path: String) throws(DiskFault) {
        guard unlink(path) == 0 || errno == ENOENT else { throw DiskFault(path: path, doing: "remove it") }
    }
}
