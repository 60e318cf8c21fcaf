import Energy
import Glibc
import Logging
import Meters
import ServiceLifecycle
import Synchronization

/// Sockets for one job each, which may be mounted into containers of jobs that nobody trusts: they tell a job of its own energy, once a
/// second, and of nothing else.
///
/// A thread of its own serves them, so that no job can keep the agent's own socket busy.
final class JobSockets: Service, Sendable {
    struct Limits: Hashable, Sendable {
        var sockets = 512
        /// Of all jobs together, and of one.
        var clients = 256
        var clientsOfOne = 8
        /// Longest request, bytes.
        var line = 4_096
        var silence = Microseconds.seconds(60)
        /// A socket that nobody closes is closed after this.
        var longest = Microseconds.seconds(86_400)
        /// How often jobs that have gone are looked for.
        var look = Microseconds.seconds(5)
    }

    let directory: String
    let limits: Limits
    private let proc: String
    private let sampling: SharedSampling
    private let context: SocketAnswer.Context
    private let log: Logger
    private let wakeUp: WakeUp
    private let state = Mutex(State())

    private struct State {
        var jobs: [String: JobSocket] = [:]
        var clients: [Client] = []
        var isOpen = true
    }

    private struct Client {
        let descriptor: Int32
        let job: String
        var received: [UInt8] = []
        var unsent: [UInt8] = []
        var lastHeard: Microseconds
    }

    init(
        directory: String,
        limits: Limits = Limits(),
        proc: String = "/proc",
        sampling: SharedSampling,
        context: SocketAnswer.Context,
        log: Logger
    ) throws(DiskFault) {
        (self.directory, self.limits, self.proc, self.sampling, self.log) = (directory, limits, proc, sampling, log)
        var context = context
        // What the machine is otherwise is nothing to a job.
        context.facts = nil
        context.uplink = nil
        self.context = context
        wakeUp = try WakeUp()
    }

    // MARK: Opening and closing

    /// Opens the job's socket, or finds the one it has.
    ///
    /// - Parameters:
    ///   - key: of a span that has been started.
    ///   - place: the job's cgroup.
    ///   - uid: who asks for it.
    /// - Returns: its path.
    /// - Throws: `SpanFault` where there are too many, or none can be made.
    func open(_ key: String, _ place: SpanEntry.Place, by uid: UInt32) throws(SpanFault) -> String {
        let now = ClockReading.now().monotonic
        let snapshot = sampling.withLock { $0.snapshot(at: .now()) }
        let made = state.withLock { state -> Result<String, SpanFault> in
            do throws(SpanFault) {
                return .success(try make(key, place, uid, snapshot, now, &state))
            } catch {
                return .failure(error)
            }
        }
        wakeUp.ring()
        return try made.get()
    }

    private func make(
        _ key: String,
        _ place: SpanEntry.Place,
        _ uid: UInt32,
        _ snapshot: HostSnapshot,
        _ now: Microseconds,
        _ state: inout State
    ) throws(SpanFault) -> String {
        guard state.isOpen else { throw SpanFault(description: "expected an agent that runs on, found one that ends") }
        if let known = state.jobs[key] {
            if known.places.first?.directory == place.directory { return known.path }
            close(key, &state)
        }
        guard state.jobs.count < limits.sockets else {
            throw SpanFault(description: "expected at most \(limits.sockets) jobs with a socket, found as many; finish some first")
        }
        let path = "\(directory)/\(JobSocketName.of(key))"
        let source: CgroupCPUTime
        let used: Int64
        do throws(SensorFault) {
            source = try CgroupCPUTime(directory: place.directory, kind: place.kind)
            used = try source.read().count
        } catch {
            throw SpanFault(description: "expected a cgroup at \(place.directory), found none to read: \(error)")
        }
        let listener: Int32
        do throws(DiskFault) {
            try prepareDirectory()
            listener = try ListeningSocket.bound(path, mode: 0o666, backlog: 8)
        } catch {
            throw SpanFault(description: "no socket for the job: \(error)")
        }
        state.jobs[key] = JobSocket(
            key: key,
            uid: uid,
            path: path,
            listener: listener,
            opened: now,
            place: JobSocket.Place(directory: place.directory, source: source, last: used),
            since: snapshot
        )
        return path
    }

