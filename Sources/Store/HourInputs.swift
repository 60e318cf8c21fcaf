public import Accounting
public import Energy
public import Postgres

/// Everything that the accounts of a host-hour are made from, as read from the database.
public struct HourInputs: Sendable {
    public let host: HostRow
    public let hour: Hour
    public let input: HostInput
    /// The spans of `input`, by id.
    public let spans: [Int64: SpanRow]
}

/// A curve of a host, by what it measures.
private struct CurveRow {
    let id: Int32
    let name: String
    let kind: String
    let zone: Zone?
    let quality: Quality
    let epsilon: Int64
    let samplePeriod: Microseconds
    let maximumPower: Power
    let idle: UtilisationModel.Point?
    let boundRatios: (low: Double, high: Double)
}

extension HourInputs {
    /// Reads a host-hour. In the running hour the window ends at `now`.
    ///
    /// - Parameter now: where the hour has not ended, how far it goes.
    public static func read(host: HostRow, hour: Hour, now: Timestamp, _ connection: PostgresConnection) async throws -> HourInputs {
        let window = Interval(hour.start, max(hour.start, min(hour.end, now)))
        let spans = try await SpanTable.overlapping(hostID: host.id, window, connection)
        let curves = try await standingCurves(hostID: host.id, connection)
        let workloads = try await workloads(of: spans, hostID: host.id, window: window, connection)
        let ids = curves.map(\.id) + workloads.values.map(\.curveID)
        let loaded = try await CurveReading.read(hostID: host.id, curveIDs: Array(Set(ids)).sorted(), around: window, connection)

        let meters = curves.compactMap { row -> MeterInput? in
            guard row.kind == "meter", let zone = row.zone, let loaded = loaded[row.id] else { return nil }
            return MeterInput(
                name: row.name,
                component: zone.component,
                quality: row.quality,
                curve: loaded.curve,
                epsilonMicrojoules: row.epsilon,
                samplePeriod: row.samplePeriod,
                maximumPower: row.maximumPower,
                idle: row.idle,
                boundRatios: row.boundRatios,
                isClosed: loaded.completeUntil == .max
            )
        }
        func curve(_ kind: String) -> Curve? { curves.first { $0.kind == kind }.flatMap { loaded[$0.id]?.curve } }
        let inputs = spans.map { span in
            SpanInput(
                id: span.spanID,
                interval: span.interval,
                edgeResolution: span.timeResolution,
                workload: workloads[span.spanID].flatMap { workload in
                    loaded[workload.curveID].map {
                        SpanInput.Workload(
                            curve: $0.curve,
                            isClosed: $0.completeUntil == .max,
                            epsilonMicroseconds: workload.epsilonMicroseconds,
                            childSpanIDs: workload.children(among: workloads)
                        )
                    }
                },
                postedCPUTime: span.finishedAt == nil ? nil : span.cpuTime,
                cpuShare: span.cpuShare,
                cpus: span.cpus,
                weight: span.weight
            )
        }
        return HourInputs(
            host: host,
            hour: hour,
            input: HostInput(
                window: window,
                cpus: host.cpus,
                slots: host.slots,
                meters: meters,
                busy: curve("host_busy"),
                agent: curve("agent_cpu"),
                spans: inputs
            ),
            spans: Dictionary(spans.map { ($0.spanID, $0) }) { $1 }
        )
    }

    /// The meters of the cover, the host's busy time and the agent's own.
    private static func standingCurves(hostID: Int32, _ connection: PostgresConnection) async throws -> [CurveRow] {
        try await connection.query(
            Statement(
                "standing_curves",
                """
                SELECT curve_id, name, kind, zone, quality, epsilon, sample_period_us, p_max_uw, p_idle_uw, p_idle_low_uw, p_idle_high_uw,
                    bound_low_ppm, bound_high_ppm
                FROM curve
                WHERE host_id = $1 AND (kind IN ('host_busy', 'agent_cpu') OR kind = 'meter' AND in_cover) ORDER BY curve_id
                """
            ),
            [.int4(hostID)]
        ).map { row in
            let quality = try row.string("quality")
            guard let known = Quality(rawValue: quality) else { throw StoredValueError(what: "quality", found: quality) }
            let idle = try row.int64IfPresent("p_idle_uw").map { best in
                UtilisationModel.Point(
                    low: Power(microwatts: try row.int64IfPresent("p_idle_low_uw") ?? best),
                    best: Power(microwatts: best),
                    high: Power(microwatts: try row.int64IfPresent("p_idle_high_uw") ?? best)
                )
            }
            return CurveRow(
                id: try row.int32("curve_id"),
                name: try row.string("name"),
                kind: try row.string("kind"),
                zone: try row.stringIfPresent("zone").flatMap(Zone.init(rawValue:)),
                quality: known,
                epsilon: try row.int64("epsilon"),
                samplePeriod: Microseconds(try row.int64("sample_period_us")),
                maximumPower: Power(microwatts: try row.int64("p_max_uw")),
                idle: idle,
                boundRatios: (Double(try row.int32("bound_low_ppm")) / 1e6, Double(try row.int32("bound_high_ppm")) / 1e6)
            )
        }
    }

