import Energy
import Glibc
import Logging
import ServiceLifecycle

/// Answers clients on this machine over a Unix socket: one line of JSON in, one out.
///
/// One thread polls the listening socket and the clients; an answer takes as long as reading the meters does.
struct LocalSocket: Service {
    struct Limits: Hashable, Sendable {
        var line = 64 << 10
        var clients = 64
        /// A client that is silent for this long is hung up on.
        var silence = Microseconds.seconds(300)
    }

    let path: String
    /// Members of this group may connect, where there is such a group.
    let group: String
    var limits = Limits()
    let sampling: SharedSampling
    let context: SocketAnswer.Context
    /// Rung at the end of a span.
    let sealNow: Doorbell
    let log: Logger

    func run() async throws {
        let wakeUp = try WakeUp()
        let listener: Int32
        do {
            listener = try listen()
        } catch {
            // The agent measures and uploads without it.
            log.error("no local socket: \(error)")
            try await gracefulShutdown()
            return
        }
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await OwnThread.run("socket") { serve(listener, wakeUp) }
        } onCancelOrGracefulShutdown: {
            wakeUp.stop()
        }
    }

    // MARK: Listening

    func listen() throws(DiskFault) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8) + [0]
        guard bytes.count <= MemoryLayout.size(ofValue: address.sun_path) else {
            throw DiskFault(path: path, reason: "expected a socket path of at most 107 bytes, found \(bytes.count - 1); use --socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex { try Disk.makeDirectory(String(path[..<slash]), mode: 0o755) }

        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw DiskFault(path: path, doing: "make a socket") }
        do throws(DiskFault) {
            try prepare(descriptor)
            try removeStale(&address)
            // Nobody may connect before the mode is set.
            let mask = umask(0o777)
            let bound = Self.with(&address) { bind(descriptor, $0, $1) }
            let number = errno
            umask(mask)
            guard bound == 0 else { throw DiskFault(path: path, doing: "bind the socket", errno: number) }
            if let entry = getgrnam(group) {
                if chown(path, uid_t.max, entry.pointee.gr_gid) != 0 {
                    log.warning("\(path): cannot give it to group \(group): \(Errno.text(errno)); only this user can connect")
                }
            }
            guard chmod(path, 0o660) == 0 else { throw DiskFault(path: path, doing: "set its mode") }
            guard Glibc.listen(descriptor, 64) == 0 else { throw DiskFault(path: path, doing: "listen") }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private func prepare(_ descriptor: Int32) throws(DiskFault) {
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0, fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            throw DiskFault(path: path, doing: "prepare a socket")
        }
    }

    /// Removes the socket of an agent that was killed; one that answers is left alone, and so is anything that is no socket.
    private func removeStale(_ address: inout sockaddr_un) throws(DiskFault) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw DiskFault(path: path, reason: "expected a socket or nothing, found another kind of file; move it away")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard probe >= 0 else { throw DiskFault(path: path, doing: "make a socket") }
        defer { close(probe) }
        guard Self.with(&address, { connect(probe, $0, $1) }) != 0 else {
            throw DiskFault(path: path, reason: "expected no other agent, found one that answers there; stop it or use --socket")
        }
        try Disk.remove(path)
    }

    private static func with(_ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    // MARK: Serving

    private struct Client {
        let descriptor: Int32
        var received: [UInt8] = []
        var unsent: [UInt8] = []
        var lastHeard: Microseconds
        /// Nothing more is read; what is unsent is sent first.
        var isEnding = false
    }

    private func serve(_ listener: Int32, _ wakeUp: WakeUp) {
        var clients: [Client] = []
        defer {
            for client in clients { close(client.descriptor) }
            close(listener)
            unlink(path)
        }
        while !wakeUp.isStopping {
            var polled = [
                pollfd(fd: wakeUp.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: clients.count < limits.clients ? listener : -1, events: Int16(POLLIN), revents: 0),
            ]
            polled += clients.map { pollfd(fd: $0.descriptor, events: Int16($0.unsent.isEmpty ? POLLIN : POLLOUT), revents: 0) }
            // Without clients there is nothing to time.
            guard poll(&polled, nfds_t(polled.count), clients.isEmpty ? -1 : 10_000) >= 0 || errno == EINTR else {
                log.error("the local socket cannot be polled: \(Errno.text(errno)); it is closed")
                return
            }
            let now = ClockReading.now().monotonic
            var open: [Client] = []
            for (i, client) in clients.enumerated() {
                var client = client
                var isOpen = true
                if polled[i + 2].revents != 0 {
                    client.lastHeard = now
                    isOpen = client.unsent.isEmpty ? receive(&client) : send(&client)
                } else if (now - client.lastHeard) > limits.silence {
                    isOpen = false
                }
                if isOpen { open.append(client) } else { close(client.descriptor) }
            }
            clients = open
            if polled[1].revents != 0 { accept(listener, &clients, now) }
        }
    }

    private func accept(_ listener: Int32, _ clients: inout [Client], _ now: Microseconds) {
        while clients.count < limits.clients {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            do throws(DiskFault) {
                try prepare(descriptor)
            } catch {
                close(descriptor)
                continue
            }
            if let peer = Peer(descriptor) { log.debug("a client with process \(peer.pid), user \(peer.uid), group \(peer.gid)") }
            clients.append(Client(descriptor: descriptor, lastHeard: now))
        }
    }

    /// False when the client is to be let go.
    private func receive(_ client: inout Client) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = recv(client.descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
        client.received += buffer[..<count]
        while let end = client.received.firstIndex(of: 0x0A) {
            let line = Array(client.received[..<end])
            client.received.removeSubrange(...end)
            client.unsent += line.count > limits.line ? tooLong : answer(line)
        }
        if client.received.count > limits.line {
            client.received = []
            client.unsent += tooLong
            client.isEnding = true
        }
        return client.unsent.isEmpty || send(&client)
    }

    private var tooLong: [UInt8] { SocketAnswer.line(refusing: "expected a line of at most \(limits.line) bytes, found a longer one") }

    private func send(_ client: inout Client) -> Bool {
        while !client.unsent.isEmpty {
            let count = client.unsent.withUnsafeBytes { Glibc.send(client.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                client.unsent.removeFirst(count)
            } else if errno == EAGAIN {
                // A client that asks without ever reading.
                return client.unsent.count <= 16 * limits.line
            } else if errno != EINTR {
                return false
            }
        }
        return !client.isEnding
    }

    private func answer(_ line: [UInt8]) -> [UInt8] {
        let request: SocketRequest
        do throws(SocketRequest.Fault) {
            request = try SocketRequest(line: line)
        } catch {
            return SocketAnswer.line(refusing: error.description)
        }
        // The clock is read within the lock: a time from before a wait for it would lie behind the sampler's own readings.
        switch request {
        case .snapshot:
            return SocketAnswer.line(sampling.withLock { $0.snapshot(at: .now()) }, context)
        case .span(let span):
            do throws(SpanFault) {
                let snapshot = try sampling.withLock { (sampling: inout Sampling) throws(SpanFault) in
                    try sampling.edge(span, at: .now())
                }
                // A start shortens the pace, an end wants its batch sent at once.
                sealNow.ring()
                return SocketAnswer.line(snapshot, context)
            } catch {
                return SocketAnswer.line(refusing: error.description)
            }
        }
    }
}

/// Who is at the other end of a Unix socket.
struct Peer: Hashable, Sendable {
    let pid: Int32
    let uid: UInt32
    let gid: UInt32

    init?(_ descriptor: Int32) {
        // struct ucred: three 32-bit numbers.
        var credentials: (Int32, UInt32, UInt32) = (0, 0, 0)
        var size = socklen_t(MemoryLayout.size(ofValue: credentials))
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, size == 12 else { return nil }
        (pid, uid, gid) = credentials
    }
}
