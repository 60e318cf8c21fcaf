public import Accounting
import Carbon
public import Energy
public import Postgres

/// A component's accounts in an hour, with the figures that turn energy into CO2e.
public struct LedgerRow: Sendable {
    /// CO2e in µg of each account; they add up.
    public struct Emissions: Sendable, Hashable {
        public var total: Int64
        public var jobDynamic: Int64
        public var system: Int64
        public var agent: Int64
        public var idle: Int64
        public var unknown: Int64
    }

    public var hostID: Int32
    public var hour: Hour
    /// Without slices and pieces where it was read from the ledger. Its slices have their spans' own ids.
    public var accounts: ComponentAccounts
    public var pue: Double
    /// The intensities of the hour's pieces that are known, in order of time.
    public var intensityIDs: [Int64]
    /// Nil where the intensity of a piece is not known.
    public var emissions: Emissions?
    /// The intensity of each piece; empty where the row was read from the ledger.
    var intensities: [StoredIntensity?]

    /// - Parameter intensities: one for each piece of the accounts.
    public init(hostID: Int32, hour: Hour, accounts: ComponentAccounts, pue: Double, intensities: [StoredIntensity?]) {
        self.hostID = hostID
        self.hour = hour
        self.accounts = accounts
        self.pue = pue
        self.intensities = intensities
        let known = intensities.compactMap { $0 }
        intensityIDs = known.map(\.id)
        emissions =
            known.count == accounts.pieces.count ? Emissions(of: accounts.pieces, pue: pue, intensities: known.map(\.value)) : nil
    }

    /// What a slice of these accounts counts with: slices end where another value begins to count.
    public func intensity(of slice: Slice) -> StoredIntensity? {
        guard intensities.count == accounts.pieces.count, var place = intensities.indices.last else { return nil }
        while place > 0, accounts.pieces[place].interval.start > slice.interval.start { place -= 1 }
        return intensities[place]
    }

    /// The slices with what turns them into CO2e.
    public var slices: [SliceRow] {
        var whole = accounts
        whole.slices = []
        whole.pieces = []
        return accounts.slices.map { SliceRow(hour: hour, slice: $0, pue: pue, intensity: intensity(of: $0), whole: whole) }
    }

    fileprivate init(hostID: Int32, hour: Hour, accounts: ComponentAccounts, pue: Double, intensityIDs: [Int64], emissions: Emissions?) {
        self.hostID = hostID
        self.hour = hour
        self.accounts = accounts
        self.pue = pue
        self.intensityIDs = intensityIDs
        self.emissions = emissions
        intensities = []
    }
}

extension LedgerRow.Emissions {
    /// Rounded so that they add up.
    fileprivate init(of pieces: [AccountPiece], pue: Double, intensities: [Intensity]) {
        func micrograms(_ account: (AccountPiece) -> Int64) -> Double {
            zip(pieces, intensities).reduce(0) { sum, part in
                let energy = Double(account(part.0)) * pue
                return sum + Intensity.micrograms(microjoules: energy, gramsPerKilowattHour: part.1.gramsPerKilowattHour)
            }
        }
        let parts = [micrograms(\.jobDynamic), micrograms(\.agent), micrograms(\.system), micrograms(\.unknown), micrograms(\.idle)]
        total = Int64(saturating: parts.reduce(0, +).rounded())
        var rounding = CumulativeRounding(total: total)
        jobDynamic = rounding.next(parts[0])
        agent = rounding.next(parts[1])
        system = rounding.next(parts[2])
        unknown = rounding.next(parts[3])
        idle = rounding.rest
    }
}

/// A slice as stored, with the hour's figures.
public struct SliceRow: Sendable {
    public var hour: Hour
    public var slice: Slice
    public var pue: Double
    public var intensity: StoredIntensity?
    /// The component's accounts in the hour, of which the slice is a part; without slices and pieces. Nil where nobody asked.
    public var whole: ComponentAccounts?

    public init(hour: Hour, slice: Slice, pue: Double, intensity: StoredIntensity?, whole: ComponentAccounts? = nil) {
        self.hour = hour
        self.slice = slice
        self.pue = pue
        self.intensity = intensity
        self.whole = whole
    }
}

