import Foundation
import Synchronization

/// A network between two programs that a test can cut: it takes connections on a port of its own and hands on what comes, either way.
final class Relay: Sendable {
    /// Something that happens to a network.
    enum Fault: Sendable, CaseIterable {
        /// Every connection ends at once, with a reset.
        case cut
        /// Every connection ends in the middle of what it carries next.
        case halve
        /// Nothing goes through, and nobody is told.
        case stall
        /// New connections are refused, and those there are end.
        case unplug
    }

    let port: Int
    private let targets: [Int]
    private let state = Mutex(State())

    private struct State {
        var isStalled = false
        var isUnplugged = false
        var cuts = 0
        var halvings = 0
        var isOver = false
    }

    /// - Parameter targets: ports of this machine; connections go to one after the other, past those that refuse.
    init(to targets: [Int]) throws {
        self.targets = targets
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(listener, raw, length) == 0 && listen(listener, 128) == 0 && getsockname(listener, raw, &length) == 0
            }
        }
        guard isListening else { throw Timeout(what: "a port for a relay", log: "errno \(errno)") }
        port = Int(UInt16(bigEndian: address.sin_port))
        _ = fcntl(listener, F_SETFD, FD_CLOEXEC)
        _ = fcntl(listener, F_SETFL, O_NONBLOCK)
        // A thread of its own: it waits in poll, and goes on while the test waits.
        Thread.detachNewThread { [self] in run(listener) }
    }

    func begin(_ fault: Fault) {
        state.withLock { state in
            switch fault {
            case .cut: state.cuts += 1
            case .halve: state.halvings += 1
            case .stall: state.isStalled = true
            case .unplug: state.isUnplugged = true
            }
        }
    }

    /// The network is as it should be.
    func mend() {
        state.withLock { state in
            state.isStalled = false
            state.isUnplugged = false
        }
    }

    func close() { state.withLock { $0.isOver = true } }

    // MARK: The thread

    private final class Line {
        /// The two ends, and what is on its way to each.
        var ends: [Int32]
        var buffers: [[UInt8]] = [[], []]
        var isEnded = [false, false]
        /// Bytes that still go through.
        var left: Int?

        init(_ a: Int32, _ b: Int32) { ends = [a, b] }

        func reset() {
            for end in ends {
                var option = linger(l_onoff: 1, l_linger: 0)
                setsockopt(end, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
                Glibc.close(end)
            }
        }

        func close() { for end in ends { Glibc.close(end) } }
    }

    private func run(_ listener: Int32) {
        var lines: [Line] = []
        var turn = 0
        var seen = State()
        while true {
            let now = state.withLock { $0 }
            if now.cuts != seen.cuts || now.isUnplugged || now.isOver {
                for line in lines { line.reset() }
                lines = []
            }
            if now.halvings != seen.halvings { for line in lines { line.left = Int.random(in: 1...300) } }
            seen = now
            if now.isOver {
                Glibc.close(listener)
                return
            }
            var watched = [pollfd(fd: now.isStalled ? -1 : listener, events: Int16(POLLIN), revents: 0)]
            for line in lines {
                for side in 0..<2 {
                    let other = 1 - side
                    var events: Int16 = 0
                    if line.buffers[other].isEmpty, !line.isEnded[side] { events |= Int16(POLLIN) }
                    if !line.buffers[side].isEmpty { events |= Int16(POLLOUT) }
                    watched.append(pollfd(fd: now.isStalled || events == 0 ? -1 : line.ends[side], events: events, revents: 0))
                }
            }
            guard poll(&watched, nfds_t(watched.count), 10) > 0 else { continue }
            var gone: Set<Int> = []
            for (number, line) in lines.enumerated() {
                for side in 0..<2 where watched[1 + 2 * number + side].revents != 0 && !gone.contains(number) {
                    if !carry(line, side) { gone.insert(number) }
                }
                if line.isEnded == [true, true], line.buffers == [[], []], gone.insert(number).inserted { line.close() }
            }
            lines = lines.enumerated().filter { !gone.contains($0.offset) }.map(\.element)
            if watched[0].revents != 0 {
                let client = accept(listener, nil, nil)
                if client >= 0 {
                    if !now.isUnplugged, let line = connect(client, &turn) { lines.append(line) } else { Line(client, -1).reset() }
                }
            }
        }
    }

    /// Moves what is there; false where the line has ended.
    private func carry(_ line: Line, _ side: Int) -> Bool {
        let other = 1 - side
        if !line.buffers[side].isEmpty {
            let bytes = line.buffers[side]
            let sent = send(line.ends[side], bytes, bytes.count, Int32(MSG_NOSIGNAL))
            if sent < 0, errno != EAGAIN {
                line.reset()
                return false
            }
            line.buffers[side].removeFirst(max(0, sent))
            if line.buffers[side].isEmpty, line.isEnded[other] { shutdown(line.ends[side], Int32(SHUT_WR)) }
        }
        guard line.buffers[other].isEmpty, !line.isEnded[side] else { return true }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(line.ends[side], &buffer, buffer.count, 0)
        if count < 0 {
            guard errno != EAGAIN else { return true }
            line.reset()
            return false
        }
        guard count > 0 else {
            line.isEnded[side] = true
            shutdown(line.ends[other], Int32(SHUT_WR))
            return true
        }
        if let left = line.left {
            // What is cut off comes to its reader up to here, and then the line is dead.
            _ = send(line.ends[other], buffer, min(left, count), Int32(MSG_NOSIGNAL))
            line.left = left - count
            if left <= count {
                line.close()
                return false
            }
            return true
        }
        line.buffers[other] = Array(buffer[..<count])
        let sent = send(line.ends[other], line.buffers[other], count, Int32(MSG_NOSIGNAL))
        if sent > 0 { line.buffers[other].removeFirst(sent) }
        return true
    }

    private func connect(_ client: Int32, _ turn: inout Int) -> Line? {
        for _ in targets {
            let target = targets[turn % targets.count]
            turn += 1
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = Self.loopback(target)
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            guard isConnected else {
                Glibc.close(server)
                continue
            }
            for end in [client, server] {
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                var one: Int32 = 1
                setsockopt(end, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
            }
            return Line(client, server)
        }
        return nil
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }
}
