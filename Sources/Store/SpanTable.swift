public import Energy
public import Postgres

/// A span whose host is known, as it is accounted.
public struct SpanRow: Sendable {
    public var hostID: Int32
    public var spanID: Int64
    public var jobID: String
    public var startedAt: Timestamp
    /// Nil while it runs.
    public var finishedAt: Timestamp?
    public var queuedAt: Timestamp?
    public var timeResolution: Microseconds
    public var cpuShare: Double?
    public var cpus: Double?
    public var weight: Double?
    public var cpuTime: Microseconds?
    public var workload: String?
    /// The span's own id, by which an agent may name the workload.
    public var workloadKey: String
    public var source: String
    public var service: String?
    public var repository: String?
    /// The runner that took the job.
    public var runner: String?
    /// Every id under which the job's own CI may know it.
    public var jobIDs: [String]
    /// The job that this one says it runs within.
    public var parentJobID: String?
    /// The CI's run that it belongs to.
    public var runID: String?
    /// Names of GPU meters that it has to itself.
    public var gpus: [String]

    public init(
        hostID: Int32,
        spanID: Int64,
        jobID: String,
        startedAt: Timestamp,
        finishedAt: Timestamp?,
        queuedAt: Timestamp?,
        timeResolution: Microseconds,
        cpuShare: Double?,
        cpus: Double?,
        weight: Double?,
        cpuTime: Microseconds?,
        workload: String?,
        workloadKey: String,
        source: String,
        service: String?,
        repository: String?,
        runner: String? = nil,
        jobIDs: [String] = [],
        parentJobID: String? = nil,
        runID: String? = nil,
        gpus: [String] = []
    ) {
        self.hostID = hostID
        self.spanID = spanID
        self.jobID = jobID
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.queuedAt = queuedAt
        self.timeResolution = timeResolution
        self.cpuShare = cpuShare
        self.cpus = cpus
        self.weight = weight
        self.cpuTime = cpuTime
        self.workload = workload
        self.workloadKey = workloadKey
        self.source = source
        self.service = service
        self.repository = repository
        self.runner = runner
        self.jobIDs = jobIDs
        self.parentJobID = parentJobID
        self.runID = runID
        self.gpus = gpus
    }

    /// How long a span without an end counts as running: its finish may have been lost, and must not take a share for ever.
    public static let longestOpen = Microseconds(7 * Microseconds.day.count)

    /// From the start to the end, or as long as an open span counts as running.
    public var interval: Interval { Interval(startedAt, finishedAt ?? startedAt + Self.longestOpen) }

    /// No edge moves further than this to its cgroup's, however coarse it is said to be.
    public static let coarsestEdge = Microseconds.seconds(300)
    /// No clock is taken to be further off than this.
    public static let largestClockError = Microseconds.seconds(60)

    /// How far each edge may be off.
    public var edgeResolution: Microseconds { min(max(.zero, timeResolution), Self.coarsestEdge) }
    /// Where the span can have been, whatever cgroup turns out to be its own.
    public var reach: Interval {
        let slack = edgeResolution + Self.largestClockError
        return Interval(interval.start - slack, interval.end + slack)
    }
}

public enum SpanTable {
    static let columns = """
        host_id, span_id, job_id, started_at, finished_at, queued_at, time_resolution_us, cpu_share, cpus, weight, cpu_time_us, workload,
        workload_key, source, service, repository, runner, job_ids, parent_job_id, run_id, gpus
        """

    // MARK: Spans on hosts

    public static func find(hostID: Int32, spanID: Int64, _ connection: PostgresConnection) async throws -> SpanRow? {
        try await connection.query(
            Statement("find_span", "SELECT \(columns) FROM span WHERE host_id = $1 AND span_id = $2"),
            [.int4(hostID), .int8(spanID)]
        ).first.map(spanRow)
    }