    /// Which workload each span owns: the one an agent was told of by the span's id, else the one in the cgroup that the span named
    /// and that lived during it.
    static func workloads(
        of spans: [SpanRow],
        hostID: Int32,
        window: Interval,
        _ connection: PostgresConnection
    ) async throws -> [Int64: OwnedWorkload] {
        guard !spans.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement(
                "workloads_of_spans",
                """
                SELECT w.curve_id, w.cgroup, w.born_at, w.died_at, w.span_key, c.epsilon
                FROM workload w JOIN curve c USING (host_id, curve_id)
                WHERE w.host_id = $1 AND (w.span_key = ANY($2) OR w.cgroup = ANY($3)) AND w.born_at < $4
                    AND (w.died_at IS NULL OR w.died_at > $5)
                ORDER BY w.curve_id
                """
            ),
            [
                .int4(hostID), .textArray(spans.map(\.workloadKey)), .textArray(spans.compactMap(\.workload)),
                .timestamptz(microseconds: window.end.microseconds),
                // Not the window's start: a workload that died before it still says that its span uses nothing any more.
                .timestamptz(microseconds: spans.map(\.startedAt.microseconds).min() ?? window.start.microseconds),
            ]
        )
        var found: [Int64: OwnedWorkload] = [:]
        for span in spans {
            func lived(_ row: PostgresRow) throws -> Bool {
                let life = Interval(
                    Timestamp(microseconds: try row.timestampMicroseconds("born_at")),
                    Timestamp(microseconds: try row.timestampMicrosecondsIfPresent("died_at") ?? .max)
                )
                return life.intersection(span.interval) != nil
            }
            let named = try rows.first { try $0.stringIfPresent("span_key") == span.workloadKey && lived($0) }
            let placed = try rows.first { try $0.string("cgroup") == span.workload && lived($0) }
            if let row = named ?? placed {
                found[span.spanID] = OwnedWorkload(
                    curveID: try row.int32("curve_id"),
                    epsilonMicroseconds: try row.int64("epsilon"),
                    cgroup: try row.string("cgroup")
                )
            }
        }
        return found
    }

    /// A span's workload.
    struct OwnedWorkload {
        let curveID: Int32
        let epsilonMicroseconds: Int64
        let cgroup: String

        /// Of several nested workloads those directly below this one.
        func children(among all: [Int64: OwnedWorkload]) -> [Int64] {
            let below = all.filter { $0.value.cgroup.hasPrefix(cgroup + "/") }
            return below.filter { one in !below.contains { one.value.cgroup.hasPrefix($0.value.cgroup + "/") } }.keys.sorted()
        }
    }
}

/// Reads curves: their knots around an interval, the tail as the last knot, and the gaps.
public enum CurveReading {
    public struct Loaded: Sendable {
        public let curve: Curve
        /// `Int64.max` microseconds: the curve has ended.
        public let completeUntil: Int64
    }

