public import Accounting
import Documents
public import Energy
public import Postgres

/// Everything that the accounts of a host are made from, over some hours: read once, whether for one hour or for many.
public struct HostStretch: Sendable {
    /// A curve of a host, by what it measures.
    struct CurveRow: Sendable {
        let id: Int32
        let name: String
        let kind: String
        let zone: Zone?
        let sensor: String
        let quality: Quality
        let isInCover: Bool
        let epsilon: Int64
        let samplePeriod: Microseconds
        let maximumPower: Power
        let idle: UtilisationModel.Point?
        let boundRatios: (low: Double, high: Double)
    }

    /// A row that many hold and none copies.
    private final class Posted: Sendable {
        let row: SpanRow

        init(_ row: SpanRow) { self.row = row }
    }

    /// A span with what only the accounts ask of it.
    struct Member: Sendable {
        private let posted: Posted
        /// The span's edges as they are accounted.
        var interval: Interval
        /// Of the span's own cgroups, in order.
        var cgroups: [OwnedCgroup] = []
        /// Curves of their memory.
        var memoryCurveIDs: [Int32] = []

        var row: SpanRow {
            _read { yield posted.row }
        }

        init(_ row: SpanRow) {
            posted = Posted(row)
            interval = row.interval
        }
    }

    /// The host as it is now; `host(in:)` is it as it was.
    public let host: HostRow
    /// In order.
    public let hours: [Hour]
    /// From the first hour's start to the last one's end, or to now.
    public let window: Interval
    /// What was decided of the spans' cgroups, by the spans' ids; empty for a host that never had any.
    public let workloads: [Int64: SpanWorkload]
    let records: [HostRecordTable.Entry]
    /// By name.
    let curves: [CurveRow]
    let loaded: [Int32: CurveReading.Loaded]
    /// By the jobs' ids, which are the same on any machine and in any order of arrival.
    let members: [Member]
    /// Of each hour, the positions of those that run in it.
    let membersByHour: [Hour: [Int]]
    let intensities: [String: IntensitySeries]
    let slots: HostSlots
    let floors: IdleFloors
    /// Hosts that run on this one.
    let nested: NestedHosts
    /// For a host that runs on another one: its part of that one's energy.
    let derived: DerivedMeters?

    /// Reads a host over some of its hours, of which the last may be the running one: it goes as far as `now`.
    ///
    /// - Parameters:
    ///   - host: as it is now, or as it was in the only hour.
    ///   - hours: not empty; what lies between the first and the last is read too.
    ///   - limit: `CurveReading.TooMany` is thrown beyond so many knots.
    ///   - keeping: what is learned on the way is kept: the accounts are.
    ///   - machines: of the answer that it is read for.
    public static func read(
        host: HostRow,
        hours: [Hour],
        now: Timestamp,
        limit: Int = .max,
        keeping: Bool = false,
        machines: OpenMachineHours = OpenMachineHours(),
        _ connection: PostgresConnection
    ) async throws -> HostStretch {
        let hours = Set(hours).sorted()
        let start = hours[0].start
        let window = Interval(start, max(start, min(hours[hours.count - 1].end, now)))
        let records = try await HostRecordTable.effective(hostID: host.id, connection)
        let hasCgroups = try await hasCgroups(hostID: host.id, connection)
        var members = try await candidates(hostID: host.id, window, hasCgroups: hasCgroups, connection)
            .sorted { $0.row.jobID < $1.row.jobID }
        // Nobody owns a cgroup where there is none.
        let workloads = hasCgroups ? try await WorkloadOwnership.decide(members.map(\.row), hostID: host.id, connection) : [:]
        let memory = try await memoryCurves(of: workloads, hostID: host.id, connection)
        for position in members.indices {
            guard let workload = workloads[members[position].row.spanID] else { continue }
            if let ownership = workload.decision.ownership { members[position].interval = ownership.interval }
            members[position].cgroups = workload.cgroups.sorted { ($0.bornAt, $0.path, $0.curveID) < ($1.bornAt, $1.path, $1.curveID) }
            members[position].memoryCurveIDs = members[position].cgroups.compactMap { memory[$0.curveID] }
        }
        members.removeAll { $0.interval.intersection(window) == nil }
        var byHour: [Hour: [Int]] = [:]
        let asked = Set(hours)
        for (position, member) in members.enumerated() {
            guard let part = member.interval.intersection(window) else { continue }
            for hour in Hour.touching(part) where asked.contains(hour) { byHour[hour, default: []].append(position) }
        }
        let curves = try await standingCurves(hostID: host.id, connection)
        let ids = curves.map(\.id) + members.flatMap { $0.cgroups.map(\.curveID) + $0.memoryCurveIDs }
        let loaded = try await CurveReading.read(
            hostID: host.id,
            curveIDs: Set(ids).sorted(),
            around: window,
            limit: limit,
            connection
        )
        var intensities: [String: IntensitySeries] = [:]
        for zone in Set(hours.compactMap { host.dated(by: records, at: $0.start).gridZone }) {
            intensities[zone] = try await IntensityTable.series(zone: zone, window, connection)
        }
        return HostStretch(
            host: host,
            hours: hours,
            window: window,
            workloads: workloads,
            records: records,
            curves: curves,
            loaded: loaded,
            members: members,
            membersByHour: byHour,
            intensities: intensities,
            slots: try await HostSlots.read(host: host, window, connection),
            floors: try await IdleFloors.read(hostID: host.id, window, keeping: keeping, connection),
            nested: try await NestedHosts.read(on: host.id, window, limit: limit, connection),
            derived: try await DerivedMeters.read(
                of: host,
                hours: hours,
                now: now,
                keeping: keeping,
                machines: machines,
                connection
            )
        )
    }

