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

    /// A run's key changed between its lock and its row: the transaction is to be run again.
    struct Moved: Error {}

    /// Merges what one writer says into a span's registers and places it; in a transaction of the caller's.
    ///
    /// - Throws: `Claims.Excess` where the writer may not say that, `PostgresError`, `Moved`.
    func accept(_ write: SpanWrite, source: String, claims: Claims = Claims(), _ connection: PostgresConnection) async throws -> Accepted {
        guard let result = try await accept([write], source: source, claims: claims, connection).first else { throw Moved() }
        return try result.get()
    }

    /// Merges what one writer says of several spans; what it may not say of one does not harm the others. In the writes' order.
    func accept(
        _ writes: [SpanWrite],
        source: String,
        claims: Claims = Claims(),
        _ connection: PostgresConnection
    ) async throws -> [Result<Accepted, Claims.Excess>] {
        var results: [Result<Accepted, Claims.Excess>?] = Array(repeating: nil, count: writes.count)
        var merges: [Merge] = []
        for (index, write) in writes.enumerated() {
            var write = write
            do throws(Claims.Excess) {
                try write.limit(to: claims)
            } catch {
                results[index] = .failure(error)
                continue
            }
            let key = SpanKey(source: source, instance: write.instance, id: write.id, attempt: write.attempt)
            merges.append(Merge(index: index, key: key, jobID: key.jobID, registers: try SpanRegisters(write)))
        }
        let outcomes = try await merge(merges, claims: claims, connection)
        for merge in merges {
            results[merge.index] = outcomes[merge.index]?.map { Accepted(jobID: merge.jobID, key: merge.key, placement: $0) }
        }
        return results.compactMap { $0 }
    }

    /// Marks a span as deleted for good, and what a hook told of it. False when there is none of that id from that source.
    ///
    /// - Throws: `Claims.Excess` for a span of a repository that the writer may not speak of, `PostgresError`, `Moved`.
    func delete(
        jobID: String,
        source: String?,
        claims: Claims = Claims(),
        _ connection: PostgresConnection
    ) async throws -> Bool {
        guard let row = try await JobDirectory.find(jobID: jobID, connection), source == nil || row.source == source else { return false }
        let rows = [row] + (try await JobDirectory.hooks(of: jobID, connection))
        let merges = try rows.enumerated().map { index, row in
            Merge(index: index, key: SpanKey(row), jobID: row.jobID, registers: try .deletion(at: now()))
        }
        _ = try await merge(merges, claims: claims, connection)[0]?.get()
        return true
    }

    /// Places spans anew: a host has appeared, or what is said of hosts or services has changed.
    func place(jobIDs: [String], _ connection: PostgresConnection) async throws {
        let rows = try await JobDirectory.find(jobIDs: jobIDs, connection)
        let merges = rows.values.sorted { $0.jobID < $1.jobID }.enumerated().map { index, row in
            Merge(index: index, key: SpanKey(row), jobID: row.jobID, registers: SpanRegisters())
        }
        _ = try await merge(merges, claims: Claims(), connection)
    }

    func place(jobID: String, _ connection: PostgresConnection) async throws { try await place(jobIDs: [jobID], connection) }

    /// What is to be merged into one span.
    private struct Merge {
        var index: Int
        var key: SpanKey
        var jobID: String
        var registers: SpanRegisters
    }

    /// All locks of runs before any row's, and rows in the order of their ids: two batches cannot wait for each other.
    private func merge(
        _ merges: [Merge],
        claims: Claims,
        _ connection: PostgresConnection
    ) async throws -> [Int: Result<Placement, Claims.Excess>] {
        let known = try await JobDirectory.runKeys(jobIDs: merges.map(\.jobID), connection)
        let locked = Set(known.values).union(merges.compactMap { Self.runKey($0.registers, key: $0.key) })
        try await JobDirectory.lockRuns(locked, connection)

        var outcomes: [Int: Result<Placement, Claims.Excess>] = [:]
        var changed: [String: Set<String>] = [:]
        var inRuns: [Merge] = []
        // What a batch says of one job is one change of it.
        let jobs = Dictionary(grouping: merges, by: \.jobID).sorted { $0.key < $1.key }
        for (jobID, writes) in jobs {
            guard let key = writes.first?.key else { continue }
            try Task.checkCancellation()
            try await JobDirectory.make(
                jobID: jobID,
                source: key.source,
                instance: key.instance,
                id: key.id,
                attempt: Int32(clamping: key.attempt),
                connection
            )
            guard var row = try await JobDirectory.lock(jobID: jobID, connection) else { throw Moved() }
            var merged = SpanRegisters(stored: try JSONValue(parsing: Array(row.registersJSON.utf8)))
            var taken: [Merge] = []
            for one in writes {
                do throws(Claims.Excess) {
                    try merged.take(one.registers, claims: claims)
                    taken.append(one)
                } catch {
                    outcomes[one.index] = .failure(error)
                }
            }
            guard !taken.isEmpty else { continue }
            row.registersJSON = try merged.stored.text
            let before = row.runKey
            row.runKey = Self.runKey(merged, key: key)
            for runKey in Set([before, row.runKey].compactMap { $0 }) {
                guard locked.contains(runKey) else { throw Moved() }
                changed[runKey, default: []].insert(jobID)
            }
            if row.runKey == nil {
                row.aliasOf = nil
                row.aliasCause = nil
                let placement = try await place(&row, merged, connection)
                for one in taken { outcomes[one.index] = .success(placement) }
            } else {
                // Written before the run is read, so that the row is among its jobs.
                try await JobDirectory.update(row, connection)
                inRuns += taken
            }
        }
        var placements: [String: Placement] = [:]
        for (runKey, jobIDs) in changed.sorted(by: { $0.key < $1.key }) {
            try Task.checkCancellation()
            placements.merge(try await settle(runKey, changed: jobIDs, connection)) { $1 }
        }
        for one in inRuns { outcomes[one.index] = .success(placements[one.jobID] ?? .waiting) }
        return outcomes
    }

    /// What a hook knows better than anyone; of who owns the job and who may see it it has no say.
    private static let ofHooks: Set<String> = [
        "started_at", "finished_at", "time_resolution_ms", "workload", "systemd_unit", "cpu_time_us", "memory_max_bytes", "cpu_share",
        "cpus", "attribution_mode", "host", "hostname", SpanWrite.limit(of: "host"), SpanWrite.limit(of: "hostname"),
    ]
    /// What a hook says where the job's CI does not.
    private static let alsoOfHooks: Set<String> = ["service", "activity", "team", "release", "units", "unit", "inputs_digest", "cache"]

    /// Tells a run's jobs on one runner apart, and places those that changed.
    private func settle(_ runKey: String, changed: Set<String>, _ connection: PostgresConnection) async throws -> [String: Placement] {
        let rows = try await JobDirectory.run(runKey, connection)
        let registers = try rows.map { SpanRegisters(stored: try JSONValue(parsing: Array($0.registersJSON.utf8))) }
        let aliases = RunGroup.aliases(of: zip(rows, registers).compactMap { RunGroup.Member($0, $1) })
        var hooks: [String: [Int]] = [:]
        var touched = changed
        for (index, row) in rows.enumerated() {
            let alias = aliases[row.jobID]
            if let alias, alias.cause == .hook { hooks[alias.of, default: []].append(index) }
            if alias?.of != row.aliasOf || changed.contains(row.jobID) {
                touched.insert(row.jobID)
                // The job that it is now, and the one that it was until now.
                touched.formUnion([alias?.of, row.aliasOf].compactMap { $0 })
            }
        }
        var placements: [String: Placement] = [:]
        for (index, found) in rows.enumerated() where touched.contains(found.jobID) {
            try Task.checkCancellation()
            var row = found
            row.aliasOf = aliases[row.jobID]?.of
            row.aliasCause = aliases[row.jobID]?.cause
            var effective = registers[index]
            let own = hooks[row.jobID] ?? []
            for hook in own {
                effective.merge(registers[hook].only(Self.ofHooks))
                let known = Set(effective.fields.keys)
                effective.merge(registers[hook].only(Self.alsoOfHooks.subtracting(known)))
            }
            // The agent knows the job's cgroup by the key that the hook gave it.
            placements[row.jobID] = try await place(&row, effective, workloadKey: own.first.map { rows[$0].id }, connection)
        }
        return placements
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
            || a.workloadKey != b.workloadKey || a.runner != b.runner || a.jobIDs != b.jobIDs || a.parentJobID != b.parentJobID
            || a.service != b.service || a.source != b.source || a.runID != b.runID || a.repository != b.repository || a.gpus != b.gpus
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
