import Energy
import Glibc
import Logging
import ServiceLifecycle

/// Answers clients of the carbon-ops governor over a Unix socket: one line of JSON each, then the end.
///
/// A client may send anything or nothing, so the answer does not wait for a request. What is sent is read all the same until the client
/// hangs up: a socket that is closed with unread bytes in it gives its client a broken pipe instead of the answer.
struct GovernorSocket: Service {
    static let mostClients = 64
    /// A client that does not hang up is left after this long, or after this many bytes.
    static let patience = Microseconds.seconds(1)
    static let mostBytes = 64 << 10

    let listening: ListeningSocket
    var trusted: Set<UInt32> = [0, geteuid()]
    /// The cover now; nil before the first reading.
    let read: @Sendable () -> GovernorReading?
    let log: Logger

    func run() async throws {
        try await listening.serve("governor", without: "no socket for clients of the carbon-ops governor", log) { listener, wakeUp in
            serve(listener, wakeUp)
        }
    }

    private struct Client {
        let descriptor: Int32
        let since: Microseconds
        var unsent: [UInt8]
        var received = 0
    }

    private func serve(_ listener: ListeningSocket.Opened, _ wakeUp: WakeUp) {
        var clients: [Client] = []
        var answers = GovernorAnswer(trusted: trusted)
        defer {
            for client in clients { close(client.descriptor) }
            close(listener.descriptor)
            if !listener.isInherited { unlink(listening.path) }
        }
        while !wakeUp.isStopping {
            var polled = [
                pollfd(fd: wakeUp.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: clients.count < Self.mostClients ? listener.descriptor : -1, events: Int16(POLLIN), revents: 0),
            ]
            polled += clients.map { pollfd(fd: $0.descriptor, events: Int16($0.unsent.isEmpty ? POLLIN : POLLIN | POLLOUT), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), clients.isEmpty ? -1 : 250) >= 0 || errno == EINTR else {
                log.error("the governor's socket cannot be polled: \(Errno.text(errno)); it is closed")
                return
            }
            let now = ClockReading.now().monotonic
            clients = clients.compactMap { client in
                var client = client
                guard send(&client), receive(&client), (now - client.since) < Self.patience else {
                    close(client.descriptor)
                    return nil
                }
                return client
            }
            if polled[1].revents != 0 { accept(listener.descriptor, &clients, &answers, now) }
        }
    }

    private func accept(_ listener: Int32, _ clients: inout [Client], _ answers: inout GovernorAnswer, _ now: Microseconds) {
        while clients.count < Self.mostClients {
            let descriptor = Glibc.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            do throws(DiskFault) {
                try ListeningSocket.prepare(descriptor, listening.path)
            } catch {
                close(descriptor)
                continue
            }
            let line = answers.line(read(), to: Peer(descriptor)?.uid ?? .max)
            var client = Client(descriptor: descriptor, since: now, unsent: line)
            if send(&client) { clients.append(client) } else { close(descriptor) }
        }
    }

    /// False when the client is gone.
    private func send(_ client: inout Client) -> Bool {
        guard !client.unsent.isEmpty else { return true }
        while !client.unsent.isEmpty {
            let count = client.unsent.withUnsafeBytes { Glibc.send(client.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                client.unsent.removeFirst(count)
            } else if errno == EAGAIN {
                return true
            } else if errno != EINTR {
                return false
            }
        }
        // The end of the answer for those who read until the end; what they send can still be received.
        shutdown(client.descriptor, Int32(SHUT_WR))
        return true
    }

    /// Takes in what was sent. False when the client has hung up or sends without end.
    private func receive(_ client: inout Client) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while client.received < Self.mostBytes {
            let count = recv(client.descriptor, &buffer, buffer.count, 0)
            if count > 0 {
                client.received += count
            } else if count < 0, errno == EAGAIN {
                return true
            } else if count == 0 || errno != EINTR {
                return false
            }
        }
        return false
    }
}
