import Accounting
import Documents
import Energy
import Postgres
import Store

/// Spans that nobody posts: a cgroup for which a rule asks (by cgroup, unit or timer) has one for each UTC day of its life.
///
/// Everything follows from the rules and the cgroups that the agents watched, so looking again changes nothing. A cgroup that a posted
/// span may own, or that lies below one, has no span of its own: its energy has a name already.
struct ResidentSpans: Sendable {
    let now: @Sendable () -> Timestamp

    /// What a sweep has changed.
    struct Changes: Sendable, Hashable {
        var opened = 0
        var finished = 0
        var withdrawn = 0
        /// There is more to look at than one sweep takes.
        var isIncomplete = false
    }

    /// Cgroups of a host that are looked at in one transaction, and transactions for one host in one sweep.
    private static let chunk = 200
    private static let chunksPerSweep = 10
    /// A cgroup has no spans from before: nobody asks for them, and a wrong clock must not open thousands.
    private static let longestHistory = Microseconds(400 * Microseconds.day.count)

    /// Opens, finishes and withdraws spans on all hosts. Any number of collectors may sweep.
    func sweep(_ connection: PostgresConnection) async throws -> Changes {
        var changes = Changes()
        for host in try await ResidentWorkloads.hosts(connection) {
            for round in 1...Self.chunksPerSweep {
                try Task.checkCancellation()
                let hasMore = try await connection.transaction { tx in try await step(host, &changes, tx) }
                guard hasMore else { break }
                if round == Self.chunksPerSweep { changes.isIncomplete = true }
            }
        }
        return changes
    }

    /// Returns whether there is more to look at.
    private func step(_ host: ResidentHost, _ changes: inout Changes, _ connection: PostgresConnection) async throws -> Bool {
        guard var progress = try await ResidentWorkloads.take(hostID: host.id, connection) else { return false }
        let before = progress
        let rules = try await DatedServiceRules.current(connection)
        if progress.rulesVersion != rules.version {
            progress.rulesVersion = rules.version
            progress.curveID = 0
        }
        var workloads: [ResidentWorkload] = []
        var hasMore = false
        let firstSpan = try await ResidentWorkloads.firstSpan(hostID: host.id, connection)
        // Where no rule ever asks for a cgroup only the spans of rules that did are left to look at.
        if let first = [rules.firstOpening, firstSpan].compactMap({ $0 }).min() {
            workloads = try await ResidentWorkloads.after(
                curveID: progress.curveID,
                livedBeyond: max(first, now() - Self.longestHistory),
                hostID: host.id,
                limit: Self.chunk,
                connection
            )
            progress.curveID = workloads.last?.curveID ?? progress.curveID
            hasMore = workloads.count == Self.chunk
        } else {
            progress.curveID = try await ResidentWorkloads.lastCurveID(hostID: host.id, connection)
        }
        if firstSpan != nil {
            let finishing = try await ResidentWorkloads.withSpansToFinish(hostID: host.id, limit: Self.chunk, connection)
            hasMore = hasMore || finishing.count == Self.chunk
            // Read before what is decided now, so that it is read again.
            let decidedUntil = try await ResidentWorkloads.settledInstant(connection)
            let contested = try await ResidentWorkloads.contested(since: progress.decidedAt, hostID: host.id, connection)
            progress.decidedAt = max(progress.decidedAt, decidedUntil)
            let known = Set(workloads.map(\.curveID))
            workloads += Set(finishing + contested).filter { !known.contains($0.curveID) }.sorted { $0.curveID < $1.curveID }
        }
        try await settle(workloads, host: host, rules: rules, &changes, connection)
        if progress != before { try await ResidentWorkloads.save(progress, hostID: host.id, connection) }
        return hasMore
    }

    // MARK: What should be

    /// A cgroup's span of one UTC day.
    struct Day: Hashable, Sendable {
        var start: Timestamp
        /// Nil while the cgroup may still live on in it.
        var end: Timestamp?
        var rule: String
    }

    /// The days of a cgroup's life that rules ask for; pure.
    static func days(of workload: ResidentWorkload, host: ResidentHost, rules: DatedServiceRules, since: Timestamp) -> [Day] {
        guard let first = rules.firstOpening, workload.unit?.hasPrefix(WatchedCgroup.runnerUnits) != true,
            workload.cgroup.utf8.count <= 2_000
        else { return [] }
        let subject = ServiceRules.Subject(
            source: ResidentWorkloads.source,
            host: host.name,
            pool: host.pool,
            cgroup: workload.cgroup,
            unit: workload.unit
        )
        var days: [Day] = []
        let day = Microseconds.day.count
        var start = max(workload.bornAt, first, since)
        while workload.isOver ? start < workload.livedUntil : start <= workload.livedUntil {
            let midnight = Timestamp(microseconds: (start.microseconds / day + 1) * day)
            if let rule = rules.at(start).opening(for: subject) {
                let end = workload.livedUntil >= midnight ? midnight : workload.isOver ? workload.livedUntil : nil
                days.append(Day(start: start, end: end, rule: rule.name))
            }
            start = midnight
        }
        return days
    }