    /// The curves' knots within the interval and the nearest one on either side.
    public static func read(
        hostID: Int32,
        curveIDs: [Int32],
        around interval: Interval,
        _ connection: PostgresConnection
    ) async throws -> [Int32: Loaded] {
        guard !curveIDs.isEmpty else { return [:] }
        let parameters: [PostgresValue?] = [
            .int4(hostID), .int4Array(curveIDs), .timestamptz(microseconds: interval.start.microseconds),
            .timestamptz(microseconds: interval.end.microseconds),
        ]
        var knots: [Int32: [Knot]] = [:]
        let knotRows = try await connection.query(
            Statement(
                "read_knots",
                """
                SELECT curve_id, t, value, flags FROM knot WHERE host_id = $1 AND curve_id = ANY($2) AND t >= $3 AND t <= $4
                UNION ALL
                SELECT c.id, k.t, k.value, k.flags FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
                    SELECT t, value, flags FROM knot WHERE host_id = $1 AND curve_id = c.id AND t < $3 ORDER BY t DESC LIMIT 1) AS k
                UNION ALL
                SELECT c.id, k.t, k.value, k.flags FROM unnest($2::int4[]) AS c (id) CROSS JOIN LATERAL (
                    SELECT t, value, flags FROM knot WHERE host_id = $1 AND curve_id = c.id AND t > $4 ORDER BY t LIMIT 1) AS k
                ORDER BY curve_id, t
                """
            ),
            parameters
        )
        for row in knotRows {
            knots[try row.int32("curve_id"), default: []].append(
                Knot(
                    time: Timestamp(microseconds: try row.timestampMicroseconds("t")),
                    value: try row.int64("value"),
                    flags: KnotFlags(rawValue: UInt16(truncatingIfNeeded: try row.int16("flags")))
                )
            )
        }
        var gaps: [Int32: [Gap]] = [:]
        let gapRows = try await connection.query(
            Statement(
                "read_gaps",
                """
                SELECT curve_id, from_t, to_t, low, high, cause FROM gap
                WHERE host_id = $1 AND curve_id = ANY($2) AND from_t < $4 AND to_t > $3
                """
            ),
            parameters
        )
        for row in gapRows {
            let cause = try row.string("cause")
            guard let known = Gap.Cause(rawValue: cause) else { throw StoredValueError(what: "gap cause", found: cause) }
            gaps[try row.int32("curve_id"), default: []].append(
                Gap(
                    interval: Interval(
                        Timestamp(microseconds: try row.timestampMicroseconds("from_t")),
                        Timestamp(microseconds: try row.timestampMicroseconds("to_t"))
                    ),
                    low: try row.int64("low"),
                    high: try row.int64("high"),
                    cause: known
                )
            )
        }
        var loaded: [Int32: Loaded] = [:]
        let tailRows = try await connection.query(
            Statement(
                "read_tails",
                "SELECT curve_id, t, value, complete_until FROM curve_tail WHERE host_id = $1 AND curve_id = ANY($2)"
            ),
            [.int4(hostID), .int4Array(curveIDs)]
        )
        for row in tailRows {
            let id = try row.int32("curve_id")
            let tail = Knot(time: Timestamp(microseconds: try row.timestampMicroseconds("t")), value: try row.int64("value"))
            var all = knots[id] ?? []
            // The tail is the last knot, unless a knot after the interval stands for it.
            if all.last.map({ $0.time < tail.time && $0.time <= interval.end }) ?? true { all.append(tail) }
            loaded[id] = Loaded(
                curve: Curve(knots: all, gaps: gaps[id] ?? []),
                completeUntil: try row.timestampMicroseconds("complete_until")
            )
        }
        return loaded
    }

    /// Until when a host's cover is complete, per host: the earliest over its meters; absent for a host without any.
    public static func coverCompleteUntil(hostIDs: [Int32], _ connection: PostgresConnection) async throws -> [Int32: Timestamp] {
        let rows = try await connection.query(
            Statement(
                "cover_complete",
                """
                SELECT c.host_id, min(t.complete_until) AS complete_until FROM curve c JOIN curve_tail t USING (host_id, curve_id)
                WHERE c.host_id = ANY($1) AND c.kind = 'meter' AND c.in_cover GROUP BY c.host_id
                """
            ),
            [.int4Array(hostIDs)]
        )
        return Dictionary(
            try rows.map { (try $0.int32("host_id"), Timestamp(microseconds: try $0.timestampMicroseconds("complete_until"))) }
        ) { $1 }
    }

    /// Until when the spans' workloads are complete, by workload key and by cgroup: (curve, complete until) of each.
    public static func workloadCompleteUntil(
        hostID: Int32,
        spans: [SpanRow],
        _ connection: PostgresConnection
    ) async throws -> [Int64: Timestamp] {
        guard let first = spans.map(\.startedAt).min(), let last = spans.map({ $0.interval.end }).max() else { return [:] }
        let workloads = try await HourInputs.workloads(of: spans, hostID: hostID, window: Interval(first, last), connection)
        let rows = try await connection.query(
            Statement("workload_complete", "SELECT curve_id, complete_until FROM curve_tail WHERE host_id = $1 AND curve_id = ANY($2)"),
            [.int4(hostID), .int4Array(workloads.values.map(\.curveID).sorted())]
        )
        var complete: [Int32: Timestamp] = [:]
        for row in rows { complete[try row.int32("curve_id")] = Timestamp(microseconds: try row.timestampMicroseconds("complete_until")) }
        return workloads.compactMapValues { complete[$0.curveID] }
    }
}
