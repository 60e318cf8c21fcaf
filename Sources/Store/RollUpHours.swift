import Accounting
public import Energy
public import Postgres

/// A host-hour that may still be accounted, or accounted anew.
public struct OpenHostHour: Sendable, Hashable {
    public let place: HostHour
    /// Accounts of it are in the ledger all the same; they may move.
    public let isStored: Bool
    /// It could not be accounted, or the machine that the host runs on could not; to try now would fail as it did then.
    public let isSetAside: Bool
}

/// Hosts' accounts in a bucket, µJ: every joule in exactly one of them.
public struct RollUpLedger: Sendable, Hashable {
    /// Nil without buckets.
    public var bucket: Timestamp?
    public var metered: Int128 = 0
    public var jobDynamic: Int128 = 0
    /// Idle that the policy moves to jobs, and what is left of it.
    public var idleMoved: Int128 = 0
    public var idleLeft: Int128 = 0
    public var system: Int128 = 0
    public var agent: Int128 = 0
    /// What hosts on these hosts drew: their own accounts divide it further.
    public var nested: Int128 = 0
    public var unknown: Int128 = 0
    public var unmetered = Microseconds.zero

    public init(bucket: Timestamp?) { self.bucket = bucket }

    public var jobs: Int128 { jobDynamic + idleMoved }

    public static func += (a: inout RollUpLedger, b: RollUpLedger) {
        a.metered += b.metered
        a.jobDynamic += b.jobDynamic
        a.idleMoved += b.idleMoved
        a.idleLeft += b.idleLeft
        a.system += b.system
        a.agent += b.agent
        a.nested += b.nested
        a.unknown += b.unknown
        a.unmetered += b.unmetered
    }
}

/// A job as an open hour's slices know it, with its group.
public struct RollUpMember: Sendable {
    public let hostID: Int32
    public let spanID: Int64
    /// One for each of its releases where that is a key; one otherwise.
    public let groups: [[String?]]
}

extension RollUpTable {
    /// How far back hours are looked for that nobody has accounted yet; older ones are marked by the accounting's own timer.
    private static let unaccounted = "2 days"

    /// The hours of a time that are not settled: marked, set aside, or begun and not accounted. A guest's are those of its machine too.
    ///
    /// - Parameter hostID: of this host only.
    public static func openHours(
        _ interval: Interval,
        hostID: Int32? = nil,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [OpenHostHour] {
        // By host and hour, which is how marks are found: there may be a hundred thousand of other times.
        let moving = """
            SELECT hour FROM dirty d WHERE d.host_id = m.host_id AND d.hour >= $1 AND d.hour < $2
            UNION
            SELECT hour FROM poisoned_hour p WHERE p.host_id = m.host_id AND p.hour >= $1 AND p.hour < $2
            """
        return try await connection.query(
            Statement(
                "rollup_open_hours",
                """
                SELECT host_id, hour, EXISTS (SELECT FROM accounted_hour a WHERE a.host_id = o.host_id AND a.hour = o.hour) AS is_stored,
                    EXISTS (SELECT FROM poisoned_hour p WHERE p.hour = o.hour AND (p.host_id = o.host_id
                        OR h.parent_host_id IS NOT NULL AND p.host_id IN (SELECT hosts_around(o.host_id)))) AS is_set_aside
                FROM (
                    SELECT m.host_id, hour FROM host m CROSS JOIN LATERAL (\(moving)) x
                    UNION
                    SELECT g.host_id, hour FROM host g CROSS JOIN LATERAL hosts_around(g.host_id) AS m (host_id)
                        CROSS JOIN LATERAL (\(moving)) x
                    WHERE g.parent_host_id IS NOT NULL
                        AND EXISTS (SELECT FROM accounted_hour a WHERE a.host_id = g.host_id AND a.hour = x.hour)
                    UNION
                    SELECT c.host_id, g AS hour FROM (
                        SELECT c.host_id, max(t.t) AS t FROM curve c JOIN curve_tail t USING (host_id, curve_id)
                        WHERE c.kind = 'meter' AND c.in_cover GROUP BY c.host_id
                    ) c CROSS JOIN LATERAL generate_series(
                        greatest(date_trunc('hour', $1, 'UTC'), date_trunc('hour', $3, 'UTC') - interval '\(unaccounted)'),
                        least($2 - interval '1 microsecond', $3, c.t), interval '1 hour') AS g
                    WHERE NOT EXISTS (SELECT FROM accounted_hour a WHERE a.host_id = c.host_id AND a.hour = g) AND host_is_metered(c.host_id, g)
                ) o JOIN host h USING (host_id) WHERE hour <= $3 AND ($4::int4 IS NULL OR host_id = $4) ORDER BY host_id, hour
                """
            ),
            [
                .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds),
                .timestamptz(microseconds: now.microseconds), hostID.map { .int4($0) },
            ]
        ).map { row in
            let hour = Hour(containing: Timestamp(microseconds: try row.timestampMicroseconds("hour")))
            return OpenHostHour(
                place: HostHour(hostID: try row.int32("host_id"), hour: hour),
                isStored: try row.bool("is_stored"),
                isSetAside: try row.bool("is_set_aside")
            )
        }
    }

