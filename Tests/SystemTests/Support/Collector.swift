import Foundation
import HTTPClient
import Postgres

/// A collector with a Postgres of its own, started as the real program.
final class Collector {
    let scratch: Scratch
    let port: Int
    private(set) var program: Program
    private let arguments: [String]
    private let client = HTTPClient()
    private var tokens: [String: String] = [:]
    private var adminToken = ""

    var url: String { "http://127.0.0.1:\(port)" }
    var database: String { scratch.path + "/postgres" }

    private init(scratch: Scratch, port: Int, arguments: [String], program: Program) {
        self.scratch = scratch
        self.port = port
        self.arguments = arguments
        self.program = program
    }

    /// - Parameter arguments: more of `serve`.
    static func with<T>(
        _ scratch: Scratch,
        port: Int? = nil,
        arguments: [String] = [],
        _ body: (Collector) async throws -> T
    ) async throws -> T {
        let port = try port ?? freePort()
        let program = try launch(scratch, port: port, arguments)
        let collector = Collector(scratch: scratch, port: port, arguments: arguments, program: program)
        let result: Result<T, any Error>
        do {
            try await collector.becomesReady()
            result = .success(try await body(collector))
        } catch {
            print(collector.program.errors.suffix(4_000))
            result = .failure(error)
        }
        try await collector.program.stop()
        // The data of a cluster made as root lie outside the folder.
        try await EmbeddedCluster.destroy(directory: collector.database, andFolder: collector.database)
        return try result.get()
    }

    private static func launch(_ scratch: Scratch, port: Int, _ arguments: [String]) throws -> Program {
        try Program(
            "wattle-collector",
            ["serve", "--embedded", scratch.path + "/postgres", "--listen", "127.0.0.1:\(port)"] + arguments,
            in: scratch
        )
    }

    /// Starts it again, after a kill or a stop.
    func startAgain() async throws {
        program = try Self.launch(scratch, port: port, arguments)
        try await becomesReady()
    }

    func becomesReady() async throws {
        let program = program
        try await eventually("the collector to get ready", seconds: 60, log: { program.errors }) {
            if !program.isRunning { throw Timeout(what: "the collector, which has stopped", log: program.errors) }
            return await self.isReady() ? () : nil
        }
    }

    func isReady() async -> Bool {
        do { return try await client.send(HTTPRequest(url: url + "/readyz")).status == 200 } catch { return false }
    }

    /// A token of a scope, made with the command and remembered.
    func token(_ scope: String, host: String? = nil, name: String? = nil) async throws -> String {
        let key = "\(scope)/\(host ?? "")/\(name ?? "")"
        if let known = tokens[key] { return known }
        let made = try await Program.run(
            "wattle-collector",
            ["token", "create", "--embedded", database, "--scope", scope, "--name", name ?? "\(scope)-\(host ?? "any")"]
                + (host.map { ["--host", $0] } ?? []),
            in: scratch
        )
        guard made.code == 0 else { throw Timeout(what: "a token", log: made.errors) }
        tokens[key] = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
        return tokens[key]!
    }

    struct Answer {
        let status: Int
        let body: String
        let headers: [(name: String, value: String)]

        var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any] ?? [:] }
        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
    }

    func send(
        _ method: String,
        _ path: String,
        token: String?,
        type: String = "application/json",
        body: [UInt8] = [],
        headers: [(String, String)] = []
    ) async throws -> Answer {
        var all = headers
        if let token { all.append(("Authorization", "Bearer \(token)")) }
        if !body.isEmpty { all.append(("Content-Type", type)) }
        let response = try await client.send(HTTPRequest(method: method, url: url + path, headers: all, body: body))
        return Answer(status: response.status, body: String(decoding: response.body, as: UTF8.self), headers: response.headers)
    }

    func get(_ path: String) async throws -> Answer { try await send("GET", path, token: try await token("read")) }

    /// Posts a span and gives back the job's id.
    func post(_ span: String) async throws -> String {
        let answer = try await send("POST", "/v1/spans", token: try await token("ci"), body: Array(span.utf8))
        guard answer.status == 202, let accepted = answer.json["accepted"] as? [[String: Any]], let id = accepted.first?["id"] as? String
        else {
            throw Timeout(what: "a span to be accepted", log: answer.body)
        }
        return id
    }

    /// The job's footprint once it is final.
    func final(_ id: String, seconds: Double = 30) async throws -> [String: Any] {
        try await eventually("job \(id) to be final", seconds: seconds, log: { self.program.errors }) {
            let answer = try await self.get("/v1/jobs/\(id)").json
            return answer["state"] as? String == "final" ? answer : nil
        }
    }

    static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(descriptor, raw, length) == 0 && getsockname(descriptor, raw, &length) == 0
            }
        }
        guard bound else { throw Timeout(what: "a free port", log: "errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

/// The data that a cluster made as root keeps outside its folder.
enum EmbeddedClusterLeftover {
    static func remove(_ directory: String) async throws {
        try await EmbeddedCluster.destroy(directory: directory, andFolder: directory)
    }
}
