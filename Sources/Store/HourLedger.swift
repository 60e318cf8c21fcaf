public import Accounting
import Carbon
public import Energy
public import Postgres

/// A component's accounts in an hour, with the figures that turn energy into CO2e.
public struct LedgerRow: Sendable {
    public var hostID: Int32
    public var hour: Hour
    /// Without slices where it was read from the ledger.
    public var accounts: ComponentAccounts
    public var pue: Double
    public var intensity: StoredIntensity?

    public init(hostID: Int32, hour: Hour, accounts: ComponentAccounts, pue: Double, intensity: StoredIntensity?) {
        self.hostID = hostID
        self.hour = hour
        self.accounts = accounts
        self.pue = pue
        self.intensity = intensity
    }

    /// CO2e in µg of each account, rounded so that they add up; nil where no intensity is known.
    public var emissions: (total: Int64, jobDynamic: Int64, system: Int64, agent: Int64, idle: Int64, unknown: Int64)? {
        guard let intensity else { return nil }
        func micrograms(_ microjoules: Int64) -> Double {
            Intensity.micrograms(microjoules: Double(microjoules) * pue, gramsPerKilowattHour: intensity.value.gramsPerKilowattHour)
        }
        let total = Int64(saturating: micrograms(accounts.metered).rounded())
        var rounding = CumulativeRounding(total: total)
        let jobs = rounding.next(micrograms(accounts.jobDynamic))
        let agent = rounding.next(micrograms(accounts.agent))
        let system = rounding.next(micrograms(accounts.system))
        let unknown = rounding.next(micrograms(accounts.unknown))
        return (total, jobs, system, agent, rounding.rest, unknown)
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
                    idle_reserved_uj, idle_busy_uj, idle_equal_uj, unmetered_us, unmetered_max_uj, flags, quality, pue, intensity_id,
                    co2e_ug, co2e_job_dynamic_ug, co2e_system_ug, co2e_agent_ug, co2e_idle_ug, co2e_unknown_ug, metered_low_uj,
                    metered_high_uj)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                    $26)
                """
            ),
            [
                .int4(row.hostID), hour, component, .int8(accounts.metered), .int8(accounts.jobDynamic), .int8(accounts.system),
                .int8(accounts.agent), .int8(accounts.idle), .int8(accounts.unknown), .int8(accounts.idleMoved.reserved),
                .int8(accounts.idleMoved.busy), .int8(accounts.idleMoved.equal), .int8(accounts.unmetered.count),
                .int8(accounts.unmeteredMaximum), .int4(accounts.flags.rawValue), .text(accounts.quality.rawValue), .float8(row.pue),
                row.intensity.map { .int8($0.id) }, emissions.map { .int8($0.total) }, emissions.map { .int8($0.jobDynamic) },
                emissions.map { .int8($0.system) }, emissions.map { .int8($0.agent) }, emissions.map { .int8($0.idle) },
                emissions.map { .int8($0.unknown) }, .int8(accounts.meteredLow), .int8(accounts.meteredHigh),
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
                    unmetered_high_uj, metered_us, share_method, mean_share, quality)
                SELECT $1, $2, $3, * FROM unnest(
                    $4::int8[], $5::timestamptz[], $6::timestamptz[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::float8[],
                    $12::float8[], $13::float8[], $14::float8[], $15::float8[], $16::float8[], $17::float8[], $18::int8[], $19::text[],
                    $20::float8[], $21::text[])
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
                .textArray(slices.map(\.quality.rawValue)),
            ]
        )
    }

    /// The accounted hours of a host within an interval.
    public static func read(hostID: Int32, _ interval: Interval, _ connection: PostgresConnection) async throws -> [LedgerRow] {
        try await connection.query(
            Statement(
                "read_host_hours",
                """
                SELECT h.*, \(IntensityTable.joinedColumns) FROM host_hour h LEFT JOIN intensity i USING (intensity_id)
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
                intensity: try IntensityTable.joined(row)
            )
        }
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
        FROM slice s JOIN host_hour h USING (host_id, hour, component) LEFT JOIN intensity i USING (intensity_id) WHERE s.host_id = $1
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
        let slice = Slice(
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
