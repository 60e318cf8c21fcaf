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
    /// Without slices and pieces where it was read from the ledger.
    public var accounts: ComponentAccounts
    public var pue: Double
    /// The intensities of the hour's pieces, in order of time.
    public var intensityIDs: [Int64]
    /// Nil where the intensity of a piece is not known.
    public var emissions: Emissions?

    /// - Parameter intensities: one for each piece of the accounts.
    public init(hostID: Int32, hour: Hour, accounts: ComponentAccounts, pue: Double, intensities: [StoredIntensity?]) {
        self.hostID = hostID
        self.hour = hour
        self.accounts = accounts
        self.pue = pue
        let known = intensities.compactMap { $0 }
        intensityIDs = known.map(\.id)
        emissions =
            known.count == accounts.pieces.count ? Emissions(of: accounts.pieces, pue: pue, intensities: known.map(\.value)) : nil
    }

    /// The row of the intensity that a slice of these accounts counts with.
    func intensityID(of slice: Slice) -> Int64? {
        guard intensityIDs.count == accounts.pieces.count else { return nil }
        return zip(accounts.pieces, intensityIDs).first { $0.0.interval.intersection(slice.interval) != nil }?.1 ?? intensityIDs.last
    }

    fileprivate init(hostID: Int32, hour: Hour, accounts: ComponentAccounts, pue: Double, intensityIDs: [Int64], emissions: Emissions?) {
        self.hostID = hostID
        self.hour = hour
        self.accounts = accounts
        self.pue = pue
        self.intensityIDs = intensityIDs
        self.emissions = emissions
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

    public init(hour: Hour, slice: Slice, pue: Double, intensity: StoredIntensity?) {
        self.hour = hour
        self.slice = slice
        self.pue = pue
        self.intensity = intensity
    }
}

public enum HourLedger {
    /// Replaces a host-hour's accounts; in a transaction of the caller's.
    public static func replace(hostID: Int32, hour: Hour, rows: [LedgerRow], _ connection: PostgresConnection) async throws {
        let at = PostgresValue.timestamptz(microseconds: hour.start.microseconds)
        _ = try await connection.execute(
            Statement("drop_hour", "DELETE FROM host_hour WHERE host_id = $1 AND hour = $2"),
            [.int4(hostID), at]
        )
        for row in rows { try await insert(row, connection) }
        _ = try await connection.execute(
            Statement(
                "mark_accounted",
                """
                INSERT INTO accounted_hour (host_id, hour) VALUES ($1, $2) ON CONFLICT (host_id, hour) DO UPDATE SET computed_at = now()
                """
            ),
            [.int4(hostID), at]
        )
        _ = try await connection.execute(
            Statement("heal_hour", "DELETE FROM poisoned_hour WHERE host_id = $1 AND hour = $2"),
            [.int4(hostID), at]
        )
    }

