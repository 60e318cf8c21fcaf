public import Accounting
public import Energy
public import Postgres

/// A cgroup that a span owns, as it is shown.
public struct OwnedCgroup: Sendable, Hashable {
    public let curveID: Int32
    public let path: String
    public let unit: String?
    public let containerID: String?
    /// As namespace/name.
    public let pod: String?
    public let bornAt: Timestamp
    public let diedAt: Timestamp?
    public let maximumMemoryBytes: Int64?
    /// Nobody could read it as it died: it may have used more CPU time than its curve says.
    public let isCPUTimePartial: Bool
    let epsilonMicroseconds: Int64
    let spanKey: String?
    let jobLabel: String?

    var watched: WatchedCgroup {
        WatchedCgroup(
            curveID: curveID,
            path: path,
            bornAt: bornAt,
            diedAt: diedAt,
            spanKey: spanKey,
            unit: unit,
            pod: pod,
            jobLabel: jobLabel
        )
    }
}

/// What was decided for a span, with what is known of its cgroups.
public struct SpanWorkload: Sendable, Hashable {
    public let decision: OwnershipDecision
    /// The first born first; empty for a span that owns none.
    public let cgroups: [OwnedCgroup]

    /// The largest memory seen in any of them.
    public var maximumMemoryBytes: Int64? { cgroups.compactMap(\.maximumMemoryBytes).max() }
}

/// Finds out which cgroups the spans of a host own, from what the database holds now, and records what was decided.
public enum WorkloadOwnership {
    private static let columns = """
        w.curve_id, w.cgroup, w.born_at, w.died_at, w.span_key, w.unit, w.container_id, w.pod, w.memory_max_bytes, w.ending, c.epsilon,
        w.labels ->> '\(WatchedCgroup.jobLabelName)' AS job_label
        """

    /// Neighbours of neighbours are followed no further than this; a chain of spans that fit one another's cgroups is far shorter.
    private static let furthestNeighbour = 16

    // MARK: Deciding

