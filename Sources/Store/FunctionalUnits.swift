import Energy
public import Postgres

/// How many pieces of work jobs were, counted over those jobs only whose energy is known: finished, on hosts with meters.
public struct FunctionalUnits: Sendable, Hashable {
    /// The jobs that are counted over.
    public var jobs: Int64 = 0
    public var runs: Int64 = 0
    public var commits: Int64 = 0
    public var releases: Int64 = 0
    /// Jobs that tested a release.
    public var tests: Int64 = 0
    public var jobsWithoutRun: Int64 = 0
    public var jobsWithoutCommit: Int64 = 0
    public var jobsWithoutRelease: Int64 = 0

    public init() {}
}

extension RollUpTable {
    /// What the jobs that began in the question's time were, as its filters have them.
    public static func functionalUnits(_ question: RollUpQuestion, _ connection: PostgresConnection) async throws -> FunctionalUnits {
        let row = try await connection.query(
            question.statement("functional_units", functionalUnitsSQL(question)),
            question.values(by: nil)
        ).only()
        var units = FunctionalUnits()
        units.jobs = try row.int64("jobs")
        units.runs = try row.int64("runs")
        units.commits = try row.int64("commits")
        units.releases = try row.int64("releases")
        units.tests = try row.int64("tests")
        units.jobsWithoutRun = try row.int64("without_run")
        units.jobsWithoutCommit = try row.int64("without_commit")
        units.jobsWithoutRelease = try row.int64("without_release")
        return units
    }

    private static func functionalUnitsSQL(_ question: RollUpQuestion) -> String {
        // Short jobs that the roll-ups withhold from people without a token are not counted for them either.
        var shown = "SELECT * FROM job"
        if case .public = question.visibility {
            shown = """
                SELECT * FROM (
                    SELECT *, count(*) FILTER (WHERE is_short) OVER w AS together, sum(length) FILTER (WHERE is_short) OVER w AS time
                    FROM job WINDOW w AS (PARTITION BY hour)
                ) j WHERE NOT is_short OR (together >= \(RollUpQuestion.shortJobsTogether)
                    AND time >= interval '\(RollUpQuestion.aloneSeconds) seconds')
                """
        }
        let wanted = "($10::text IS NULL OR x.value ->> 'purl' = $10) AND ($11::text IS NULL OR x.value ->> 'relation' = $11)"
        return """
            WITH metered AS MATERIALIZED (
                SELECT host_id FROM host m WHERE EXISTS (SELECT FROM host_hour l WHERE l.host_id = m.host_id AND l.hour >= $1 AND l.hour < $2)
                    OR EXISTS (SELECT FROM curve c WHERE c.host_id = m.host_id AND c.kind = 'meter' AND c.in_cover)
            ), job AS (
                SELECT k.document, k.source, k.repository, k.finished_at - k.started_at AS length,
                    coalesce(k.document ->> 'run_id', k.document ->> 'pipeline') AS run, k.document ->> 'commit' AS made_of,
                    coalesce(\(RollUpQuestion.isShort), false) AS is_short, date_trunc('hour', k.started_at, 'UTC') AS hour
                FROM span_key k LEFT JOIN host h ON h.host_id = k.host_id
                WHERE k.started_at >= $1 AND k.started_at < $2 AND $3::text IS NULL AND k.alias_of IS NULL AND NOT k.is_deleted
                    AND k.finished_at IS NOT NULL AND k.host_class IS NULL AND k.host_id IN (SELECT host_id FROM metered)
                    AND \(question.condition(isByRelease: false))
            ), shown AS (
                \(shown)
            ), counted AS (
                SELECT s.*, (SELECT count(*) FROM \(RollUpQuestion.releases("s")) AS x WHERE x.value ->> 'purl' <> '' AND \(wanted)) AS released,
                    EXISTS (SELECT FROM \(RollUpQuestion.releases("s")) AS x WHERE x.value ->> 'relation' = 'test' AND \(wanted)) AS is_test
                FROM shown s
            )
            SELECT count(*) AS jobs, count(DISTINCT (source, repository, run)) FILTER (WHERE run IS NOT NULL) AS runs,
                count(DISTINCT (repository, made_of)) FILTER (WHERE made_of IS NOT NULL) AS commits,
                (SELECT count(DISTINCT x.value ->> 'purl') FROM shown s, LATERAL \(RollUpQuestion.releases("s")) AS x
                    WHERE x.value ->> 'purl' <> '' AND \(wanted)) AS releases,
                count(*) FILTER (WHERE is_test) AS tests, count(*) FILTER (WHERE run IS NULL) AS without_run,
                count(*) FILTER (WHERE made_of IS NULL) AS without_commit, count(*) FILTER (WHERE released = 0) AS without_release
            FROM counted
            """
    }
}
