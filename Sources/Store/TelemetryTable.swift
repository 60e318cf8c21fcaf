import Documents
public import Energy
public import Postgres
public import Telemetry

/// Meters that other exporters' series feed: their curves, and where each stands.
///
/// These sources have no stream cursor: a request may come twice, late, or by another collector. So the state of each meter is read and
/// written in one transaction with its knots, under the lock of the host's row, and knots go in by INSERT ... ON CONFLICT.
public enum TelemetryTable {
    /// What became of a host's samples.
    public struct Outcome: Sendable, Hashable {
        public var tally = MeterCurve.Tally()
        public var knots = 0
        /// Samples of what the host's own agent measures already.
        public var covered = 0
        /// Series with samples that were left out, or are only where a count begins.
        public var faults: [Unmapped] = []

        public init() {}

        public static func += (a: inout Outcome, b: Outcome) {
            a.tally += b.tally
            a.knots += b.knots
            a.covered += b.covered
            for fault in b.faults { a.note(fault) }
        }

        fileprivate mutating func note(_ series: MappedSeries, _ tally: MeterCurve.Tally) {
            let counts = [
                (Unmapped.untimely, tally.untimely), (Unmapped.impossible, tally.impossible), (Unmapped.longSince, tally.longSince),
            ]
            for (reason, n) in counts where n > 0 {
                var labels = series.labels
                if labels.count > 12 { labels = Dictionary(uniqueKeysWithValues: labels.sorted { $0.key < $1.key }.prefix(12).map { $0 }) }
                note(Unmapped(name: series.seriesName, reason: reason, example: labels, n: Int64(n)))
            }
        }

        private mutating func note(_ fault: Unmapped) {
            if let i = faults.firstIndex(where: { $0.name == fault.name && $0.reason == fault.reason }) {
                faults[i].n += fault.n
            } else if faults.count < 100 {
                faults.append(fault)
            }
        }
    }

    /// A curve of the host as it was before.
    private struct Known {
        let curveID: Int32
        let name: String
        let isMeter: Bool
        let zone: Zone?
        let quality: Quality
        let isInCover: Bool
        let isClosed: Bool
        let knotTime: Timestamp?
        let tailTime: Timestamp?
        /// Nil for a curve of the host's agent.
        let state: JSONValue?
        let package: Int?
        let die: Int?
        let inside: String?
        var isForeign: Bool { state != nil }
    }

    /// After so many of one request long pauses are gaps, not lines with a knot each hour.
    private static let mostKnots = 200_000

    /// What is to be written of one meter.
    private struct Written {
        let meter: TelemetryMeter
        let curveID: Int32
        let known: Known?
        let state: MeterCurve.State
        let knots: [Knot]
        let gaps: [Gap]
        let tail: Knot
    }