    /// Makes the spans of some cgroups what they should be.
    private func settle(
        _ workloads: [ResidentWorkload],
        host: ResidentHost,
        rules: DatedServiceRules,
        _ changes: inout Changes,
        _ connection: PostgresConnection
    ) async throws {
        guard !workloads.isEmpty else { return }
        let day = Microseconds.day.count
        let since = Timestamp(microseconds: (now() - Self.longestHistory).microseconds / day * day)
        func days(_ workload: ResidentWorkload) -> [Day] { Self.days(of: workload, host: host, rules: rules, since: since) }

        let asked = workloads.filter { !days($0).isEmpty }
        let around = try await ResidentWorkloads.around(asked, hostID: host.id, connection)
        let claimed = try await ResidentWorkloads.claimed(
            Set((asked + around.values.joined()).map(\.curveID)).sorted(),
            hostID: host.id,
            connection
        )
        let existing = Dictionary(
            grouping: try await ResidentWorkloads.spans(of: workloads, hostID: host.id, connection),
            by: \.curveID
        )
        for workload in workloads {
            let outer = around[workload.curveID] ?? []
            var wanted: [Timestamp: Day] = [:]
            if !claimed.contains(workload.curveID), !outer.contains(where: { claimed.contains($0.curveID) }) {
                // A rule that asks for a cgroup means all of it: what the same rule finds below has no span beside it.
                let outerRules = Set(outer.flatMap { days($0).map(\.rule) })
                for day in days(workload) where !outerRules.contains(day.rule) { wanted[day.start] = day }
            }
            for span in existing[workload.curveID] ?? [] {
                if let day = wanted.removeValue(forKey: span.startedAt) {
                    guard let end = day.end, end != span.finishedAt else { continue }
                    let key = SpanKey(source: ResidentWorkloads.source, instance: span.instance, id: span.id, attempt: Int(span.attempt))
                    try await post(key, workload, day, host, connection)
                    changes.finished += 1
                } else if try await SpanIntake(now: self.now).delete(
                    jobID: span.jobID,
                    source: ResidentWorkloads.source,
                    connection
                ) {
                    changes.withdrawn += 1
                }
            }
            for day in wanted.values.sorted(by: { $0.start < $1.start }) {
                try await post(try await key(workload, day, host, connection), workload, day, host, connection)
                changes.opened += 1
            }
        }
    }

    // MARK: Writing

    /// What a cgroup's span of a day is filed under. What was deleted stays so: a span that comes back does as another attempt.
    private func key(_ workload: ResidentWorkload, _ day: Day, _ host: ResidentHost, _ connection: PostgresConnection) async throws
        -> SpanKey
    {
        // A unit's name says more than its path, but only those of the system are one of a kind.
        let isSystemUnit = workload.unit.map { workload.cgroup == "/system.slice/\($0)" } ?? false
        var name = (isSystemUnit ? workload.unit : nil) ?? workload.cgroup
        // An id has 512 bytes.
        if name.utf8.count > 400 { name = String(decoding: name.utf8.prefix(400), as: UTF8.self) + "#\(workload.curveID)" }
        let id = "\(name)@\(workload.bornAt.microseconds)/\(ServiceRuleFile.day(day.start))"
        var attempt = 1
        while true {
            let keys = (attempt..<attempt + 8).map {
                SpanKey(source: ResidentWorkloads.source, instance: host.name, id: id, attempt: $0)
            }
            let deletions = try await ResidentWorkloads.deletions(jobIDs: keys.map(\.jobID), connection)
            if let free = keys.first(where: { deletions[$0.jobID] != true }) { return free }
            attempt += keys.count
        }
    }

    private func post(
        _ key: SpanKey,
        _ workload: ResidentWorkload,
        _ day: Day,
        _ host: ResidentHost,
        _ connection: PostgresConnection
    ) async throws {
        var fields: [String: JSONValue] = [
            "id": .string(key.id), "instance": .string(key.instance), "attempt": .integer(Int64(key.attempt)),
            "source": .string(ResidentWorkloads.source), "host": .string(host.name), "workload": .string(workload.cgroup),
            "started_at": .string(RFC3339.format(day.start)), "time_resolution_ms": .integer(0),
            // It is charged what it used, and holds no part of the machine for itself: idle energy stays with the jobs.
            "cpu_share": .integer(0),
        ]
        fields["systemd_unit"] = workload.unit.map { .string($0) }
        fields["pool"] = host.pool.map { .string($0) }
        if let end = day.end {
            fields["finished_at"] = .string(RFC3339.format(end))
            fields["outcome"] = .string("success")
        }
        let document = try SpanDocument(.object(fields), now: now())
        _ = try await SpanIntake(now: now).accept(SpanWrite(document), source: ResidentWorkloads.source, connection)
    }
}
