import Documents
import Foundation
import HTTPClient

/// A provider on loopback, in a process of its own, that gives recorded answers: see `recorded.py`.
final class RecordedProvider {
    struct Failure: Error { let description: String }

    struct Answer {
        var path: String
        var file: String?
        var body: String?
        var status = 200
        var headers: [String: String] = [:]
        /// How often; nil for ever.
        var times: Int?
        /// Headers that a request has to have.
        var with: [String: String] = [:]
    }

    let url: String
    private let process = Process()
    /// While it is open the server lives.
    private let lifeline = Pipe()

    private static var folder: URL { URL(filePath: #filePath).deletingLastPathComponent() }

    /// The bytes of a recorded answer.
    static func answer(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: folder.appending(path: "../Answers/\(name)"))) }

    init(_ answers: [Answer]) throws {
        let scenario: [String: Any] = [
            "answers": answers.map { answer in
                var made: [String: Any] = ["path": answer.path, "status": answer.status, "headers": answer.headers, "with": answer.with]
                made["file"] = answer.file.map { Self.folder.appending(path: "../Answers/\($0)").path }
                made["body"] = answer.body
                made["times"] = answer.times
                return made
            }
        ]
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        let text = String(decoding: try JSONSerialization.data(withJSONObject: scenario), as: UTF8.self)
        process.arguments = ["python3", Self.folder.appending(path: "recorded.py").path, text]
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = Int(line.filter(\.isNumber)) else { throw Failure(description: "expected a port, found '\(line)'") }
        url = "http://127.0.0.1:\(port)"
    }

    deinit {
        do { try lifeline.fileHandleForWriting.close() } catch { print("the provider's lifeline: \(error)") }
        process.waitUntilExit()
    }

    /// Paths with their queries, and headers, so far.
    func requests() async throws -> [(path: String, headers: [String: String])] {
        let response = try await HTTPClient().send(HTTPRequest(url: "\(url)/_requests"))
        return try (JSONValue(parsing: response.body).array ?? []).map { request in
            (request.array?.first?.string ?? "", (request.array?.last?.object ?? [:]).compactMapValues(\.string))
        }
    }
}
