import Glibc

/// The socket on which the broker is asked.
enum Listener {
    /// The one that systemd made and passed on, if it did.
    static func inherited() throws(Failure) -> Int32? {
        guard let pid = getenv("LISTEN_PID"), Int32(String(cString: pid)) == getpid() else { return nil }
        var (isListening, size): (Int32, socklen_t) = (0, 4)
        guard getsockopt(3, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0, isListening == 1, fcntl(3, F_SETFL, 0) == 0 else {
            throw .usage("expected a listening socket of systemd, found another descriptor; see wattle-broker.socket")
        }
        return 3
    }

    /// A new one at a path, for root and a group. A dead broker's is replaced.
    static func make(_ path: String, group: gid_t) throws(Failure) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path), !path.utf8.contains(0) else {
            throw .usage("\(path): expected a socket path of at most 107 bytes")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        func with(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
            }
        }
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard listener >= 0, probe >= 0 else { throw .system("cannot make a socket") }
        defer { close(probe) }
        let answers = with { connect(probe, $0, $1) } == 0 || errno == EAGAIN
        guard !answers else { throw Failure(text: "\(path): expected no other broker, found one that answers; stop it or use --socket") }
        var status = stat()
        if errno == ECONNREFUSED, lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex { mkdir(String(path[..<slash]), 0o755) }
        // Born with its group and mode: giving them to a path later could hit another file that was put in its place.
        let ownGroup = getegid()
        guard geteuid() != 0 || setegid(group) == 0 else { throw .system("cannot take the group \(group)") }
        umask(0o117)
        guard with({ bind(listener, $0, $1) }) == 0, listen(listener, 16) == 0 else { throw .system("\(path): cannot listen there") }
        guard geteuid() != 0 || setegid(ownGroup) == 0 else { throw .system("cannot leave the group \(group)") }
        return listener
    }
}
