public import Energy
public import Postgres

/// Finds the host that a span ran on, from the names it gives.
public enum HostResolution {
    /// The names by which a span's host may be known.
    public struct Names: Sendable, Hashable {
        /// Posted as the host.
        public var host: String?
        /// What the machine calls itself, perhaps with its domain.
        public var hostname: String?
        /// The runner's name at its CI.
        public var runner: String?
        /// The CI, without its scheme: `github.com`.
        public var instance: String
        /// When the span started: names are dated.
        public var at: Timestamp

        public init(host: String?, hostname: String?, runner: String?, instance: String, at: Timestamp) {
            self.host = host
            self.hostname = hostname
            self.runner = runner
            self.instance = instance
            self.at = at
        }

        /// Every name, in lower case: if one of them appears, the span is worth another look.
        public var candidates: [String] {
            var names: Set<String> = []
            for name in [host, hostname, runner] {
                guard let name = name?.lowercased(), !name.isEmpty else { continue }
                names.insert(name)
                if let short = name.split(separator: ".").first.map(String.init) { names.insert(short) }
            }
            return names.sorted()
        }
    }

    /// How a host was found.
    public enum Means: String, Sendable {
        case host, hostname
        case runnerMap = "runner_map"
        case runnerName = "runner_name"
    }

    /// The host of a span, in one query where it was not merged into another.
    ///
    /// The posted host counts first, by name or alias in either case of letters; then what the machine calls itself, in full, then by
    /// its first label if exactly one host goes by that; then the map of runners at that time, what people say before what agents find,
    /// and entries of the span's own CI before those of any; then a host that is called like the runner. At each step a host that was in
    /// service at that time comes before a retired one.
    ///
    /// A host that was merged into another keeps the hours that it metered itself; everything else is the other's.
    public static func find(_ names: Names, _ connection: PostgresConnection) async throws -> (host: HostRow, by: Means)? {
        let given = [names.host, names.hostname, names.runner].map { $0.flatMap { $0.isEmpty ? nil : $0 } }
        guard given.contains(where: { $0 != nil }) else { return nil }
        let row = try await connection.query(
            Statement("resolve_host", resolution),
            given.map { $0.map { .text($0) } } + [.text(bareInstance(names.instance)), .timestamptz(microseconds: names.at.microseconds)]
        ).first
        guard let row, let means = means[try row.int32("step")] else { return nil }
        var host = try HostTable.host(row)
        // A merged host may have been merged again.
        for _ in 0..<8 {
            guard host.mergedInto != nil,
                let next = try await connection.query(
                    Statement(
                        "host_merged_into",
                        """
                        SELECT \(HostTable.columns) FROM host
                        WHERE host_id = (SELECT merged_into FROM host WHERE host_id = $1) AND NOT host_is_metered($1, $2)
                        """
                    ),
                    [.int4(host.id), .timestamptz(microseconds: names.at.microseconds)]
                ).first
            else { break }
            host = try HostTable.host(next)
        }
        return (host, means)
    }

    private static let means: [Int32: Means] = [1: .host, 2: .hostname, 3: .hostname, 4: .runnerMap, 5: .runnerName]

