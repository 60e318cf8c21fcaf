import CLinux
import Glibc

/// Opens with the rights of this process and, where these do not suffice, asks the broker, a small privileged program.
///
/// One connection for each file that needs it: a broker that was away is asked again by the next discovery. The protocol is a line with
/// the path, answered by `ok` with the descriptor beside it (SCM_RIGHTS) or by `error <errno> <reason>`. It blocks, for at most the limit.
public struct BrokeredFiles: FileOpening {
    public static let standardSocket = "/run/wattle/broker.sock"

    let socket: String
    let root: String
    let limitMilliseconds: Int32
    let direct: any FileOpening

    /// - Parameters:
    ///   - socket: where the broker listens.
    ///   - root: what stands before `/sys` and `/dev` in the paths that will be asked for; the broker puts its own `--root` there.
    ///   - limitMilliseconds: how long one file may take, connection and answer together.
    ///   - direct: tried first.
    public init(
        socket: String = standardSocket,
        root: String = "",
        limitMilliseconds: Int32 = 2_000,
        direct: any FileOpening = DirectFiles()
    ) {
        self.socket = socket
        self.root = root
        self.limitMilliseconds = limitMilliseconds
        self.direct = direct
    }

    /// - Throws: `SensorFault`: that of the direct try, or `notPermitted` with what the broker said or why it said nothing.
    public func open(_ path: String) throws(SensorFault) -> Int32 {
        do throws(SensorFault) {
            return try direct.open(path)
        } catch {
            guard error.number == EACCES || error.number == EPERM else { throw error }
            return try ask(for: path)
        }
    }

    private func ask(for path: String) throws(SensorFault) -> Int32 {
        let end = ContinuousClock.now + .milliseconds(limitMilliseconds)
        let connection = wattle_connect_unix(socket, limitMilliseconds)
        guard connection >= 0 else {
            throw refusal(path, "no broker answers at \(socket) (\(SensorFault.text(of: -connection)))")
        }
        defer { close(connection) }
        let below = path.hasPrefix(root) ? path.dropFirst(root.count) : path[...]
        guard !below.utf8.contains(0x0A) else { throw SensorFault(path: path, errno: EINVAL) }
        let request = Array("\(below)\n".utf8)
        // Should the broker have hung up already, then its answer is there to be read.
        let sent = wattle_send_descriptor(connection, request, request.count, -1)
        guard sent == 0 || sent == -EPIPE || sent == -ECONNRESET else {
            throw refusal(path, "the broker at \(socket) cannot be asked (\(SensorFault.text(of: -sent)))")
        }
        return try answer(from: connection, path, end)
    }

    private func answer(from connection: Int32, _ path: String, _ end: ContinuousClock.Instant) throws(SensorFault) -> Int32 {
        var line: [UInt8] = []
        var received: Int32 = -1
        var chunk = [UInt8](repeating: 0, count: 256)
        while line.last != 0x0A, line.count < 1_024 {
            let left = (ContinuousClock.now.duration(to: end)) / .milliseconds(1)
            var polled = pollfd(fd: connection, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&polled, 1, Int32(left.rounded(.up))) != 0 else {
                drop(received)
                throw refusal(path, "the broker at \(socket) does not answer within \(limitMilliseconds) ms")
            }
            var descriptor: Int32 = -1
            let count = wattle_receive_descriptor(connection, &chunk, chunk.count, &descriptor)
            if descriptor >= 0 {
                drop(received)
                received = descriptor
            }
            if count > 0 {
                line += chunk[..<count]
            } else if count == 0 || (count != Int(-EINTR) && count != Int(-EAGAIN)) {
                break
            }
        }
        let text = String(decoding: line.prefix { $0 != 0x0A }, as: UTF8.self)
        if text == "ok", received >= 0 { return received }
        drop(received)
        guard text.hasPrefix("error ") else { throw refusal(path, "the broker at \(socket) hung up without an answer") }
        let rest = text.dropFirst(6)
        let number = Int32(rest.prefix { $0.isWholeNumber }) ?? EACCES
        // A file that is gone, or a driver that does not answer, is that also to the broker.
        guard number == EACCES || number == EPERM else { throw SensorFault(path: path, errno: number) }
        let reason = rest.drop { $0 != " " }.dropFirst()
        throw refusal(path, "the broker at \(socket) refused it: \(reason)")
    }

    private func drop(_ descriptor: Int32) {
        if descriptor >= 0 { close(descriptor) }
    }

    private func refusal(_ path: String, _ reason: String) -> SensorFault { SensorFault(path: path, kind: .notPermitted(reason: reason)) }
}
