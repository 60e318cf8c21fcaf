import Energy
import Glibc
import Logging
import ServiceLifecycle

/// A Unix socket on which others on this machine may ask: taken over from systemd where it made one at this path, else made here.
struct ListeningSocket: Hashable, Sendable {
    struct Opened {
        let descriptor: Int32
        /// systemd's stays where it is when this program ends: clients wait for the next one instead of being refused.
        let isInherited: Bool
    }

    let path: String
    /// Members of this group may connect, where there is such a group.
    let group: String
    var mode: mode_t = 0o660

    /// Serves clients on a thread of its own until the program ends. Where the socket cannot be had it says so and waits: the agent
    /// measures and uploads without it.
    ///
    /// - Parameters:
    ///   - missing: what there is not then, for the log.
    ///   - body: returns when `wakeUp` is stopping.
    func serve(
        _ thread: String,
        without missing: String,
        _ log: Logger,
        _ body: @escaping @Sendable (Opened, WakeUp) -> Void
    ) async throws {
        let wakeUp = try WakeUp()
        let listener: Opened
        do {
            listener = try open(log)
        } catch {
            log.error("\(missing): \(error)")
            try await gracefulShutdown()
            return
        }
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await OwnThread.run(thread) { body(listener, wakeUp) }
        } onCancelOrGracefulShutdown: {
            wakeUp.stop()
        }
    }

    /// A listening descriptor that does not block.
    ///
    /// A socket that a dead agent left is replaced. One that answers is left alone, and so is anything else that has that name.
    func open(_ log: Logger) throws(DiskFault) -> Opened {
        if let descriptor = Self.inherited(path, among: Self.passedOn()) {
            try Self.prepare(descriptor, path)
            return Opened(descriptor: descriptor, isInherited: true)
        }
        var address = try Self.address(path)
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex { try Disk.makeDirectory(String(path[..<slash]), mode: 0o755) }

        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw DiskFault(path: path, doing: "make a socket") }
        do throws(DiskFault) {
            try Self.prepare(descriptor, path)
            try removeStale(&address)
            // Nobody may connect before group and mode are set.
            let mask = umask(0o777)
            let bound = Self.with(&address) { bind(descriptor, $0, $1) }
            let number = errno
            umask(mask)
            guard bound == 0 else { throw DiskFault(path: path, doing: "bind the socket", errno: number) }
            share(log)
            guard chmod(path, mode) == 0 else { throw DiskFault(path: path, doing: "set its mode") }
            guard listen(descriptor, 64) == 0 else { throw DiskFault(path: path, doing: "listen") }
        } catch {
            close(descriptor)
            throw error
        }
        return Opened(descriptor: descriptor, isInherited: false)
    }

    /// Gives the socket to the group; where that cannot be done, it serves this user only.
    private func share(_ log: Logger) {
        guard let entry = getgrnam(group) else {
            return log.notice("\(path): there is no group \(group); only this user and root can connect")
        }
        if chown(path, uid_t.max, entry.pointee.gr_gid) != 0 {
            log.warning("\(path): cannot give it to group \(group): \(Errno.text(errno)); only this user and root can connect")
        }
    }

    static func prepare(_ descriptor: Int32, _ path: String) throws(DiskFault) {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0, fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            throw DiskFault(path: path, doing: "prepare a socket")
        }
    }

    private func removeStale(_ address: inout sockaddr_un) throws(DiskFault) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw DiskFault(path: path, reason: "expected a socket or nothing, found another kind of file; move it away")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { throw DiskFault(path: path, doing: "make a socket") }
        defer { close(probe) }
        let answer = Self.with(&address) { connect(probe, $0, $1) } == 0 ? 0 : errno
        switch answer {
        case ECONNREFUSED: try Disk.remove(path)
        case ENOENT: return
        case 0, EAGAIN:
            // EAGAIN: so many wait there that no more are let in.
            throw DiskFault(path: path, reason: "expected no other agent, found one that answers there; stop it or use another path")
        default:
            // Another user's, or no stream: whose it is cannot be told, so it is not ours to remove.
            let found = "found a socket that cannot be tried (\(Errno.text(answer)))"
            throw DiskFault(path: path, reason: "expected no socket or that of a dead agent, \(found); remove it or use another path")
        }
    }

    /// A socket of ours at a path where nothing is, listening, that does not block.
    ///
    /// Between its making and its mode only this user can connect, as the agent's umask has it; the process's own umask is left alone,
    /// because other threads make files meanwhile.
    static func bound(_ path: String, mode: mode_t, backlog: Int32) throws(DiskFault) -> Int32 {
        var address = try Self.address(path)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw DiskFault(path: path, doing: "make a socket") }
        do throws(DiskFault) {
            try prepare(descriptor, path)
            guard with(&address, { bind(descriptor, $0, $1) }) == 0 else { throw DiskFault(path: path, doing: "bind the socket") }
            guard chmod(path, mode) == 0 else { throw DiskFault(path: path, doing: "set its mode") }
            guard listen(descriptor, backlog) == 0 else { throw DiskFault(path: path, doing: "listen") }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// Whether nobody listens at a socket any more.
    static func isDead(_ path: String) -> Bool {
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        do throws(DiskFault) {
            var address = try Self.address(path)
            return with(&address, { connect(probe, $0, $1) }) != 0 && errno == ECONNREFUSED
        } catch {
            return false
        }
    }

    private static func address(_ path: String) throws(DiskFault) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8) + [0]
        guard bytes.count <= MemoryLayout.size(ofValue: address.sun_path) else {
            throw DiskFault(path: path, reason: "expected a socket path of at most 107 bytes, found \(bytes.count - 1); use another one")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    private static func with(_ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    // MARK: systemd

    /// The descriptors that systemd passed on (`sd_listen_fds(3)`: from 3 on).
    private static func passedOn() -> Range<Int32> {
        guard let pid = getenv("LISTEN_PID"), Int32(String(cString: pid)) == getpid(), let text = getenv("LISTEN_FDS"),
            let count = Int32(String(cString: text)), count > 0
        else { return 3..<3 }
        return 3..<3 + min(count, 16)
    }

    /// The one that listens at a path.
    static func inherited(_ path: String, among descriptors: Range<Int32>) -> Int32? {
        descriptors.first { name(of: $0) == resolved(path) }
    }

    private static func name(of descriptor: Int32) -> String? {
        var isListening: Int32 = 0
        var optionSize = socklen_t(MemoryLayout<Int32>.size)
        var address = sockaddr_un()
        var size = socklen_t(MemoryLayout<sockaddr_un>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &optionSize) == 0, isListening == 1,
            withUnsafeMutablePointer(
                to: &address,
                { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) } }
            ) == 0, address.sun_family == sa_family_t(AF_UNIX)
        else { return nil }
        return resolved(withUnsafeBytes(of: &address.sun_path) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }

    /// systemd writes `/run` for `/var/run`.
    private static func resolved(_ path: String) -> String { path.hasPrefix("/var/run/") ? String(path.dropFirst(4)) : path }
}
