import Accounting
public import Energy
public import Postgres

/// A cgroup as an agent watched it, as far as it matters for a span of its own.
public struct ResidentWorkload: Sendable, Hashable {
    public let curveID: Int32
    public let cgroup: String
    public let unit: String?
    public let bornAt: Timestamp
    /// When it was last known to live; its death, if it has died.
    public let livedUntil: Timestamp
    /// Nothing more will be heard of it.
    public let isOver: Bool
}

/// A host whose cgroups may open spans.
public struct ResidentHost: Sendable, Hashable {
    public let id: Int32
    public let name: String
    public let pool: String?

    public init(id: Int32, name: String, pool: String?) {
        self.id = id
        self.name = name
        self.pool = pool
    }
}

/// A span that a cgroup has opened.
public struct ResidentSpan: Sendable, Hashable {
    public let jobID: String
    /// What it was filed under: the host may have had another name then.
    public let instance: String
    public let id: String
    public let attempt: Int32
    public let curveID: Int32
    public let startedAt: Timestamp
    public let finishedAt: Timestamp?
}

/// Cgroups that run without anybody posting a job: which are new, which have changed, and which are a posted span's after all.
public enum ResidentWorkloads {
    /// The name under which the spans that cgroups open are filed.
    public static let source = "resident"

    /// How far a host's cgroups were looked at.
    public struct Progress: Sendable, Hashable {
        /// The rules by which all curves up to `curveID` were looked at.
        public var rulesVersion: String
        public var curveID: Int32
        /// What was decided of posted spans since then was not looked at yet.
        public var decidedAt: Timestamp
    }

    /// Hosts with cgroups.
    public static func hosts(_ connection: PostgresConnection) async throws -> [ResidentHost] {
        try await connection.query(
            Statement(
                "hosts_with_workloads",
                """
                SELECT host_id, name, pool FROM host h WHERE merged_into IS NULL
                    AND EXISTS (SELECT FROM workload w WHERE w.host_id = h.host_id) ORDER BY host_id
                """
            )
        ).map { row in
            ResidentHost(id: try row.int32("host_id"), name: try row.string("name"), pool: try row.stringIfPresent("pool"))
        }
    }

    // MARK: Progress

    /// Takes a host's sweep for this transaction; nil while another has it.
    public static func take(hostID: Int32, _ connection: PostgresConnection) async throws -> Progress? {
        _ = try await connection.execute(
            Statement(
                "make_resident_sweep",
                """
                INSERT INTO resident_sweep (host_id, rules_version, curve_id, decided_at) VALUES ($1, '', 0, now())
                ON CONFLICT (host_id) DO NOTHING
                """
            ),
            [.int4(hostID)]
        )
        return try await connection.query(
            Statement(
                "take_resident_sweep",
                "SELECT rules_version, curve_id, decided_at FROM resident_sweep WHERE host_id = $1 FOR UPDATE SKIP LOCKED"
            ),
            [.int4(hostID)]
        ).first.map { row in
            Progress(
                rulesVersion: try row.string("rules_version"),
                curveID: try row.int32("curve_id"),
                decidedAt: Timestamp(microseconds: try row.timestampMicroseconds("decided_at"))
            )
        }
    }

