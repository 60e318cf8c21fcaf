import Glibc
import Synchronization

/// A real HTTP/1.1 server on the loopback with scripted answers; keeps connections open, a thread each.
final class ScriptedHTTPServer: Sendable {
    struct Request: Sendable {
        var method: String
        var path: String
        var headers: [String]
        var body: String
        /// Numbers the connections, from 1.
        var connection: Int
    }

    struct Response: Sendable {
        var status = 200
        var headers: [String] = []
        var body = ""
        var delay: Duration = .zero
    }

    let port: UInt16
    private let listener: Int32
    private let seen = Mutex<[Request]>([])
    private let script: @Sendable (Request) -> Response

    init(_ script: @escaping @Sendable (Request) -> Response) throws {
        self.script = script
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(listener, address, length) == 0 && listen(listener, 64) == 0 && getsockname(listener, address, &length) == 0
            }
        }
        guard bound else { throw TemporaryDirectory.Failure(errno: errno) }
        port = UInt16(bigEndian: address.sin_port)
        ScriptedHTTPServer.onThread { [self] in
            var count = 0
            while true {
                let connection = accept(listener, nil, nil)
                guard connection >= 0 else { return }
                count += 1
                let number = count
                ScriptedHTTPServer.onThread { [self] in serve(connection, number) }
            }
        }
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { seen.withLock { $0 } }

    func close() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ connection: Int32, _ number: Int) {
        defer { Glibc.close(connection) }
        var pending: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let end = Array("\r\n\r\n".utf8)
        while true {
            while let head = (0...max(0, pending.count - 4)).first(where: { pending[$0...].starts(with: end) }), pending.count >= 4 {
                let lines = String(decoding: pending[..<head], as: UTF8.self).split(separator: "\r\n").map(String.init)
                let length =
                    lines.first { $0.lowercased().hasPrefix("content-length:") }
                    .flatMap { Int($0.split(separator: ":")[1].filter { !$0.isWhitespace }) } ?? 0
                guard pending.count >= head + 4 + length else { break }
                let words = (lines.first ?? "").split(separator: " ")
                guard words.count == 3 else { return }
                let request = Request(
                    method: String(words[0]),
                    path: String(words[1]),
                    headers: Array(lines.dropFirst()),
                    body: String(decoding: pending[(head + 4)..<(head + 4 + length)], as: UTF8.self),
                    connection: number
                )
                pending.removeFirst(head + 4 + length)
                seen.withLock { $0.append(request) }
                let response = script(request)
                usleep(UInt32(response.delay / .microseconds(1)))
                let head = ["HTTP/1.1 \(response.status) X", "Content-Length: \(response.body.utf8.count)"] + response.headers
                let text = head.joined(separator: "\r\n") + "\r\n\r\n" + (request.method == "HEAD" ? "" : response.body)
                var rest = Array(text.utf8)[...]
                while !rest.isEmpty {
                    let count = rest.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                    guard count > 0 else { return }
                    rest = rest.dropFirst(count)
                }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            pending += buffer[..<count]
            // The start of a TLS handshake: a plain server answers in its own tongue.
            if pending.first == 0x16 {
                let text = Array("HTTP/1.1 400 X\r\n\r\n".utf8)
                send(connection, text, text.count, Int32(MSG_NOSIGNAL))
                return
            }
        }
    }

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func onThread(_ work: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        pthread_create(
            &thread,
            nil,
            { context in
                if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            },
            Unmanaged.passRetained(Body(work)).toOpaque()
        )
        pthread_detach(thread)
    }
}
