import CIEvents
import Documents
import Energy
import FoundationEssentials

/// Recorded payloads with their headers, signatures and the spans they mean. They are not part of the project: where they are absent the
/// tests that want them are skipped and say so.
enum WebhookVectors {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().path + "/../../../../shared/vectors/webhooks"
    static var areHere: Bool { FileManager.default.fileExists(atPath: "\(folder)/index.json") }
    static let absence = "the webhook vectors are not here"

    struct Vector: Sendable, CustomStringConvertible {
        let file: String
        let provider: String
        let delivery: Delivery
        /// `expect` of the index.
        let expect: JSONValue

        var description: String { file }
    }

    static func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))) }

    static func document(_ name: String) throws -> JSONValue { try JSONValue(parsing: bytes(name)) }

    /// A minute after the jobs of the vectors ended.
    static let now = RFC3339.parse("2026-09-01T09:05:56Z") ?? Timestamp(microseconds: 0)

    static func of(_ providers: String...) -> [Vector] {
        guard areHere else { return [] }
        do {
            return try (document("index.json").object?["files"]?.array ?? []).compactMap { entry in
                guard let fields = entry.object, let file = fields["file"]?.string, let provider = fields["provider"]?.string,
                    providers.contains(provider), !file.contains("claims")
                else { return nil }
                var headers: [String: String] = [:]
                for (name, value) in fields["headers"]?.object ?? [:] { headers[name.lowercased()] = value.string }
                return Vector(
                    file: file,
                    provider: provider,
                    delivery: Delivery(headers: headers, body: try bytes(file), receivedAt: now),
                    expect: fields["expect"] ?? .null
                )
            }
        } catch {
            return []  // Then the test that counts them fails.
        }
    }

    static func secret(_ name: String) throws -> String {
        try document("signatures.json").object?["sample_secrets"]?.object?[name]?.string ?? ""
    }

    /// What differs between a job and the span a vector expects; empty where nothing does.
    static func differences(_ event: JobEvent, _ span: JSONValue) -> [String] {
        var found: [String] = []
        func compare(_ name: String, _ got: JSONValue, _ want: JSONValue) {
            if got != want { found.append("\(name): expected \(want.described), found \(got.described)") }
        }
        let want = span.object ?? [:]
        for name in [
            "repository", "commit", "ref", "pipeline", "job", "run_id", "job_id", "queued_at", "started_at", "finished_at", "outcome",
        ] where want[name] != nil { compare(name, event.fields[name] ?? .null, want[name] ?? .null) }
        if let instance = want["instance"] { compare("instance", .string(event.instance), instance) }
        if let attempt = want["attempt"] { compare("attempt", .integer(Int64(event.attempt)), attempt) }
        if let labels = want["labels"] { compare("labels", event.fields["labels"] ?? .array([]), labels) }
        for (theirs, ours) in [("runner_name", "runner"), ("runner_id", "runner_id"), ("group", "runner_group"), ("hostname", "hostname")] {
            if let value = want["host"]?.object?[theirs] { compare(ours, event.fields[ours] ?? .null, value) }
        }
        if let seconds = want["resolution_s"]?.double {
            compare("time_resolution_ms", event.fields["time_resolution_ms"] ?? .null, .integer(Int64(seconds * 1_000)))
        }
        return found
    }
}