    /// Nil in an hour in which the host ran on no other one.
    func derived(in hour: Hour) -> DerivedMeters? {
        let record = records.last { $0.from <= hour.start }?.record.object
        return record?["parent"] == nil ? nil : derived
    }

    /// The host as its operator described it for an hour.
    public func host(in hour: Hour) -> HostRow { host.dated(by: records, at: hour.start) }

    /// The spans of the stretch, by their ids.
    public var spans: [Int64: SpanRow] { Dictionary(members.map { ($0.row.spanID, $0.row) }) { $1 } }

    // MARK: Reading

    private static func hasCgroups(hostID: Int32, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.query(
            Statement("has_workloads", "SELECT EXISTS (SELECT FROM workload WHERE host_id = $1) AS found"),
            [.int4(hostID)]
        ).only().bool("found")
    }

    private static func memoryCurves(
        of workloads: [Int64: SpanWorkload],
        hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> [Int32: Int32] {
        let owned = Set(workloads.values.flatMap { $0.cgroups.map(\.curveID) }).sorted()
        guard !owned.isEmpty else { return [:] }
        let rows = try await connection.query(
            Statement(
                "memory_curves",
                "SELECT curve_id, memory_curve_id FROM workload WHERE host_id = $1 AND curve_id = ANY($2) AND memory_curve_id IS NOT NULL"
            ),
            [.int4(hostID), .int4Array(owned)]
        )
        return Dictionary(try rows.map { (try $0.int32("curve_id"), try $0.int32("memory_curve_id")) }) { $1 }
    }

    /// Spans that overlap an interval, or may once their edges are those of their cgroups; by binary COPY, there may be ten thousand.
    ///
    /// What only tells whose a cgroup is, is left out where there is none.
    private static func candidates(
        hostID: Int32,
        _ interval: Interval,
        hasCgroups: Bool,
        _ connection: PostgresConnection
    ) async throws -> [Member] {
        // COPY takes no parameters. Numbers and instants of our own making only.
        let (start, end) = (RFC3339.format(interval.start), RFC3339.format(interval.end))
        let reach = "least(greatest(time_resolution_us, 0), 300000000) * interval '1 microsecond' + interval '60 seconds'"
        let names =
            hasCgroups
            ? "repository, runner, workload, workload_key, job_ids"
            : "CASE WHEN run_id IS NOT NULL THEN repository END, CASE WHEN run_id IS NOT NULL THEN runner END, NULL::text, ''::text, NULL::text[]"
        let statement = Statement(
            "copy_spans_out",
            """
            COPY (SELECT span_id, job_id, started_at, finished_at, time_resolution_us, cpu_share, cpus, weight, cpu_time_us, source,
                    service, parent_job_id, run_id, CASE WHEN cardinality(gpus) > 0 THEN gpus END, \(names)
                FROM span
                WHERE host_id = \(hostID) AND started_at < timestamptz '\(end)' + interval '6 minutes'
                    AND (started_at < timestamptz '\(end)' OR started_at - (\(reach)) < timestamptz '\(end)')
                    AND (finished_at > timestamptz '\(start)' - interval '361 seconds' OR finished_at IS NULL)
                    AND (finished_at > timestamptz '\(start)'
                        OR coalesce(finished_at, started_at + interval '7 days') + (\(reach)) > timestamptz '\(start)'))
            TO STDOUT (FORMAT binary)
            """
        )
        var fields = CopyFields(statement.name)
        var members: [Member] = []
        try await connection.copyOut(statement, chunkSize: 1 << 18) { chunk in
            try fields.read(chunk, columns: 19) { fields throws(PostgresError) in
                var row = SpanRow(
                    hostID: hostID,
                    spanID: try fields.int8(),
                    jobID: try fields.text(),
                    startedAt: Timestamp(microseconds: try fields.timestamptzMicroseconds()),
                    finishedAt: try fields.timestamptzMicrosecondsIfPresent().map { Timestamp(microseconds: $0) },
                    queuedAt: nil,
                    timeResolution: Microseconds(try fields.int8()),
                    cpuShare: try fields.float8IfPresent(),
                    cpus: try fields.float8IfPresent(),
                    weight: try fields.float8IfPresent(),
                    cpuTime: try fields.int8IfPresent().map { Microseconds($0) },
                    workload: nil,
                    workloadKey: "",
                    source: try fields.text(),
                    service: try fields.textIfPresent(),
                    repository: nil,
                    parentJobID: try fields.textIfPresent(),
                    runID: try fields.textIfPresent(),
                    gpus: try fields.textArrayIfPresent() ?? []
                )
                row.repository = try fields.textIfPresent()
                row.runner = try fields.textIfPresent()
                row.workload = try fields.textIfPresent()
                row.workloadKey = try fields.text()
                row.jobIDs = try fields.textArrayIfPresent() ?? []
                members.append(Member(row))
            }
        }
        return members
    }

    /// The host's meters, its busy time and the agent's own.
    private static func standingCurves(hostID: Int32, _ connection: PostgresConnection) async throws -> [CurveRow] {
        try await connection.query(
            Statement(
                "standing_curves",
                """
                SELECT curve_id, name, kind, zone, sensor, quality, in_cover, epsilon, sample_period_us, p_max_uw, p_idle_uw, p_idle_low_uw,
                    p_idle_high_uw, bound_low_ppm, bound_high_ppm
                FROM curve
                WHERE host_id = $1 AND (kind IN ('host_busy', 'agent_cpu')
                    OR kind = 'meter' AND (in_cover OR zone IN ('node', 'psys', 'module')))
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
                sensor: try row.string("sensor"),
                quality: known,
                isInCover: try row.bool("in_cover"),
                epsilon: try row.int64("epsilon"),
                samplePeriod: Microseconds(try row.int64("sample_period_us")),
                maximumPower: Power(microwatts: try row.int64("p_max_uw")),
                idle: idle,
                boundRatios: (Double(try row.int32("bound_low_ppm")) / 1e6, Double(try row.int32("bound_high_ppm")) / 1e6)
            )
        }.sorted { $0.name < $1.name }
    }
}

/// Everything that the accounts of a host-hour are made from.
public struct HourInputs: Sendable {
    /// As it was in that hour.
    public let host: HostRow
    public let hour: Hour
    /// Its spans are numbered in the order of their jobs' ids, which is the same on any machine; `spanIDs` has their own.
    public let input: HostInput
    /// The ids of the input's spans, by their numbers in it.
    public let spanIDs: [Int64]
    /// What the hour's energy is multiplied by; nil where the host's zone is not known.
    public let intensities: IntensitySeries?
    let stretch: HostStretch
    /// The positions in the stretch of the hour's spans.
    let members: [Int]

    /// The spans of `input`, by their own ids.
    public var spans: [Int64: SpanRow] { Dictionary(members.map { (stretch.members[$0].row.spanID, stretch.members[$0].row) }) { $1 } }
    /// What was decided of the spans' cgroups, by the spans' own ids.
    public var workloads: [Int64: SpanWorkload] {
        Dictionary(members.compactMap { i in stretch.workloads[stretch.members[i].row.spanID].map { (stretch.members[i].row.spanID, $0) } })
        {
            $1
        }
    }
    /// The ids of the input's jobs, by their numbers in it; the names that the hosts among them came with.
    var jobIDs: [String] {
        members.map { stretch.members[$0].row.jobID } + stretch.nested.present(in: input.window).map { "host \($0.name)" }
    }
    /// The energy is a part of another host's.
    public var isDerived: Bool { stretch.derived(in: hour) != nil }

    /// Reads a host-hour. In the running hour the window ends at `now`.
    ///
    /// - Parameter now: where the hour has not ended, how far it goes.
    public static func read(
        host: HostRow,
        hour: Hour,
        now: Timestamp,
        machines: OpenMachineHours = OpenMachineHours(),
        _ connection: PostgresConnection
    ) async throws -> HourInputs {
        try await HostStretch.read(host: host, hours: [hour], now: now, machines: machines, connection).inputs(of: hour)
    }
}

extension HostStretch {
    /// What one of the hours is accounted from; makes no question to the database.
    public func inputs(of hour: Hour) -> HourInputs {
        let host = host(in: hour)
        let window = hour.interval.intersection(self.window) ?? Interval(hour.start, hour.start)
        let members = membersByHour[hour] ?? []
        let series = host.gridZone.flatMap { intensities[$0] }
        func part(_ id: Int32) -> CurveReading.Loaded? { loaded[id]?.part(window) }

        let own = curves.compactMap { row -> MeterInput? in
            guard row.kind == "meter", row.isInCover, let zone = row.zone, let loaded = part(row.id) else { return nil }
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
                isClosed: loaded.completeUntil == .max,
                errorRatio: MeterAccuracy.errorRatio(sensor: row.sensor, zone: zone, quality: row.quality, boundRatios: row.boundRatios)
            )
        }
        let derived = derived(in: hour)
        let meters = derived.map { $0.meters(in: window) } ?? floored(own, in: hour)
        func curve(_ kind: String) -> Curve? { curves.first { $0.kind == kind }.flatMap { part($0.id)?.curve } }
        let owners = members.enumerated().map { (number: Int64($0), cgroups: self.members[$1].cgroups) }.filter { !$0.cgroups.isEmpty }
        let sharing = Dictionary(grouping: owners.flatMap { owner in owner.cgroups.map { ($0.curveID, owner.number) } }, by: \.0)
            .mapValues { $0.map(\.1) }
        let children = Self.children(of: owners)
        let mayNest = members.contains { self.members[$0].row.parentJobID != nil || self.members[$0].row.runID != nil }
        let parents = mayNest ? SpanNesting.parents(of: members.map { (self.members[$0].row, self.members[$0].interval) }) : [:]
        let numbers = parents.isEmpty ? [:] : Dictionary(members.enumerated().map { (self.members[$1].row.spanID, Int64($0)) }) { $1 }
        let slots = slots.slots(in: window, recorded: host.slots, spans: members.lazy.map { self.members[$0].row })
        let spans = members.enumerated().map { position, index in
            let member = self.members[index]
            let number = Int64(position)
            // A row is large: what is asked of it is asked where it lies.
            var input = SpanInput(
                id: number,
                interval: member.interval,
                edgeResolution: member.row.edgeResolution,
                postedCPUTime: member.row.finishedAt == nil ? nil : member.row.cpuTime,
                // A service that has the host to itself reserves all of it, though it declares no part.
                cpuShare: slots?.origin == .service ? nil : member.row.cpuShare,
                cpus: member.row.cpus,
                weight: member.row.weight
            )
            if !member.row.gpus.isEmpty { input.ownedGPUs = Set(member.row.gpus) }
            if mayNest, let parent = parents[member.row.spanID].flatMap({ numbers[$0] }) {
                // Of two cgroups within each other the outer one's curve has the inner one's time: `childSpanIDs` tells that.
                let isNestedCgroup = children[parent]?.contains(number) ?? false
                input.parentID = isNestedCgroup ? nil : parent
            }
            guard !member.cgroups.isEmpty else { return input }
            let parts = member.cgroups.map { part($0.curveID) }
            let known = parts.compactMap { $0 }
            if !known.isEmpty {
                input.workload = SpanInput.Workload(
                    curve: Curve.sum(known.map { (curve: $0.curve, isClosed: $0.completeUntil == .max) }),
                    isClosed: known.allSatisfy { $0.completeUntil == .max },
                    epsilonMicroseconds: member.cgroups.reduce(0) { $0 + $1.epsilonMicroseconds },
                    childSpanIDs: children[number] ?? [],
                    sharingSpanIDs: Set(member.cgroups.flatMap { sharing[$0.curveID] ?? [] }).subtracting([number]).sorted(),
                    partialSince: zip(member.cgroups, parts).compactMap { cgroup, part in
                        cgroup.isCPUTimePartial ? part?.partialSince(bornAt: cgroup.bornAt) : nil
                    }.min()
                )
            }
            let memory = member.memoryCurveIDs.compactMap(part)
            // A cgroup without a memory curve would count as one that used none.
            if !memory.isEmpty, memory.count == member.cgroups.count {
                input.memory = Curve.sum(memory.map { (curve: $0.curve, isClosed: $0.completeUntil == .max) })
            }
            return input
        }
        var input = HostInput(
            window: window,
            cuts: series?.edges(within: window) ?? [],
            cpus: host.cpus,
            slots: slots?.slots,
            meters: meters,
            wholes: derived == nil ? wholes(window) : [],
            busy: curve("host_busy"),
            agent: curve("agent_cpu"),
            spans: spans + nested.spans(in: window, from: Int64(spans.count))
        )
        if !input.wholes.isEmpty { input.restIdle = floors.floor(of: .rest, in: hour) }
        return HourInputs(
            host: host,
            hour: hour,
            input: input,
            spanIDs: members.map { self.members[$0].row.spanID } + nested.present(in: window).map { NestedHosts.spanID(of: $0.id) },
            intensities: series,
            stretch: self,
            members: members
        )
    }

    /// Sensors with the floor that was learned of their component, in equal parts; it comes before what was configured or a table says.
    private func floored(_ meters: [MeterInput], in hour: Hour) -> [MeterInput] {
        meters.map { meter in
            let among = meters.filter { $0.component == meter.component }
            guard let floor = floors.floor(of: meter.component, in: hour), !among.contains(where: { $0.quality > .sampled }) else {
                return meter
            }
            var meter = meter
            let part = 1 / Double(among.count)
            meter.idle = UtilisationModel.Point(
                low: Power(watts: floor.low.watts * part),
                best: Power(watts: floor.best.watts * part),
                high: Power(watts: floor.high.watts * part)
            )
            return meter
        }
    }

    /// The outermost meters around meters of the cover. Several of one sensor that are around the same ones (the inlets of a machine, its
    /// modules) are one whole, their sum; of several sensors that tell of the same the best one is taken.
    private func wholes(_ window: Interval) -> [WholeMeterInput] {
        let meters = curves.filter { $0.kind == "meter" && $0.zone != nil }
        let outside = meters.filter { !$0.isInCover && $0.zone?.isWhole == true }
        guard !outside.isEmpty else { return [] }
        let places = meters.compactMap { row in row.zone.map { MeterPlace(name: row.name, zone: $0, package: nil, quality: row.quality) } }
        let containment = Containment(places)
        let cover = meters.filter(\.isInCover).map(\.name)
        let outermost = outside.filter { whole in !outside.contains { containment.contains($0.name, whole.name) } }
        let bySensor = Dictionary(grouping: outermost, by: \.sensor)
        let best = bySensor.values.min { a, b in
            (a.map(\.quality).max() ?? .unknown, a.map(\.name).min() ?? "") < (
                b.map(\.quality).max() ?? .unknown, b.map(\.name).min() ?? ""
            )
        }
        guard let best, let first = best.first else { return [] }
        let inner = Set(cover.filter { containment.contains(first.name, $0) })
        let parts = best.compactMap { loaded[$0.id]?.part(window) }
        guard !inner.isEmpty, parts.count == best.count else { return [] }
        return [
            WholeMeterInput(
                name: best.map(\.name).joined(separator: " + "),
                quality: best.map(\.quality).max() ?? .unknown,
                curve: Curve.sum(parts.map { (curve: $0.curve, isClosed: $0.completeUntil == .max) }),
                inner: inner,
                epsilonMicrojoules: best.reduce(0) { $0 + $1.epsilon },
                samplePeriod: best.map(\.samplePeriod).max() ?? .zero,
                maximumPower: best.reduce(Power.zero) { $0 + $1.maximumPower },
                errorRatio: first.zone.map { MeterAccuracy.errorRatio(sensor: first.sensor, zone: $0, quality: first.quality) }
                    ?? MeterAccuracy.unknown
            )
        ]
    }

    /// For each owner of cgroups, those whose cgroups lie below its own; of several nested ones those directly below.
    private static func children(of all: [(number: Int64, cgroups: [OwnedCgroup])]) -> [Int64: [Int64]] {
        guard !all.isEmpty else { return [:] }
        var byPath: [String: [Int64]] = [:]
        for owner in all { for cgroup in owner.cgroups { byPath[cgroup.path, default: []].append(owner.number) } }
        var above: [Int64: Set<Int64>] = [:]
        for owner in all {
            var outer: Set<Int64> = []
            for path in owner.cgroups.map(\.path) {
                for slash in path.indices where path[slash] == "/" { outer.formUnion(byPath[String(path[..<slash])] ?? []) }
            }
            above[owner.number] = outer
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

extension HostRow {
    /// As its operator described it for an instant: zone, PUE, slots and CPUs are those of the record that counts then.
    func dated(by records: [HostRecordTable.Entry], at instant: Timestamp) -> HostRow {
        guard let record = records.last(where: { $0.from <= instant })?.record else { return self }
        return described(by: record)
    }
}
