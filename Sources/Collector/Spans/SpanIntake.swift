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
        /// On a machine that nobody can meter, of a known class.
        case hosted
        /// Its host is not known yet, or was not named.
        case waiting
        /// It has no start: it waits in its CI's queue, or never ran.
        case notStarted
        /// It is another job under a second id; its energy is counted there.
        case alias(of: String)
        /// It was deleted before, and stays so.
        case deleted

        /// The state that the answer tells.
        var state: String {
            switch self {
            case .onHost, .hosted: "pending"
            case .waiting: "unattributed"
            case .notStarted: "queued"
            case .alias: "alias"
            case .deleted: "deleted"
            }
        }
    }

    let now: @Sendable () -> Timestamp

    /// Merges what one writer says into a span's registers and places it; in a transaction of the caller's.
    ///
    /// - Throws: `Claims.Excess` where the writer may not say that, `PostgresError`.
    func accept(_ write: SpanWrite, source: String, claims: Claims = Claims(), _ connection: PostgresConnection) async throws -> Accepted {
        var write = write
        try write.limit(to: claims)
        let key = SpanKey(source: source, instance: write.instance, id: write.id, attempt: write.attempt)
        try await requireOwn(key.jobID, claims, connection)
        let placement = try await merge(try SpanRegisters(write), key: key, connection)
        return Accepted(jobID: key.jobID, key: key, placement: placement)
    }

    /// Under one source's name several may write, each for repositories of its own: nobody changes another's span.
    private func requireOwn(_ jobID: String, _ claims: Claims, _ connection: PostgresConnection) async throws {
        guard claims.repositories != nil, let row = try await JobDirectory.find(jobID: jobID, connection) else { return }
        let fields = SpanRegisters(stored: try JSONValue(parsing: Array(row.registersJSON.utf8))).fields
        if let excess = ClaimCheck.excess(ofStored: fields, claims) { throw excess }
    }

    /// Marks a span as deleted for good. False when there is none of that id from that source.
    ///
    /// - Throws: `Claims.Excess` for a span of a repository that the writer may not speak of, `PostgresError`.
    func delete(
        jobID: String,
        source: String?,
        claims: Claims = Claims(),
        _ connection: PostgresConnection
    ) async throws -> Bool {
        guard let row = try await JobDirectory.find(jobID: jobID, connection), source == nil || row.source == source else { return false }
        try await requireOwn(jobID, claims, connection)
        _ = try await merge(try .deletion(at: now()), key: SpanKey(row), connection)
        return true
    }

    /// Places a span anew: its host has appeared, or what is said of hosts or services has changed.
    func place(jobID: String, _ connection: PostgresConnection) async throws {
        guard let row = try await JobDirectory.find(jobID: jobID, connection) else { return }
        _ = try await merge(SpanRegisters(), key: SpanKey(row), connection)
    }

    private func merge(_ registers: SpanRegisters, key: SpanKey, _ connection: PostgresConnection) async throws -> Placement {
        let jobID = key.jobID
        try await JobDirectory.make(
            jobID: jobID,
            source: key.source,
            instance: key.instance,
            id: key.id,
            attempt: Int32(clamping: key.attempt),
            connection
        )
        // The run's lock before any row's, in one order, so that two jobs of a run cannot wait for each other.
        let known = try await JobDirectory.runKey(jobID: jobID, connection)
        for runKey in Set([known, Self.runKey(registers, key: key)].compactMap { $0 }).sorted() {
            try await JobDirectory.lockRun(runKey, connection)
        }
        guard var row = try await JobDirectory.lock(jobID: jobID, connection) else { return .waiting }
        var merged = SpanRegisters(stored: try JSONValue(parsing: Array(row.registersJSON.utf8)))
        merged.merge(registers)
        row.registersJSON = try merged.stored.text
        let before = row.runKey
        row.runKey = Self.runKey(merged, key: key)

        guard let runKey = row.runKey else {
            return try await place(&row, merged, connection)
        }
        // Written before the run is read, so that the row is among its jobs.
        if row.runKey != before || row.startedAt == nil { try await JobDirectory.update(row, connection) }
        return try await settle(runKey, changed: jobID, row: row, connection)
    }

    /// Tells a run's jobs on one runner apart, and places those that changed.
    private func settle(
        _ runKey: String,
        changed jobID: String,
        row changedRow: JobRow,
        _ connection: PostgresConnection
    ) async throws -> Placement {
        var rows = try await JobDirectory.run(runKey, connection)
        if let index = rows.firstIndex(where: { $0.jobID == jobID }) { rows[index].registersJSON = changedRow.registersJSON }
        let registers = try rows.map { SpanRegisters(stored: try JSONValue(parsing: Array($0.registersJSON.utf8))) }
        let aliases = RunGroup.aliases(of: zip(rows, registers).compactMap { RunGroup.Member($0, $1) })
        var placement = Placement.waiting
        for index in rows.indices {
            let id = rows[index].jobID
            let alias = aliases[id]
            let hooks = rows.indices.filter { aliases[rows[$0].jobID]?.of == id && aliases[rows[$0].jobID]?.cause == .hook }
            let hasLost = alias == nil && rows[index].aliasOf != nil
            let isTouched =
                id == jobID || alias?.of != rows[index].aliasOf || hasLost
                || hooks.contains { rows[$0].jobID == jobID || rows[$0].aliasOf != id }
                // A hook's record that was this job's until now.
                || rows.contains { $0.aliasOf == id && aliases[$0.jobID]?.of != id }
            guard isTouched else { continue }
            var row = rows[index]
            row.aliasOf = alias?.of
            row.aliasCause = alias?.cause
            var effective = registers[index]
            for hook in hooks { effective.merge(registers[hook].without(["id", "hook", "job", "job_id", "url"])) }
            // The agent knows the job's cgroup by the key that the hook gave it.
            let placed = try await place(&row, effective, workloadKey: hooks.first.map { rows[$0].id }, connection)
            if id == jobID { placement = placed }
        }
        return placement
    }

    /// Writes the directory's row, and the span on its host where that is known.
    private func place(
        _ row: inout JobRow,
        _ effective: SpanRegisters,
        workloadKey: String? = nil,
        _ connection: PostgresConnection
    ) async throws -> Placement {
        let key = SpanKey(row)
        var old: SpanRow?
        if let hostID = row.hostID, let spanID = row.spanID { old = try await SpanTable.find(hostID: hostID, spanID: spanID, connection) }
        let job = try await JobPlace.find(effective, key: key, connection)
        job.fill(&row)
        row.isDeleted = effective.isDeleted
        let host = row.isDeleted || row.aliasOf != nil ? nil : job.host
        if let old, old.hostID != host?.id {
            try await SpanTable.delete(hostID: old.hostID, spanID: old.spanID, connection)
            try await mark(old, connection)
        }
        var spanID: Int64?
        if let host, let span = job.span(key: key, workloadKey: workloadKey ?? key.id, hostID: host.id) {
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
        row.hostID = spanID == nil ? nil : host?.id
        row.spanID = spanID
        row.documentJSON = try JSONValue.object(job.fields).text
        try await JobDirectory.update(row, connection)
        if row.isDeleted { return .deleted }
        if let alias = row.aliasOf { return .alias(of: alias) }
        if row.startedAt == nil { return .notStarted }
        return spanID != nil ? .onHost : row.hostClass != nil ? .hosted : .waiting
    }

    /// A hook's record, or a job that a runner took, of a run.
    private static func runKey(_ registers: SpanRegisters, key: SpanKey) -> String? {
        let fields = registers.fields
        guard let runID = fields["run_id"].flatMap({ $0.string ?? $0.integer.map(String.init) }),
            let runner = JobPlace.runner(fields)
        else { return nil }
        return SpanKey.runKey(source: key.source, instance: key.instance, runID: runID, runner: runner)
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
}

extension SpanKey {
    init(_ row: JobRow) {
        self.init(source: row.source, instance: row.instance, id: row.id, attempt: Int(row.attempt))
    }
}

extension RunGroup.Member {
    /// Nil for what is no work: deleted, or not started.
    init?(_ row: JobRow, _ registers: SpanRegisters) {
        let fields = registers.fields
        guard !registers.isDeleted, let startedAt = fields["started_at"]?.string.flatMap(RFC3339.parse) else { return nil }
        self.init(
            jobID: row.jobID,
            isHook: fields["hook"]?.bool == true,
            attempt: Int(row.attempt),
            name: fields["job"]?.string,
            repository: fields["repository"]?.string,
            startedAt: startedAt,
            finishedAt: fields["finished_at"]?.string.flatMap(RFC3339.parse)
        )
    }
}
