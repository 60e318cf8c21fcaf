import Documents
import Energy
import Postgres
import Store

/// Takes spans in, whatever their order, and puts each on its host once the host is known.
struct SpanIntake: Sendable {
    /// What became of a span.
    struct Accepted: Sendable {
        let jobID: String
        let key: SpanKey
        let placement: Placement
    }

    /// Where a span ended up.
    enum Placement: Sendable {
        case onHost
        /// Its host is not known yet, or was not named.
        case waiting
        /// It was deleted before, and stays so.
        case deleted

        /// The state that the answer tells.
        var state: String {
            switch self {
            case .onHost: "pending"
            case .waiting: "unattributed"
            case .deleted: "deleted"
            }
        }
    }

    let now: @Sendable () -> Timestamp

    /// Merges a span into its registers and places it; in a transaction of the caller's.
    func accept(_ document: SpanDocument, source: String, _ connection: PostgresConnection) async throws -> Accepted {
        let key = SpanKey(source: source, instance: document.instance, id: document.id, attempt: document.attempt)
        let placement = try await merge(try SpanRegisters(document), key: key, connection)
        return Accepted(jobID: key.jobID, key: key, placement: placement)
    }

    /// Marks a span as deleted for good. False when there is none of that id from that source.
    func delete(jobID: String, source: String?, _ connection: PostgresConnection) async throws -> Bool {
        guard let row = try await SpanTable.key(jobID: jobID, connection), source == nil || row.source == source else { return false }
        let key = SpanKey(source: row.source, instance: row.instance, id: row.id, attempt: Int(row.attempt))
        _ = try await merge(try .deletion(at: now()), key: key, connection)
        return true
    }

    /// Places a span whose host has appeared since.
    func join(jobID: String, _ connection: PostgresConnection) async throws {
        guard let row = try await SpanTable.key(jobID: jobID, connection) else { return }
        let key = SpanKey(source: row.source, instance: row.instance, id: row.id, attempt: Int(row.attempt))
        _ = try await merge(SpanRegisters(), key: key, connection)
    }

    private func merge(_ registers: SpanRegisters, key: SpanKey, _ connection: PostgresConnection) async throws -> Placement {
        let jobID = key.jobID
        try await SpanTable.makeKey(
            jobID: jobID,
            source: key.source,
            instance: key.instance,
            id: key.id,
            attempt: Int32(clamping: key.attempt),
            connection
        )
        guard let row = try await SpanTable.key(jobID: jobID, forUpdate: true, connection) else { return .waiting }
        let stored = try JSONValue(parsing: Array(row.registersJSON.utf8))
        var merged = SpanRegisters(stored: stored)
        merged.merge(registers)

        let fields = merged.fields
        let hostName = fields["host"]?.string
        var host: HostRow?
        if let hostName, !merged.isDeleted { host = try await HostTable.find(name: hostName, connection) }

        var old: SpanRow?
        if let hostID = row.hostID, let spanID = row.spanID { old = try await SpanTable.find(hostID: hostID, spanID: spanID, connection) }
        if let old, old.hostID != host?.id {
            try await SpanTable.delete(hostID: old.hostID, spanID: old.spanID, connection)
            try await mark(old, connection)
        }
        var spanID: Int64?
        if let host, let span = try Self.span(fields, key: key, hostID: host.id) {
            spanID = try await SpanTable.upsert(span, connection)
            if let old, old.hostID == host.id {
                if Self.differs(old, span) {
                    try await mark(old, connection)
                    try await mark(span, connection)
                }
            } else {
                try await mark(span, connection)
            }
        }
        // A span that cannot be placed although its host is known (deleted, no start) does not wait for it.
        let waitsFor = merged.isDeleted || (host != nil && spanID == nil) ? nil : hostName
        try await SpanTable.updateKey(
            jobID: jobID,
            hostName: waitsFor,
            hostID: spanID == nil ? nil : host?.id,
            spanID: spanID,
            registersJSON: try merged.stored.text,
            connection
        )
        return merged.isDeleted ? .deleted : spanID == nil ? .waiting : .onHost
    }

    private func mark(_ span: SpanRow, _ connection: PostgresConnection) async throws {
        // Its edges may yet become those of its cgroup.
        let end = min(span.reach.end, now())
        // A span never lasts longer than a year; a mistaken one must not mark a century of hours.
        let start = max(span.reach.start, end - Microseconds(Microseconds.day.count * 366))
        try await WorkQueue.mark(
            hostID: span.hostID,
            hours: Hour.touching(Interval(start, end)),
            now: now(),
            reason: "span",
            connection
        )
    }

    /// Whether the accounts depend on what changed.
    private static func differs(_ a: SpanRow, _ b: SpanRow) -> Bool {
        a.startedAt != b.startedAt || a.finishedAt != b.finishedAt || a.timeResolution != b.timeResolution || a.cpuShare != b.cpuShare
            || a.cpus != b.cpus || a.weight != b.weight || a.cpuTime != b.cpuTime || a.workload != b.workload
            || a.workloadKey != b.workloadKey || a.runner != b.runner || a.jobIDs != b.jobIDs
    }

    /// A longer text names no runner and no job; it is kept as it was posted.
    private static let longestName = 512

    /// What the job's own CI may call it: the span's id, its last part, and what was posted as such.
    private static func jobIDs(_ fields: [String: JSONValue], key: SpanKey) -> [String] {
        var ids = [key.id]
        if let last = key.id.split(separator: "/").last { ids.append(String(last)) }
        for name in ["job_id", "external_id"] {
            let id = fields[name].flatMap { $0.string ?? $0.integer.map(String.init) }
            if let id, (1...longestName).contains(id.utf8.count) { ids.append(id) }
        }
        return Set(ids).sorted()
    }

    /// The winning fields as a span; nil where they have no usable start. Reversed times from two writers count as an instant.
    private static func span(_ fields: [String: JSONValue], key: SpanKey, hostID: Int32) throws -> SpanRow? {
        func time(_ name: String) -> Timestamp? { fields[name]?.string.flatMap(RFC3339.parse) }
        func count(_ name: String) -> Int64? { fields[name].flatMap { $0.integer ?? $0.string.flatMap { Int64($0) } } }
        guard let startedAt = time("started_at") else { return nil }
        return SpanRow(
            hostID: hostID,
            spanID: 0,
            jobID: key.jobID,
            startedAt: startedAt,
            finishedAt: time("finished_at").map { max($0, startedAt) },
            queuedAt: time("queued_at"),
            timeResolution: .milliseconds(min(count("time_resolution_ms") ?? 0, 86_400_000)),
            cpuShare: fields["cpu_share"]?.double,
            cpus: fields["cpus"]?.double,
            weight: fields["weight"]?.double,
            cpuTime: count("cpu_time_us").map { Microseconds($0) },
            workload: fields["workload"]?.string,
            workloadKey: key.id,
            source: key.source,
            service: fields["service"]?.string,
            repository: fields["repository"]?.string,
            documentJSON: try JSONValue.object(fields).text,
            runner: ["runner", "runner_name"].lazy.compactMap { fields[$0]?.string }.first { (1...longestName).contains($0.utf8.count) },
            jobIDs: jobIDs(fields, key: key)
        )
    }
}