    private static func insert(_ row: LedgerRow, _ connection: PostgresConnection) async throws {
        let accounts = row.accounts
        let emissions = row.emissions
        let hour = PostgresValue.timestamptz(microseconds: row.hour.start.microseconds)
        let component = PostgresValue.text(accounts.component.rawValue)
        _ = try await connection.execute(
            Statement(
                "insert_host_hour",
                """
                INSERT INTO host_hour (host_id, hour, component, metered_uj, job_dynamic_uj, system_uj, agent_uj, idle_uj, unknown_uj,
                    idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, flags, quality, pue, intensity_ids,
                    co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug, metered_low_uj,
                    metered_high_uj, meter_error_ratio, floor_error_ratio)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                    $26, $27, $28)
                """
            ),
            [
                .int4(row.hostID), hour, component, .int8(accounts.metered), .int8(accounts.jobDynamic), .int8(accounts.system),
                .int8(accounts.agent), .int8(accounts.idle), .int8(accounts.unknown), .int8(accounts.idleMoved.reserved),
                .int8(accounts.idleMoved.busy), .int8(accounts.idleMoved.equal), .int8(accounts.unmetered.count),
                .int8(accounts.unmeteredMaximum), .int4(accounts.flags.rawValue), .text(accounts.quality.rawValue), .float8(row.pue),
                .int8Array(row.intensityIDs), emissions.map { .int8($0.total) }, emissions.map { .int8($0.jobDynamic) },
                emissions.map { .int8($0.system) }, emissions.map { .int8($0.agent) }, emissions.map { .int8($0.idle) },
                emissions.map { .int8($0.unknown) }, .int8(accounts.meteredLow), .int8(accounts.meteredHigh),
                .float8(accounts.meterErrorRatio), .float8(accounts.floorErrorRatio),
            ]
        )
        guard !accounts.slices.isEmpty else { return }
        let slices = accounts.slices
        _ = try await connection.execute(
            Statement(
                "insert_slices",
                """
                INSERT INTO slice (host_id, hour, component, span_id, from_t, to_t, dynamic_uj, idle_reserved_uj, idle_busy_uj,
                    idle_equal_uj, drawn_low_uj, drawn_high_uj, floor_low_uj, floor_high_uj, floor_ratio_low, floor_ratio_high,
                    unmetered_high_uj, metered_us, share_method, mean_share, quality, floor_uj, start_error_uj, end_error_uj,
                    estimated_uj, gap_error_uj, intensity_id)
                SELECT $1, $2, $3, v.a, v.b, v.c, v.d, v.e, v.f, v.g, v.h, v.i, v.j, v.k, v.l, v.m, v.n, v.o, v.p, v.q, v.r, v.s, v.t, v.u, nullif(v.v, -1), v.w, nullif(v.x, -1) FROM unnest(
                    $4::int8[], $5::timestamptz[], $6::timestamptz[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::float8[],
                    $12::float8[], $13::float8[], $14::float8[], $15::float8[], $16::float8[], $17::float8[], $18::int8[], $19::text[],
                    $20::float8[], $21::text[], $22::float8[], $23::float8[], $24::float8[], $25::int8[], $26::float8[], $27::int8[])
                    AS v (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x)
                """
            ),
            [
                .int4(row.hostID), hour, component, .int8Array(slices.map(\.spanID)),
                .timestamptzArray(microseconds: slices.map(\.interval.start.microseconds)),
                .timestamptzArray(microseconds: slices.map(\.interval.end.microseconds)), .int8Array(slices.map(\.dynamic)),
                .int8Array(slices.map(\.idle.reserved)), .int8Array(slices.map(\.idle.busy)), .int8Array(slices.map(\.idle.equal)),
                .float8Array(slices.map(\.bounds.drawnLow)), .float8Array(slices.map(\.bounds.drawnHigh)),
                .float8Array(slices.map(\.bounds.floorLow)), .float8Array(slices.map(\.bounds.floorHigh)),
                .float8Array(slices.map(\.bounds.floorRatioLow)), .float8Array(slices.map(\.bounds.floorRatioHigh)),
                .float8Array(slices.map(\.bounds.unmeteredHigh)), .int8Array(slices.map(\.metered.count)),
                .textArray(slices.map(\.shareMethod.rawValue)), .float8Array(slices.map(\.meanShare)),
                .textArray(slices.map(\.quality.rawValue)), .float8Array(slices.map(\.errors.floor)),
                .float8Array(slices.map(\.errors.start)), .float8Array(slices.map(\.errors.end)),
                .int8Array(slices.map { $0.estimated ?? -1 }), .float8Array(slices.map(\.errors.gap)),
                .int8Array(slices.map { row.intensityID(of: $0) ?? -1 }),
            ]
        )
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
            Statement("read_slices_of_spans", "\(selectSlices) AND s.span_id = ANY($2) ORDER BY s.span_id, s.hour, s.component"),
            [.int4(hostID), .int8Array(spanIDs)]
        )
        return Dictionary(grouping: try rows.map(sliceRow), by: \.slice.spanID)
    }

    /// All stored slices of a host within an interval.
    public static func slices(hostID: Int32, _ interval: Interval, _ connection: PostgresConnection) async throws -> [SliceRow] {
        try await connection.query(
            Statement("read_slices_of_hours", "\(selectSlices) AND s.hour >= $2 AND s.hour < $3 ORDER BY s.hour, s.span_id, s.component"),
            [.int4(hostID), .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds)]
        ).map(sliceRow)
    }

    private static let selectSlices = """
        SELECT s.*, h.pue AS hour_pue, \(IntensityTable.joinedColumns)
        FROM slice s JOIN host_hour h USING (host_id, hour, component) LEFT JOIN intensity i ON i.intensity_id = s.intensity_id
        WHERE s.host_id = $1
        """

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
        return SliceRow(hour: try hour(row), slice: slice, pue: try row.double("hour_pue"), intensity: try IntensityTable.joined(row))
    }

    /// Of the given hours those that are settled: accounted, and no mark left. The running hour never is.
    public static func settled(hostID: Int32, hours: [Hour], now: Timestamp, _ connection: PostgresConnection) async throws -> Set<Hour> {
        let ended = hours.filter { $0.end <= now }
        guard !ended.isEmpty else { return [] }
        let rows = try await connection.query(
            Statement(
                "settled_hours",
                """
                SELECT hour FROM accounted_hour a WHERE host_id = $1 AND hour = ANY($2)
                    AND NOT EXISTS (SELECT FROM dirty d WHERE d.host_id = a.host_id AND d.hour = a.hour)
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: ended.map { $0.start.microseconds })]
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
