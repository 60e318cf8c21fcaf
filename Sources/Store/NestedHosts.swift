import Accounting
public import Energy
public import Postgres

/// Hosts that run on a host (virtual machines, pods): on it each is a span of its own, and what that span gets is the child's energy.
///
/// On the host a child's share is measured where its CPU time is known: by the cgroup that holds it there, else by the busy time that the
/// child's own agent counts. Else it is what its CPUs are of the host's.
public struct NestedHosts: Sendable {
    struct Child: Sendable {
        let id: Int32
        /// The one that it came with: whatever it is called later, its accounts are the same.
        let name: String
        /// Those that a cgroup may have: the one that it came with, and what it is called now.
        let names: [String]
        /// Oldest first: from when on it ran here or somewhere else, and with how many CPUs.
        let records: [(from: Timestamp, isHere: Bool, cpus: Int)]
        let retiredAt: Timestamp?
        /// The cgroups that held it here, one after the other.
        var cgroups: [(lifetime: Interval, cpuTime: CurveReading.Loaded, epsilonMicroseconds: Int64)] = []
        /// What its own agent counts; asked for where no cgroup is known.
        var busy: (cpuTime: CurveReading.Loaded, epsilonMicroseconds: Int64)?

        /// Its CPUs in an hour in which it ran here.
        func cpus(in window: Interval) -> Int? {
            guard let record = records.last(where: { $0.from <= window.start }), record.isHere else { return nil }
            return retiredAt.map { $0 > window.start } ?? true ? record.cpus : nil
        }
    }

    /// In the order of the names that they came with.
    let children: [Child]

    static let none = NestedHosts(children: [])

    /// The id under which a child stands among its host's slices: below 0, which no span's is.
    public static func spanID(of childID: Int32) -> Int64 { -Int64(childID) }

    // MARK: On the host that others run on

    static func read(on hostID: Int32, _ window: Interval, limit: Int, _ connection: PostgresConnection) async throws -> NestedHosts {
        let rows = try await connection.query(
            Statement(
                "nested_hosts",
                """
                SELECT c.host_id, c.name, c.original_name, c.retired_at, r.valid_from,
                    coalesce((r.record ->> 'threads')::int, c.cpus) AS cpus,
                    r.record ->> 'parent' IS NOT NULL AND (
                        r.record ->> 'parent' = last_value(r.record ->> 'parent') OVER (
                            PARTITION BY c.host_id ORDER BY r.valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
                        -- Records of before the machine got another name.
                        OR EXISTS (SELECT FROM host m WHERE m.host_id = $1
                            AND lower(r.record ->> 'parent') IN (lower(m.name), lower(m.original_name)))
                        OR EXISTS (SELECT FROM host_alias m WHERE m.host_id = $1 AND lower(r.record ->> 'parent') = m.alias)) AS is_here
                FROM host c JOIN host_record r USING (host_id)
                WHERE c.parent_host_id = $1 ORDER BY c.host_id, r.valid_from
                """
            ),
            [.int4(hostID)]
        )
        var children: [Child] = []
        for (id, records) in try Dictionary(grouping: rows, by: { try $0.int32("host_id") }) {
            guard let first = records.first else { continue }
            children.append(
                Child(
                    id: id,
                    name: try first.string("original_name"),
                    names: Set([try first.string("original_name"), try first.string("name")]).sorted(),
                    records: try records.map {
                        (
                            Timestamp(microseconds: try $0.timestampMicroseconds("valid_from")), try $0.bool("is_here"),
                            Int(try $0.int32("cpus"))
                        )
                    },
                    retiredAt: try first.timestampMicrosecondsIfPresent("retired_at").map { Timestamp(microseconds: $0) }
                )
            )
        }
        children.sort { ($0.name, $0.id) < ($1.name, $1.id) }
        guard !children.isEmpty else { return .none }
        let cgroups = try await connection.query(
            Statement(
                "cgroups_of_nested_hosts",
                """
                SELECT w.curve_id, w.cgroup, w.born_at, coalesce(w.died_at, 'infinity') AS died_at, c.epsilon
                FROM workload w JOIN curve c USING (host_id, curve_id)
                WHERE w.host_id = $1 AND w.born_at < $3 AND coalesce(w.died_at, 'infinity') > $2
                    AND EXISTS (SELECT FROM unnest($4::text[]) AS n WHERE strpos(w.cgroup, n) > 0)
                ORDER BY w.born_at, length(w.cgroup), w.cgroup
                """
            ),
            [
                .int4(hostID), .timestamptz(microseconds: window.start.microseconds),
                .timestamptz(microseconds: window.end.microseconds), .textArray(children.flatMap(\.names).map(Self.escaped)),
            ]
        )
        for row in cgroups {
            let path = try row.string("cgroup")
            let curveID = try row.int32("curve_id")
            let born = Timestamp(microseconds: try row.timestampMicroseconds("born_at"))
            let died = Timestamp(microseconds: try row.timestampMicroseconds("died_at"))
            guard let place = children.firstIndex(where: { $0.names.contains { Self.isCgroup(path, of: $0) } }), born < died,
                let loaded = try await CurveReading.read(hostID: hostID, curveIDs: [curveID], around: window, limit: limit, connection)[
                    curveID
                ]
            else { continue }
            children[place].cgroups.append((Interval(born, died), loaded, try row.int64("epsilon")))
        }
        for place in children.indices {
            guard let curve = try await busyCurve(of: children[place].id, connection),
                let loaded = try await CurveReading.read(
                    hostID: children[place].id,
                    curveIDs: [curve.curveID],
                    around: window,
                    limit: limit,
                    connection
                )[curve.curveID]
            else { continue }
            children[place].busy = (loaded, curve.epsilon)
        }
        return NestedHosts(children: children)
    }