    /// The accounts of all root hosts, or of one host; of settled hours.
    public static func ledger(
        _ question: RollUpQuestion,
        leavingOut: Set<HostHour>,
        _ connection: PostgresConnection
    ) async throws -> [RollUpLedger] {
        let hours = leavingOut.sorted { ($0.hostID, $0.hour) < ($1.hostID, $1.hour) }
        return try await connection.query(
            Statement(
                "rollup_ledger",
                """
                SELECT date_trunc($3::text, l.hour, 'UTC') AS bucket, sum(metered_uj) AS metered,
                    sum(job_dynamic_uj - nested_dynamic) AS job_dynamic, sum(moved - nested_idle) AS moved,
                    sum(nested_dynamic + nested_idle) AS nested, sum(idle_uj - moved) AS idle_left, sum(system_uj) AS system, sum(agent_uj) AS agent,
                    sum(unknown_uj) AS unknown, sum(unmetered_us) AS unmetered
                FROM host h JOIN host_hour l ON l.host_id = h.host_id AND l.hour >= $1 AND l.hour < $2
                CROSS JOIN LATERAL (SELECT CASE $4 WHEN 'reserved' THEN idle_reserved_uj WHEN 'busy' THEN idle_busy_uj
                    WHEN 'equal' THEN idle_equal_uj ELSE 0 END AS moved) m
                CROSS JOIN LATERAL (SELECT coalesce(sum(s.dynamic_uj), 0) AS nested_dynamic,
                    coalesce(sum(CASE $4 WHEN 'reserved' THEN s.idle_reserved_uj WHEN 'busy' THEN s.idle_busy_uj
                        WHEN 'equal' THEN s.idle_equal_uj ELSE 0 END), 0) AS nested_idle FROM slice s
                    WHERE s.host_id = l.host_id AND s.hour = l.hour AND s.component = l.component AND s.span_id < 0
                        AND h.host_id IN (SELECT parent_host_id FROM host WHERE parent_host_id IS NOT NULL)) n
                WHERE CASE WHEN $5::int4 IS NULL THEN l.flags & \(AccountFlags.derived.rawValue) = 0 ELSE h.host_id = $5 END
                    AND NOT EXISTS (SELECT FROM unnest($6::int4[], $7::timestamptz[]) AS o (host_id, hour)
                        WHERE o.host_id = l.host_id AND o.hour = l.hour)
                GROUP BY bucket ORDER BY bucket
                """
            ),
            [
                .timestamptz(microseconds: question.interval.start.microseconds),
                .timestamptz(microseconds: question.interval.end.microseconds), question.bucket.map { .text($0.rawValue) },
                .text(question.policy.rawValue), question.filter.hostID.map { .int4($0) }, .int4Array(hours.map(\.hostID)),
                .timestamptzArray(microseconds: hours.map { $0.hour.start.microseconds }),
            ]
        ).map { row in
            var ledger = RollUpLedger(bucket: try row.timestampMicrosecondsIfPresent("bucket").map { Timestamp(microseconds: $0) })
            ledger.metered = try whole(row, "metered")
            ledger.jobDynamic = try whole(row, "job_dynamic")
            ledger.idleMoved = try whole(row, "moved")
            ledger.idleLeft = try whole(row, "idle_left")
            ledger.system = try whole(row, "system")
            ledger.agent = try whole(row, "agent")
            ledger.nested = try whole(row, "nested")
            ledger.unknown = try whole(row, "unknown")
            ledger.unmetered = Microseconds(Int64(clamping: try whole(row, "unmetered")))
            return ledger
        }
    }

    /// Of some spans those that count, with their groups.
    public static func members(
        _ question: RollUpQuestion,
        hostID: Int32,
        spanIDs: [Int64],
        _ connection: PostgresConnection
    ) async throws -> [RollUpMember] {
        let sql = """
            SELECT o.span_id, \(RollUpQuestion.groupExpression(question.keys)) AS cell
            FROM unnest($\(RollUpQuestion.parameters + 2)::int8[]) AS o (span_id) JOIN host h ON h.host_id = $\(RollUpQuestion.parameters + 1)
            LEFT JOIN span p ON p.host_id = h.host_id AND p.span_id = o.span_id LEFT JOIN span_key k ON k.job_id = p.job_id
            \(RollUpQuestion.releaseJoin(question.keys))
            WHERE o.span_id > 0 AND $1::timestamptz < $2::timestamptz AND coalesce($3::text, '') IS NOT NULL
                AND \(question.condition(isByRelease: question.keys.contains(.release)))
            """
        let values = question.values(by: nil) + [.int4(hostID), .int8Array(spanIDs)]
        var groups: [Int64: [[String?]]] = [:]
        for row in try await connection.query(question.statement("members", sql), values) {
            groups[try row.int64("span_id"), default: []].append(try group(row))
        }
        return groups.map { RollUpMember(hostID: hostID, spanID: $0.key, groups: $0.value) }
    }

    /// What buildings hosts stand in, by what their operator says last.
    public static func sites(_ connection: PostgresConnection) async throws -> [Int32: String] {
        let rows = try await connection.query(
            Statement(
                "rollup_sites",
                """
                SELECT DISTINCT ON (host_id) host_id, site_key(record ->> 'site') AS site FROM host_record WHERE valid_from <= now()
                ORDER BY host_id, valid_from DESC
                """
            )
        )
        var sites: [Int32: String] = [:]
        for row in rows { sites[try row.int32("host_id")] = try row.stringIfPresent("site") }
        return sites
    }
}

extension RollUpTable {
    /// Hosts whose data the simulator made up.
    public static func simulatedHosts(_ connection: PostgresConnection) async throws -> Set<Int32> {
        Set(
            try await connection.query(Statement("rollup_simulated", "SELECT host_id FROM host WHERE is_simulated"))
                .map { try $0.int32("host_id") }
        )
    }

    /// Hosts within hosts: their energy is their parents'.
    public static func nestedHosts(_ connection: PostgresConnection) async throws -> Set<Int32> {
        Set(
            try await connection.query(Statement("rollup_nested", "SELECT host_id FROM host WHERE parent_host_id IS NOT NULL"))
                .map { try $0.int32("host_id") }
        )
    }
}