    /// Closes a job's socket, where it has one: the job has ended.
    func close(_ key: String) {
        state.withLock { close(key, &$0) }
        wakeUp.ring()
    }

    private func close(_ key: String, _ state: inout State) {
        guard let job = state.jobs.removeValue(forKey: key) else { return }
        unlink(job.path)
        Glibc.close(job.listener)
        for client in state.clients where client.job == key { Glibc.close(client.descriptor) }
        state.clients.removeAll { $0.job == key }
    }

    /// Nobody but this user makes anything in it or lists it; who knows a name in it may use it.
    private func prepareDirectory() throws(DiskFault) {
        var status = stat()
        if lstat(directory, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() || status.st_uid == 0, status.st_mode & 0o022 == 0 else {
                throw DiskFault(
                    path: directory,
                    reason: "expected a directory of this user's that others cannot write to, found another; see systemd-tmpfiles --create"
                )
            }
            return
        }
        try Disk.makeDirectory(directory, mode: 0o755)
        guard chmod(directory, 0o711) == 0 else { throw DiskFault(path: directory, doing: "set its mode") }
    }

    /// Removes what an agent that was killed left there.
    func removeStale() {
        guard access(directory, F_OK) == 0 else { return }
        let names: [String]
        do throws(DiskFault) { names = try Disk.names(in: directory) } catch { return log.warning("\(error)") }
        for name in names where name.hasSuffix(".sock") {
            let path = "\(directory)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK, status.st_uid == geteuid(),
                ListeningSocket.isDead(path)
            else { continue }
            unlink(path)
        }
    }

    // MARK: Serving