    private static func busyCurve(
        of hostID: Int32,
        _ connection: PostgresConnection
    ) async throws -> (curveID: Int32, epsilon: Int64)? {
        try await connection.query(
            Statement(
                "busy_curve",
                "SELECT curve_id, epsilon FROM curve WHERE host_id = $1 AND kind = 'host_busy' ORDER BY curve_id LIMIT 1"
            ),
            [.int4(hostID)]
        ).first.map { (try $0.int32("curve_id"), try $0.int64("epsilon")) }
    }

    /// Whether a cgroup on the host is the machine of that name, as libvirt, systemd-nspawn and LXC call theirs.
    static func isCgroup(_ path: String, of name: String) -> Bool {
        guard let leaf = path.split(separator: "/").last else { return false }
        let name = escaped(name)
        if leaf == "machine-\(name).scope" || leaf == "lxc.payload.\(name)" || leaf == "lxc.payload.\(name).scope" { return true }
        // machine-qemu\x2d17\x2dNAME.scope; libvirt cuts long names off.
        guard leaf.hasPrefix("machine-qemu\\x2d"), leaf.hasSuffix(".scope") else { return false }
        let rest = leaf.dropFirst("machine-qemu\\x2d".count).dropLast(".scope".count)
        let number = rest.prefix { $0.isASCII && $0.isNumber }
        return !number.isEmpty && rest.dropFirst(number.count) == "\\x2d\(name)"
    }

    /// As systemd writes a name within a unit's.
    private static func escaped(_ name: String) -> String { name.replacing("-", with: "\\x2d") }

    /// Those that ran here in an hour.
    func present(in window: Interval) -> [Child] { children.filter { $0.cpus(in: window) != nil } }