    /// Writes what was sent of one host, in a transaction of the caller's; makes the host if it is new.
    ///
    /// - Parameters:
    ///   - series: of that host, whatever their order.
    ///   - source: by which way they came; with each series' replica it decides whose samples count.
    public static func write(
        hostName: String,
        _ series: [MappedSeries],
        from source: String,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Outcome {
        let host = try await HostTable.makeAndLock(name: hostName, connection)
        let known = try await curves(hostID: host.id, connection)
        let byName = Dictionary(known.map { ($0.name, $0) }) { first, _ in first }
        let agentHasBusy = known.contains { !$0.isForeign && !$0.isMeter && !$0.isClosed }
        var nextID = try await nextCurveID(hostID: host.id, connection)
        var outcome = Outcome()
        var written: [Written] = []
        var order: [String] = []
        var byMeter: [String: [MappedSeries]] = [:]
        for one in series {
            if byMeter[one.meter.name] == nil { order.append(one.meter.name) }
            byMeter[one.meter.name, default: []].append(one)
        }
        var busyTaken = known.first { $0.isForeign && !$0.isMeter }?.name
        for name in order.sorted() {
            guard let parts = byMeter[name], let meter = parts.first?.meter else { continue }
            let old = byName[name]
            let isBusy = meter.kind == .hostBusy
            // The agent's word counts for what it measures itself; two exporters' busy times would be one too many.
            if let old, !old.isForeign || old.isMeter == isBusy {
                outcome.covered += parts.reduce(0) { $0 + $1.readings.count }
                continue
            }
            if isBusy {
                guard !agentHasBusy, busyTaken == nil || busyTaken == name else {
                    outcome.covered += parts.reduce(0) { $0 + $1.readings.count }
                    continue
                }
                busyTaken = name
            }
            let state = old?.state.flatMap { MeterCurve.State(json: $0, epsilon: meter.epsilon) }
            let bridge = outcome.knots < mostKnots ? MeterCurve.longestBridge : .hour
            var curve = MeterCurve(meter, cpus: host.cpus, state: state, bridge: bridge)
            for one in inOrder(parts) {
                let tally = curve.read(one, from: one.replica.isEmpty ? source : "\(source) \(one.replica)", now: now)
                outcome.tally += tally
                outcome.note(one, tally)
            }
            let taken = curve.take()
            guard let kept = curve.kept, let tail = curve.tail else { continue }
            let curveID = old?.curveID ?? nextID
            if old == nil { nextID += 1 }
            written.append(
                Written(meter: meter, curveID: curveID, known: old, state: kept, knots: taken.knots, gaps: taken.gaps, tail: tail)
            )
            outcome.knots += taken.knots.count
        }
        guard !written.isEmpty else { return outcome }
        let cover = cover(known, written)
        for one in written { try await announce(one, host: host, isInCover: cover.contains(one.meter.name), connection) }
        try await writeKnots(written, hostID: host.id, connection)
        for one in written { try await writeGaps(one, hostID: host.id, connection) }
        try await writeTails(written, hostID: host.id, connection)
        try await writeStates(written, hostID: host.id, now: now, connection)
        try await settleCover(known, written, cover, hostID: host.id, connection)
        try await noteCPUs(written, hostID: host.id, connection)
        try await HostTable.seen(host, clockOffset: nil, connection)
        let hours = touchedHours(written, now: now)
        try await WorkQueue.mark(hostID: host.id, hours: hours, now: now, reason: "telemetry", connection)
        try await NestedHosts.markParent(of: host, hours: hours, now: now, connection)
        return outcome
    }

    /// A request may hold several instants of each part of a sum: instant by instant they belong together.
    private static func inOrder(_ series: [MappedSeries]) -> [MappedSeries] {
        guard series.count > 1 else { return series }
        return series.flatMap { one in
            one.readings.map { reading in
                var single = one
                single.readings = [reading]
                return single
            }
        }.sorted { a, b in (a.readings[0].time, a.part) < (b.readings[0].time, b.part) }
    }

    // MARK: Reading

    private static func curves(hostID: Int32, _ connection: PostgresConnection) async throws -> [Known] {
        try await connection.query(
            Statement(
                "telemetry_curves",
                """
                SELECT c.curve_id, c.name, c.kind, c.zone, c.quality, c.in_cover, m.state, m.package, m.die, m.inside, t.t, t.knot_t,
                    coalesce(t.complete_until = 'infinity', false) AS is_closed
                FROM curve c LEFT JOIN telemetry_meter m USING (host_id, curve_id) LEFT JOIN curve_tail t USING (host_id, curve_id)
                WHERE c.host_id = $1 AND c.kind IN ('meter', 'host_busy') ORDER BY c.curve_id
                """
            ),
            [.int4(hostID)]
        ).map { row in
            Known(
                curveID: try row.int32("curve_id"),
                name: try row.string("name"),
                isMeter: try row.string("kind") == "meter",
                zone: try row.stringIfPresent("zone").flatMap(Zone.init(rawValue:)),
                quality: Quality(rawValue: try row.string("quality")) ?? .unknown,
                isInCover: try row.bool("in_cover"),
                isClosed: try row.bool("is_closed"),
                knotTime: try row.timestampMicrosecondsIfPresent("knot_t").map { Timestamp(microseconds: $0) },
                tailTime: try row.timestampMicrosecondsIfPresent("t").map { Timestamp(microseconds: $0) },
                state: try row.jsonIfPresent("state").map { try JSONValue(parsing: Array($0.utf8)) },
                package: try row.int32IfPresent("package").map { Int($0) },
                die: try row.int32IfPresent("die").map { Int($0) },
                inside: try row.stringIfPresent("inside")
            )
        }
    }

    private static func nextCurveID(hostID: Int32, _ connection: PostgresConnection) async throws -> Int32 {
        try await connection.query(
            Statement("next_curve_id", "SELECT coalesce(max(curve_id), 0) + 1 AS id FROM curve WHERE host_id = $1"),
            [.int4(hostID)]
        ).only().int32("id")
    }

    // MARK: Cover

    /// The foreign meters that count, beside those of the host's agent.
    ///
    /// An agent's cover stands as it is: what overlaps it is a twin or an amount. Pure.
    private static func cover(_ known: [Known], _ written: [Written]) -> Set<String> {
        var places: [MeterPlace] = []
        var agents: Set<String> = []
        for curve in known where curve.isMeter && !curve.isForeign && !curve.isClosed && curve.isInCover {
            guard let zone = curve.zone else { continue }
            // Best of all, so that it is taken before its twins.
            places.append(MeterPlace(name: curve.name, zone: zone, package: nil, quality: .measured))
            agents.insert(curve.name)
        }
        let now = Set(written.map(\.meter.name))
        for curve in known where curve.isMeter && curve.isForeign && !curve.isClosed && !now.contains(curve.name) {
            guard let zone = curve.zone else { continue }
            places.append(
                MeterPlace(
                    name: curve.name,
                    zone: zone,
                    package: curve.package,
                    die: curve.die,
                    quality: curve.quality,
                    inside: curve.inside
                )
            )
        }
        for one in written {
            guard case .energy(let place) = one.meter.kind else { continue }
            places.append(
                MeterPlace(
                    name: one.meter.name,
                    zone: place.zone,
                    package: place.package,
                    die: place.die,
                    quality: one.meter.quality,
                    inside: place.inside
                )
            )
        }
        // By name, so that the order in which series came first does not matter.
        let foreign = places.dropFirst(agents.count).sorted { $0.name < $1.name }
        let containment = Containment(Array(places.prefix(agents.count)) + foreign)
        guard agents.isSubset(of: containment.cover) else { return [] }
        return containment.cover.subtracting(agents)
    }

    /// Those of before that count now, or count no more.
    private static func settleCover(
        _ known: [Known],
        _ written: [Written],
        _ cover: Set<String>,
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws {
        let changed = known.filter { $0.isMeter && $0.isForeign && !$0.isClosed && $0.isInCover != cover.contains($0.name) }
        guard !changed.isEmpty else { return }
        _ = try await connection.execute(
            Statement("settle_cover", "UPDATE curve SET in_cover = NOT in_cover WHERE host_id = $1 AND curve_id = ANY($2)"),
            [.int4(hostID), .int4Array(changed.filter { one in !written.contains { $0.curveID == one.curveID } }.map(\.curveID))]
        )
    }

    // MARK: Writing

    private static func announce(_ one: Written, host: HostRow, isInCover: Bool, _ connection: PostgresConnection) async throws {
        let meter = one.meter
        let (kind, zone): (String, Zone?) =
            switch meter.kind {
            case .energy(let place): ("meter", place.zone)
            case .hostBusy: ("host_busy", nil)
            }
        // Rounded, so that a scrape that came a little late is no news.
        let period = max(1, (one.state.step.count + 500_000) / 1_000_000) * 1_000_000
        _ = try await connection.execute(
            Statement(
                "announce_telemetry",
                """
                INSERT INTO curve (host_id, curve_id, name, kind, zone, sensor, quality, in_cover, epsilon, sample_period_us, p_max_uw,
                    bound_low_ppm, bound_high_ppm, basis, origin)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1000000, 1000000, $12, 0)
                ON CONFLICT (host_id, curve_id) DO UPDATE SET zone = excluded.zone, sensor = excluded.sensor, quality = excluded.quality,
                    in_cover = excluded.in_cover, epsilon = excluded.epsilon, sample_period_us = excluded.sample_period_us,
                    p_max_uw = excluded.p_max_uw, basis = excluded.basis
                WHERE (curve.zone, curve.sensor, curve.quality, curve.in_cover, curve.epsilon, curve.sample_period_us, curve.p_max_uw,
                    curve.basis) IS DISTINCT FROM (excluded.zone, excluded.sensor, excluded.quality, excluded.in_cover, excluded.epsilon,
                    excluded.sample_period_us, excluded.p_max_uw, excluded.basis)
                """
            ),
            [
                .int4(host.id), .int4(one.curveID), .text(meter.name), .text(kind), zone.map { .text($0.rawValue) }, .text(meter.sensor),
                .text(meter.quality.rawValue), .bool(isInCover), .int8(meter.epsilon), .int8(period),
                .int8(zone == nil ? 0 : meter.maximumPower.microwatts), .text(meter.basis),
            ]
        )
    }

    private static func writeKnots(_ written: [Written], hostID: Int32, _ connection: PostgresConnection) async throws {
        let rows = written.flatMap { one in one.knots.map { (one.curveID, $0) } }
        guard !rows.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "insert_telemetry_knots",
                """
                INSERT INTO knot (host_id, curve_id, t, value, flags)
                SELECT $1, * FROM unnest($2::int4[], $3::timestamptz[], $4::int8[], $5::int2[]) ON CONFLICT DO NOTHING
                """
            ),
            [
                .int4(hostID), .int4Array(rows.map(\.0)), .timestamptzArray(microseconds: rows.map { $0.1.time.microseconds }),
                .int8Array(rows.map { $0.1.value }), .int2Array(rows.map { Int16(truncatingIfNeeded: $0.1.flags.rawValue) }),
            ]
        )
    }