    func run() async throws {
        removeStale()
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await OwnThread.run("job sockets") { self.serve() }
        } onCancelOrGracefulShutdown: {
            self.wakeUp.stop()
        }
    }

    private func serve() {
        defer {
            state.withLock { state in
                state.isOpen = false
                for key in state.jobs.keys.sorted() { close(key, &state) }
            }
        }
        var nextLook = Microseconds.zero
        while !wakeUp.isStopping {
            var polled = [pollfd(fd: wakeUp.readEnd, events: Int16(POLLIN), revents: 0)]
            let isIdle = state.withLock { state in
                let isFull = state.clients.count >= limits.clients
                let busy = Dictionary(state.clients.map { ($0.job, 1) }, uniquingKeysWith: +)
                for job in state.jobs.values where !isFull && busy[job.key, default: 0] < limits.clientsOfOne {
                    polled.append(pollfd(fd: job.listener, events: Int16(POLLIN), revents: 0))
                }
                for client in state.clients {
                    polled.append(pollfd(fd: client.descriptor, events: Int16(client.unsent.isEmpty ? POLLIN : POLLOUT), revents: 0))
                }
                return state.jobs.isEmpty
            }
            let wait: Int32 = isIdle ? -1 : Int32(clamping: limits.look.count / 1_000)
            guard poll(&polled, nfds_t(polled.count), wait) >= 0 || errno == EINTR else {
                return log.error("the jobs' sockets cannot be polled: \(Errno.text(errno)); they are closed")
            }
            wakeUp.silence()
            let ready = Set(polled.filter { $0.revents != 0 }.map(\.fd))
            let now = ClockReading.now().monotonic
            let isLooking = now >= nextLook
            if isLooking { nextLook = now + limits.look }
            // Read once for all that ask now; before the lock of the jobs, so that no thread waits for the other's.
            let snapshot = isIdle ? nil : sampling.withLock { $0.snapshot(at: .now()) }
            let hierarchies = isIdle ? [] : sampling.withLock { $0.workloads.hierarchies }
            state.withLock { state in
                if isLooking, let snapshot { endThoseGone(snapshot, now, &state) }
                for i in state.clients.indices.reversed() {
                    // One that was closed since may have left its number to another: nothing here blocks, so that does no harm.
                    var client = state.clients[i]
                    var isOpen = (now - client.lastHeard) <= limits.silence
                    if isOpen, ready.contains(client.descriptor), let snapshot {
                        client.lastHeard = now
                        isOpen = client.unsent.isEmpty ? receive(&client, snapshot, hierarchies, &state) : send(&client)
                    }
                    if isOpen {
                        state.clients[i] = client
                    } else {
                        Glibc.close(client.descriptor)
                        state.clients.remove(at: i)
                    }
                }
                for job in state.jobs.values where ready.contains(job.listener) { accept(job, now, &state) }
            }
        }
    }

    private func endThoseGone(_ snapshot: HostSnapshot, _ now: Microseconds, _ state: inout State) {
        for key in state.jobs.keys.sorted() {
            let isThere = (state.jobs[key]?.count(snapshot) ?? false) && state.jobs[key]?.isPlaceThere == true
            let isOld = state.jobs[key].map { (now - $0.opened) > limits.longest } ?? false
            if !isThere || isOld { close(key, &state) }
        }
    }

    private func accept(_ job: JobSocket, _ now: Microseconds, _ state: inout State) {
        var own = state.clients.count { $0.job == job.key }
        while own < limits.clientsOfOne, state.clients.count < limits.clients {
            let descriptor = Glibc.accept(job.listener, nil, nil)
            guard descriptor >= 0 else { return }
            do throws(DiskFault) {
                try ListeningSocket.prepare(descriptor, job.path)
            } catch {
                Glibc.close(descriptor)
                continue
            }
            state.clients.append(Client(descriptor: descriptor, job: job.key, lastHeard: now))
            own += 1
        }
    }

    /// False when the client is to be let go.
    private func receive(_ client: inout Client, _ snapshot: HostSnapshot, _ hierarchies: [CgroupHierarchy], _ state: inout State) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(client.descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
        client.received += buffer[..<count]
        while let end = client.received.firstIndex(of: 0x0A) {
            let line = Array(client.received[..<end])
            client.received.removeSubrange(...end)
            guard let job = state.jobs[client.job] else { return false }
            // Taken out and put back: it is changed in one place.
            var asked = job
            client.unsent += answer(line, Peer(client.descriptor), snapshot, hierarchies, &asked, state)
            state.jobs[client.job] = asked
        }
        guard client.received.count <= limits.line else { return false }
        return client.unsent.isEmpty || send(&client)
    }

    private func answer(
        _ line: [UInt8],
        _ peer: Peer?,
        _ snapshot: HostSnapshot,
        _ hierarchies: [CgroupHierarchy],
        _ job: inout JobSocket,
        _ state: State
    ) -> [UInt8] {
        guard line.count <= limits.line else { return SocketAnswer.line(refusing: "expected a line of at most \(limits.line) bytes") }
        let request: SocketRequest
        do throws(SocketRequest.Fault) {
            request = try SocketRequest(line: line)
        } catch {
            return SocketAnswer.line(refusing: error.description)
        }
        if case .span(let span) = request, span.key.isEmpty || span.key.utf8.count > SpanRequest.longestKey {
            return SocketAnswer.line(refusing: "expected a key of 1 to \(SpanRequest.longestKey) bytes, found \(span.key.utf8.count)")
        }
        if let peer { adoptContainer(of: peer, hierarchies, &job, state) }
        _ = job.count(snapshot)
        guard let answer = job.answer(request) else {
            return SocketAnswer.line(refusing: "expected op snapshot or span: this socket tells a job of its own energy only")
        }
        return SocketAnswer.line(answer, context)
    }

    /// A container of the job's is not below the runner's cgroup, but the engine's: who asks from a container is counted with the job.
    /// The kernel says where the process is, so nobody can name another's, and one that is some job's already stays that job's.
    private func adoptContainer(of peer: Peer, _ hierarchies: [CgroupHierarchy], _ job: inout JobSocket, _ state: State) {
        for hierarchy in hierarchies {
            guard let own = CgroupClaim(peer: peer, hierarchies: [hierarchy], proc: proc).own(hierarchy.kind),
                let cgroup = WorkloadIdentity.jobCgroup(above: own), !WorkloadIdentity(cgroup: cgroup).containerID.isEmpty
            else { continue }
            let directory = hierarchy.directory(of: cgroup)
            guard !state.jobs.values.contains(where: { $0.holds(directory) }) else { return }
            do throws(SensorFault) {
                let source = try CgroupCPUTime(directory: directory, kind: hierarchy.kind)
                let used = try source.read().count
                job.adopt(JobSocket.Place(directory: directory, source: source, last: used))
            } catch {
                log.debug("a container that a job asked from cannot be read: \(error)")
            }
            return
        }
    }

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
        return true
    }
}
