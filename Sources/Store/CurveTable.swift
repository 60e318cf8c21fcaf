import Energy
import Postgres

/// Curves, their knots, tails and gaps, and the workloads they belong to.
enum CurveTable {
    /// Writes a batch's content, whose place in its stream was checked before.
    static func write(
        _ record: ReadingsRecord,
        host: HostRow,
        streamID: Int32,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        guard Set(record.announcements.map(\.ref)).count == record.announcements.count,
            Set(record.announcements.map(\.name)).count == record.announcements.count
        else { throw ReadingsFault(field: "curves", expected: "each ref and each name once", found: "one of them twice") }
        for announcement in record.announcements {
            try await announce(announcement, record: record, host: host, streamID: streamID, connection)
        }
        var ended: [Timestamp] = []
        if record.sequence == 1, record.announcements.contains(where: { $0.kind == .meter }) {
            ended = try await endMeters(notIn: record.announcements.filter { $0.kind == .meter }.map(\.name), hostID: host.id, connection)
        }
        let refs = Set(
            record.columns.map(\.ref) + record.tails.map(\.ref) + record.gaps.map(\.ref) + record.workloads.map(\.ref)
                + record.workloads.compactMap(\.memoryRef)
        )
        // A parent may be a cgroup that nobody watches.
        let asked = refs.union(record.workloads.compactMap(\.parentRef))
        let heads = try await readHeads(refs: asked.sorted(), streamID: streamID, connection)
        if let missing = refs.first(where: { heads[$0] == nil }) { throw ReadingsPlacement.unknown(missing) }

        guard Set(heads.values.map(\.curveID)).count == heads.count else {
            throw ReadingsFault(field: "ref", expected: "one ref for each curve in a batch", found: "two for one")
        }

        let placement = try ReadingsPlacement(record, heads: heads, ended: ended, now: now)
        var rows = ReadingsRows(reservingKnots: record.knotCount)
        rows.add(placement, hostID: host.id)
        try await rows.write(connection)
        for (ref, gap) in record.gaps {
            guard let head = heads[ref] else { continue }
            try await write(gap, hostID: host.id, curveID: head.curveID, connection)
        }
        var changed: Set<Int32> = []
        for workload in record.workloads {
            guard let head = heads[workload.ref] else { continue }
            let memory = workload.memoryRef.flatMap { heads[$0] }
            if let memory, memory.kind != ReadingsRecord.Announcement.Kind.workloadMemory.rawValue {
                throw ReadingsFault(
                    field: "workloads[\(workload.ref)].memory_ref",
                    expected: "a curve of kind workload_memory",
                    found: memory.kind
                )
            }
            let isNews = try await write(
                workload,
                hostID: host.id,
                curveID: head.curveID,
                parent: workload.parentRef.flatMap { heads[$0]?.curveID },
                memory: memory?.curveID,
                connection
            )
            if isNews { changed.insert(head.curveID) }
        }
        try await WorkloadOwnership.markSpans(of: changed.sorted(), hostID: host.id, now: now, connection)
        try await WorkQueue.mark(hostID: host.id, hours: placement.hours, now: now, reason: "readings", connection)
        try await NestedHosts.markParent(of: host, hours: placement.hours, now: now, connection)
    }

