import Documents
import Energy

/// A job's fields while they are gathered; what is null or empty is left out.
struct JobFields {
    private(set) var values: [String: JSONValue] = [:]

    mutating func set(_ name: String, text value: String?) {
        if let value = value.flatMap({ JSONValue.string($0).legible }) { values[name] = .string(value) }
    }

    mutating func set(_ name: String, texts: [String]) {
        if !texts.isEmpty { values[name] = .array(texts.map { .string($0) }) }
    }

    mutating func set(_ name: String, _ value: Int64?) { values[name] = value.map { .integer($0) } ?? values[name] }

    mutating func set(_ name: String, _ value: Bool?) { values[name] = value.map { .bool($0) } ?? values[name] }

    mutating func set(_ times: JobTimes) {
        for (name, time) in [("queued_at", times.queuedAt), ("started_at", times.startedAt), ("finished_at", times.finishedAt)] {
            if let time { values[name] = .string(RFC3339.format(time)) }
        }
    }

    /// A share of the host's CPU; one outside 0...1 is moved to the nearer end.
    ///
    /// - Returns: the flag that says so.
    mutating func set(cpuShare: Double?) -> Set<String> {
        guard let cpuShare, cpuShare.isFinite else { return [] }
        values["cpu_share"] = .number(min(max(cpuShare, 0), 1))
        return (0...1).contains(cpuShare) ? [] : ["share_clamped"]
    }
}
