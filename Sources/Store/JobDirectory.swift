public import Energy
public import Postgres

/// What the directory knows of a job, whether or not its host is known.
public struct JobRow: Sendable {
    /// How one job is known under two ids.
    public enum AliasCause: String, Sendable {
        /// A hook's record of work that the CI also tells of.
        case hook
        /// A job of an earlier attempt, which a re-run took over without running it.
        case carriedOver = "carried_over"
    }

    public let jobID: String
    public let source: String
    public let instance: String
    public let id: String
    public let attempt: Int32
    public let receivedAt: Timestamp
    /// Each field with what it takes to decide which writer wins.
    public var registersJSON: String
    /// The winning fields, and what the rules added, as JSON.
    public var documentJSON: String = "{}"
    /// Same for a job and for a hook's record of it: source, instance, run and runner.
    public var runKey: String?
    /// The job that this one is: its energy is counted there.
    public var aliasOf: String?
    public var aliasCause: AliasCause?
    /// As posted, for people.
    public var hostName: String?
    /// Every name, in lower case, under which the host may appear.
    public var hostNames: [String] = []
    public var hostID: Int32?
    public var spanID: Int64?
    public var hostBy: String?
    /// The class of a machine that nobody can meter.
    public var hostClass: String?
    /// Nil for a job that never started: it is no span.
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    public var service: String?
    public var activity: String?
    public var team: String?
    /// As all sources share it: `github.com/ocaml/dune`.
    public var repository: String?
    public var runner: String?
    public var pool: String?
    public var isDeleted = false
    public var isPublic = false
    /// The services rule that applied.
    public var rule: String?
    public var flags: [String] = []
}

/// Who may see which jobs, as a condition on the directory.
public enum JobVisibility: Sendable, Hashable {
    case everything
    /// Jobs of repositories that match one of the patterns (`*` for any run of characters).
    case repositories([String])
    /// Jobs that one source posted; of these repositories only, where patterns are given.
    case source(String, repositories: [String]?)
    /// Public jobs of at least a minute that ended before the instant; nothing of a repository that its forge now calls private.
    case `public`(endedBefore: Timestamp)
}

/// Which job is where: found by id in one step, listed by what people ask for.
public enum JobDirectory {
    static let columns = """
        k.job_id, k.source, k.instance, k.id, k.attempt, k.received_at, k.registers, k.document, k.run_key, k.alias_of, k.alias_cause,
        k.host_name, k.host_names, k.host_id, k.span_id, k.host_by, k.host_class, k.started_at, k.finished_at, k.service, k.activity, k.team,
        k.repository, k.runner, k.pool, k.is_deleted, k.is_public, k.rule, k.flags
        """
    /// Without the registers, which nobody needs who only reads.
    private static let readColumns = columns.replacing("k.registers", with: "'{}'::jsonb AS registers")

    // MARK: Writing

