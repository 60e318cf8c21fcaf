import CLinux
public import Energy
import Glibc

/// The agent's local socket, seen from a program on the same machine: one line of JSON out, one in.
public struct AgentSocket: Sendable {
    public static let defaultPath = "/run/wattle/agent.sock"

    public let path: String

    public init(path: String) { self.path = path }

    /// Why the agent did not help. Never a reason to stop a measured command.
    public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        public enum Kind: Sendable, Hashable {
            /// No agent runs here: no socket, or a stale one.
            case absent
            /// The socket is not for this user.
            case forbidden
            /// No answer in time.
            case silent
            /// An answer, but not a usable one.
            case unusable
        }
        public let kind: Kind
        public let description: String
    }

    /// Asks and waits for the answer; blocks, for at most the limit.
    public func ask(_ request: AgentRequest, within limit: Microseconds) throws(Failure) -> AgentReply {
        let deadline = Deadline(after: limit)
        let descriptor = wattle_connect_unix(path, deadline.millisecondsLeft)
        guard descriptor >= 0 else { throw connectFailure(-descriptor) }
        defer { close(descriptor) }
        try send(request.line, to: descriptor, deadline)
        let line = try receiveLine(from: descriptor, deadline)
        do throws(AgentReply.Fault) {
            return try AgentReply(line: line)
        } catch {
            switch error {
            case .refused(let reason): throw Failure(kind: .unusable, description: "the agent at \(path) refused: \(reason)")
            case .malformed(let what): throw Failure(kind: .unusable, description: "the agent at \(path) answered unexpectedly: \(what)")
            }
        }
    }

    private func connectFailure(_ number: Int32) -> Failure {
        let text = ErrorNumber(number).text
        switch number {
        case ENOENT, ECONNREFUSED, ENOTDIR: return Failure(kind: .absent, description: "no agent at \(path): \(text)")
        case EACCES, EPERM: return Failure(kind: .forbidden, description: "the agent's socket \(path) is not for this user: \(text)")
        case ETIMEDOUT: return silence
        default: return Failure(kind: .absent, description: "no agent at \(path): \(text)")
        }
    }

    private var silence: Failure { Failure(kind: .silent, description: "the agent at \(path) does not answer in time") }

    private func send(_ line: [UInt8], to descriptor: Int32, _ deadline: Deadline) throws(Failure) {
        var rest = line[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                try wait(for: POLLOUT, on: descriptor, deadline)
            } else if errno != EINTR {
                throw Failure(kind: .absent, description: "the agent at \(path) hung up: \(ErrorNumber(errno).text)")
            }
        }
    }

    private func receiveLine(from descriptor: Int32, _ deadline: Deadline) throws(Failure) -> [UInt8] {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8_192)
        while line.count <= 1 << 20 {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 {
                if let end = buffer[..<count].firstIndex(of: UInt8(ascii: "\n")) { return line + buffer[..<end] }
                line += buffer[..<count]
            } else if count == 0 {
                throw Failure(kind: .absent, description: "the agent at \(path) hung up without an answer")
            } else if errno == EAGAIN {
                try wait(for: POLLIN, on: descriptor, deadline)
            } else if errno != EINTR {
                throw Failure(kind: .absent, description: "the agent at \(path) hung up: \(ErrorNumber(errno).text)")
            }
        }
        throw Failure(kind: .unusable, description: "the agent at \(path) answers with more than 1 MiB")
    }

    private func wait(for event: Int32, on descriptor: Int32, _ deadline: Deadline) throws(Failure) {
        let left = deadline.millisecondsLeft
        guard left > 0 else { throw silence }
        var polled = pollfd(fd: descriptor, events: Int16(event), revents: 0)
        if poll(&polled, 1, left) == 0 { throw silence }
    }

    private struct Deadline {
        let end: ContinuousClock.Instant

        init(after limit: Microseconds) { end = ContinuousClock.now + .microseconds(limit.count) }

        /// Rounded up, so that a part of a millisecond still waits; 0 when it is over.
        var millisecondsLeft: Int32 {
            let left = end - ContinuousClock.now
            guard left > .zero else { return 0 }
            let (seconds, attoseconds) = left.components
            return Int32(clamping: seconds * 1_000 + attoseconds / 1_000_000_000_000_000 + 1)
        }
    }
}
