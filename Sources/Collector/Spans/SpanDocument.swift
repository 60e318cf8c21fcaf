import Carbon
import Documents
import Energy
import Store

/// A span as posted: known fields checked, unknown ones kept.
struct SpanDocument: Sendable {
    /// Every field as it was posted; `capacity_share` under its own name `cpu_share`.
    let fields: [String: JSONValue]
    let id: String
    let instance: String
    let attempt: Int
    /// When the sender says that this was true; decides between writers of the same rank.
    let eventTime: Timestamp
    let revision: Int64

    static let maximumFields = 100
    /// Bytes of what jobs are found or grouped by: two of them must fit one entry of an index.
    static let nameLimit = 512
    /// Bytes of other texts.
    static let textLimit = 2_000
    /// Labels, and releases.
    static let maximumMembers = 100

    /// - Throws: `Problem` 422 naming the field, what was expected and what was found.
    init(_ value: JSONValue, now: Timestamp) throws {
        guard let posted = value.object else { throw Self.problem("span", "an object", value) }
        // The envelope of other generic senders: {"type": "job.span", "timestamp": ..., "data": {...}}.
        if let data = posted["data"], posted["type"]?.string?.hasSuffix("span") == true, posted["id"] == nil {
            try self.init(data, now: now, sent: posted["timestamp"])
        } else {
            try self.init(value, now: now, sent: nil)
        }
    }

    private init(_ value: JSONValue, now: Timestamp, sent: JSONValue?) throws {
        guard var posted = value.object else { throw Self.problem("span", "an object", value) }
        guard posted.count <= Self.maximumFields else {
            throw Problem.unprocessable("invalid-span", "Too many fields", "expected at most \(Self.maximumFields), found \(posted.count)")
        }
        if let share = posted.removeValue(forKey: "capacity_share"), posted["cpu_share"] == nil { posted["cpu_share"] = share }
        posted = posted.filter { !$0.value.isNull }
        if let (name, _) = posted.first(where: { $0.key.utf8.contains(0) || $0.value.holdsZero }) {
            throw Problem.unprocessable(
                "invalid-span",
                "The span cannot be read",
                "field \(name.prefix(60)): expected texts without U+0000, found one with it"
            )
        }

        func text(_ name: String, limit: Int = Self.textLimit) throws -> String? {
            guard let value = posted[name] else { return nil }
            guard let string = value.string, !string.isEmpty, string.utf8.count <= limit, !string.utf8.contains(0) else {
                throw Self.problem(name, "a text of 1 to \(limit) bytes", value)
            }
            return string
        }
        func time(_ name: String) throws -> Timestamp? {
            guard let value = posted[name] else { return nil }
            guard let time = value.string.flatMap(RFC3339.parse) else {
                throw Self.problem(name, "an RFC 3339 time such as 2026-09-01T09:00:10Z", value)
            }
            guard time.microseconds >= 0, time <= now + .hour else {
                throw Self.problem(name, "a time between 1970 and at most an hour from now (\(RFC3339.format(now)))", value)
            }
            return time
        }
        func number(_ name: String, _ range: ClosedRange<Double>, _ expected: String) throws -> Double? {
            guard let value = posted[name] else { return nil }
            guard let number = value.double, range.contains(number) else { throw Self.problem(name, expected, value) }
            return number
        }
        func count(_ name: String, from least: Int64 = 0, to most: Int64 = 1 << 60 - 1) throws -> Int64? {
            guard let value = posted[name] else { return nil }
            guard let number = value.wholeNumber, (least...most).contains(number) else {
                throw Self.problem(name, "a whole number from \(least) to \(most)", value)
            }
            return number
        }

        guard let id = try text("id", limit: Self.nameLimit) else { throw Self.problem("id", "a text of 1 to 512 bytes", .null) }
        guard let startedAt = try time("started_at") else {
            throw Self.problem("started_at", "an RFC 3339 time such as 2026-09-01T09:00:10Z", .null)
        }
        let finishedAt = try time("finished_at")
        if let finishedAt, finishedAt < startedAt {
            throw Problem.unprocessable(
                "reversed-times",
                "The span ends before it starts",
                "expected finished_at at or after started_at (\(RFC3339.format(startedAt))), found \(RFC3339.format(finishedAt))"
            )
        }
        if let finishedAt, finishedAt - startedAt > Microseconds(366 * Microseconds.day.count) {
            throw Problem.unprocessable(
                "invalid-span",
                "The span is too long",
                "field finished_at: expected at most 366 days after started_at, found \((finishedAt - startedAt).count / Microseconds.day.count) days"
            )
        }
        _ = try time("queued_at")
        for name in ["host", "pool", "repository", "instance", "service", "activity", "team"] { _ = try text(name, limit: Self.nameLimit) }
        for name in ["source", "commit", "ref", "pipeline", "job", "workload", "inputs_digest", "cache", "outcome", "unit"] {
            _ = try text(name)
        }
        for name in ["hostname", "runner", "runner_name", "runner_group", "host_class", "op", "systemd_unit"] {
            guard let value = posted[name] else { continue }
            guard Self.isName(value) else { throw Self.problem(name, "a text of at most \(Self.nameLimit) bytes", value) }
        }
        for name in ["runner_id", "run_id", "job_id", "external_id"] {
            guard let value = posted[name] else { continue }
            guard Self.isName(value) || value.integer != nil else {
                throw Self.problem(name, "a text of at most \(Self.nameLimit) bytes, or a whole number", value)
            }
        }
        if let labels = posted["labels"] {
            let members = labels.array
            guard let members, members.count <= Self.maximumMembers else {
                throw Self.problem("labels", "a list of at most \(Self.maximumMembers) texts", labels, count: members?.count)
            }
            if let index = members.firstIndex(where: { !Self.isName($0) }) {
                throw Self.problem("labels[\(index)]", "a text of at most \(Self.nameLimit) bytes", members[index])
            }
        }
        if let release = posted["release"] { try Self.checkRelease(release) }
        if let cloud = posted["cloud"] { try Self.checkCloud(cloud) }
        if let zone = try text("grid_zone"), GridZone(zone) == nil {
            throw Self.problem("grid_zone", "a zone's key such as GB or US-CAL-CISO", .string(zone))
        }
        _ = try number("pue", 1...4, "a ratio of 1 to 4")
        if let visibility = try text("visibility"), !["public", "private"].contains(visibility) {
            throw Self.problem("visibility", "\"public\" or \"private\"", .string(visibility))
        }
        _ = try number("cpu_share", 0...1, "a share of the host's CPU from 0 to 1")
        _ = try number("cpus", 0.000_001...1_000_000, "a number of CPUs above 0")
        _ = try number("weight", 0.000_001...1_000_000, "a number of slots above 0")
        _ = try number("units", 0...1e15, "a number from 0")
        for name in ["cpu_time_us", "memory_max_bytes", "time_resolution_ms"] { _ = try count(name) }
        attempt = Int(try count("attempt", from: 1, to: Int64(Int32.max)) ?? 1)
        revision = try count("revision") ?? 0

        self.id = id
        instance = posted["instance"]?.string ?? ""
        fields = posted
        eventTime = sent?.string.flatMap(RFC3339.parse) ?? finishedAt ?? startedAt
    }