    /// What each of the spans owns. The same for a span whatever others are asked for with it.
    public static func decide(
        _ spans: [SpanRow],
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> [Int64: SpanWorkload] {
        guard !spans.isEmpty else { return [:] }
        let clockError = try await clockError(hostID: hostID, connection)
        var known = Dictionary(spans.map { ($0.spanID, $0) }) { $1 }
        var cgroups: [Int32: OwnedCgroup] = [:]
        // Who else may own what one of them may own decides with them.
        var new = spans
        for _ in 0..<furthestNeighbour where !new.isEmpty {
            for cgroup in try await named(new, hostID: hostID, connection) { cgroups[cgroup.curveID] = cgroup }
            let byName = OwnershipDecision.decide(
                spans: new.map { identity($0, clockError) },
                cgroups: cgroups.values.map(\.watched)
            )
            let open = new.filter { span in
                switch byName[span.spanID]?.ownership?.rule {
                case .run, .client, .container, .pod: false
                case .unit, .alone, nil: span.finishedAt != nil
                }
            }
            let matching = try await livedAs(open, clockError: clockError, hostID: hostID, connection)
            let found = matching.filter { cgroups[$0.curveID] == nil }
            for cgroup in found { cgroups[cgroup.curveID] = cgroup }
            new = try await claimants(of: found, clockError: clockError, hostID: hostID, connection).filter { known[$0.spanID] == nil }
            for span in new { known[span.spanID] = span }
        }
        for other in try await onSameRunner(known.values.filter { $0.runner != nil }, hostID: hostID, connection)
        where known[other.spanID] == nil {
            known[other.spanID] = other
        }
        let decisions = OwnershipDecision.decide(
            spans: known.values.sorted { $0.spanID < $1.spanID }.map { identity($0, clockError) },
            cgroups: cgroups.values.sorted { $0.curveID < $1.curveID }.map(\.watched)
        )
        var result: [Int64: SpanWorkload] = [:]
        for span in spans {
            guard let decision = decisions[span.spanID] else { continue }
            result[span.spanID] = SpanWorkload(
                decision: decision,
                cgroups: (decision.ownership?.curveIDs ?? []).compactMap { cgroups[$0] }
            )
        }
        return result
    }

    private static func identity(_ span: SpanRow, _ clockError: Microseconds) -> SpanIdentity {
        SpanIdentity(
            id: span.spanID,
            startedAt: span.startedAt,
            finishedAt: span.finishedAt,
            edgeResolution: span.edgeResolution,
            clockError: clockError,
            longestOpen: SpanRow.longestOpen,
            key: span.workloadKey,
            jobID: span.jobID,
            workload: span.workload,
            runner: span.runner,
            jobIDs: Set(span.jobIDs)
        )
    }

    /// How far the host's clock is from the collector's, rounded up to 100 ms so that the agent's next measurement, a little
    /// different, decides nothing anew. One that is more than an hour off was corrected as its readings came.
    private static func clockError(hostID: Int32, _ connection: PostgresConnection) async throws -> Microseconds {
        let offset =
            try await connection.query(
                Statement("clock_offset", "SELECT clock_offset_us FROM host WHERE host_id = $1"),
                [.int4(hostID)]
            ).first.flatMap { try $0.int64IfPresent("clock_offset_us") } ?? 0
        guard offset.magnitude <= UInt64(Microseconds.hour.count) else { return .zero }
        let step: Int64 = 100_000
        return min(Microseconds((Int64(offset.magnitude) + step - 1) / step * step), SpanRow.largestClockError)
    }

    /// Cgroups that something names as one of the spans'.
    private static func named(_ spans: [SpanRow], hostID: Int32, _ connection: PostgresConnection) async throws -> [OwnedCgroup] {
        guard let first = spans.map(\.reach.start).min(), let last = spans.map(\.reach.end).max() else { return [] }
        return try await connection.query(
            Statement(
                "named_workloads",
                """
                SELECT \(columns) FROM workload w JOIN curve c USING (host_id, curve_id)
                WHERE w.host_id = $1 AND w.born_at < $2 AND (w.died_at IS NULL OR w.died_at > $3)
                    AND (w.span_key = ANY($4) OR w.cgroup = ANY($5) OR w.labels ->> '\(WatchedCgroup.jobLabelName)' = ANY($6)
                        OR split_part(w.pod, '/', 2) = ANY($7) OR $8 AND w.unit LIKE '\(WatchedCgroup.runnerUnits)%')
                """
            ),
            [
                .int4(hostID), .timestamptz(microseconds: last.microseconds), .timestamptz(microseconds: first.microseconds),
                .textArray(spans.map(\.workloadKey)), .textArray(spans.compactMap(\.workload)), .textArray(spans.flatMap(\.jobIDs)),
                .textArray(spans.compactMap(\.runner)), .bool(spans.contains { $0.runner != nil }),
            ]
        ).map(cgroup)
    }

    /// Cgroups that were born and died as one of the spans began and ended.
    private static func livedAs(
        _ spans: [SpanRow],
        clockError: Microseconds,
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> [OwnedCgroup] {
        let finished = spans.filter { $0.finishedAt != nil }
        guard !finished.isEmpty else { return [] }
        func times(_ edge: (SpanRow) -> Timestamp, _ sign: Int64) -> PostgresValue {
            .timestamptzArray(microseconds: finished.map { edge($0).microseconds + sign * ($0.edgeResolution + clockError).count })
        }
        return try await connection.query(
            Statement(
                "workloads_lived_as",
                """
                SELECT \(columns) FROM unnest($2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
                    AS e (born_low, born_high, died_low, died_high)
                JOIN workload w ON w.host_id = $1 AND w.born_at BETWEEN e.born_low AND e.born_high
                    AND w.died_at BETWEEN e.died_low AND e.died_high
                JOIN curve c USING (host_id, curve_id)
                """
            ),
            [
                .int4(hostID), times(\.startedAt, -1), times(\.startedAt, 1), times(\.interval.end, -1), times(\.interval.end, 1),
            ]
        ).map(cgroup)
    }

    /// Spans that may own one of the cgroups: by their names, or because they began and ended with it.
    private static func claimants(
        of cgroups: [OwnedCgroup],
        clockError: Microseconds,
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> [SpanRow] {
        guard !cgroups.isEmpty else { return [] }
        // One branch for each way, so that each finds its rows by an index; the edges' own error is looked at afterwards.
        // OFFSET 0 holds the planner to one look at the index for each cgroup, whatever it thinks of a table that grows fast.
        func nearby(_ widest: Microseconds, _ condition: String) -> String {
            """
            SELECT n.span_id FROM w CROSS JOIN LATERAL (SELECT s.span_id FROM span s WHERE s.host_id = $1 AND \(condition)
                AND s.started_at >= w.born_at - (\(widest.count) + $8::int8) * interval '1 microsecond'
                AND s.started_at <= w.born_at + (\(widest.count) + $8::int8) * interval '1 microsecond'
                AND s.finished_at >= w.died_at - \(tolerance) AND s.finished_at <= w.died_at + \(tolerance)
                AND s.started_at >= w.born_at - \(tolerance) AND s.started_at <= w.born_at + \(tolerance) OFFSET 0) AS n
            """
        }
        func named(_ condition: String = "true", join: String) -> String {
            """
            SELECT s.span_id FROM span s \(join)
            WHERE s.host_id = $1 AND \(condition) AND s.started_at > w.born_at - interval '1 day'
                AND s.started_at < coalesce(w.died_at, 'infinity') + interval '6 minutes'
            """
        }
        return try await connection.query(
            Statement(
                "claimants",
                """
                WITH w AS MATERIALIZED (
                    SELECT * FROM unnest($2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[])
                        AS w (born_at, died_at, span_key, cgroup, job_label, pod_name))
                SELECT \(SpanTable.columns) FROM span WHERE host_id = $1 AND span_id IN (
                    \(named(join: "JOIN w ON s.workload_key = w.span_key"))
                    UNION \(named(join: "JOIN w ON s.workload = w.cgroup"))
                    UNION \(named("s.job_ids && $6", join: "CROSS JOIN LATERAL unnest(s.job_ids) AS j (id) JOIN w ON w.job_label = j.id"))
                    UNION \(named(join: "JOIN w ON s.runner = w.pod_name"))
                    UNION \(nearby(fineEdge, "s.time_resolution_us <= \(fineEdge.count)"))
                    UNION \(nearby(SpanRow.coarsestEdge, "s.time_resolution_us > \(fineEdge.count)")))
                ORDER BY span_id
                """
            ),
            [
                .int4(hostID), .timestamptzArray(microseconds: cgroups.map(\.bornAt.microseconds)),
                .timestamptzArray(microseconds: cgroups.map { $0.diedAt?.microseconds }), .textArray(cgroups.map(\.spanKey)),
                .textArray(cgroups.map(\.path)), .textArray(cgroups.map(\.jobLabel)),
                .textArray(cgroups.map(\.watched.podName)), .int8(clockError.count),
            ]
        ).map(SpanTable.spanRow)
    }

    /// The edges of most spans are known this well; those of the others have an index of their own (`span_coarse`).
    private static let fineEdge = Microseconds.seconds(2)
    private static let tolerance =
        "(least(greatest(s.time_resolution_us, 0), \(SpanRow.coarsestEdge.count)) + $8::int8) * interval '1 microsecond'"

    /// Other spans of the same runners at the same time.
    private static func onSameRunner(
        _ spans: [SpanRow],
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> [SpanRow] {
        guard !spans.isEmpty else { return [] }
        return try await connection.query(
            Statement(
                "spans_on_same_runner",
                """
                SELECT \(SpanTable.columns) FROM span WHERE host_id = $1 AND span_id IN (
                    SELECT o.span_id
                    FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) AS s (runner, started_at, finished_at)
                    JOIN span o ON o.host_id = $1 AND o.runner = s.runner AND o.started_at > s.started_at - interval '7 days'
                        AND o.started_at < s.finished_at AND coalesce(o.finished_at, o.started_at + interval '7 days') > s.started_at)
                """
            ),
            [
                .int4(hostID), .textArray(spans.map(\.runner)), .timestamptzArray(microseconds: spans.map(\.interval.start.microseconds)),
                .timestamptzArray(microseconds: spans.map(\.interval.end.microseconds)),
            ]
        ).map(SpanTable.spanRow)
    }

    private static func cgroup(_ row: PostgresRow) throws -> OwnedCgroup {
        OwnedCgroup(
            curveID: try row.int32("curve_id"),
            path: try row.string("cgroup"),
            unit: try row.stringIfPresent("unit"),
            containerID: try row.stringIfPresent("container_id"),
            pod: try row.stringIfPresent("pod"),
            bornAt: Timestamp(microseconds: try row.timestampMicroseconds("born_at")),
            diedAt: try row.timestampMicrosecondsIfPresent("died_at").map { Timestamp(microseconds: $0) },
            maximumMemoryBytes: try row.int64IfPresent("memory_max_bytes"),
            isCPUTimePartial: try row.stringIfPresent("ending") == "last",
            epsilonMicroseconds: try row.int64("epsilon"),
            spanKey: try row.stringIfPresent("span_key"),
            jobLabel: try row.stringIfPresent("job_label")
        )
    }

    /// Cgroups by their curves, in that order; those that are not known any more are left out.
    static func cgroups(_ curveIDs: [Int32], hostID: Int32, _ connection: PostgresConnection) async throws -> [OwnedCgroup] {
        let rows = try await connection.query(
            Statement(
                "cgroups_by_curve",
                """
                SELECT \(columns) FROM workload w JOIN curve c USING (host_id, curve_id) WHERE w.host_id = $1 AND w.curve_id = ANY($2)
                ORDER BY array_position($2, w.curve_id)
                """
            ),
            [.int4(hostID), .int4Array(curveIDs)]
        )
        return try rows.map(cgroup)
    }

    // MARK: Recording

    /// Records what some hours of a host were accounted with.
    ///
    /// A span whose cgroups or edges turn out to be others than before was accounted with those before in its other hours too:
    /// they are marked. So a change in one hour reaches every hour of every span that it concerns.
    ///
    /// Of the spans of a host that never had a cgroup nothing is recorded.
    public static func record(
        _ workloads: [Int64: SpanWorkload],
        spans: [Int64: SpanRow],
        hostID: Int32,
        hours accounted: some Sequence<Hour>,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        let ids = workloads.keys.filter { spans[$0] != nil }.sorted()
        guard !ids.isEmpty else { return }
        let before = try await recorded(ids, hostID: hostID, connection)
        var changed: [(row: Row, span: SpanRow)] = []
        for id in ids {
            guard let workload = workloads[id], let span = spans[id] else { continue }
            let row = Row(workload.decision, span)
            if before[id] != row { changed.append((row, span)) }
        }
        guard !changed.isEmpty else { return }
        let rows = changed.map(\.row)
        _ = try await connection.execute(
            Statement(
                "record_ownership",
                """
                INSERT INTO ownership (host_id, span_id, rule, reason, curve_ids, started_at, finished_at)
                SELECT $1, i, rule, reason, curve_ids::int4[], started_at, finished_at
                FROM unnest($2::int8[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
                    AS o (i, rule, reason, curve_ids, started_at, finished_at)
                ON CONFLICT (host_id, span_id) DO UPDATE SET rule = excluded.rule, reason = excluded.reason,
                    curve_ids = excluded.curve_ids, started_at = excluded.started_at, finished_at = excluded.finished_at, decided_at = now()
                """
            ),
            [
                .int4(hostID), .int8Array(changed.map(\.span.spanID)), .textArray(rows.map { $0.rule?.rawValue }),
                .textArray(rows.map { $0.reason?.rawValue }),
                .textArray(rows.map { "{\($0.curveIDs.map(String.init).joined(separator: ","))}" }),
                .timestamptzArray(microseconds: rows.map(\.startedAt.microseconds)),
                .timestamptzArray(microseconds: rows.map { $0.finishedAt?.microseconds }),
            ]
        )
        var hours: Set<Hour> = []
        var perhaps: Set<Hour> = []
        for (row, span) in changed {
            guard var old = before[span.spanID] else {
                if row.reason != .noCgroup { perhaps.formUnion(self.hours(of: span, now: now)) }
                continue
            }
            // That a span has ended was marked as it was posted.
            if old.finishedAt == nil { old.finishedAt = row.finishedAt }
            if old != row { hours.formUnion(self.hours(of: span, now: now)) }
        }
        hours.subtract(accounted)
        perhaps.subtract(accounted)
        perhaps.subtract(hours)
        // The first decision has nothing to correct, but for hours of before the host had cgroups.
        hours.formUnion(try await HourLedger.settled(hostID: hostID, hours: perhaps.sorted(), now: now, connection))
        try await WorkQueue.mark(hostID: hostID, hours: hours, now: now, reason: "ownership", connection)
    }

    /// A decision as recorded.
    private struct Row: Hashable {
        var rule: OwnershipRule?
        var reason: OwnerlessReason?
        var curveIDs: [Int32]
        var startedAt: Timestamp
        var finishedAt: Timestamp?

        init(_ decision: OwnershipDecision, _ span: SpanRow) {
            rule = decision.ownership?.rule
            reason = decision.reason
            curveIDs = decision.ownership?.curveIDs ?? []
            startedAt = decision.ownership?.interval.start ?? span.startedAt
            finishedAt = span.finishedAt.map { decision.ownership?.interval.end ?? $0 }
        }

        init(_ row: PostgresRow) throws {
            rule = try row.stringIfPresent("rule").flatMap(OwnershipRule.init(rawValue:))
            reason = try row.stringIfPresent("reason").flatMap(OwnerlessReason.init(rawValue:))
            curveIDs = try row.int64Array("curve_ids").map { Int32(truncatingIfNeeded: $0) }
            startedAt = Timestamp(microseconds: try row.timestampMicroseconds("started_at"))
            finishedAt = try row.timestampMicrosecondsIfPresent("finished_at").map { Timestamp(microseconds: $0) }
        }
    }

    private static func recorded(_ spanIDs: [Int64], hostID: Int32, _ connection: PostgresConnection) async throws -> [Int64: Row] {
        let rows = try await connection.query(
            Statement(
                "recorded_ownership",
                "SELECT span_id, rule, reason, curve_ids, started_at, finished_at FROM ownership WHERE host_id = $1 AND span_id = ANY($2)"
            ),
            [.int4(hostID), .int8Array(spanIDs)]
        )
        return Dictionary(try rows.map { (try $0.int64("span_id"), try Row($0)) }) { $1 }
    }

    // MARK: Late information

    /// Marks the hours of the spans that the cgroups may belong to: one was born, has died, or is known by another name.
    static func markSpans(of curveIDs: [Int32], hostID: Int32, now: Timestamp, _ connection: PostgresConnection) async throws {
        guard !curveIDs.isEmpty else { return }
        let cgroups = try await connection.query(
            Statement(
                "workloads_by_curve",
                """
                SELECT \(columns) FROM workload w JOIN curve c USING (host_id, curve_id)
                WHERE w.host_id = $1 AND w.curve_id = ANY($2) ORDER BY w.curve_id
                """
            ),
            [.int4(hostID), .int4Array(curveIDs)]
        ).map(cgroup)
        let clockError = try await clockError(hostID: hostID, connection)
        var spans = try await claimants(of: cgroups, clockError: clockError, hostID: hostID, connection)
        let units = cgroups.filter { $0.unit?.hasPrefix(WatchedCgroup.runnerUnits) == true }
        if let first = units.map(\.bornAt).min() {
            spans += try await onAnyRunner(since: max(first, now - longestLookBack), hostID: hostID, connection).filter { span in
                units.contains { unit in span.runner.map { unit.watched.isUnit(of: $0) } ?? false }
            }
        }
        let hours = spans.reduce(into: Set<Hour>()) { hours, span in hours.formUnion(self.hours(of: span, now: now)) }
        try await WorkQueue.mark(hostID: hostID, hours: hours, now: now, reason: "workload", connection)
    }

    /// A runner's unit may be years old; what it ran before this stays as it is.
    private static let longestLookBack = Microseconds(31 * Microseconds.day.count)

    private static func onAnyRunner(since: Timestamp, hostID: Int32, _ connection: PostgresConnection) async throws -> [SpanRow] {
        try await connection.query(
            Statement(
                "spans_on_any_runner",
                "SELECT \(SpanTable.columns) FROM span WHERE host_id = $1 AND started_at > $2 AND runner IS NOT NULL ORDER BY span_id"
            ),
            [.int4(hostID), .timestamptz(microseconds: (since - .day).microseconds)]
        ).map(SpanTable.spanRow)
    }

    private static func hours(of span: SpanRow, now: Timestamp) -> [Hour] {
        let end = min(span.reach.end, now)
        return Hour.touching(Interval(max(span.reach.start, end - Microseconds(366 * Microseconds.day.count)), end))
    }
}