    public static func save(_ progress: Progress, hostID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "save_resident_sweep",
                "UPDATE resident_sweep SET rules_version = $2, curve_id = $3, decided_at = $4 WHERE host_id = $1"
            ),
            [
                .int4(hostID), .text(progress.rulesVersion), .int4(progress.curveID),
                .timestamptz(microseconds: progress.decidedAt.microseconds),
            ]
        )
    }

    /// Before the database's clock by more than a transaction lasts: what commits from now on is decided after this.
    public static func settledInstant(_ connection: PostgresConnection) async throws -> Timestamp {
        Timestamp(
            microseconds: try await connection.query(
                Statement("settled_instant", "SELECT clock_timestamp() - interval '10 minutes' AS t")
            ).only().timestampMicroseconds("t")
        )
    }

    // MARK: Which cgroups to look at

    private static let columns = """
        w.curve_id, w.cgroup, w.unit, w.born_at, coalesce(w.died_at, t.t, w.born_at) AS lived_until,
        w.died_at IS NOT NULL OR coalesce(t.complete_until = 'infinity', false) AS is_over
        """
    private static let tables = "workload w LEFT JOIN curve_tail t ON t.host_id = w.host_id AND t.curve_id = w.curve_id"

    /// Those after a curve that lived beyond an instant, in the order of their curves.
    public static func after(
        curveID: Int32,
        livedBeyond instant: Timestamp,
        hostID: Int32,
        limit: Int,
        _ connection: PostgresConnection
    ) async throws -> [ResidentWorkload] {
        try await connection.query(
            Statement(
                "workloads_after",
                """
                SELECT \(columns) FROM \(tables)
                WHERE w.host_id = $1 AND w.curve_id > $2 AND (w.died_at IS NULL OR w.died_at > $3) ORDER BY w.curve_id LIMIT $4
                """
            ),
            [.int4(hostID), .int4(curveID), .timestamptz(microseconds: instant.microseconds), .int8(Int64(limit))]
        ).map(workload)
    }

    public static func lastCurveID(hostID: Int32, _ connection: PostgresConnection) async throws -> Int32 {
        try await connection.query(
            Statement("last_workload", "SELECT coalesce(max(curve_id), 0) AS n FROM workload WHERE host_id = $1"),
            [.int4(hostID)]
        ).only().int32("n")
    }

    /// Those whose open span has something to be told: the cgroup is over, or has lived beyond the span's day.
    public static func withSpansToFinish(hostID: Int32, limit: Int, _ connection: PostgresConnection) async throws -> [ResidentWorkload] {
        try await connection.query(
            Statement(
                "workloads_to_finish",
                """
                SELECT DISTINCT \(columns) FROM span s
                JOIN workload w ON w.host_id = s.host_id AND w.cgroup = s.workload AND w.born_at <= s.started_at
                    AND (w.died_at IS NULL OR w.died_at > s.started_at)
                LEFT JOIN curve_tail t ON t.host_id = w.host_id AND t.curve_id = w.curve_id
                WHERE s.host_id = $1 AND s.source = 'resident' AND s.finished_at IS NULL
                    AND (w.died_at IS NOT NULL OR t.complete_until = 'infinity'
                        OR t.t >= (date_trunc('day', s.started_at AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC')
                LIMIT $2
                """
            ),
            [.int4(hostID), .int8(Int64(limit))]
        ).map(workload)
    }

    /// Those with a span of their own that a posted span may own, or the cgroup around them, by what was decided since an instant.
    public static func contested(since instant: Timestamp, hostID: Int32, _ connection: PostgresConnection) async throws
        -> [ResidentWorkload]
    {
        try await connection.query(
            Statement(
                "contested_workloads",
                """
                WITH decided AS MATERIALIZED (
                    SELECT s.started_at, s.finished_at, o.curve_ids,
                        least(greatest(s.time_resolution_us, 0), \(SpanRow.coarsestEdge.count)) + \(SpanRow.largestClockError.count) AS slack_us
                    FROM ownership o JOIN span s USING (host_id, span_id)
                    WHERE o.host_id = $1 AND o.decided_at > $2 AND s.source <> 'resident'),
                contested AS (
                    SELECT r.workload, r.started_at
                    FROM decided d CROSS JOIN LATERAL unnest(d.curve_ids) AS c (curve_id)
                    JOIN workload o ON o.host_id = $1 AND o.curve_id = c.curve_id
                    JOIN span r ON r.host_id = $1 AND r.source = 'resident' AND r.started_at > o.born_at - interval '1 day'
                        AND r.started_at < coalesce(o.died_at, 'infinity')
                        AND (r.workload = o.cgroup OR starts_with(r.workload, o.cgroup || '/'))
                    UNION
                    SELECT r.workload, r.started_at FROM decided d
                    JOIN span r ON r.host_id = $1 AND r.source = 'resident'
                        AND r.started_at BETWEEN d.started_at - d.slack_us * interval '1 microsecond'
                            AND d.started_at + d.slack_us * interval '1 microsecond'
                        AND r.finished_at BETWEEN d.finished_at - d.slack_us * interval '1 microsecond'
                            AND d.finished_at + d.slack_us * interval '1 microsecond')
                SELECT DISTINCT \(columns) FROM contested r
                JOIN workload w ON w.host_id = $1 AND w.cgroup = r.workload AND w.born_at <= r.started_at
                    AND (w.died_at IS NULL OR w.died_at > r.started_at)
                LEFT JOIN curve_tail t ON t.host_id = w.host_id AND t.curve_id = w.curve_id
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: instant.microseconds)]
        ).map(workload)
    }

    // MARK: What is there

    /// The spans that the cgroups have opened.
    public static func spans(of workloads: [ResidentWorkload], hostID: Int32, _ connection: PostgresConnection) async throws
        -> [ResidentSpan]
    {
        guard !workloads.isEmpty else { return [] }
        return try await connection.query(
            Statement(
                "resident_spans",
                """
                SELECT s.job_id, k.instance, k.id, k.attempt, w.curve_id, s.started_at, s.finished_at FROM workload w
                JOIN span s ON s.host_id = w.host_id AND s.workload = w.cgroup AND s.started_at >= w.born_at
                    AND s.started_at < coalesce(w.died_at, 'infinity')
                JOIN span_key k USING (job_id)
                WHERE w.host_id = $1 AND w.curve_id = ANY($2) AND s.source = 'resident'
                """
            ),
            [.int4(hostID), .int4Array(workloads.map(\.curveID))]
        ).map { row in
            ResidentSpan(
                jobID: try row.string("job_id"),
                instance: try row.string("instance"),
                id: try row.string("id"),
                attempt: try row.int32("attempt"),
                curveID: try row.int32("curve_id"),
                startedAt: Timestamp(microseconds: try row.timestampMicroseconds("started_at")),
                finishedAt: try row.timestampMicrosecondsIfPresent("finished_at").map { Timestamp(microseconds: $0) }
            )
        }
    }

    /// When the first span began that a cgroup of the host opened.
    public static func firstSpan(hostID: Int32, _ connection: PostgresConnection) async throws -> Timestamp? {
        try await connection.query(
            Statement("first_resident_span", "SELECT min(started_at) AS t FROM span WHERE host_id = $1 AND source = 'resident'"),
            [.int4(hostID)]
        ).only().timestampMicrosecondsIfPresent("t").map { Timestamp(microseconds: $0) }
    }

    /// The cgroups around each, that lived at the same time.
    public static func around(_ workloads: [ResidentWorkload], hostID: Int32, _ connection: PostgresConnection) async throws
        -> [Int32: [ResidentWorkload]]
    {
        let pairs = workloads.flatMap { workload in prefixes(workload.cgroup).map { (workload.curveID, $0) } }
        guard !pairs.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement(
                "workloads_around",
                """
                SELECT p.inner_id, \(columns) FROM unnest($2::int4[], $3::text[]) AS p (inner_id, cgroup)
                JOIN workload i ON i.host_id = $1 AND i.curve_id = p.inner_id
                JOIN workload w ON w.host_id = $1 AND w.cgroup = p.cgroup AND w.born_at < coalesce(i.died_at, 'infinity')
                    AND coalesce(w.died_at, 'infinity') > i.born_at
                LEFT JOIN curve_tail t ON t.host_id = w.host_id AND t.curve_id = w.curve_id
                """
            ),
            [.int4(hostID), .int4Array(pairs.map(\.0)), .textArray(pairs.map(\.1))]
        )
        var result: [Int32: [ResidentWorkload]] = [:]
        for row in rows { result[try row.int32("inner_id"), default: []].append(try workload(row)) }
        return result
    }

    private static func prefixes(_ path: String) -> [String] {
        var result: [String] = []
        var rest = path[...]
        while let slash = rest.lastIndex(of: "/"), slash > rest.startIndex {
            rest = rest[..<slash]
            result.append(String(rest))
        }
        return result
    }

    /// Those of the cgroups that a posted span may own: by name, or because it began and ended with it.
    public static func claimed(_ curveIDs: [Int32], hostID: Int32, _ connection: PostgresConnection) async throws -> Set<Int32> {
        guard !curveIDs.isEmpty else { return [] }
        func named(_ condition: String) -> String {
            """
            SELECT w.curve_id FROM w JOIN span s ON s.host_id = $1 AND \(condition)
            WHERE s.source <> 'resident' AND s.started_at > w.born_at - interval '8 days'
                AND s.started_at < coalesce(w.died_at, 'infinity') AND coalesce(s.finished_at, s.started_at + interval '7 days') > w.born_at
            """
        }
        let tolerance = """
            (least(greatest(s.time_resolution_us, 0), \(SpanRow.coarsestEdge.count)) + w.clock_error_us) * interval '1 microsecond'
            """
        let widest = (SpanRow.coarsestEdge + SpanRow.largestClockError).count
        return Set(
            try await connection.query(
                Statement(
                    "claimed_workloads",
                    """
                    WITH w AS MATERIALIZED (
                        SELECT w.curve_id, w.cgroup, w.span_key, w.born_at, w.died_at, split_part(w.pod, '/', 2) AS pod_name,
                            w.labels ->> '\(WatchedCgroup.jobLabelName)' AS job_label,
                            least(abs(coalesce(h.clock_offset_us, 0)) + 100000, \(SpanRow.largestClockError.count)) AS clock_error_us
                        FROM workload w JOIN host h USING (host_id) WHERE w.host_id = $1 AND w.curve_id = ANY($2))
                    \(named("s.workload = w.cgroup"))
                    UNION \(named("s.workload_key = w.span_key"))
                    UNION \(named("s.job_ids @> ARRAY[w.job_label]"))
                    UNION \(named("s.runner = w.pod_name"))
                    UNION
                    SELECT w.curve_id FROM w JOIN span s ON s.host_id = $1
                        AND s.started_at BETWEEN w.born_at - interval '\(widest) microseconds'
                            AND w.born_at + interval '\(widest) microseconds'
                    WHERE s.source <> 'resident' AND s.started_at BETWEEN w.born_at - \(tolerance) AND w.born_at + \(tolerance)
                        AND s.finished_at BETWEEN w.died_at - \(tolerance) AND w.died_at + \(tolerance)
                    """
                ),
                [.int4(hostID), .int4Array(curveIDs)]
            ).map { try $0.int32("curve_id") }
        )
    }

    /// Which of the ids are in the directory, and whether each was deleted.
    public static func deletions(jobIDs: [String], _ connection: PostgresConnection) async throws -> [String: Bool] {
        let rows = try await connection.query(
            Statement(
                "deleted_jobs",
                "SELECT job_id, jsonb_exists(registers, 'deleted') AS is_deleted FROM span_key WHERE job_id = ANY($1)"
            ),
            [.textArray(jobIDs)]
        )
        return Dictionary(try rows.map { (try $0.string("job_id"), try $0.bool("is_deleted")) }) { $1 }
    }

    private static func workload(_ row: PostgresRow) throws -> ResidentWorkload {
        ResidentWorkload(
            curveID: try row.int32("curve_id"),
            cgroup: try row.string("cgroup"),
            unit: try row.stringIfPresent("unit"),
            bornAt: Timestamp(microseconds: try row.timestampMicroseconds("born_at")),
            livedUntil: Timestamp(microseconds: try row.timestampMicroseconds("lived_until")),
            isOver: try row.bool("is_over")
        )
    }
}