    private static func writeGaps(_ one: Written, hostID: Int32, _ connection: PostgresConnection) async throws {
        guard !one.gaps.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "insert_telemetry_gaps",
                """
                INSERT INTO gap (host_id, curve_id, from_t, to_t, low, high, cause)
                SELECT $1, $2, * FROM unnest($3::timestamptz[], $4::timestamptz[], $5::int8[], $6::int8[], $7::text[])
                ON CONFLICT (host_id, curve_id, from_t) DO NOTHING
                """
            ),
            [
                .int4(hostID), .int4(one.curveID), .timestamptzArray(microseconds: one.gaps.map { $0.interval.start.microseconds }),
                .timestamptzArray(microseconds: one.gaps.map { $0.interval.end.microseconds }), .int8Array(one.gaps.map(\.low)),
                .int8Array(one.gaps.map(\.high)), .textArray(one.gaps.map(\.cause.rawValue)),
            ]
        )
    }

    private static func writeTails(_ written: [Written], hostID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "upsert_telemetry_tails",
                """
                INSERT INTO curve_tail (host_id, curve_id, t, value, complete_until, knot_t, knot_value)
                SELECT $1, id, t, value, t, knot_t, knot_value
                FROM unnest($2::int4[], $3::timestamptz[], $4::int8[], $5::timestamptz[], $6::int8[]) AS r (id, t, value, knot_t, knot_value)
                ON CONFLICT (host_id, curve_id) DO UPDATE SET t = excluded.t, value = excluded.value,
                    complete_until = excluded.complete_until, knot_t = excluded.knot_t, knot_value = excluded.knot_value
                """
            ),
            [
                .int4(hostID), .int4Array(written.map(\.curveID)), .timestamptzArray(microseconds: written.map(\.tail.time.microseconds)),
                .int8Array(written.map(\.tail.value)),
                .timestamptzArray(microseconds: written.map { $0.state.door.origin?.time.microseconds ?? $0.tail.time.microseconds }),
                .int8Array(written.map { $0.state.door.origin?.value ?? $0.tail.value }),
            ]
        )
    }

    private static func writeStates(
        _ written: [Written],
        hostID: Int32,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        let places: [TelemetryMeter.MeterPlaceDescription?] = written.map { one in
            if case .energy(let place) = one.meter.kind { place } else { nil }
        }
        _ = try await connection.execute(
            Statement(
                "upsert_telemetry_meters",
                """
                INSERT INTO telemetry_meter (host_id, curve_id, package, die, inside, source, state, updated_at)
                SELECT $1, id, package, die, inside, source, state::jsonb, $8
                FROM unnest($2::int4[], $3::int4[], $4::int4[], $5::text[], $6::text[], $7::text[])
                    AS r (id, package, die, inside, source, state)
                ON CONFLICT (host_id, curve_id) DO UPDATE SET package = excluded.package, die = excluded.die, inside = excluded.inside,
                    source = excluded.source, state = excluded.state, updated_at = excluded.updated_at
                """
            ),
            [
                .int4(hostID), .int4Array(written.map(\.curveID)), .int4Array(places.map { $0?.package.map { Int32(clamping: $0) } }),
                .int4Array(places.map { $0?.die.map { Int32(clamping: $0) } }), .textArray(places.map { $0?.inside }),
                .textArray(written.map(\.state.source)), .textArray(try written.map { try $0.state.json.text }),
                .timestamptz(microseconds: now.microseconds),
            ]
        )
    }

    /// A host without an agent has as many CPUs as its busy time has parts.
    private static func noteCPUs(_ written: [Written], hostID: Int32, _ connection: PostgresConnection) async throws {
        for one in written where one.meter.kind == .hostBusy && one.meter.isSum {
            let cpus = Set(one.state.parts.map { $0.key.prefix { $0 != "/" } }).count
            guard cpus > 0 else { continue }
            _ = try await connection.execute(
                Statement("note_cpus", "UPDATE host SET cpus = $2 WHERE host_id = $1 AND agent_version = '' AND cpus < $2"),
                [.int4(hostID), .int4(Int32(clamping: cpus))]
            )
        }
    }

    /// The hours whose accounts the samples can change: since each curve's last knot, because a new one moves the line there.
    private static func touchedHours(_ written: [Written], now: Timestamp) -> Set<Hour> {
        var hours: Set<Hour> = []
        for one in written {
            var first = one.knots.isEmpty ? one.known?.tailTime ?? one.tail.time : one.known?.knotTime ?? one.knots[0].time
            // What follows the end of a curve that goes on again is missing until it is there.
            if one.known?.isClosed == true { first = min(first, one.known?.tailTime ?? first) }
            let last = one.known?.isClosed == true ? max(now, one.tail.time) : one.tail.time
            guard first <= last else { continue }
            for number in max(first.hour.number, last.hour.number - 24 * 400)...last.hour.number { hours.insert(Hour(number: number)) }
        }
        return hours
    }
}