    /// `$1` host, `$2` hostname, `$3` runner, `$4` instance, `$5` when.
    private static let resolution = """
        WITH wanted (step, name) AS (VALUES (1, lower($1::text)), (2, lower($2::text)), (5, lower($3::text))),
        label AS (SELECT lower($2::text) AS name, split_part(lower($2::text), '.', 1) AS short),
        found (step, place, host_id) AS (
            SELECT w.step, 0, h.host_id FROM wanted w JOIN host h ON lower(h.name) = w.name
            UNION ALL
            SELECT w.step, 1, a.host_id FROM wanted w JOIN host_alias a ON a.alias = w.name
            UNION ALL
            -- A full name that nobody has may be a host's by its first label, and a bare one the first label of a host's full name.
            SELECT 3, 0, CASE
                WHEN count(DISTINCT s.place) FILTER (WHERE s.in_service) = 1 THEN min(s.host_id) FILTER (WHERE s.in_service)
                WHEN count(s.place) FILTER (WHERE s.in_service) = 0 AND count(DISTINCT s.place) = 1 THEN min(s.host_id) END
            FROM (
                SELECT h.host_id, coalesce(h.merged_into, h.host_id) AS place, h.retired_at IS NULL OR $5 < h.retired_at AS in_service
                FROM label l
                CROSS JOIN LATERAL (
                    SELECT o.host_id FROM host o
                    WHERE split_part(lower(o.name), '.', 1) = l.short AND (l.name = l.short OR lower(o.name) = l.short)
                    UNION
                    SELECT a.host_id FROM host_alias a
                    WHERE split_part(a.alias, '.', 1) = l.short AND (l.name = l.short OR a.alias = l.short)
                ) n
                JOIN host h USING (host_id)
            ) s
            UNION ALL
            (
                SELECT 4, 0, r.host_id FROM runner_host r
                WHERE r.runner = lower($3::text) AND r.instance IN ($4::text, '') AND r.valid_from <= $5 AND $5 < r.valid_to
                ORDER BY r.origin IN ('operator', 'import') DESC, r.instance = $4 DESC, r.valid_from DESC, r.runner_host_id DESC
                LIMIT 1
            )
        )
        SELECT \(HostTable.columns), f.step
        FROM found f JOIN host USING (host_id)
        ORDER BY f.step, retired_at IS NULL OR $5::timestamptz < retired_at DESC, f.place,
            name IN (coalesce($1, ''), coalesce($2, ''), coalesce($3, '')) DESC, host_id DESC
        LIMIT 1
        """

    /// A CI's address as the map of runners writes it: no scheme, no slash at the end, lower case.
    public static func bareInstance(_ instance: String) -> String {
        var text = instance.lowercased()[...]
        for scheme in ["https://", "http://"] where text.hasPrefix(scheme) { text = text.dropFirst(scheme.count) }
        while text.last == "/" { text = text.dropLast() }
        return String(text)
    }

    /// Some spans that wait for a host of which a name has appeared since, to be tried again; empty when there is nothing to try.
    ///
    /// Called in the transaction in which they are tried: what is handed out counts as tried when it commits. A span that still finds
    /// no host (the map of runners is dated) waits for the next name and is not handed out again. Spans whose names nobody has cost
    /// nothing, however many they are.
    public static func joinable(limit: Int, _ connection: PostgresConnection) async throws -> [String] {
        for _ in 0..<namesAtOnce {
            guard
                let news = try await connection.query(
                    Statement(
                        "next_host_news",
                        """
                        SELECT news_id, name, after_job_id, horizon IS NOT NULL AS is_last FROM host_news
                        WHERE horizon IS NULL OR horizon <= pg_snapshot_xmin(pg_current_snapshot())
                        ORDER BY news_id LIMIT 1 FOR UPDATE SKIP LOCKED
                        """
                    )
                ).first
            else { return [] }
            let id = try news.int64("news_id")
            let jobIDs = try await connection.query(
                Statement(
                    "joinable_spans_of_name",
                    """
                    WITH waiting AS MATERIALIZED (
                        SELECT job_id FROM span_key
                        WHERE host_names @> ARRAY[$1::text] AND host_id IS NULL AND alias_of IS NULL AND NOT is_deleted
                            AND job_id > $2
                    )
                    SELECT job_id FROM waiting ORDER BY job_id LIMIT $3
                    """
                ),
                [.text(try news.string("name")), .text(try news.string("after_job_id")), .int8(Int64(limit))]
            ).map { try $0.string("job_id") }
            if let last = jobIDs.last, jobIDs.count == limit {
                _ = try await connection.execute(
                    Statement("advance_host_news", "UPDATE host_news SET after_job_id = $2 WHERE news_id = $1"),
                    [.int8(id), .text(last)]
                )
            } else if try news.bool("is_last") {
                _ = try await connection.execute(
                    Statement("finish_host_news", "DELETE FROM host_news WHERE news_id = $1"),
                    [.int8(id)]
                )
            } else {
                // Whoever looked before the name was there has begun by now.
                _ = try await connection.execute(
                    Statement(
                        "repeat_host_news",
                        """
                        UPDATE host_news SET after_job_id = '', horizon = pg_snapshot_xmax(pg_current_snapshot()) WHERE news_id = $1
                        """
                    ),
                    [.int8(id)]
                )
            }
            if !jobIDs.isEmpty { return jobIDs }
        }
        return []
    }

    /// Bounds a sweep; the next one goes on.
    private static let namesAtOnce = 500
}