    private static func announce(
        _ announcement: ReadingsRecord.Announcement,
        record: ReadingsRecord,
        host: HostRow,
        streamID: Int32,
        _ connection: PostgresConnection
    ) async throws {
        let known = try await connection.query(
            Statement(
                "find_curve",
                """
                SELECT c.curve_id, c.kind, c.origin, c.p_max_uw, t.t, t.value FROM curve c LEFT JOIN curve_tail t USING (host_id, curve_id)
                WHERE c.host_id = $1 AND c.name = $2
                """
            ),
            [.int4(host.id), .text(announcement.name)]
        ).first
        var curveID: Int32
        var base: Int64?
        if let known {
            curveID = try known.int32("curve_id")
            guard try known.string("kind") == announcement.kind.rawValue else {
                throw ReadingsFault(
                    field: "curves[\(announcement.ref)].kind",
                    expected: "\(try known.string("kind")), as announced before",
                    found: announcement.kind.rawValue
                )
            }
            if try known.int64("origin") != announcement.origin {
                // The count began anew at 0: it goes on from the curve's last value, and what flowed in between is not known.
                base = try known.int64IfPresent("value") ?? 0
                let first =
                    record.columns.first { $0.ref == announcement.ref }?.knots.first?.time
                    ?? record.tails.first { $0.ref == announcement.ref }?.knot.time
                if let since = try known.timestampMicrosecondsIfPresent("t"), let first, since < first.microseconds {
                    let interval = Interval(Timestamp(microseconds: since), first)
                    let most =
                        switch announcement.kind {
                        case .meter: Power(microwatts: announcement.maximumPowerMicrowatts).microjoules(over: interval.duration)
                        case .hostBusy, .agentCPU, .workloadCPU: Double(interval.duration.count) * Double(host.cpus)
                        case .workloadMemory: interval.duration.seconds * Double(record.facts?.memoryBytes ?? 1 << 42)
                        }
                    try await keepTailAsKnot(hostID: host.id, curveID: curveID, connection)
                    try await write(
                        Gap(interval: interval, low: 0, high: Int64(saturating: most), cause: .absence),
                        hostID: host.id,
                        curveID: curveID,
                        connection
                    )
                }
            }
        } else {
            curveID = try await connection.query(
                Statement("next_curve_id", "SELECT coalesce(max(curve_id), 0) + 1 AS id FROM curve WHERE host_id = $1"),
                [.int4(host.id)]
            ).only().int32("id")
        }
        let a = announcement
        _ = try await connection.execute(
            Statement(
                "upsert_curve",
                """
                INSERT INTO curve (host_id, curve_id, name, kind, zone, sensor, quality, in_cover, epsilon, sample_period_us, p_max_uw,
                    p_idle_uw, p_idle_low_uw, p_idle_high_uw, bound_low_ppm, bound_high_ppm, basis, origin, base)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, coalesce($19::int8, 0))
                ON CONFLICT (host_id, curve_id) DO UPDATE SET zone = excluded.zone, sensor = excluded.sensor, quality = excluded.quality,
                    in_cover = excluded.in_cover, epsilon = excluded.epsilon, sample_period_us = excluded.sample_period_us,
                    p_max_uw = excluded.p_max_uw, p_idle_uw = excluded.p_idle_uw, p_idle_low_uw = excluded.p_idle_low_uw,
                    p_idle_high_uw = excluded.p_idle_high_uw, bound_low_ppm = excluded.bound_low_ppm,
                    bound_high_ppm = excluded.bound_high_ppm, basis = excluded.basis, origin = excluded.origin,
                    base = coalesce($19::int8, curve.base)
                """
            ),
            [
                .int4(host.id), .int4(curveID), .text(a.name), .text(a.kind.rawValue), a.zone.map { .text($0.rawValue) }, .text(a.sensor),
                .text(a.quality.rawValue), .bool(a.isInCover), .int8(a.epsilon), .int8(a.samplePeriod.count),
                .int8(a.maximumPowerMicrowatts),
                a.idlePowerMicrowatts.map { .int8($0) }, a.idlePowerLowMicrowatts.map { .int8($0) },
                a.idlePowerHighMicrowatts.map { .int8($0) }, .int4(a.boundLowPPM), .int4(a.boundHighPPM), .text(a.basis), .int8(a.origin),
                base.map { .int8($0) },
            ]
        )
        _ = try await connection.execute(
            Statement(
                "upsert_stream_curve",
                """
                INSERT INTO stream_curve (stream_id, ref, host_id, curve_id) VALUES ($1, $2, $3, $4)
                ON CONFLICT (stream_id, ref) DO UPDATE SET curve_id = excluded.curve_id
                """
            ),
            [.int4(streamID), .int4(a.ref), .int4(host.id), .int4(curveID)]
        )
    }