    /// Makes the row where it is missing; then it can be locked.
    public static func make(
        jobID: String,
        source: String,
        instance: String,
        id: String,
        attempt: Int32,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "make_span_key",
                """
                INSERT INTO span_key (job_id, source, instance, id, attempt, registers) VALUES ($1, $2, $3, $4, $5, '{}')
                ON CONFLICT (job_id) DO NOTHING
                """
            ),
            [.text(jobID), .text(source), .text(instance), .text(id), .int4(attempt)]
        )
    }

    /// The row, locked until the transaction ends.
    public static func lock(jobID: String, _ connection: PostgresConnection) async throws -> JobRow? {
        try await connection.query(
            Statement("lock_span_key", "SELECT \(columns) FROM span_key k WHERE k.job_id = $1 FOR UPDATE"),
            [.text(jobID)]
        ).first.map(row)
    }

    /// Locks are taken by bucket: a post of 10,000 runs must not fill the server's lock table.
    private static let lockBuckets: Int64 = 256

    /// Takes the locks under which the jobs of these runs are told apart, in one order that all writers share; held until the transaction
    /// ends.
    public static func lockRuns(_ runKeys: Set<String>, _ connection: PostgresConnection) async throws {
        guard !runKeys.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "lock_runs",
                """
                SELECT pg_advisory_xact_lock(7474, bucket::int4)
                FROM (SELECT DISTINCT abs(hashtextextended(k, 7) % \(lockBuckets)) AS bucket FROM unnest($1::text[]) AS k ORDER BY 1) AS b
                """
            ),
            [.textArray(runKeys.sorted())]
        )
    }

    /// All of a run's jobs on one runner, locked; in the order of their ids.
    public static func run(_ runKey: String, _ connection: PostgresConnection) async throws -> [JobRow] {
        try await connection.query(
            Statement("lock_run_jobs", "SELECT \(columns) FROM span_key k WHERE k.run_key = $1 ORDER BY k.job_id FOR UPDATE"),
            [.text(runKey)]
        ).map(row)
    }

    /// The runs that some jobs belong to, by job.
    public static func runKeys(jobIDs: [String], _ connection: PostgresConnection) async throws -> [String: String] {
        let rows = try await connection.query(
            Statement("find_run_keys", "SELECT job_id, run_key FROM span_key WHERE job_id = ANY($1) AND run_key IS NOT NULL"),
            [.textArray(jobIDs)]
        )
        return Dictionary(try rows.map { (try $0.string("job_id"), try $0.string("run_key")) }) { $1 }
    }

    /// The hooks' records of a job.
    public static func hooks(of jobID: String, _ connection: PostgresConnection) async throws -> [JobRow] {
        try await connection.query(
            Statement(
                "hooks_of_job",
                "SELECT \(columns) FROM span_key k WHERE k.alias_of = $1 AND k.alias_cause = 'hook' ORDER BY k.job_id"
            ),
            [.text(jobID)]
        ).map(row)
    }

    public static func update(_ job: JobRow, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "update_span_key",
                """
                UPDATE span_key SET registers = $2, document = $3, run_key = $4, alias_of = $5, alias_cause = $6, host_name = $7,
                    host_names = $8, host_id = $9, span_id = $10, host_by = $11, host_class = $12, started_at = $13, finished_at = $14,
                    service = $15, activity = $16, team = $17, repository = $18, runner = $19, pool = $20, is_deleted = $21,
                    is_public = $22, rule = $23, flags = $24
                WHERE job_id = $1
                """
            ),
            [
                .text(job.jobID), .jsonb(job.registersJSON), .jsonb(job.documentJSON), job.runKey.map { .text($0) },
                job.aliasOf.map { .text($0) }, job.aliasCause.map { .text($0.rawValue) }, job.hostName.map { .text($0) },
                .textArray(job.hostNames), job.hostID.map { .int4($0) }, job.spanID.map { .int8($0) }, job.hostBy.map { .text($0) },
                job.hostClass.map { .text($0) }, job.startedAt.map { .timestamptz(microseconds: $0.microseconds) },
                job.finishedAt.map { .timestamptz(microseconds: $0.microseconds) }, job.service.map { .text($0) },
                job.activity.map { .text($0) }, job.team.map { .text($0) }, job.repository.map { .text($0) }, job.runner.map { .text($0) },
                job.pool.map { .text($0) }, .bool(job.isDeleted), .bool(job.isPublic), job.rule.map { .text($0) }, .textArray(job.flags),
            ]
        )
    }

    // MARK: Reading

    /// The row of a job, with its registers.
    public static func find(jobID: String, _ connection: PostgresConnection) async throws -> JobRow? {
        try await connection.query(
            Statement("find_span_key", "SELECT \(columns) FROM span_key k WHERE k.job_id = $1"),
            [.text(jobID)]
        ).first.map(row)
    }

    /// Rows by id, without their registers.
    public static func find(jobIDs: [String], _ connection: PostgresConnection) async throws -> [String: JobRow] {
        let rows = try await connection.query(
            Statement("find_span_keys", "SELECT \(readColumns) FROM span_key k WHERE k.job_id = ANY($1)"),
            [.textArray(jobIDs)]
        )
        return Dictionary(try rows.map { try row($0) }.map { ($0.jobID, $0) }) { $1 }
    }

    /// A job as somebody may see it; nil where it is not there, is deleted, never started, or is not theirs to see. The id of an alias
    /// finds the job that it is.
    public static func find(jobID: String, for visibility: JobVisibility, _ connection: PostgresConnection) async throws -> JobRow? {
        var filter = Filter()
        filter.visibility = visibility
        filter.jobID = jobID
        filter.limit = 1
        return try await list(filter, connection).first
    }

    /// What jobs to list.
    public struct Filter: Sendable {
        public var visibility = JobVisibility.everything
        public var jobID: String?
        public var source: String?
        public var service: String?
        public var repository: String?
        public var activity: String?
        public var team: String?
        public var pool: String?
        public var runner: String?
        public var hostID: Int32?
        /// Only jobs whose host is not known and that have no host class.
        public var isWithoutHost = false
        public var hostClass: String?
        /// A release's purl.
        public var release: String?
        public var from: Timestamp?
        public var to: Timestamp?
        /// The last job of the page before: its start and id.
        public var after: (startedAt: Timestamp, jobID: String)?
        public var limit = 100

        public init() {}
    }

    /// Jobs that started, newest first, without their registers. The condition is made of what was asked, so that each has its index.
    public static func list(_ filter: Filter, _ connection: PostgresConnection) async throws -> [JobRow] {
        let question = question(filter)
        return try await connection.query(
            Statement(
                "list_jobs_" + question.name,
                """
                SELECT \(readColumns) FROM span_key k WHERE \(question.condition)
                ORDER BY k.started_at DESC, k.job_id DESC LIMIT $\(question.values.count + 1)
                """
            ),
            question.values + [.int8(Int64(filter.limit))]
        ).map(row)
    }

    /// Names each column of a job's row, for a statement that joins others to it.
    static func prefixedColumns(_ prefix: String) -> String {
        readColumns.split(separator: ",").map { column in
            let text = String(column).trimmingSpaces
            if text.hasPrefix("'{}'::jsonb") { return "'{}'::jsonb AS \(prefix)registers" }
            return "\(text) AS \(prefix)\(text.dropFirst(2))"
        }.joined(separator: ", ")
    }

    /// What is asked as a condition on `span_key k`, its parameters, and a name that tells it from others.
    static func question(_ filter: Filter) -> (name: String, condition: String, values: [PostgresValue?]) {
        var conditions = ["k.started_at IS NOT NULL", "k.alias_of IS NULL", "NOT k.is_deleted"]
        var name = ""
        var values: [PostgresValue?] = []
        // A letter each: names of prepared statements are told apart by 63 bytes.
        func add(_ label: String, _ value: PostgresValue, _ condition: (String) -> String) {
            values.append(value)
            name += label
            conditions.append(condition("$\(values.count)"))
        }
        if let jobID = filter.jobID {
            add("i", .text(jobID)) { "k.job_id = coalesce((SELECT a.alias_of FROM span_key a WHERE a.job_id = \($0)), \($0))" }
        }
        if let source = filter.source { add("s", .text(source)) { "k.source = \($0)" } }
        if let service = filter.service { add("v", .text(service)) { "k.service = \($0)" } }
        if let repository = filter.repository { add("r", .text(repository)) { "k.repository = \($0)" } }
        if let activity = filter.activity { add("a", .text(activity)) { "k.activity = \($0)" } }
        if let team = filter.team { add("t", .text(team)) { "k.team = \($0)" } }
        if let pool = filter.pool { add("p", .text(pool)) { "k.pool = \($0)" } }
        if let runner = filter.runner { add("u", .text(runner)) { "k.runner = \($0)" } }
        if let hostID = filter.hostID { add("h", .int4(hostID)) { "k.host_id = \($0)" } }
        if filter.isWithoutHost {
            name += "x"
            conditions.append("k.host_id IS NULL AND k.host_class IS NULL")
        }
        if let hostClass = filter.hostClass { add("c", .text(hostClass)) { "k.host_class = \($0)" } }
        if let release = filter.release {
            add("l", .text(release)) {
                "(k.document -> 'release' ->> 'purl' = \($0) OR k.document -> 'release' @> jsonb_build_array(jsonb_build_object('purl', \($0)::text)))"
            }
        }
        if let from = filter.from { add("f", .timestamptz(microseconds: from.microseconds)) { "k.started_at >= \($0)" } }
        if let to = filter.to { add("o", .timestamptz(microseconds: to.microseconds)) { "k.started_at < \($0)" } }
        if let after = filter.after {
            values += [.timestamptz(microseconds: after.startedAt.microseconds), .text(after.jobID)]
            name += "n"
            conditions.append("(k.started_at, k.job_id) < ($\(values.count - 1), $\(values.count))")
        }
        switch filter.visibility {
        case .everything: break
        case .repositories(let patterns):
            add("R", .textArray(patterns.map(likePattern))) { "lower(k.repository) LIKE ANY(\($0))" }
        case .source(let source, let patterns):
            add("S", .text(source)) { "k.source = \($0)" }
            if let patterns { add("R", .textArray(patterns.map(likePattern))) { "lower(k.repository) LIKE ANY(\($0))" } }
        case .public(let instant):
            add("P", .timestamptz(microseconds: instant.microseconds)) {
                """
                k.is_public AND k.finished_at <= \($0) AND k.finished_at - k.started_at >= interval '60 seconds'
                    AND NOT EXISTS (SELECT FROM repository r WHERE r.name = lower(k.repository) AND r.is_private)
                """
            }
        }
        return (name, conditions.joined(separator: " AND "), values)
    }

    /// `github.com/ocaml/*` as LIKE takes it.
    static func likePattern(_ pattern: String) -> String {
        pattern.lowercased().map { character in
            switch character {
            case "*": "%"
            case "%", "_", "\\": "\\\(character)"
            default: String(character)
            }
        }.joined()
    }

    /// - Parameter prefix: of the columns' names, where others share the row.
    static func row(_ row: PostgresRow) throws -> JobRow { try Self.row(row, prefix: "") }

    static func row(_ row: PostgresRow, prefix: String) throws -> JobRow {
        func time(_ name: String) throws -> Timestamp? {
            try row.timestampMicrosecondsIfPresent(prefix + name).map { Timestamp(microseconds: $0) }
        }
        return JobRow(
            jobID: try row.string(prefix + "job_id"),
            source: try row.string(prefix + "source"),
            instance: try row.string(prefix + "instance"),
            id: try row.string(prefix + "id"),
            attempt: try row.int32(prefix + "attempt"),
            receivedAt: Timestamp(microseconds: try row.timestampMicroseconds(prefix + "received_at")),
            registersJSON: try row.json(prefix + "registers"),
            documentJSON: try row.json(prefix + "document"),
            runKey: try row.stringIfPresent(prefix + "run_key"),
            aliasOf: try row.stringIfPresent(prefix + "alias_of"),
            aliasCause: try row.stringIfPresent(prefix + "alias_cause").flatMap(JobRow.AliasCause.init(rawValue:)),
            hostName: try row.stringIfPresent(prefix + "host_name"),
            hostNames: try row.stringArray(prefix + "host_names"),
            hostID: try row.int32IfPresent(prefix + "host_id"),
            spanID: try row.int64IfPresent(prefix + "span_id"),
            hostBy: try row.stringIfPresent(prefix + "host_by"),
            hostClass: try row.stringIfPresent(prefix + "host_class"),
            startedAt: try time("started_at"),
            finishedAt: try time("finished_at"),
            service: try row.stringIfPresent(prefix + "service"),
            activity: try row.stringIfPresent(prefix + "activity"),
            team: try row.stringIfPresent(prefix + "team"),
            repository: try row.stringIfPresent(prefix + "repository"),
            runner: try row.stringIfPresent(prefix + "runner"),
            pool: try row.stringIfPresent(prefix + "pool"),
            isDeleted: try row.bool(prefix + "is_deleted"),
            isPublic: try row.bool(prefix + "is_public"),
            rule: try row.stringIfPresent(prefix + "rule"),
            flags: try row.stringArray(prefix + "flags")
        )
    }
}

extension String {
    fileprivate var trimmingSpaces: String { String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()) }
}
