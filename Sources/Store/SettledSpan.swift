import Accounting
public import Energy
public import Postgres
import Synchronization

/// A finished span all of whose hours are settled, with its slices: what its footprint is made from, read in one step.
public struct SettledSpan: Sendable {
    public let job: JobRow
    public let host: HostRow
    /// The span's edges as they were accounted.
    public let interval: Interval
    public let workload: SpanWorkload
    public let terms: SpanTerms
    /// All hours of the span, in order.
    public let hours: [AccountedHour]
    public let slices: [SliceRow]

    /// Nil for a span that may still change (it runs, readings are on their way, or an hour of it waits to be accounted), and for one that
    /// is not there or not theirs to see.
    public static func read(
        jobID: String,
        for visibility: JobVisibility,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> SettledSpan? {
        var filter = JobDirectory.Filter()
        filter.visibility = visibility
        filter.jobID = jobID
        let question = JobDirectory.question(filter)
        let rows = try await connection.query(
            statement(question.name) { sql(condition: question.condition, now: "$\(question.values.count + 1)") },
            question.values + [.timestamptz(microseconds: now.microseconds)]
        )
        guard let first = rows.first else { return nil }
        let interval = Interval(
            Timestamp(microseconds: try first.timestampMicroseconds("owned_from")),
            Timestamp(microseconds: try first.timestampMicroseconds("owned_to"))
        )
        let curveIDs = try first.int64Array("curve_ids").map { Int32(truncatingIfNeeded: $0) }
        var cgroups: [OwnedCgroup] = []
        if !curveIDs.isEmpty {
            cgroups = try await WorkloadOwnership.cgroups(curveIDs, hostID: try first.int32("host_id"), connection)
            // Ended and forgotten: decide anew.
            guard cgroups.count == curveIDs.count else { return nil }
        }
        let decision: OwnershipDecision
        if let text = try first.stringIfPresent("rule") {
            guard let rule = OwnershipRule(rawValue: text) else { throw StoredValueError(what: "ownership rule", found: text) }
            decision = .owned(Ownership(curveIDs: curveIDs, rule: rule, interval: interval))
        } else {
            let text = try first.string("reason")
            guard let reason = OwnerlessReason(rawValue: text) else { throw StoredValueError(what: "ownership reason", found: text) }
            decision = .none(reason)
        }
        return SettledSpan(
            job: try JobDirectory.row(first, prefix: "k_"),
            host: try HostTable.host(first),
            interval: interval,
            workload: SpanWorkload(decision: decision, cgroups: cgroups),
            terms: SpanTerms(
                timeResolution: Microseconds(try first.int64("time_resolution_us")),
                cpuShare: try first.doubleIfPresent("span_cpu_share"),
                cpus: try first.doubleIfPresent("span_cpus"),
                weight: try first.doubleIfPresent("span_weight"),
                cpuTime: try first.int64IfPresent("span_cpu_time_us").map { Microseconds($0) }
            ),
            hours: try hours(rows),
            slices: try rows.filter { try !$0.isNull("component") }.map { try HourLedger.sliceRow($0) }
        )
    }

    /// A row for each slice, and one for an hour without any.
    private static func hours(_ rows: PostgresRows) throws -> [AccountedHour] {
        var hours: [AccountedHour] = []
        for row in rows {
            let hour = try AccountedHours.row(row)
            if hours.last?.hour != hour.hour { hours.append(hour) }
        }
        return hours
    }

    /// By the question's name: the text is long, and asked with every job. There are as many as there are kinds of viewers.
    private static let statements = Mutex<[String: Statement]>([:])

    private static func statement(_ name: String, sql: () -> String) -> Statement {
        statements.withLock { statements in
            if let known = statements[name] { return known }
            let statement = Statement("settled_" + name, sql())
            statements[name] = statement
            return statement
        }
    }

    // The host-hours of a span are those from its start's to the one that its last microsecond is in.
    private static func sql(condition: String, now: String) -> String {
        """
        WITH one AS (
            SELECT \(JobDirectory.prefixedColumns("k_")), o.*, s.time_resolution_us, s.cpu_share AS span_cpu_share, s.cpus AS span_cpus, s.weight AS span_weight,
                s.cpu_time_us AS span_cpu_time_us,
                date_trunc('hour', owned_from, 'UTC') AS first_hour,
                date_trunc('hour', owned_to - interval '1 microsecond', 'UTC') AS last_hour,
                CASE WHEN o.rule IS NOT NULL THEN greatest(s.finished_at, owned_to)
                    ELSE s.finished_at + least(greatest(s.time_resolution_us, 0), \(SpanRow.coarsestEdge.count)) * interval '1 microsecond'
                END AS settled_at
            FROM span_key k JOIN span s ON s.host_id = k.host_id AND s.span_id = k.span_id
                CROSS JOIN LATERAL (
                    SELECT host_id, span_id, rule, reason, curve_ids, started_at AS owned_from, finished_at AS owned_to FROM ownership
                    WHERE host_id = s.host_id AND span_id = s.span_id
                    UNION ALL
                    -- Nothing is recorded of the spans of a host without cgroups: they were accounted by their own edges.
                    SELECT s.host_id, s.span_id, NULL, '\(OwnerlessReason.noCgroup.rawValue)', '{}', s.started_at, s.finished_at
                    WHERE NOT EXISTS (SELECT FROM ownership WHERE host_id = s.host_id AND span_id = s.span_id)
                        AND EXISTS (SELECT FROM slice WHERE host_id = s.host_id AND span_id = s.span_id
                            AND hour >= date_trunc('hour', s.started_at, 'UTC') AND hour < s.finished_at)) AS o
            WHERE \(condition) AND s.finished_at IS NOT NULL AND owned_from < owned_to
        )
        SELECT one.*, \(HostTable.columns.split(separator: ", ").map { $0 == "host_id" ? "h.host_id" : "h.\($0)" }.joined(separator: ", ")),
            sl.hour, sl.component, sl.from_t, sl.to_t, sl.dynamic_uj, sl.idle_reserved_uj, sl.idle_busy_uj, sl.idle_equal_uj,
            sl.drawn_low_uj, sl.drawn_high_uj, sl.floor_low_uj, sl.floor_high_uj, sl.floor_ratio_low, sl.floor_ratio_high,
            sl.unmetered_high_uj, sl.busy_idle_low_uj, sl.busy_idle_high_uj, sl.metered_us, sl.mean_share, sl.share_method, sl.quality, sl.estimated_uj, sl.floor_uj, sl.start_error_uj,
            sl.end_error_uj, sl.gap_error_uj, sl.reserved_us, \(HourLedger.wholeColumns("hh")),
            ah.hour AS accounted, ah.version, ah.inputs_sha256, ah.software,
            \(IntensityTable.joinedColumns)
        FROM one JOIN host h USING (host_id)
        JOIN accounted_hour ah ON ah.host_id = one.host_id AND ah.hour BETWEEN one.first_hour AND one.last_hour
        LEFT JOIN slice sl ON sl.host_id = one.host_id AND sl.span_id = one.span_id AND sl.hour = ah.hour
        LEFT JOIN host_hour hh ON hh.host_id = sl.host_id AND hh.hour = sl.hour AND hh.component = sl.component
        LEFT JOIN intensity i ON i.intensity_id = sl.intensity_id
        WHERE one.last_hour + interval '1 hour' <= \(now)
            AND (SELECT count(*) FROM accounted_hour a WHERE a.host_id = one.host_id AND a.hour BETWEEN one.first_hour AND one.last_hour)
                = extract(epoch FROM one.last_hour - one.first_hour)::int8 / 3600 + 1
            AND NOT EXISTS (SELECT FROM dirty d WHERE d.host_id = one.host_id AND d.hour BETWEEN one.first_hour AND one.last_hour)
            AND NOT EXISTS (SELECT FROM poisoned_hour p WHERE p.host_id = one.host_id AND p.hour BETWEEN one.first_hour AND one.last_hour)
            -- A guest's energy is a part of its machine's.
            AND (h.parent_host_id IS NULL OR NOT EXISTS (
                SELECT FROM hosts_around(one.host_id) AS around (host_id) WHERE EXISTS (
                    SELECT FROM dirty d WHERE d.host_id = around.host_id AND d.hour BETWEEN one.first_hour AND one.last_hour
                    UNION ALL
                    SELECT FROM poisoned_hour p WHERE p.host_id = around.host_id AND p.hour BETWEEN one.first_hour AND one.last_hour)))
            AND (SELECT min(t.complete_until) FROM curve c JOIN curve_tail t USING (host_id, curve_id)
                WHERE c.host_id = CASE WHEN h.parent_host_id IS NULL THEN one.host_id ELSE metering_host(one.host_id) END
                    AND c.kind = 'meter' AND c.in_cover) >= one.settled_at
            AND NOT EXISTS (SELECT FROM curve_tail t
                WHERE t.host_id = one.host_id AND t.curve_id = ANY(one.curve_ids) AND t.complete_until < one.settled_at)
        ORDER BY ah.hour, sl.component, sl.from_t
        """
    }
}
