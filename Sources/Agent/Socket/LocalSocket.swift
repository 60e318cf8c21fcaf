import Energy
import Glibc
import Logging
import Meters
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
    /// Users that see everything as it is read; see `PeerAllowance`.
    var trusted: Set<UInt32> = [0, geteuid()]
    /// Where the kernel shows processes.
    var proc = "/proc"
    let sampling: SharedSampling
    let context: SocketAnswer.Context
    /// Rung at the end of a span.
    let sealNow: Doorbell
    /// Sockets for single jobs; nil for none.
    var jobs: JobSockets?
    let log: Logger

    var listening: ListeningSocket { ListeningSocket(path: path, group: group) }

    func run() async throws {
        try await listening.serve("socket", without: "no local socket", log) { listener, wakeUp in serve(listener, wakeUp) }
    }

    // MARK: Serving

    private struct Client {
        let descriptor: Int32
        /// Nil where the kernel does not tell.
        let peer: Peer?
        var received: [UInt8] = []
        var unsent: [UInt8] = []
        var lastHeard: Microseconds
        /// Nothing more is read; what is unsent is sent first.
        var isEnding = false
        /// Of the socket's own group, beside the one that `peer` tells.
        var isMember = false
    }

    private func serve(_ opened: ListeningSocket.Opened, _ wakeUp: WakeUp) {
        let listener = opened.descriptor
        var clients: [Client] = []
        var allowance = PeerAllowance(trusted: trusted)
        var nextOverdue = Microseconds.zero
        defer {
            for client in clients { close(client.descriptor) }
            close(listener)
            if !opened.isInherited { unlink(path) }
        }
        while !wakeUp.isStopping {
            var polled = [
                pollfd(fd: wakeUp.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: clients.count < limits.clients ? listener : -1, events: Int16(POLLIN), revents: 0),
            ]
            polled += clients.map { pollfd(fd: $0.descriptor, events: Int16($0.unsent.isEmpty ? POLLIN : POLLOUT), revents: 0) }
            // Without clients and spans there is nothing to time.
            let wait: Int32 = clients.isEmpty ? (allowance.isSpanOpen ? 3_600_000 : -1) : 10_000
            guard poll(&polled, nfds_t(polled.count), wait) >= 0 || errno == EINTR else {
                log.error("the local socket cannot be polled: \(Errno.text(errno)); it is closed")
                return
            }
            let now = ClockReading.now().monotonic
            if now >= nextOverdue {
                nextOverdue = now + .seconds(60)
                endOverdue(&allowance)
            }
            var open: [Client] = []
            for (i, client) in clients.enumerated() {
                var client = client
                var isOpen = true
                if polled[i + 2].revents != 0 {
                    client.lastHeard = now
                    isOpen = client.unsent.isEmpty ? receive(&client, &allowance) : send(&client)
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
                try ListeningSocket.prepare(descriptor, path)
            } catch {
                close(descriptor)
                continue
            }
            let peer = Peer(descriptor)
            if let peer { log.debug("a client with process \(peer.pid), user \(peer.uid), group \(peer.gid)") }
            var client = Client(descriptor: descriptor, peer: peer, lastHeard: now)
            client.isMember = groupID.map { Peer.groups(descriptor).contains($0) } ?? false
            clients.append(client)
        }
    }

    /// False when the client is to be let go.
    private func receive(_ client: inout Client, _ allowance: inout PeerAllowance) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = recv(client.descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
        client.received += buffer[..<count]
        while let end = client.received.firstIndex(of: 0x0A) {
            let line = Array(client.received[..<end])
            client.received.removeSubrange(...end)
            client.unsent += line.count > limits.line ? tooLong : answer(line, to: client, &allowance)
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

    /// Ends spans that nobody will.
    private func endOverdue(_ allowance: inout PeerAllowance) {
        let keys = allowance.takeOverdue(at: sampling.withLock { $0.timeBase.time(of: .now()) })
        for key in keys {
            do throws(SpanFault) {
                _ = try sampling.withLock { (sampling: inout Sampling) throws(SpanFault) in
                    try sampling.edge(SpanRequest(phase: .finish, key: key), at: .now())
                }
            } catch {
                log.error("a span that was open for too long cannot be ended: \(error)")
            }
        }
        if !keys.isEmpty { log.notice("\(keys.count) spans without a cgroup were ended: nobody did within 7 days") }
    }

    private func answer(_ line: [UInt8], to client: Client, _ allowance: inout PeerAllowance) -> [UInt8] {
        let request: SocketRequest
        do throws(SocketRequest.Fault) {
            request = try SocketRequest(line: line)
        } catch {
            return SocketAnswer.line(refusing: error.description)
        }
        let peer = client.peer
        let uid = peer?.uid ?? .max
        // The clock is read within the lock: a time from before a wait for it would lie behind the sampler's own readings.
        switch request {
        case .status:
            return SocketAnswer.line(statusOf: context)
        case .snapshot:
            return SocketAnswer.line(allowance.look(sampling.withLock { $0.snapshot(at: .now()) }, by: uid), context)
        case .jobSocket(let asked):
            do throws(SpanFault) {
                let path = try openJobSocket(asked, client, allowance)
                return SocketAnswer.line(socketAt: path, context, at: sampling.withLock { $0.timeBase.time(of: .now()) })
            } catch {
                return SocketAnswer.line(refusing: error.description)
            }
        case .span(let asked):
            do throws(SpanFault) {
                try allowance.check(asked.key, by: uid)
                let span = try admitted(placed(asked, peer), of: peer)
                if span.phase == .start {
                    try allowance.checkStart(span.key, by: uid) { sampling.withLock { $0.workloads.spans } }
                }
                let snapshot = try sampling.withLock { (sampling: inout Sampling) throws(SpanFault) in
                    try sampling.edge(span, at: .now())
                }
                if span.phase == .finish { jobs?.close(span.key) }
                // A start shortens the pace, an end wants its batch sent at once.
                sealNow.ring()
                let answer =
                    switch span.phase {
                    case .start: allowance.start(span.key, hasCgroup: span.cgroup ?? span.directory != nil, snapshot, by: uid)
                    case .finish: allowance.finish(span.key, snapshot, by: uid)
                    }
                return SocketAnswer.line(answer, context, cgroup: span.cgroup)
            } catch {
                return SocketAnswer.line(refusing: error.description)
            }
        }
    }
}

extension LocalSocket {
    private var groupID: gid_t? { getgrnam(group)?.pointee.gr_gid }

    /// A socket for the job whose span the peer has started, in the cgroup that the span has or that the peer may name.
    private func openJobSocket(_ asked: SpanRequest, _ client: Client, _ allowance: PeerAllowance) throws(SpanFault) -> String {
        guard let jobs else { throw SpanFault(description: "expected an agent with sockets for jobs, found job_socket_dir: none") }
        guard let peer = client.peer, trusted.contains(peer.uid) || client.isMember else {
            throw SpanFault(description: "expected root, the agent's own user or a member of group \(group)")
        }
        try allowance.check(asked.key, by: peer.uid)
        guard allowance.isOpen(asked.key) else {
            throw SpanFault(description: "expected the key of a span that has been started and not ended, found '\(asked.key.prefix(80))'")
        }
        var span = try admitted(asked, of: peer)
        if span.cgroup == nil, span.directory == nil {
            let own = sampling.withLock { sampling in
                sampling.workloads.living(span.key).map { (sampling.workloads.slots[$0].cgroup, sampling.workloads.slots[$0].directory) }
            }
            (span.cgroup, span.directory) = (own?.0, own?.1)
        }
        let request = span
        let place = try sampling.withLock { (sampling: inout Sampling) throws(SpanFault) in try sampling.workloads.admit(request).place }
        guard let place else {
            throw SpanFault(description: "expected a span with a cgroup, found none: without one no energy is the job's own")
        }
        return try jobs.open(span.key, place, by: peer.uid)
    }

    /// A span that names no cgroup and is to have the job's own gets it from where the asking process is.
    private func placed(_ span: SpanRequest, _ peer: Peer?) -> SpanRequest {
        guard span.isInOwnCgroup, span.cgroup == nil, span.directory == nil, let peer else { return span }
        var span = span
        for hierarchy in sampling.withLock({ $0.workloads.hierarchies }) {
            let claim = CgroupClaim(peer: peer, hierarchies: [hierarchy], proc: proc)
            guard let own = claim.own(hierarchy.kind), let cgroup = WorkloadIdentity.jobCgroup(above: own) else { continue }
            span.cgroup = cgroup
            span.directory = hierarchy.directory(of: cgroup)
            break
        }
        return span
    }

    /// The request as this peer may make it: see `CgroupClaim`.
    private func admitted(_ span: SpanRequest, of peer: Peer?) throws(SpanFault) -> SpanRequest {
        if let peer, trusted.contains(peer.uid) { return span }
        let peer = peer ?? Peer(pid: 0, uid: .max, gid: .max)
        return try CgroupClaim(peer: peer, hierarchies: sampling.withLock { $0.workloads.hierarchies }, proc: proc).checked(span)
    }
}

/// Who is at the other end of a Unix socket.
struct Peer: Hashable, Sendable {
    let pid: Int32
    let uid: UInt32
    let gid: UInt32

    init(pid: Int32, uid: UInt32, gid: UInt32) { (self.pid, self.uid, self.gid) = (pid, uid, gid) }

    init?(_ descriptor: Int32) {
        // struct ucred: three 32-bit numbers.
        var credentials: (Int32, UInt32, UInt32) = (0, 0, 0)
        var size = socklen_t(MemoryLayout.size(ofValue: credentials))
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, size == 12 else { return nil }
        (pid, uid, gid) = credentials
    }

    /// All groups of the other end, as it connected.
    static func groups(_ descriptor: Int32) -> Set<gid_t> {
        var groups = [gid_t](repeating: 0, count: 1_024)
        var size = socklen_t(groups.count * MemoryLayout<gid_t>.stride)
        // SO_PEERGROUPS, which glibc's headers may not have.
        guard getsockopt(descriptor, SOL_SOCKET, 59, &groups, &size) == 0 else { return [] }
        var all = Set(groups.prefix(Int(size) / MemoryLayout<gid_t>.stride))
        if let peer = Peer(descriptor) { all.insert(peer.gid) }
        return all
    }
}
