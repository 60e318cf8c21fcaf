import CIEvents
import CIHistory
import Documents
import Energy
import Foundation
import HTTPClient

/// GitHub and GitLab on the loopback, in a process of their own; see `Support/forge.py`.
final class Forge {
    struct Failure: Error { let description: String }

    let url: String
    private let process = Process()
    /// While it is open the server lives.
    private let lifeline = Pipe()

    /// 2026-08-01T00:00:00Z, in s since 1970.
    static let first = 1_785_542_400
    static let token = "ghp_plantedSecret0123456789"

    init(_ scenario: [String: Any]) throws {
        var scenario = scenario
        scenario["first"] = scenario["first"] ?? Self.first
        scenario["token"] = Self.token
        let text = String(decoding: try JSONSerialization.data(withJSONObject: scenario), as: UTF8.self)
        let output = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "python3", URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Support/forge.py").path, text,
        ]
        process.standardInput = lifeline
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = Int(line.filter(\.isNumber)) else { throw Failure(description: "expected a port, found '\(line)'") }
        url = "http://127.0.0.1:\(port)"
    }

    deinit {
        do { try lifeline.fileHandleForWriting.close() } catch { print("the forge's lifeline: \(error)") }
        process.waitUntilExit()
    }

    /// Every job that a runner had, as `repository id attempt`, sorted.
    func jobs(isGitLab: Bool = false) async throws -> [String] {
        try await ask("/_jobs").map { job in
            let parts = job.array ?? []
            // GitLab gives a job that is run again an id of its own.
            let attempt = isGitLab ? 1 : parts[2].integer ?? 0
            return "\(parts[0].string ?? "") \(parts[1].string ?? "") \(attempt)"
        }.sorted()
    }

    func requests() async throws -> [String] { try await ask("/_requests").compactMap(\.string) }

    private func ask(_ path: String) async throws -> [JSONValue] {
        let response = try await HTTPClient().send(HTTPRequest(url: url + path))
        return try JSONValue(parsing: response.body).array ?? []
    }

    static var since: Timestamp { Timestamp(microseconds: Int64(first) * 1_000_000) }
    /// A day after the first run.
    static var now: Timestamp { since + Microseconds(Microseconds.day.count) }

    func gitHub(
        _ scope: HistoryRange.Scope = .owner("acme"),
        since: Timestamp = Forge.since,
        token: String? = Forge.token
    ) throws -> GitHubHistory {
        try GitHubHistory(
            HistoryRange(scope, since: since),
            apiURL: url,
            token: token,
            http: HTTPClient(),
            now: { Forge.now },
            pause: { _ in }
        )
    }

    func gitLab(
        _ scope: HistoryRange.Scope = .owner("acme"),
        since: Timestamp = Forge.since,
        token: String? = Forge.token
    ) throws -> GitLabHistory {
        try GitLabHistory(
            HistoryRange(scope, since: since),
            url: url,
            token: token,
            http: HTTPClient(),
            now: { Forge.now },
            pause: { _ in }
        )
    }
}

/// What a whole walk brought.
struct Walk {
    /// Those with a start, as `repository id attempt`, in the order in which they came.
    var jobs: [String] = []
    var withoutStart = 0
    var notices: [RepositoryNotice] = []
    var omissions: [HistoryOmission] = []
    var waits: [Int] = []
    var pages = 0
    var longestPlace = 0

    /// Asks every page `times` times over, each time with a history of its own and a place that went through JSON: as if the process
    /// had been killed before and after each page was stored.
    init(times: Int = 1, from place: HistoryPlace = HistoryPlace(), _ history: () throws -> any JobHistory) async throws {
        var place = place
        while true {
            let text = try JSONEncoder().encode(place)
            longestPlace = max(longestPlace, text.count)
            var page: HistoryPage?
            for _ in 0..<times {
                page = try await (times > 1 ? history() : history()).next(after: try JSONDecoder().decode(HistoryPlace.self, from: text))
                add(page)
            }
            guard let page, !page.isLast else { return }
            pages += 1
            place = page.place
            guard pages < 20_000 else { throw Forge.Failure(description: "the walk does not end") }
        }
    }

    private mutating func add(_ page: HistoryPage?) {
        guard let page else { return }
        for event in page.events {
            if event.fields["started_at"] == nil {
                withoutStart += 1
                continue
            }
            let name = event.fields["repository"]?.string ?? ""
            jobs.append("\(name.split(separator: "/").suffix(2).joined(separator: "/")) \(event.id) \(event.attempt)")
        }
        notices += page.repositories
        omissions += page.omissions
        if let wait = page.waitSeconds { waits.append(wait) }
    }
}
