import Energy
import Glibc
import Logging
import ServiceLifecycle
import Synchronization

/// Serves `GET /metrics` over HTTP/1.1: one answer a connection, on a thread of its own. Off unless it is configured.
///
/// A snapshot is taken when somebody asks and the last is a second old: without a scraper the agent does nothing more than before,
/// and asking faster shows nothing more.
struct MetricsServer: Service {
    struct Limits: Hashable, Sendable {
        /// More connections wait in the system's queue.
        var connections = 16
        /// For a request to arrive whole; for an answer to be taken.
        var patience = Microseconds.seconds(5)
        /// The least time between two snapshots.
        var refresh = Microseconds.seconds(1)
    }

    let address: MetricsAddress
    var limits = Limits()
    let source: MetricsSource
    let log: Logger
    /// Called with the port once connections are taken.
    var onListening: @Sendable (UInt16) -> Void = { _ in }

    func run() async throws {
        let wakeUp: WakeUp
        let bell: WakeUp
        let listener: Int32
        do throws(DiskFault) {
            wakeUp = try WakeUp()
            bell = try WakeUp()
            listener = try listen()
        } catch {
            // The agent measures and uploads without it.
            log.error("no local metrics: \(error)")
            try await gracefulShutdown()
            return
        }
        if !address.isLoopback { log.warning("metrics are served to other machines at \(address): whoever reaches it can read them") }
        let page = Page()
        let asked = Doorbell()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await withTaskCancellationOrGracefulShutdownHandler {
                    do throws(OwnThread.Fault) {
                        try await OwnThread.run("metrics") { serve(listener, wakeUp, bell, page, asked) }
                    } catch {
                        log.error("no local metrics: \(error)")
                        close(listener)
                    }
                } onCancelOrGracefulShutdown: {
                    wakeUp.stop()
                }
            }
            group.addTask {
                while !Task.isCancelled {
                    await asked.wait(atMost: nil)
                    guard !Task.isCancelled else { return }
                    page.put(await source().openMetrics, at: ClockReading.now().monotonic)
                    bell.ring()
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// The last text, and when it was made.
    private final class Page: Sendable {
        private let state = Mutex<(text: String, madeAt: Microseconds)?>(nil)

        func put(_ text: String, at time: Microseconds) { state.withLock { $0 = (text, time) } }

        func text(notOlderThan oldest: Microseconds) -> String? {
            state.withLock { state in state.flatMap { $0.madeAt >= oldest ? $0.text : nil } }
        }
    }

    private func listen() throws(DiskFault) -> Int32 {
        let name = "metrics_listen \(address)"
        let descriptor = socket(address.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw DiskFault(path: name, doing: "make a socket") }
        Self.prepare(descriptor)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard address.withSocketAddress({ bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 16) == 0 else {
            let fault = DiskFault(path: name, doing: "listen there; choose another address or stop what uses it")
            close(descriptor)
            throw fault
        }
        // Where the address names no port, the system chose one.
        var bound = sockaddr_in6()
        var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        let found = withUnsafeMutablePointer(to: &bound) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        // The port lies at the same place for both families.
        onListening(found == 0 ? UInt16(bigEndian: bound.sin6_port) : address.port)
        return descriptor
    }

    private static func prepare(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    // MARK: On the thread

    private struct Client {
        enum Phase {
            case asking
            /// For a fresh snapshot.
            case waiting(headOnly: Bool)
            case answering
            /// The answer is sent; what the client still sends is read, or closing would take the answer from it.
            case ending
        }

        let descriptor: Int32
        var phase = Phase.asking
        var received: [UInt8] = []
        var unsent: ArraySlice<UInt8> = []
        var deadline: Microseconds
    }

    private func serve(_ listener: Int32, _ wakeUp: WakeUp, _ bell: WakeUp, _ page: Page, _ asked: Doorbell) {
        var clients: [Client] = []
        var lastRefresh: Microseconds?
        defer {
            for client in clients { close(client.descriptor) }
            close(listener)
        }
        while !wakeUp.isStopping {
            var polled = [
                pollfd(fd: wakeUp.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: bell.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: clients.count < limits.connections ? listener : -1, events: Int16(POLLIN), revents: 0),
            ]
            polled += clients.map { client in
                switch client.phase {
                case .asking, .ending: pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0)
                case .answering: pollfd(fd: client.descriptor, events: Int16(POLLOUT), revents: 0)
                case .waiting: pollfd(fd: -1, events: 0, revents: 0)
                }
            }
            let before = ClockReading.now().monotonic
            let timeout = clients.map { max(0, ($0.deadline - before).count / 1_000 + 1) }.min() ?? -1
            guard poll(&polled, nfds_t(polled.count), Int32(clamping: timeout)) >= 0 || errno == EINTR else {
                log.error("the local metrics' socket cannot be polled: \(Errno.text(errno)); it is closed")
                return
            }
            let now = ClockReading.now().monotonic
            if polled[1].revents != 0 { bell.silence() }
            // The values of a second are those of its first asker: whoever asks more often learns nothing more.
            let fresh = page.text(notOlderThan: now - limits.refresh)
            var isAsked = false
            var open: [Client] = []
            for (i, client) in clients.enumerated() {
                var client = client
                var isOpen = now < client.deadline
                if isOpen, polled[i + 3].revents != 0 { isOpen = attend(&client) }
                if isOpen, case .waiting(let headOnly) = client.phase {
                    if let fresh {
                        answer(&client, MetricsRequest.response(200, OpenMetricsText.mediaType, fresh, headOnly: headOnly), now)
                        isOpen = send(&client)
                    } else {
                        isAsked = true
                    }
                }
                if !isOpen, case .waiting = client.phase {
                    answer(&client, MetricsRequest.response(503, "text/plain; charset=utf-8", "the agent is busy; ask again\n"), now)
                    isOpen = send(&client)
                }
                if isOpen { open.append(client) } else { close(client.descriptor) }
            }
            clients = open
            if isAsked, lastRefresh.map({ now - $0 >= limits.refresh }) ?? true {
                lastRefresh = now
                asked.ring()
            }
            if polled[2].revents != 0 { accept(listener, &clients, now) }
        }
    }

    private func accept(_ listener: Int32, _ clients: inout [Client], _ now: Microseconds) {
        while clients.count < limits.connections {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            Self.prepare(descriptor)
            clients.append(Client(descriptor: descriptor, deadline: now + limits.patience))
        }
    }

    /// Reads or writes what is possible. False when the client is to be let go.
    private func attend(_ client: inout Client) -> Bool {
        switch client.phase {
        case .waiting: return true
        case .answering: return send(&client)
        case .asking, .ending:
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = recv(client.descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return count < 0 && (errno == EAGAIN || errno == EINTR) }
            guard case .asking = client.phase else { return true }
            client.received += buffer[..<count]
            switch MetricsRequest(client.received) {
            case .incomplete: return true
            case .metrics(let headOnly):
                client.received = []
                client.phase = .waiting(headOnly: headOnly)
                return true
            case .refused(let status, let text):
                client.received = []
                answer(&client, MetricsRequest.response(status, "text/plain; charset=utf-8", text + "\n"), ClockReading.now().monotonic)
                return send(&client)
            }
        }
    }

    private func answer(_ client: inout Client, _ response: [UInt8], _ now: Microseconds) {
        client.unsent = response[...]
        client.phase = .answering
        client.deadline = now + limits.patience
    }

    private func send(_ client: inout Client) -> Bool {
        while !client.unsent.isEmpty {
            let count = client.unsent.withUnsafeBytes { Glibc.send(client.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                client.unsent = client.unsent.dropFirst(count)
            } else if errno == EAGAIN {
                return true
            } else if errno != EINTR {
                return false
            }
        }
        client.phase = .ending
        shutdown(client.descriptor, Int32(SHUT_WR))
        return true
    }
}