/// A host-hour as it is written: its rows, and what they were made of.
public struct AccountedRows: Sendable {
    public var hour: Hour
    public var rows: [LedgerRow]
    /// SHA-256 of the inputs' canonical form.
    public var inputsSHA256: [UInt8]

    public init(hour: Hour, rows: [LedgerRow], inputsSHA256: [UInt8]) {
        self.hour = hour
        self.rows = rows
        self.inputsSHA256 = inputsSHA256
    }
}

public enum HourLedger {
    private static let hostHourColumns = [
        "host_id", "hour", "component", "metered_uj", "job_dynamic_uj", "system_uj", "agent_uj", "idle_uj", "unknown_uj",
        "idle_reserved_uj", "idle_busy_uj", "idle_equal_uj", "unmetered_us", "unmetered_max_uj", "flags", "quality", "pue", "intensity_ids",
        "co2e_ug", "co2e_job_dynamic_ug", "co2e_system_ug", "co2e_agent_ug", "co2e_idle_ug", "co2e_unknown_ug", "metered_low_uj",
        "metered_high_uj", "meter_error_ratio", "floor_error_ratio",
    ]
    private static let sliceColumns = [
        "host_id", "hour", "component", "span_id", "from_t", "to_t", "dynamic_uj", "idle_reserved_uj", "idle_busy_uj", "idle_equal_uj",
        "drawn_low_uj", "drawn_high_uj", "floor_low_uj", "floor_high_uj", "floor_ratio_low", "floor_ratio_high", "unmetered_high_uj",
        "busy_idle_low_uj", "busy_idle_high_uj", "metered_us", "share_method", "mean_share", "quality", "floor_uj", "start_error_uj",
        "end_error_uj", "estimated_uj", "gap_error_uj", "intensity_id", "reserved_us",
    ]

    /// Replaces the accounts of some hours of a host, whatever they were; in a transaction of the caller's.
    ///
    /// An hour gets a new version where its inputs are others than before.
    public static func replace(hostID: Int32, hours: [AccountedRows], software: String, _ connection: PostgresConnection) async throws {
        guard !hours.isEmpty else { return }
        let times = PostgresValue.timestamptzArray(microseconds: hours.map { $0.hour.start.microseconds })
        // The ledger's rows first: slices are held to them.
        for (name, table) in [("drop_host_hours", "host_hour"), ("drop_slices", "stored_slice"), ("heal_hours", "poisoned_hour")] {
            _ = try await connection.execute(
                Statement(name, "DELETE FROM \(table) WHERE host_id = $1 AND hour = ANY($2)"),
                [.int4(hostID), times]
            )
        }
        let (hostHours, slices) = encode(hours)
        if !hostHours.isEmpty {
            try await connection.copyIn(
                Statement("copy_host_hour", "COPY host_hour (\(hostHourColumns.joined(separator: ", "))) FROM STDIN (FORMAT binary)"),
                rows: hostHours
            )
        }
        if !slices.isEmpty {
            try await connection.copyIn(
                Statement("copy_slice", "COPY stored_slice (\(sliceColumns.joined(separator: ", "))) FROM STDIN (FORMAT binary)"),
                rows: slices
            )
        }
        _ = try await connection.execute(
            Statement(
                "mark_accounted",
                """
                WITH written AS (
                    INSERT INTO accounted_hour AS a (host_id, hour, inputs_sha256, software)
                    SELECT $1, hour, inputs_sha256, $4 FROM unnest($2::timestamptz[], $3::bytea[]) AS h (hour, inputs_sha256)
                    ON CONFLICT (host_id, hour) DO UPDATE SET computed_at = now(), inputs_sha256 = excluded.inputs_sha256,
                        software = excluded.software,
                        version = a.version + (a.inputs_sha256 IS DISTINCT FROM excluded.inputs_sha256)::int
                    RETURNING hour, version, inputs_sha256)
                INSERT INTO accounted_version (host_id, hour, version, inputs_sha256, software)
                SELECT $1, hour, version, inputs_sha256, $4 FROM written ON CONFLICT (host_id, hour, version) DO NOTHING
                """
            ),
            [.int4(hostID), times, .byteaArray(hours.map(\.inputsSHA256)), .text(software)]
        )
    }