extension TelemetryTable {
    /// Ends the curves of which nothing was heard for an hour, so that no span waits for them; one that is heard of again goes on.
    ///
    /// - Returns: how many.
    public static func endSilent(now: Timestamp, _ connection: PostgresConnection) async throws -> Int {
        let ended = try await connection.query(
            Statement(
                "end_silent_telemetry",
                """
                UPDATE curve_tail t SET complete_until = 'infinity' FROM telemetry_meter m
                WHERE m.updated_at < $1::timestamptz - interval '1 hour' AND t.host_id = m.host_id AND t.curve_id = m.curve_id
                    AND t.complete_until < 'infinity'
                RETURNING t.host_id, t.t
                """
            ),
            [.timestamptz(microseconds: now.microseconds)]
        ).map { (try $0.int32("host_id"), Timestamp(microseconds: try $0.timestampMicroseconds("t"))) }
        for (hostID, since) in Dictionary(ended, uniquingKeysWith: min).sorted(by: { $0.key < $1.key }) {
            let hours = (max(since.hour.number, now.hour.number - 24 * 400)...max(since.hour.number, now.hour.number)).map {
                Hour(number: $0)
            }
            try await WorkQueue.mark(hostID: hostID, hours: hours, now: now, reason: "telemetry", as: .bulk, connection)
        }
        return ended.count
    }