    /// Whether it is a text that may be part of an index or of many rows.
    private static func isName(_ value: JSONValue) -> Bool { value.string.map { $0.utf8.count <= nameLimit } ?? false }

    private static func checkCloud(_ cloud: JSONValue) throws {
        // Texts are numbers in tables only.
        if let vcpus = cloud.object?["vcpus"], vcpus.double == nil { throw problem("cloud.vcpus", "a number above 0", vcpus) }
        do throws(CloudPlacement.Fault) {
            _ = try CloudPlacement(cloud)
        } catch {
            throw Problem.unprocessable("invalid-span", "The span cannot be read", error.description)
        }
    }

    /// - Throws: `Problem` 422 where it is neither `{purl, relation}` nor a list of them.
    private static func checkRelease(_ release: JSONValue) throws {
        let members = release.array ?? [release]
        guard members.count <= maximumMembers else {
            throw problem("release", "a list of at most \(maximumMembers)", release, count: members.count)
        }
        for (index, member) in members.enumerated() {
            let field = release.array == nil ? "release" : "release[\(index)]"
            guard let parts = member.object else { throw problem(field, "an object {purl, relation}", member) }
            for name in ["purl", "relation"] {
                guard let value = parts[name], !value.isNull else { continue }
                guard let text = value.string, text.utf8.count <= textLimit else {
                    throw problem("\(field).\(name)", "a text of at most \(textLimit) bytes", value)
                }
            }
        }
    }

    private static func problem(_ field: String, _ expected: String, _ found: JSONValue, count: Int? = nil) -> Problem {
        let found = found.isNull ? "nothing" : count.map { "\($0) members" } ?? found.described
        return .unprocessable("invalid-span", "The span cannot be read", "field \(field): expected \(expected), found \(found)")
    }
}