    /// The children as spans of an hour, which they are in all the time.
    ///
    /// - Parameter number: of the first one among the hour's spans.
    func spans(in window: Interval, from number: Int64) -> [SpanInput] {
        present(in: window).enumerated().map { place, child in
            var span = SpanInput(id: number + Int64(place), interval: window, cpus: child.cpus(in: window).map(Double.init))
            let cgroups = child.cgroups.filter { $0.lifetime.intersection(window) != nil }
            let parts =
                cgroups.map { (part: $0.cpuTime.part(window), epsilon: $0.epsilonMicroseconds) }
                + (cgroups.isEmpty ? child.busy.map { [($0.cpuTime.part(window), $0.epsilonMicroseconds)] } ?? [] : [])
            let known = parts.filter { !$0.part.curve.knots.isEmpty }
            if !known.isEmpty {
                span.workload = SpanInput.Workload(
                    curve: Curve.sum(known.map { (curve: $0.part.curve, isClosed: $0.part.completeUntil == .max) }),
                    isClosed: known.allSatisfy { $0.part.completeUntil == .max },
                    epsilonMicroseconds: known.reduce(0) { $0 + $1.epsilon }
                )
            }
            return span
        }
    }

    // MARK: Marks

    /// Marks the hours of the host that one runs on: its busy time tells its part there.
    static func markParent(of host: HostRow, hours: some Sequence<Hour>, now: Timestamp, _ connection: PostgresConnection) async throws {
        guard let parentID = host.parentID else { return }
        try await WorkQueue.mark(hostID: parentID, hours: hours, now: now, reason: "child", connection)
    }
}

/// What hosts on a host had of some of its hours in the ledger before these were accounted anew.
public struct GuestFigures: Sendable {
    /// All that a guest's accounts take from its machine's slice of it.
    private struct Part: Hashable {
        let component: String
        let interval: Interval
        let energies: [Int64]
        let bounds: [Double]
        let words: [String]

        init(_ slice: Slice) {
            component = slice.component.rawValue
            interval = slice.interval
            energies = [slice.dynamic, slice.idle.reserved, slice.metered.count]
            let b = slice.bounds
            bounds = [b.drawnLow, b.drawnHigh, b.floorLow, b.floorHigh, b.floorRatioLow, b.floorRatioHigh, b.unmeteredHigh]
            words = [slice.quality.rawValue, slice.shareMethod.rawValue]
        }

        init(_ row: PostgresRow) throws {
            component = try row.string("component")
            interval = Interval(
                Timestamp(microseconds: try row.timestampMicroseconds("from_t")),
                Timestamp(microseconds: try row.timestampMicroseconds("to_t"))
            )
            energies = try ["dynamic_uj", "idle_reserved_uj", "metered_us"].map { try row.int64($0) }
            bounds = try [
                "drawn_low_uj", "drawn_high_uj", "floor_low_uj", "floor_high_uj", "floor_ratio_low", "floor_ratio_high",
                "unmetered_high_uj",
            ].map { try row.double($0) }
            words = [try row.string("quality"), try row.string("share_method")]
        }
    }

    private struct Place: Hashable {
        let guestID: Int32
        let hour: Hour
    }

    private let guestIDs: [Int32]
    private var parts: [Place: Set<Part>] = [:]
    /// Hours that were in the ledger; what was set aside is not known.
    private var known: Set<Hour> = []

