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
    /// What was decided of the spans' cgroups.
    public let workloads: [Int64: SpanWorkload]
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
        let candidates = try await SpanTable.overlapping(hostID: host.id, window, connection)
        let workloads = try await WorkloadOwnership.decide(candidates, hostID: host.id, connection)
        func edges(_ span: SpanRow) -> Interval { workloads[span.spanID]?.decision.ownership?.interval ?? span.interval }
        let spans = candidates.filter { edges($0).intersection(window) != nil }
        let owned = spans.compactMap { span in workloads[span.spanID].map { Owner(spanID: span.spanID, cgroups: $0.cgroups) } }
            .filter { !$0.cgroups.isEmpty }
        let curves = try await standingCurves(hostID: host.id, connection)
        let ids = curves.map(\.id) + owned.flatMap { $0.cgroups.map(\.curveID) }
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
        let owners = Dictionary(owned.map { ($0.spanID, $0) }) { $1 }
        let sharing = Dictionary(grouping: owned.flatMap { owner in owner.cgroups.map { ($0.curveID, owner.spanID) } }, by: \.0)
            .mapValues { $0.map(\.1) }
        let children = Owner.children(of: owned)
        let inputs = spans.map { span in
            SpanInput(
                id: span.spanID,
                interval: edges(span),
                edgeResolution: span.timeResolution,
                workload: owners[span.spanID].flatMap { owner in
                    let parts = owner.cgroups.compactMap { loaded[$0.curveID] }.map {
                        (curve: $0.curve, isClosed: $0.completeUntil == .max)
                    }
                    guard !parts.isEmpty else { return nil }
                    return SpanInput.Workload(
                        curve: Curve.sum(parts),
                        isClosed: parts.allSatisfy(\.isClosed),
                        epsilonMicroseconds: owner.cgroups.reduce(0) { $0 + $1.epsilonMicroseconds },
                        childSpanIDs: children[span.spanID] ?? [],
                        sharingSpanIDs: Set(owner.cgroups.flatMap { sharing[$0.curveID] ?? [] }).subtracting([span.spanID]).sorted(),
                        partialSince: owner.cgroups.compactMap { cgroup in
                            cgroup.isCPUTimePartial ? loaded[cgroup.curveID]?.partialSince(bornAt: cgroup.bornAt) : nil
                        }.min()
                    )
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
            spans: Dictionary(spans.map { ($0.spanID, $0) }) { $1 },
            workloads: workloads
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

    /// A span with the cgroups that it owns.
    private struct Owner {
        let spanID: Int64
        let cgroups: [OwnedCgroup]

        /// For each owner, those whose cgroups lie below its own; of several nested ones those directly below.
        static func children(of all: [Owner]) -> [Int64: [Int64]] {
            var byPath: [String: [Int64]] = [:]
            for owner in all { for cgroup in owner.cgroups { byPath[cgroup.path, default: []].append(owner.spanID) } }
            var above: [Int64: Set<Int64>] = [:]
            for owner in all {
                var outer: Set<Int64> = []
                for path in owner.cgroups.map(\.path) {
                    for slash in path.indices where path[slash] == "/" { outer.formUnion(byPath[String(path[..<slash])] ?? []) }
                }
                above[owner.spanID] = outer
            }
            var children: [Int64: [Int64]] = [:]
            for (one, outer) in above {
                for parent in outer where !outer.contains(where: { above[$0]?.contains(parent) ?? false }) {
                    children[parent, default: []].append(one)
                }
            }
            return children.mapValues { $0.sorted() }
        }
    }
}

/// Reads curves: their knots around an interval, the tail as the last knot, and the gaps.
public enum CurveReading {
    public struct Loaded: Sendable {
        public let curve: Curve
        /// `Int64.max` microseconds: the curve has ended.
        public let completeUntil: Int64
        /// The curve's last knot, wherever the interval lies.
        let tailTime: Timestamp

        /// Since when CPU time may be missing from a cgroup's curve whose end nobody read; nil where that is after the interval.
        ///
        /// An agent ends such a curve at the death with the last count that it has, so that the last line holds what was lost.
        func partialSince(bornAt: Timestamp) -> Timestamp? {
            guard let last = curve.knots.last, last.time >= tailTime else { return nil }
            return curve.knots.dropLast().last?.time ?? min(bornAt, last.time)
        }
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
                completeUntil: try row.timestampMicroseconds("complete_until"),
                tailTime: tail.time
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

    /// Until when all cgroups of each span are complete; absent for a span without any.
    public static func workloadCompleteUntil(
        hostID: Int32,
        workloads: [Int64: SpanWorkload],
        _ connection: PostgresConnection
    ) async throws -> [Int64: Timestamp] {
        let ids = Set(workloads.values.flatMap { $0.cgroups.map(\.curveID) }).sorted()
        guard !ids.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement("workload_complete", "SELECT curve_id, complete_until FROM curve_tail WHERE host_id = $1 AND curve_id = ANY($2)"),
            [.int4(hostID), .int4Array(ids)]
        )
        var complete: [Int32: Timestamp] = [:]
        for row in rows { complete[try row.int32("curve_id")] = Timestamp(microseconds: try row.timestampMicroseconds("complete_until")) }
        return workloads.compactMapValues { workload in workload.cgroups.compactMap { complete[$0.curveID] }.min() }
    }
}