    private static func encode(_ hours: [AccountedRows]) -> (hostHours: CopyBuffer, slices: CopyBuffer) {
        var ledger = CopyBuffer(columns: hostHourColumns.count)
        let count = hours.reduce(0) { $0 + $1.rows.reduce(0) { $0 + $1.accounts.slices.count } }
        var slices = CopyBuffer(columns: sliceColumns.count, reservingBytes: count * 320)
        for row in hours.flatMap(\.rows) {
            let accounts = row.accounts
            let component = accounts.component.rawValue
            ledger.beginRow()
            ledger.append(int4: row.hostID)
            ledger.append(timestamptzMicroseconds: row.hour.start.microseconds)
            ledger.append(text: component)
            for energy in [
                accounts.metered, accounts.jobDynamic, accounts.system, accounts.agent, accounts.idle, accounts.unknown,
                accounts.idleMoved.reserved, accounts.idleMoved.busy, accounts.idleMoved.equal, accounts.unmetered.count,
                accounts.unmeteredMaximum,
            ] {
                ledger.append(int8: energy)
            }
            ledger.append(int4: accounts.flags.rawValue)
            ledger.append(text: accounts.quality.rawValue)
            ledger.append(float8: row.pue)
            ledger.append(int8Array: row.intensityIDs)
            let emissions = row.emissions
            for mass in [
                emissions?.total, emissions?.jobDynamic, emissions?.system, emissions?.agent, emissions?.idle, emissions?.unknown,
            ] {
                ledger.append(int8: mass)
            }
            ledger.append(int8: accounts.meteredLow)
            ledger.append(int8: accounts.meteredHigh)
            ledger.append(float8: accounts.meterErrorRatio)
            ledger.append(float8: accounts.floorErrorRatio)
            for slice in accounts.slices { append(slice, of: row, component: component, to: &slices) }
        }
        return (ledger, slices)
    }

    /// What most slices have in common is null in the table; the view `slice` has it.
    private static func append(_ slice: Slice, of row: LedgerRow, component: String, to rows: inout CopyBuffer) {
        func unless(_ common: Double, _ value: Double) -> Double? { value == common ? nil : value }
        rows.beginRow()
        rows.append(int4: row.hostID)
        rows.append(timestamptzMicroseconds: row.hour.start.microseconds)
        rows.append(text: component)
        rows.append(int8: slice.spanID)
        rows.append(timestamptzMicroseconds: slice.interval.start.microseconds)
        rows.append(timestamptzMicroseconds: slice.interval.end.microseconds)
        rows.append(int8: slice.dynamic)
        rows.append(int8: slice.idle.reserved)
        rows.append(int8: slice.idle.busy)
        rows.append(int8: slice.idle.equal)
        rows.append(float8: slice.bounds.drawnLow)
        rows.append(float8: slice.bounds.drawnHigh)
        rows.append(float8: unless(0, slice.bounds.floorLow))
        rows.append(float8: unless(0, slice.bounds.floorHigh))
        rows.append(float8: unless(1, slice.bounds.floorRatioLow))
        rows.append(float8: unless(1, slice.bounds.floorRatioHigh))
        rows.append(float8: unless(0, slice.bounds.unmeteredHigh))
        rows.append(float8: slice.bounds.busyIdleLow.flatMap { unless(0, $0) })
        rows.append(float8: slice.bounds.busyIdleHigh)
        let isWhole = slice.metered == slice.interval.duration
        rows.append(int8: isWhole ? nil : slice.metered.count)
        rows.append(text: slice.shareMethod == .declared ? nil : slice.shareMethod.rawValue)
        rows.append(float8: slice.meanShare)
        rows.append(text: slice.quality == .measured ? nil : slice.quality.rawValue)
        rows.append(float8: unless(0, slice.errors.floor))
        rows.append(float8: unless(0, slice.errors.start))
        rows.append(float8: unless(0, slice.errors.end))
        rows.append(int8: isWhole ? nil : slice.estimated)
        rows.append(float8: unless(0, slice.errors.gap))
        rows.append(int8: row.intensity(of: slice)?.id)
        rows.append(float8: slice.reservedMicroseconds)
    }