    /// Within the transaction that accounts the hours, before it writes them.
    public static func read(on hostID: Int32, hours: [Hour], _ connection: PostgresConnection) async throws -> GuestFigures {
        let guestIDs = try await connection.query(
            Statement("children_of_host", "SELECT host_id FROM host WHERE parent_host_id = $1 ORDER BY host_id"),
            [.int4(hostID)]
        ).map { try $0.int32("host_id") }
        var figures = GuestFigures(guestIDs: guestIDs)
        guard !guestIDs.isEmpty else { return figures }
        let values: [PostgresValue?] = [.int4(hostID), .timestamptzArray(microseconds: hours.map { $0.start.microseconds })]
        let known = try await connection.query(
            Statement(
                "accounted_and_not_set_aside",
                """
                SELECT hour FROM accounted_hour a WHERE host_id = $1 AND hour = ANY($2)
                    AND NOT EXISTS (SELECT FROM poisoned_hour p WHERE p.host_id = a.host_id AND p.hour = a.hour)
                """
            ),
            values
        )
        figures.known = Set(try known.map { Hour(containing: Timestamp(microseconds: try $0.timestampMicroseconds("hour"))) })
        let slices = try await connection.query(
            Statement("slices_of_guests", "SELECT * FROM slice WHERE host_id = $1 AND hour = ANY($2) AND span_id < 0"),
            values
        )
        for row in slices {
            let hour = Hour(containing: Timestamp(microseconds: try row.timestampMicroseconds("hour")))
            let place = Place(guestID: Int32(truncatingIfNeeded: -(try row.int64("span_id"))), hour: hour)
            figures.parts[place, default: []].insert(try Part(row))
        }
        return figures
    }

    /// Marks the hours of each guest in which its part is another now; all guests' where nothing was known.
    public func markChanged(_ hours: [AccountedRows], now: Timestamp, _ connection: PostgresConnection) async throws {
        guard !guestIDs.isEmpty else { return }
        var changed: [Int32: [Hour]] = [:]
        for hour in hours {
            let slices = hour.rows.flatMap(\.accounts.slices).filter { $0.spanID < 0 }
            let now = Dictionary(grouping: slices, by: \.spanID).mapValues { Set($0.map(Part.init)) }
            for guestID in guestIDs {
                let before = parts[Place(guestID: guestID, hour: hour.hour)] ?? []
                if !known.contains(hour.hour) || before != now[NestedHosts.spanID(of: guestID)] ?? [] {
                    changed[guestID, default: []].append(hour.hour)
                }
            }
        }
        for (guestID, hours) in changed.sorted(by: { $0.key < $1.key }) {
            try await WorkQueue.mark(hostID: guestID, hours: hours, now: now, reason: "parent", connection)
        }
    }
}

/// What guests have of the open hours of the hosts that they run on: each such hour is accounted once for all guests that one answer is
/// about.
public final class OpenMachineHours {
    private struct Place: Hashable {
        let hostID: Int32
        let hour: Hour
        /// How far the hour goes.
        let now: Timestamp
    }

    private var known: [Place: [Int64: [Slice]]] = [:]

    public init() {}

    /// How many hours were accounted for it.
    public var count: Int { known.count }

    func slices(
        of own: Int64,
        on machine: HostRow,
        hours: [Hour],
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [Slice] {
        func place(_ hour: Hour) -> Place { Place(hostID: machine.id, hour: hour, now: min(now, hour.end)) }
        let new = hours.filter { known[place($0)] == nil }
        if !new.isEmpty {
            let stretch = try await HostStretch.read(host: machine, hours: new, now: now, machines: self, connection)
            for hour in new {
                let inputs = stretch.inputs(of: hour)
                let slices = Sweep.accounts(of: inputs.input).flatMap(\.slices)
                known[place(hour)] = Dictionary(grouping: slices) { inputs.spanIDs[Int($0.spanID)] }.filter { $0.key < 0 }
            }
        }
        return hours.flatMap { known[place($0)]?[own] ?? [] }
    }
}

/// The energy of a host that runs on another one: that one's slices of it.
struct DerivedMeters: Sendable {
    private let slices: [Slice]

    init(slices: [Slice]) { self.slices = slices }