    /// The last sample before a gap becomes a knot, so that the line does not run across the gap.
    private static func keepTailAsKnot(hostID: Int32, curveID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "keep_tail",
                """
                INSERT INTO knot (host_id, curve_id, t, value, flags)
                SELECT host_id, curve_id, t, value, $3 FROM curve_tail WHERE host_id = $1 AND curve_id = $2
                ON CONFLICT DO NOTHING
                """
            ),
            [.int4(hostID), .int4(curveID), .int2(Int16(KnotFlags.gapEdge.rawValue))]
        )
        _ = try await connection.execute(
            Statement(
                "tail_is_knot",
                "UPDATE curve_tail SET knot_t = t, knot_value = value WHERE host_id = $1 AND curve_id = $2"
            ),
            [.int4(hostID), .int4(curveID)]
        )
    }

    /// A stream starts with all meters of its host: one that is not among them has ended, and no span waits for it any more.
    ///
    /// - Returns: the last sample of each that had not ended before: what follows it is missing no more.
    private static func endMeters(notIn names: [String], hostID: Int32, _ connection: PostgresConnection) async throws -> [Timestamp] {
        try await connection.query(
            Statement(
                "end_meters",
                """
                UPDATE curve_tail t SET complete_until = 'infinity' FROM curve c
                WHERE c.host_id = $1 AND c.kind = 'meter' AND NOT c.name = ANY($2) AND t.host_id = c.host_id AND t.curve_id = c.curve_id
                    AND t.complete_until < 'infinity'
                RETURNING t.t
                """
            ),
            [.int4(hostID), .textArray(names)]
        ).map { Timestamp(microseconds: try $0.timestampMicroseconds("t")) }
    }

    private static func readHeads(refs: [Int32], streamID: Int32, _ connection: PostgresConnection) async throws -> [Int32: CurveHead] {
        var heads: [Int32: CurveHead] = [:]
        let rows = try await connection.query(
            Statement(
                "read_heads",
                """
                SELECT \(CurveHead.columns)
                FROM stream_curve s JOIN curve c USING (host_id, curve_id) LEFT JOIN curve_tail t USING (host_id, curve_id)
                WHERE s.stream_id = $1 AND s.ref = ANY($2)
                """
            ),
            [.int4(streamID), .int4Array(refs)]
        )
        for row in rows { heads[try row.int32("ref")] = try CurveHead(row) }
        return heads
    }

    private static func write(_ gap: Gap, hostID: Int32, curveID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "insert_gap",
                """
                INSERT INTO gap (host_id, curve_id, from_t, to_t, low, high, cause) VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (host_id, curve_id, from_t) DO UPDATE SET to_t = greatest(gap.to_t, excluded.to_t),
                    low = excluded.low, high = greatest(gap.high, excluded.high), cause = excluded.cause
                """
            ),
            [
                .int4(hostID), .int4(curveID), .timestamptz(microseconds: gap.interval.start.microseconds),
                .timestamptz(microseconds: gap.interval.end.microseconds), .int8(gap.low), .int8(gap.high), .text(gap.cause.rawValue),
            ]
        )
    }

    /// Returns whether anything that tells whose the cgroup is, is new.
    private static func write(
        _ workload: ReadingsRecord.Workload,
        hostID: Int32,
        curveID: Int32,
        parent: Int32?,
        memory: Int32?,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        // What decides whose it is, before and after.
        let identity = "ROW(died_at, span_key, unit, container_id, pod, labels)"
        let before = try await connection.query(
            Statement("workload_before", "SELECT \(identity)::text AS identity FROM workload WHERE host_id = $1 AND curve_id = $2"),
            [.int4(hostID), .int4(curveID)]
        ).first.map { try $0.string("identity") }
        let labels = workload.labels.sorted { $0.key < $1.key }
        let after = try await connection.query(
            Statement(
                "upsert_workload",
                """
                INSERT INTO workload (host_id, curve_id, cgroup, born_at, died_at, parent_curve_id, span_key, unit, container_id, pod,
                    labels, memory_curve_id, memory_max_bytes, ending)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, jsonb_object($11::text[], $12::text[]), $13, $14, $15)
                ON CONFLICT (host_id, curve_id) DO UPDATE SET died_at = coalesce(excluded.died_at, workload.died_at),
                    span_key = coalesce(excluded.span_key, workload.span_key),
                    parent_curve_id = coalesce(excluded.parent_curve_id, workload.parent_curve_id),
                    unit = coalesce(excluded.unit, workload.unit),
                    container_id = coalesce(excluded.container_id, workload.container_id),
                    pod = coalesce(excluded.pod, workload.pod), labels = workload.labels || excluded.labels,
                    memory_curve_id = coalesce(excluded.memory_curve_id, workload.memory_curve_id),
                    memory_max_bytes = greatest(excluded.memory_max_bytes, workload.memory_max_bytes),
                    ending = coalesce(excluded.ending, workload.ending)
                RETURNING \(identity)::text AS identity
                """
            ),
            [
                .int4(hostID), .int4(curveID), .text(workload.cgroup), .timestamptz(microseconds: workload.bornAt.microseconds),
                workload.diedAt.map { .timestamptz(microseconds: $0.microseconds) }, parent.map { .int4($0) },
                workload.spanKey.map { .text($0) }, workload.unit.map { .text($0) }, workload.containerID.map { .text($0) },
                workload.pod.map { .text($0) }, .textArray(labels.map(\.key)), .textArray(labels.map(\.value)), memory.map { .int4($0) },
                workload.maximumMemoryBytes.map { .int8($0) }, workload.ending.map { .text($0.rawValue) },
            ]
        ).only().string("identity")
        return before != after
    }
}
