public import Accounting
public import Energy
import Postgres

/// What jobs are grouped by.
public enum RollUpKey: String, Sendable, CaseIterable, Hashable {
    case service, activity, team, repository, pipeline, job, release, pool, host

    /// The names of a group's fields: a pipeline and a job's name mean something within their repository only, a release has its relation.
    public var fields: [String] {
        switch self {
        case .pipeline: ["repository", "pipeline"]
        case .job: ["repository", "job"]
        case .release: ["release", "relation"]
        default: [rawValue]
        }
    }

    /// A field's value of the directory's row `k`, the host `h` and one of the job's releases `r`.
    static func expression(_ field: String) -> String {
        switch field {
        case "pipeline", "job": "k.document ->> '\(field)'"
        case "release": "r.value ->> 'purl'"
        case "relation": "r.value ->> 'relation'"
        case "pool": "coalesce(k.pool, h.pool)"
        case "host": "h.name"
        default: "k.\(field)"
        }
    }
}

/// The time that one row of a roll-up is of; UTC.
public enum RollUpBucket: String, Sendable, CaseIterable {
    case hour, day, month
}

/// Which slices are summed, and by what. The time is of whole UTC hours.
public struct RollUpQuestion: Sendable {
    /// What all jobs that count have in common; nil asks for nothing.
    public struct Filter: Sendable, Hashable {
        public var service: String?
        public var activity: String?
        public var team: String?
        public var repository: String?
        public var pipeline: String?
        public var job: String?
        public var release: String?
        public var relation: String?
        public var pool: String?
        public var hostID: Int32?
        public var source: String?

        public init() {}

        /// How many of them are asked for.
        public var count: Int {
            [service, activity, team, repository, pipeline, job, release, relation, pool, source].count { $0 != nil }
                + (hostID == nil ? 0 : 1)
        }
    }

    public var keys: [RollUpKey] = []
    public var bucket: RollUpBucket?
    public var interval: Interval
    public var policy = Policy.reserved
    public var filter = Filter()
    public var visibility = JobVisibility.everything
    /// Without a token: short jobs count only where those of one group and hour are several; these are the groups. Nil: `keys`.
    public var cellKeys: [RollUpKey]?
    /// Groups of one answer, by name.
    public var limit = 1_000
    public var offset = 0

    public init(_ interval: Interval) { self.interval = interval }

    /// The names of a group's fields, in order.
    public var fields: [String] { Self.fields(keys) }

    static func fields(_ keys: [RollUpKey]) -> [String] {
        var fields: [String] = []
        for key in keys { for field in key.fields where !fields.contains(field) { fields.append(field) } }
        return fields
    }

    /// A group as an array of texts: `=` and the value, and nothing for none.
    static func groupExpression(_ keys: [RollUpKey]) -> String {
        "ARRAY[\(fields(keys).map { "coalesce('=' || (\(RollUpKey.expression($0))), '')" }.joined(separator: ", "))]::text[]"
    }

    /// Shortest public job that is shown alone, and what it takes for shorter ones to be shown together.
    static let aloneSeconds = 60
    static let shortJobsTogether = 3
}

/// The SQL that all statements of a roll-up share. One text for each combination of keys: what is not asked for is a null parameter, and
/// the server plans with the parameters' values.
extension RollUpQuestion {
    /// The first parameters of each statement.
    ///
    /// - Parameter unit: what times are cut to, as `date_trunc` has it.
    func values(by unit: String?) -> [PostgresValue?] {
        var patterns: [String]?
        var source: String?
        var endedBefore: Timestamp?
        switch visibility {
        case .everything: break
        case .repositories(let list): patterns = list
        case .source(let name, let list): (source, patterns) = (name, list)
        case .public(let instant): endedBefore = instant
        }
        let texts = [
            filter.service, filter.activity, filter.team, filter.repository, filter.pipeline, filter.job, filter.release, filter.relation,
            filter.pool,
        ]
        return [
            .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds),
            unit.map { .text($0) },
        ] + texts.map { $0.map { .text($0) } } + [
            filter.hostID.map { .int4($0) }, filter.source.map { .text($0) },
            patterns.map { .textArray($0.map(JobDirectory.likePattern)) }, source.map { .text($0) },
            endedBefore.map { .timestamptz(microseconds: $0.microseconds) },
        ]
    }

    /// Whether a job `k` on a host `h` counts; with `r`, one of its releases, where that is a key.
    func condition(isByRelease: Bool) -> String {
        let release =
            isByRelease
            ? "($10::text IS NULL OR r.value ->> 'purl' = $10) AND ($11::text IS NULL OR r.value ->> 'relation' = $11)"
            : """
            ($10::text IS NULL AND $11::text IS NULL OR EXISTS (SELECT FROM \(Self.releases("k")) AS x
                WHERE ($10::text IS NULL OR x.value ->> 'purl' = $10) AND ($11::text IS NULL OR x.value ->> 'relation' = $11)))
            """
        return """
            ($4::text IS NULL OR k.service = $4) AND ($5::text IS NULL OR k.activity = $5) AND ($6::text IS NULL OR k.team = $6)
                AND ($7::text IS NULL OR k.repository = $7) AND ($8::text IS NULL OR k.document ->> 'pipeline' = $8)
                AND ($9::text IS NULL OR k.document ->> 'job' = $9) AND \(release)
                AND ($12::text IS NULL OR coalesce(k.pool, h.pool) = $12) AND ($13::int4 IS NULL OR h.host_id = $13)
                AND ($14::text IS NULL OR k.source = $14) AND ($15::text[] IS NULL OR lower(k.repository) LIKE ANY($15))
                AND ($16::text IS NULL OR k.source = $16)
                AND ($17::timestamptz IS NULL OR (k.is_public AND k.finished_at <= $17
                    AND NOT EXISTS (SELECT FROM repository x WHERE x.name = lower(k.repository) AND x.is_private)))
            """
    }

    /// The parameters that `condition` and the window take.
    static let parameters = 17

    /// Whether a job is one that no one without a token sees alone.
    static let isShort = "k.finished_at - k.started_at < interval '\(aloneSeconds) seconds'"

    /// The releases of a job, as rows of `value`; no row for a job without any.
    static func releases(_ job: String) -> String {
        """
        jsonb_array_elements(CASE jsonb_typeof(\(job).document -> 'release') WHEN 'array' THEN \(job).document -> 'release'
            WHEN 'object' THEN jsonb_build_array(\(job).document -> 'release') ELSE '[]'::jsonb END)
        """
    }

    /// One row for each of a job's releases; one for a job without any. Two of the same purl and relation are one.
    static func releaseJoin(_ keys: [RollUpKey]) -> String {
        guard keys.contains(.release) else { return "" }
        return """
            LEFT JOIN LATERAL (
                SELECT DISTINCT ON (x.value ->> 'purl', x.value ->> 'relation') x.value FROM \(releases("k")) AS x
            ) r ON true
            """
    }

    /// A name for a statement that is made of these keys.
    func statement(_ name: String, _ sql: String) -> Statement {
        let keys = { (keys: [RollUpKey]) in keys.map { String($0.rawValue.prefix(3)) }.joined(separator: "_") }
        let cells = cellKeys.map { "_of_" + keys($0) } ?? ""
        let visible = if case .public = visibility { "_public" } else { "" }
        return Statement("rollup_\(name)_\(keys(self.keys))\(cells)\(visible)", sql)
    }
}