    /// Nil for a host that runs on no other one.
    ///
    /// Settled hours of the host around it are in the ledger; others are accounted now from the same inputs.
    ///
    /// - Parameter keeping: for accounts that are kept. What is in the ledger counts, marked or not: the guest is marked in the same
    ///   transaction in which its part there becomes another.
    static func read(
        of host: HostRow,
        hours: [Hour],
        now: Timestamp,
        keeping: Bool,
        machines: OpenMachineHours,
        _ connection: PostgresConnection
    ) async throws -> DerivedMeters? {
        guard let parentID = host.parentID, let parent = try await HostTable.find(id: parentID, connection) else { return nil }
        let own = NestedHosts.spanID(of: host.id)
        let settled =
            keeping
            ? Set(try await AccountedHours.read(hostID: parentID, hours: hours, connection).map(\.hour))
            : try await HourLedger.settled(hostID: parentID, hours: hours, now: now, connection)
        var slices: [Slice] = []
        if let first = settled.min(), let last = settled.max() {
            let stored = try await HourLedger.slices(
                hostID: parentID,
                spanID: own,
                Interval(first.start, last.end),
                connection
            )
            slices = stored.filter { settled.contains($0.hour) }.map(\.slice)
        }
        let open = hours.filter { !settled.contains($0) && $0.start < now }
        if !open.isEmpty { slices += try await machines.slices(of: own, on: parent, hours: open, now: now, connection) }
        return DerivedMeters(slices: slices)
    }

    /// A meter for each component that its host has for an hour: straight between the slices' ends, its floor the idle energy that the
    /// child had reserved.
    func meters(in window: Interval) -> [MeterInput] {
        let own = Dictionary(grouping: slices.filter { $0.interval.intersection(window) != nil }, by: \.component)
        return own.keys.sorted().map { component in
            meter(component, (own[component] ?? []).sorted { $0.interval.start < $1.interval.start })
        }
    }

    private func meter(_ component: Component, _ slices: [Slice]) -> MeterInput {
        var knots: [Knot] = []
        var gaps: [Gap] = []
        var total: Int64 = 0
        var idle: Int64 = 0
        var length = Microseconds.zero
        var limits = (low: 0.0, high: 0.0)
        var floorRatios = (low: 1.0, high: 1.0)
        var quality = Quality.measured
        var error = 0.0
        for slice in slices {
            let energy = slice.dynamic + slice.idle.reserved
            if let last = knots.last, last.time < slice.interval.start {
                gaps.append(Gap(interval: Interval(last.time, slice.interval.start), low: 0, high: 0, cause: .absence))
            }
            knots.append(Knot(time: slice.interval.start, value: total))
            total += energy
            // Where its machine was not metered, nobody knows when: at the end.
            let missing = slice.interval.duration - slice.metered
            let meteredEnd = slice.interval.end - min(max(.zero, missing), slice.interval.duration)
            if meteredEnd > slice.interval.start { knots.append(Knot(time: meteredEnd, value: total)) }
            if meteredEnd < slice.interval.end {
                gaps.append(Gap(interval: Interval(meteredEnd, slice.interval.end), low: 0, high: 0, cause: .absence))
                knots.append(Knot(time: slice.interval.end, value: total))
            }
            idle += slice.idle.reserved
            length += slice.interval.duration
            let bounds = slice.bounds.limits(idleMoved: slice.idle.reserved)
            limits.low += min(bounds.low, Double(energy))
            limits.high += max(bounds.high, Double(energy))
            floorRatios = (min(floorRatios.low, slice.bounds.floorRatioLow), max(floorRatios.high, slice.bounds.floorRatioHigh))
            quality = max(quality, slice.quality)
            error = max(error, slice.shareMethod.errorRatio)
        }
        let floor = length > .zero ? Double(idle) / Double(length.count) : 0
        return MeterInput(
            name: "machine/\(component.rawValue)",
            component: component,
            quality: quality,
            curve: Curve(knots: knots, gaps: gaps),
            maximumPower: length > .zero ? Power(watts: limits.high / Double(length.count)) : .zero,
            idle: UtilisationModel.Point(
                low: Power(watts: floor * floorRatios.low),
                best: Power(watts: floor),
                high: Power(watts: floor * floorRatios.high)
            ),
            boundRatios: total > 0 ? (limits.low / Double(total), limits.high / Double(total)) : (1, 1),
            errorRatio: error
        )
    }
}