    /// The accounted hours of a host within an interval.
    public static func read(hostID: Int32, _ interval: Interval, _ connection: PostgresConnection) async throws -> [LedgerRow] {
        try await connection.query(
            Statement(
                "read_host_hours",
                """
                SELECT h.* FROM host_hour h
                WHERE h.host_id = $1 AND h.hour >= $2 AND h.hour < $3 ORDER BY h.hour, h.component
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds)]
        ).map { row in
            var accounts = ComponentAccounts(component: try component(row))
            accounts.metered = try row.int64("metered_uj")
            accounts.meteredLow = try row.int64("metered_low_uj")
            accounts.meteredHigh = try row.int64("metered_high_uj")
            accounts.jobDynamic = try row.int64("job_dynamic_uj")
            accounts.system = try row.int64("system_uj")
            accounts.agent = try row.int64("agent_uj")
            accounts.idle = try row.int64("idle_uj")
            accounts.unknown = try row.int64("unknown_uj")
            accounts.idleMoved = IdleMoved(
                reserved: try row.int64("idle_reserved_uj"),
                busy: try row.int64("idle_busy_uj"),
                equal: try row.int64("idle_equal_uj")
            )
            accounts.unmetered = Microseconds(try row.int64("unmetered_us"))
            accounts.unmeteredMaximum = try row.int64("unmetered_max_uj")
            accounts.flags = AccountFlags(rawValue: try row.int32("flags"))
            accounts.quality = try quality(row)
            return LedgerRow(
                hostID: hostID,
                hour: try hour(row),
                accounts: accounts,
                pue: try row.double("pue"),
                intensityIDs: try row.int64Array("intensity_ids"),
                emissions: try emissions(row)
            )
        }
    }

    private static func emissions(_ row: PostgresRow) throws -> LedgerRow.Emissions? {
        guard let total = try row.int64IfPresent("co2e_ug") else { return nil }
        return LedgerRow.Emissions(
            total: total,
            jobDynamic: try row.int64("co2e_job_dynamic_ug"),
            system: try row.int64("co2e_system_ug"),
            agent: try row.int64("co2e_agent_ug"),
            idle: try row.int64("co2e_idle_ug"),
            unknown: try row.int64("co2e_unknown_ug")
        )
    }

    /// The stored slices of some spans of a host.
    public static func slices(hostID: Int32, spanIDs: [Int64], _ connection: PostgresConnection) async throws -> [Int64: [SliceRow]] {
        let rows = try await connection.query(
            Statement(
                "read_slices_of_spans",
                """
                \(selectSlices(joins: "JOIN span p ON p.host_id = s.host_id AND p.span_id = s.span_id"))
                    AND p.span_id = ANY($2) AND \(isWithin("p")) ORDER BY s.span_id, s.hour, s.component, s.from_t
                """
            ),
            [.int4(hostID), .int8Array(spanIDs)]
        )
        return Dictionary(grouping: try rows.map(sliceRow), by: \.slice.spanID)
    }

    /// The hours that slices `s` of a span can be in, for the index: its cgroups may end its edges elsewhere than where it was posted.
    static func isWithin(_ span: String) -> String {
        """
        s.hour > \(span).started_at - interval '1 hour 361 seconds'
            AND s.hour < coalesce(\(span).finished_at, 'infinity') + interval '361 seconds'
        """
    }

    /// The stored slices of one span of a host within an interval of whole hours.
    static func slices(hostID: Int32, spanID: Int64, _ interval: Interval, _ connection: PostgresConnection) async throws -> [SliceRow] {
        try await connection.query(
            Statement(
                "read_slices_of_span",
                "\(selectSlices()) AND s.span_id = $4 AND s.hour >= $2 AND s.hour < $3 ORDER BY s.hour, s.component, s.from_t"
            ),
            [
                .int4(hostID), .timestamptz(microseconds: interval.start.microseconds),
                .timestamptz(microseconds: interval.end.microseconds), .int8(spanID),
            ]
        ).map(sliceRow)
    }

    /// All stored slices of a host within an interval.
    public static func slices(hostID: Int32, _ interval: Interval, _ connection: PostgresConnection) async throws -> [SliceRow] {
        try await connection.query(
            Statement(
                "read_slices_of_hours",
                "\(selectSlices()) AND s.hour >= $2 AND s.hour < $3 ORDER BY s.hour, s.span_id, s.component, s.from_t"
            ),
            [.int4(hostID), .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds)]
        ).map(sliceRow)
    }

    /// How long jobs, and other hosts on it, had a host reserved in its accounted hours, of the whole machine.
    public static func reservedMicroseconds(
        hostID: Int32,
        _ interval: Interval,
        _ connection: PostgresConnection
    ) async throws -> [Hour: (jobs: Double, nested: Double)] {
        let rows = try await connection.query(
            Statement(
                "reserved_time",
                """
                SELECT hour, coalesce(sum(reserved_us) FILTER (WHERE span_id > 0), 0) AS jobs_us,
                    coalesce(sum(reserved_us) FILTER (WHERE span_id < 0), 0) AS nested_us
                FROM stored_slice WHERE host_id = $1 AND hour >= $2 AND hour < $3 GROUP BY hour
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds)]
        )
        return Dictionary(try rows.map { (try hour($0), (try $0.double("jobs_us"), try $0.double("nested_us"))) }) { $1 }
    }

    private static func selectSlices(joins: String = "") -> String {
        """
        SELECT s.*, \(wholeColumns("h")), \(IntensityTable.joinedColumns)
        FROM slice s JOIN host_hour h USING (host_id, hour, component) LEFT JOIN intensity i ON i.intensity_id = s.intensity_id \(joins)
        WHERE s.host_id = $1
        """
    }

    /// What `sliceRow` reads of the host-hour that a slice is a part of.
    static func wholeColumns(_ table: String) -> String {
        [
            "pue", "metered_uj", "metered_low_uj", "metered_high_uj", "job_dynamic_uj", "system_uj", "agent_uj", "idle_uj", "unknown_uj",
            "idle_busy_uj", "unmetered_max_uj", "meter_error_ratio", "floor_error_ratio", "flags",
        ].map { "\(table).\($0) AS hour_\($0)" }.joined(separator: ", ")
    }

    private static func whole(_ row: PostgresRow, _ component: Component) throws -> ComponentAccounts {
        var accounts = ComponentAccounts(component: component)
        accounts.flags = AccountFlags(rawValue: try row.int32("hour_flags"))
        accounts.metered = try row.int64("hour_metered_uj")
        accounts.meteredLow = try row.int64("hour_metered_low_uj")
        accounts.meteredHigh = try row.int64("hour_metered_high_uj")
        accounts.jobDynamic = try row.int64("hour_job_dynamic_uj")
        accounts.system = try row.int64("hour_system_uj")
        accounts.agent = try row.int64("hour_agent_uj")
        accounts.idle = try row.int64("hour_idle_uj")
        accounts.unknown = try row.int64("hour_unknown_uj")
        accounts.idleMoved.busy = try row.int64("hour_idle_busy_uj")
        accounts.unmeteredMaximum = try row.int64("hour_unmetered_max_uj")
        accounts.meterErrorRatio = try row.double("hour_meter_error_ratio")
        accounts.floorErrorRatio = try row.double("hour_floor_error_ratio")
        return accounts
    }

    static func sliceRow(_ row: PostgresRow) throws -> SliceRow {
        let method = try row.string("share_method")
        guard let shareMethod = ShareMethod(rawValue: method) else { throw StoredValueError(what: "share method", found: method) }
        var bounds = SliceBounds()
        bounds.drawnLow = try row.double("drawn_low_uj")
        bounds.drawnHigh = try row.double("drawn_high_uj")
        bounds.floorLow = try row.double("floor_low_uj")
        bounds.floorHigh = try row.double("floor_high_uj")
        bounds.floorRatioLow = try row.double("floor_ratio_low")
        bounds.floorRatioHigh = try row.double("floor_ratio_high")
        bounds.unmeteredHigh = try row.double("unmetered_high_uj")
        bounds.busyIdleLow = try row.doubleIfPresent("busy_idle_low_uj")
        bounds.busyIdleHigh = try row.doubleIfPresent("busy_idle_high_uj")
        var slice = Slice(
            spanID: try row.int64("span_id"),
            component: try component(row),
            interval: Interval(
                Timestamp(microseconds: try row.timestampMicroseconds("from_t")),
                Timestamp(microseconds: try row.timestampMicroseconds("to_t"))
            ),
            dynamic: try row.int64("dynamic_uj"),
            idle: IdleMoved(
                reserved: try row.int64("idle_reserved_uj"),
                busy: try row.int64("idle_busy_uj"),
                equal: try row.int64("idle_equal_uj")
            ),
            bounds: bounds,
            metered: Microseconds(try row.int64("metered_us")),
            meanShare: try row.double("mean_share"),
            shareMethod: shareMethod,
            quality: try quality(row)
        )
        slice.estimated = try row.int64IfPresent("estimated_uj")
        slice.errors.floor = try row.double("floor_uj")
        slice.errors.start = try row.double("start_error_uj")
        slice.errors.end = try row.double("end_error_uj")
        slice.errors.gap = try row.double("gap_error_uj")
        slice.reservedMicroseconds = try row.doubleIfPresent("reserved_us")
        return SliceRow(
            hour: try hour(row),
            slice: slice,
            pue: try row.double("hour_pue"),
            intensity: try IntensityTable.joined(row),
            whole: try whole(row, slice.component)
        )
    }

    /// Of the given hours those that are settled: accounted, and no mark left, neither of the host's own nor of those that it runs on: its
    /// energy is a part of theirs. The running hour never is.
    public static func settled(hostID: Int32, hours: [Hour], now: Timestamp, _ connection: PostgresConnection) async throws -> Set<Hour> {
        let ended = hours.filter { $0.end <= now }
        guard !ended.isEmpty else { return [] }
        let rows = try await connection.query(
            Statement(
                "settled_hours",
                """
                WITH own AS MATERIALIZED (SELECT $1::int4 AS host_id UNION ALL SELECT hosts_around($1))
                SELECT hour FROM accounted_hour a WHERE host_id = $1 AND hour = ANY($2)
                    AND NOT EXISTS (SELECT FROM own JOIN dirty d USING (host_id) WHERE d.hour = a.hour)
                    -- What it was accounted with before is not all that is known.
                    AND NOT EXISTS (SELECT FROM own JOIN poisoned_hour p USING (host_id) WHERE p.hour = a.hour)
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: ended.map { $0.start.microseconds })]
        )
        return Set(try rows.map { try hour($0) })
    }

    /// Of the given hours those that could not be accounted and were set aside, of the host or of those that it runs on.
    public static func setAside(hostID: Int32, hours: [Hour], _ connection: PostgresConnection) async throws -> Set<Hour> {
        guard !hours.isEmpty else { return [] }
        let rows = try await connection.query(
            Statement(
                "hours_set_aside",
                """
                SELECT DISTINCT hour FROM poisoned_hour
                WHERE host_id IN (SELECT $1::int4 UNION ALL SELECT hosts_around($1)) AND hour = ANY($2)
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: hours.map { $0.start.microseconds })]
        )
        return Set(try rows.map { try hour($0) })
    }

    private static func hour(_ row: PostgresRow) throws -> Hour {
        Hour(containing: Timestamp(microseconds: try row.timestampMicroseconds("hour")))
    }

    private static func component(_ row: PostgresRow) throws -> Component {
        let text = try row.string("component")
        guard let component = Component(rawValue: text) else { throw StoredValueError(what: "component", found: text) }
        return component
    }

    private static func quality(_ row: PostgresRow) throws -> Quality {
        let text = try row.string("quality")
        guard let quality = Quality(rawValue: text) else { throw StoredValueError(what: "quality", found: text) }
        return quality
    }
}