    /// A series that became no meter or had samples that were left out, and how often; or a target of the scraper that does not answer.
    public struct Unmapped: Sendable, Hashable {
        /// Reasons beside those of `SeriesOutcome`: times later than now or of before 2020.
        public static let untimely = "untimely"
        /// Values that no meter can have.
        public static let impossible = "impossible"
        /// Increases since so long ago that they are only where the count begins.
        public static let longSince = "long_since"
        /// The name is the target's address, `error` in the example what came of asking it.
        public static let scrapeFailed = "scrape_failed"
        public static let otherReasons: Set<String> = [untimely, impossible, longSince, scrapeFailed]

        public var name: String
        public var reason: String
        /// The labels of one of them.
        public var example: [String: String]
        public var n: Int64

        public init(name: String, reason: String, example: [String: String], n: Int64) {
            self.name = name
            self.reason = reason
            self.example = example
            self.n = n
        }
    }

    /// So many names are kept; more are nobody's exporters.
    private static let mostNames = 500

    public static func note(_ unmapped: [Unmapped], now: Timestamp, _ connection: PostgresConnection) async throws {
        guard !unmapped.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "note_unmapped",
                """
                INSERT INTO telemetry_unmapped (name, reason, example, n, last_at)
                SELECT name, reason, example::jsonb, n, $5
                FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) AS r (name, reason, example, n)
                WHERE (SELECT count(*) FROM telemetry_unmapped) < $6 OR reason = 'scrape_failed'
                    OR EXISTS (SELECT FROM telemetry_unmapped u WHERE (u.name, u.reason) = (r.name, r.reason))
                ORDER BY 1, 2
                ON CONFLICT (name, reason) DO UPDATE SET example = excluded.example, n = telemetry_unmapped.n + excluded.n,
                    last_at = excluded.last_at
                """
            ),
            [
                .textArray(unmapped.map(\.name)), .textArray(unmapped.map(\.reason)),
                .textArray(try unmapped.map { try JSONValue.object($0.example.mapValues { .string($0) }).text }),
                .int8Array(unmapped.map(\.n)), .timestamptz(microseconds: now.microseconds), .int8(Int64(mostNames)),
            ]
        )
    }

    /// Targets that answer again.
    public static func forget(_ targets: [String], _ connection: PostgresConnection) async throws {
        guard !targets.isEmpty else { return }
        _ = try await connection.execute(
            Statement("forget_failed_scrapes", "DELETE FROM telemetry_unmapped WHERE reason = 'scrape_failed' AND name = ANY($1)"),
            [.textArray(targets)]
        )
    }

    /// Those of the time since an instant: what loses readings first, then the most frequent.
    public static func unmapped(since: Timestamp, limit: Int, _ connection: PostgresConnection) async throws -> [Unmapped] {
        try await connection.query(
            Statement(
                "list_unmapped",
                """
                SELECT name, reason, example, n FROM telemetry_unmapped WHERE last_at >= $1
                ORDER BY reason NOT IN ('scrape_failed', 'untimely', 'impossible'), n DESC, name LIMIT $2
                """
            ),
            [.timestamptz(microseconds: since.microseconds), .int8(Int64(limit))]
        ).map { row in
            let example = try JSONValue(parsing: Array((try row.jsonIfPresent("example") ?? "{}").utf8))
            return Unmapped(
                name: try row.string("name"),
                reason: try row.string("reason"),
                example: (example.object ?? [:]).compactMapValues(\.string),
                n: try row.int64("n")
            )
        }
    }
}