    /// Inserts or updates the span; its id is kept. Returns the id.
    public static func upsert(_ span: SpanRow, _ connection: PostgresConnection) async throws -> Int64 {
        try await connection.query(
            Statement(
                "upsert_span",
                """
                INSERT INTO span (host_id, job_id, started_at, finished_at, queued_at, time_resolution_us, cpu_share, cpus, weight, cpu_time_us,
                    workload, workload_key, source, service, repository, runner, job_ids, parent_job_id, run_id, gpus)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
                ON CONFLICT (host_id, job_id) DO UPDATE SET started_at = excluded.started_at, finished_at = excluded.finished_at,
                    queued_at = excluded.queued_at, time_resolution_us = excluded.time_resolution_us, cpu_share = excluded.cpu_share,
                    cpus = excluded.cpus, weight = excluded.weight, cpu_time_us = excluded.cpu_time_us, workload = excluded.workload,
                    workload_key = excluded.workload_key, source = excluded.source, service = excluded.service,
                    repository = excluded.repository, runner = excluded.runner, job_ids = excluded.job_ids,
                    parent_job_id = excluded.parent_job_id, run_id = excluded.run_id, gpus = excluded.gpus
                RETURNING span_id
                """
            ),
            [
                .int4(span.hostID), .text(span.jobID), .timestamptz(microseconds: span.startedAt.microseconds),
                span.finishedAt.map { .timestamptz(microseconds: $0.microseconds) },
                span.queuedAt.map { .timestamptz(microseconds: $0.microseconds) }, .int8(span.timeResolution.count),
                span.cpuShare.map { .float8($0) }, span.cpus.map { .float8($0) }, span.weight.map { .float8($0) },
                span.cpuTime.map { .int8($0.count) }, span.workload.map { .text($0) }, .text(span.workloadKey), .text(span.source),
                span.service.map { .text($0) }, span.repository.map { .text($0) }, span.runner.map { .text($0) },
                .textArray(span.jobIDs), span.parentJobID.map { .text($0) }, span.runID.map { .text($0) }, .textArray(span.gpus),
            ]
        ).only().int64("span_id")
    }

    public static func delete(hostID: Int32, spanID: Int64, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement("delete_span", "DELETE FROM span WHERE host_id = $1 AND span_id = $2"),
            [.int4(hostID), .int8(spanID)]
        )
        _ = try await connection.execute(
            Statement("delete_ownership", "DELETE FROM ownership WHERE host_id = $1 AND span_id = $2"),
            [.int4(hostID), .int8(spanID)]
        )
    }

    /// Spans of a host that overlap an interval, or may once their edges are those of their cgroups, in the order of their ids.
    public static func overlapping(hostID: Int32, _ interval: Interval, _ connection: PostgresConnection) async throws -> [SpanRow] {
        try await connection.query(
            Statement(
                "overlapping_spans",
                """
                SELECT \(columns) FROM span
                WHERE host_id = $1 AND started_at < $3::timestamptz + interval '6 minutes'
                    AND started_at - least(greatest(time_resolution_us, 0), 300000000) * interval '1 microsecond' - interval '60 seconds' < $3
                    AND coalesce(finished_at, started_at + interval '7 days')
                        + least(greatest(time_resolution_us, 0), 300000000) * interval '1 microsecond' + interval '60 seconds' > $2
                ORDER BY span_id
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds)]
        ).map(spanRow)
    }

    /// Spans by their ids, of one host.
    public static func find(hostID: Int32, spanIDs: [Int64], _ connection: PostgresConnection) async throws -> [SpanRow] {
        try await connection.query(
            Statement("find_spans", "SELECT \(columns) FROM span WHERE host_id = $1 AND span_id = ANY($2) ORDER BY span_id"),
            [.int4(hostID), .int8Array(spanIDs)]
        ).map(spanRow)
    }

    static func spanRow(_ row: PostgresRow) throws -> SpanRow {
        func time(_ name: String) throws -> Timestamp? { try row.timestampMicrosecondsIfPresent(name).map { Timestamp(microseconds: $0) } }
        return SpanRow(
            hostID: try row.int32("host_id"),
            spanID: try row.int64("span_id"),
            jobID: try row.string("job_id"),
            startedAt: Timestamp(microseconds: try row.timestampMicroseconds("started_at")),
            finishedAt: try time("finished_at"),
            queuedAt: try time("queued_at"),
            timeResolution: Microseconds(try row.int64("time_resolution_us")),
            cpuShare: try row.doubleIfPresent("cpu_share"),
            cpus: try row.doubleIfPresent("cpus"),
            weight: try row.doubleIfPresent("weight"),
            cpuTime: try row.int64IfPresent("cpu_time_us").map { Microseconds($0) },
            workload: try row.stringIfPresent("workload"),
            workloadKey: try row.string("workload_key"),
            source: try row.string("source"),
            service: try row.stringIfPresent("service"),
            repository: try row.stringIfPresent("repository"),
            runner: try row.stringIfPresent("runner"),
            jobIDs: try row.stringArray("job_ids"),
            parentJobID: try row.stringIfPresent("parent_job_id"),
            runID: try row.stringIfPresent("run_id"),
            gpus: try row.stringArray("gpus")
        )
    }
}
