import Foundation

/// An agent, started as the real program.
final class Agent {
    let scratch: Scratch
    let host: String
    let socketPath: String
    private let arguments: [String]
    private(set) var program: Program

    /// - Parameter extra: further flags: `--root`, `--idle-floor`...
    init(_ collector: Collector, url: String? = nil, host: String, extra: [String] = []) async throws {
        scratch = collector.scratch
        self.host = host
        socketPath = scratch.path + "/\(host).sock"
        let token = try scratch.file("\(host).token", try await collector.token("agent", host: host))
        chmod(token, 0o600)
        arguments =
            [
                "run", "--collector", url ?? collector.url, "--token-file", token, "--host", host, "--state-dir",
                scratch.path + "/state-\(host)",
                "--socket", socketPath, "--batch-interval", "1",
            ] + extra
        program = try Program("wattle-agent", arguments, environment: ["WATTLE_JOB_SOCKET_DIR": scratch.path + "/jobs"], in: scratch)
        try await opensItsSocket()
    }

    func startAgain() async throws {
        program = try Program("wattle-agent", arguments, environment: ["WATTLE_JOB_SOCKET_DIR": scratch.path + "/jobs"], in: scratch)
        try await opensItsSocket()
    }

    private func opensItsSocket() async throws {
        let program = program
        try await eventually("the agent's socket", log: { program.errors }) {
            if !program.isRunning { throw Timeout(what: "the agent, which has stopped", log: program.errors) }
            return (try? self.ask(["op": "snapshot"])) == nil ? nil : ()
        }
    }

    /// One line to the local socket, one back.
    @discardableResult
    func ask(_ request: [String: Any]) throws -> [String: Any] {
        let line = try JSONSerialization.data(withJSONObject: request) + Data("\n".utf8)
        let answer = try ask(line: line)
        guard let object = try JSONSerialization.jsonObject(with: answer) as? [String: Any] else {
            throw Timeout(what: "an object from the socket", log: String(decoding: answer, as: UTF8.self))
        }
        return object
    }

    func ask(line: Data) throws -> Data {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(socketPath.utf8)) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        guard connected else { throw Timeout(what: "a connection to \(socketPath)", log: "errno \(errno)") }
        _ = line.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        var answer = Data()
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while !answer.contains(10) {
            let n = read(descriptor, &buffer, buffer.count)
            guard n > 0 else { break }
            answer.append(contentsOf: buffer[0..<n])
        }
        return answer
    }
}
