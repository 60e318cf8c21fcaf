import Foundation

/// A server in a process of its own: Python's TLS stack and its HTTP server, so that the client is not tested against itself.
final class Peer {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let port: Int
    private let process = Process()
    /// While it is open the server lives.
    private let lifeline = Pipe()

    init(_ arguments: [String]) throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "peer.py").path
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", script] + arguments
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = Int(line.filter(\.isNumber)) else {
            throw Failure(description: "expected peer.py to print its port, found '\(line)'")
        }
        self.port = port
    }

    deinit {
        do { try lifeline.fileHandleForWriting.close() } catch { print("the peer's lifeline: \(error)") }
        process.waitUntilExit()
    }
}
