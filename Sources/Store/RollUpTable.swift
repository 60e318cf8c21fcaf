import Accounting
public import Energy
public import Postgres

/// What one group's jobs got of one component of one host in one bucket, as sums that later ones can be added to. Energies in µJ, CO2e in µg.
public struct RollUpPart: Sendable {
    /// Of each of the question's fields; nil where its jobs say nothing.
    public var group: [String?]
    /// Nil without buckets.
    public var bucket: Timestamp?
    public var hostID: Int32
    public var component: Component
    /// Of the intensities: they err together. Nil where one is not known.
    public var intensityKey: String?

    public var dynamic: Int128 = 0
    /// Moved by the policy.
    public var idle: Int128 = 0
    /// Hard limits of the two together.
    public var low = 0.0
    public var high = 0.0
    /// Time of the slices, and of it what was metered.
    public var time = Microseconds.zero
    public var metered = Microseconds.zero
    /// Dynamic and idle together, in the order of `ShareMethod.allCases`.
    public var byMethod: [Int128] = [0, 0, 0, 0]
    /// The part that a model says and no sensor.
    public var modelled: Int128 = 0
    public var quality = Quality.measured
    /// The jobs' own mean power over time that was not metered.
    public var estimated: Int128 = 0
    /// Part of that time is not estimated: too little of a slice's was metered.
    public var hasUnestimated = false
    public var isSimulated = false

    /// Facility energy x intensity; of the part whose intensity is known.
    public var micrograms = 0.0
    public var microgramsLow = 0.0
    public var microgramsHigh = 0.0
    /// As if the energy were exact: the intensities' own limits.
    public var intensityLow = 0.0
    public var intensityHigh = 0.0
    /// Energy whose intensity is known.
    public var withIntensity: Int128 = 0

    /// Standard deviations in µJ by key, linear: those of the same host and component add up.
    public var meterError = 0.0
    public var floorError = 0.0
    /// Squares of standard deviations, of errors that are each a host-hour's or an instant's own.
    public var shareVariance = 0.0
    public var gapVariance = 0.0
    public var edgeVariance = 0.0
    /// The same in µg.
    public var meterErrorMicrograms = 0.0
    public var floorErrorMicrograms = 0.0
    public var shareVarianceMicrograms = 0.0
    public var edgeVarianceMicrograms = 0.0

    public init(group: [String?], bucket: Timestamp?, hostID: Int32, component: Component) {
        self.group = group
        self.bucket = bucket
        self.hostID = hostID
        self.component = component
    }

    public var energy: Int128 { dynamic + idle }
}

/// A host-hour by its number.
public struct HostHour: Sendable, Hashable {
    public let hostID: Int32
    public let hour: Hour

    public init(hostID: Int32, hour: Hour) {
        self.hostID = hostID
        self.hour = hour
    }
}

/// Sums of slices by what their jobs have in common, made by the database.
public enum RollUpTable {
    /// Plans with the values of the parameters, which are what makes a question cheap or dear; in a transaction of the caller's.
    public static func prepare(_ connection: PostgresConnection) async throws {
        _ = try await connection.execute(Statement("rollup_plans", "SET LOCAL plan_cache_mode = force_custom_plan"))
    }

    /// Standard deviations of a job's share by method, as parts of the energy it was given; in the order of `ShareMethod.allCases`.
    public typealias ShareErrors = [Double]

    /// The sums of settled hours.
    ///
    /// - Parameter leavingOut: hours that somebody else sums.
    public static func parts(
        _ question: RollUpQuestion,
        leavingOut: Set<HostHour>,
        shareErrors: ShareErrors,
        _ connection: PostgresConnection
    ) async throws -> [RollUpPart] {
        let rows = try await connection.query(
            question.statement("energy", energySQL(question)),
            values(question, leavingOut) + [.float8Array(shareErrors)]
        )
        var parts: [RollUpPart] = []
        parts.reserveCapacity(rows.count)
        for row in rows { parts.append(try part(row)) }
        try await addEdges(question, leavingOut, to: &parts, connection)
        return parts
    }

    private static func values(_ question: RollUpQuestion, _ leavingOut: Set<HostHour>) -> [PostgresValue?] {
        let hours = leavingOut.sorted { ($0.hostID, $0.hour) < ($1.hostID, $1.hour) }
        return question.values + [
            .text(question.policy.rawValue), .int4Array(hours.map(\.hostID)),
            .timestamptzArray(microseconds: hours.map { $0.hour.start.microseconds }),
        ]
    }

    private static let policy = "$\(RollUpQuestion.parameters + 1)"
    private static let openHosts = "$\(RollUpQuestion.parameters + 2)"
    private static let openHours = "$\(RollUpQuestion.parameters + 3)"
    private static let shareErrors = "$\(RollUpQuestion.parameters + 4)"
    private static let idle = """
        CASE \(policy) WHEN 'reserved' THEN s.idle_reserved_uj WHEN 'busy' THEN s.idle_busy_uj WHEN 'equal' THEN s.idle_equal_uj ELSE 0 END
        """

    /// The slices that count, each with its job `k`, its host `h` and `x.idle`, the idle that the policy moves to it.
    private static func slices(_ question: RollUpQuestion, joins: String = "", only: String = "true") -> String {
        """
        FROM host h JOIN slice s ON s.host_id = h.host_id AND s.hour >= $1 AND s.hour < $2
            LEFT JOIN span p ON p.host_id = s.host_id AND p.span_id = s.span_id
            LEFT JOIN span_key k ON k.job_id = p.job_id
            \(RollUpQuestion.releaseJoin(question.keys))
            CROSS JOIN LATERAL (SELECT \(idle) AS idle) x
            \(joins)
        WHERE \(only) AND \(question.condition(isByRelease: question.keys.contains(.release)))
            AND NOT EXISTS (SELECT FROM unnest(\(openHosts)::int4[], \(openHours)::timestamptz[]) AS o (host_id, hour)
                WHERE o.host_id = s.host_id AND o.hour = s.hour)
            \(shortJobs(question))
        """
    }

    /// Without a token, jobs of under a minute count in an hour of a group only where they are several and together long enough; so no
    /// difference of two answers is one of them.
    private static func shortJobs(_ question: RollUpQuestion) -> String {
        guard case .public = question.visibility else { return "" }
        let cells = question.cellKeys ?? question.keys
        return """
            AND (NOT (\(RollUpQuestion.isShort)) OR EXISTS (SELECT FROM shorts c WHERE c.hour = s.hour
                AND c.cell = \(RollUpQuestion.groupExpression(cells.filter { $0 != .release || question.keys.contains(.release) }))))
            """
    }

    /// The hours and groups in which short jobs are shown.
    private static func shortCells(_ question: RollUpQuestion) -> String {
        guard case .public = question.visibility else { return "" }
        let cells = (question.cellKeys ?? question.keys).filter { $0 != .release || question.keys.contains(.release) }
        return """
            shorts AS MATERIALIZED (
                SELECT cell, hour FROM (
                    SELECT DISTINCT \(RollUpQuestion.groupExpression(cells)) AS cell, s.hour, k.job_id,
                        least(k.finished_at, s.hour + interval '1 hour') - greatest(k.started_at, s.hour) AS time
                    FROM host h JOIN slice s ON s.host_id = h.host_id AND s.hour >= $1 AND s.hour < $2
                        JOIN span p ON p.host_id = s.host_id AND p.span_id = s.span_id JOIN span_key k ON k.job_id = p.job_id
                        \(RollUpQuestion.releaseJoin(question.keys))
                    WHERE \(RollUpQuestion.isShort) AND \(question.condition(isByRelease: question.keys.contains(.release)))
                ) j GROUP BY cell, hour
                HAVING count(*) >= \(RollUpQuestion.shortJobsTogether)
                    AND sum(greatest(time, interval '0')) >= interval '\(RollUpQuestion.aloneSeconds) seconds'
            ),
            """
    }

    // A cell is a group in a host-hour's component. Its limits are never beyond what the host's meters allow; its error of sharing is that
    // of the union of its jobs, which vanishes where they are all of the host.
    private static func energySQL(_ question: RollUpQuestion) -> String {
        let methods = ShareMethod.allCases
        let own = methods.enumerated().map {
            "coalesce(sum(dynamic_uj + idle) FILTER (WHERE share_method = '\($1.rawValue)'), 0) AS own\($0)"
        }
        let drawn = methods.enumerated().map {
            "coalesce(sum(dynamic_uj) FILTER (WHERE share_method = '\($1.rawValue)'), 0) AS dynamic\($0)"
        }
        let sigma = methods.indices.map { "c.dynamic\($0) * (\(shareErrors)::float8[])[\($0 + 1)]" }.joined(separator: " + ")
        return """
            WITH \(shortCells(question)) part AS (
                SELECT \(RollUpQuestion.groupExpression(question.keys)) AS cell, s.host_id, s.hour, s.component, s.share_method, s.quality,
                    s.dynamic_uj, x.idle, s.metered_us, s.estimated_uj, s.gap_error_uj, s.intensity_id, h.is_simulated, s.floor_uj,
                    (extract(epoch FROM s.to_t - s.from_t) * 1000000)::int8 AS time_us,
                    s.drawn_low_uj + least((x.idle - s.floor_low_uj) * s.floor_ratio_low, (x.idle - s.floor_low_uj) * s.floor_ratio_high)
                        AS low,
                    s.drawn_high_uj + s.unmetered_high_uj
                        + greatest((x.idle - s.floor_high_uj) * s.floor_ratio_low, (x.idle - s.floor_high_uj) * s.floor_ratio_high) AS high
                \(slices(question))
            ), cell AS (
                SELECT cell, host_id, hour, component, sum(dynamic_uj) AS dynamic, sum(idle) AS idle,
                    sum(least(dynamic_uj + idle, greatest(0, low))) AS low, sum(greatest(dynamic_uj + idle, 0, high)) AS high,
                    sum(time_us) AS time_us, sum(metered_us) AS metered_us, \((own + drawn).joined(separator: ", ")),
                    coalesce(sum(dynamic_uj + idle) FILTER (WHERE p.quality = 'modelled'), 0) AS modelled,
                    max(array_position(ARRAY['measured', 'sampled', 'modelled', 'partial', 'unknown'], p.quality)) AS quality,
                    coalesce(sum(estimated_uj), 0) AS estimated,
                    bool_or(estimated_uj IS NULL AND metered_us < time_us) AS has_unestimated, bool_or(is_simulated) AS is_simulated,
                    sum(idle - floor_uj) AS floor, sum(gap_error_uj * gap_error_uj) AS gap_variance,
                    max(i.zone || ' ' || i.provider || ' ' || i.kind) AS intensity_key,
                    coalesce(sum(dynamic_uj + idle) FILTER (WHERE i.intensity_id IS NOT NULL), 0) AS with_intensity,
                    coalesce(sum((dynamic_uj + idle) * i.g_per_kwh), 0) AS grams,
                    coalesce(sum((dynamic_uj + idle) * i.low_g_per_kwh), 0) AS intensity_low,
                    coalesce(sum((dynamic_uj + idle) * i.high_g_per_kwh), 0) AS intensity_high,
                    coalesce(sum(least(dynamic_uj + idle, greatest(0, low)) * i.low_g_per_kwh), 0) AS grams_low,
                    coalesce(sum(greatest(dynamic_uj + idle, 0, high) * i.high_g_per_kwh), 0) AS grams_high,
                    coalesce(sum((idle - floor_uj) * i.g_per_kwh), 0) AS grams_floor
                FROM part p LEFT JOIN intensity i USING (intensity_id) GROUP BY cell, host_id, hour, component
            ), keyed AS (
                SELECT c.*, least(c.high, l.metered_high_uj + l.unmetered_max_uj) AS capped_high, l.meter_error_ratio, l.floor_error_ratio,
                    l.pue / 3.6e6 AS ug,
                    -- sigma x s x (1 - s) x D, where the cell's dynamic energy is s x D.
                    (\(sigma)) * greatest(0, 1 - c.dynamic / nullif(l.metered_uj - l.idle_uj, 0)) AS share_error,
                    CASE WHEN c.dynamic + c.idle > 0 THEN c.grams / (c.dynamic + c.idle) ELSE 0 END AS mean_g
                FROM cell c JOIN host_hour l USING (host_id, hour, component)
            )
            SELECT cell, date_trunc($3::text, hour, 'UTC') AS bucket, host_id, component, intensity_key,
                sum(dynamic) AS dynamic, sum(idle) AS idle, sum(low) AS low, sum(capped_high) AS high,
                sum(time_us) AS time_us, sum(metered_us) AS metered_us, \(methods.indices.map { "sum(own\($0)) AS own\($0)" }.joined(separator: ", ")),
                sum(modelled) AS modelled, max(quality) AS quality, sum(estimated) AS estimated, bool_or(has_unestimated) AS has_unestimated,
                bool_or(is_simulated) AS is_simulated,
                sum(grams * ug)::float8 AS micrograms, sum(grams_low * ug)::float8 AS micrograms_low,
                sum(least(grams_high, capped_high * grams_high / nullif(high, 0)) * ug)::float8 AS micrograms_high,
                sum(intensity_low * ug)::float8 AS intensity_low, sum(intensity_high * ug)::float8 AS intensity_high,
                sum(with_intensity) AS with_intensity, sum((dynamic + idle) * meter_error_ratio)::float8 AS meter_error,
                sum(floor * floor_error_ratio)::float8 AS floor_error, coalesce(sum(share_error ^ 2), 0)::float8 AS share_variance,
                sum(gap_variance)::float8 AS gap_variance, sum(grams * ug * meter_error_ratio)::float8 AS meter_error_ug,
                sum(grams_floor * ug * floor_error_ratio)::float8 AS floor_error_ug,
                coalesce(sum((share_error * mean_g * ug) ^ 2), 0)::float8 AS share_variance_ug
            FROM keyed GROUP BY cell, bucket, host_id, component, intensity_key
            """
    }

    // An error of an instant counts plus at an end and minus at a start: where one job of a group begins as another ends it cancels.
    private static func edgesSQL(_ question: RollUpQuestion) -> String {
        """
        WITH \(shortCells(question)) part AS (
            SELECT \(RollUpQuestion.groupExpression(question.keys)) AS cell, date_trunc($3::text, s.hour, 'UTC') AS bucket, s.host_id,
                s.component, e.t, e.error, e.error * coalesce(i.g_per_kwh, 0) * l.pue / 3.6e6 AS ug
            \(slices(question, joins: edgeJoins, only: "e.error <> 0"))
        ), instant AS (
            SELECT cell, bucket, host_id, component, t, sum(error) AS error, sum(ug) AS ug FROM part GROUP BY cell, bucket, host_id, component, t
        )
        SELECT cell, bucket, host_id, component, sum(error * error) AS variance, sum(ug * ug) AS variance_ug
        FROM instant GROUP BY cell, bucket, host_id, component
        """
    }

    private static let edgeJoins = """
        CROSS JOIN LATERAL (VALUES (s.from_t, -s.start_error_uj), (s.to_t, s.end_error_uj)) e (t, error)
        LEFT JOIN intensity i ON i.intensity_id = s.intensity_id
        JOIN host_hour l ON l.host_id = s.host_id AND l.hour = s.hour AND l.component = s.component
        """

    private struct Place: Hashable {
        var group: [String?]
        var bucket: Timestamp?
        var hostID: Int32
        var component: Component
    }

    private static func addEdges(
        _ question: RollUpQuestion,
        _ leavingOut: Set<HostHour>,
        to parts: inout [RollUpPart],
        _ connection: PostgresConnection
    ) async throws {
        // The same place may be there once for each key of intensities; its edges go to the first.
        let index = Dictionary(
            parts.enumerated().map {
                (Place(group: $1.group, bucket: $1.bucket, hostID: $1.hostID, component: $1.component), $0)
            }
        ) { first, _ in first }
        for row in try await connection.query(question.statement("edges", edgesSQL(question)), values(question, leavingOut)) {
            let place = Place(
                group: try group(row),
                bucket: try bucket(row),
                hostID: try row.int32("host_id"),
                component: try component(row)
            )
            guard let at = index[place] else { continue }
            parts[at].edgeVariance += try row.double("variance")
            parts[at].edgeVarianceMicrograms += try row.double("variance_ug")
        }
    }

    private static func part(_ row: PostgresRow) throws -> RollUpPart {
        var part = RollUpPart(
            group: try group(row),
            bucket: try bucket(row),
            hostID: try row.int32("host_id"),
            component: try component(row)
        )
        part.intensityKey = try row.stringIfPresent("intensity_key")
        part.dynamic = try whole(row, "dynamic")
        part.idle = try whole(row, "idle")
        part.low = try row.double("low")
        part.high = try row.double("high")
        part.time = Microseconds(Int64(clamping: try whole(row, "time_us")))
        part.metered = Microseconds(Int64(clamping: try whole(row, "metered_us")))
        part.byMethod = try ShareMethod.allCases.indices.map { try whole(row, "own\($0)") }
        part.modelled = try whole(row, "modelled")
        let order: [Quality] = [.measured, .sampled, .modelled, .partial, .unknown]
        let quality = Int(try row.int32("quality"))
        guard order.indices.contains(quality - 1) else { throw StoredValueError(what: "quality", found: "\(quality)") }
        part.quality = order[quality - 1]
        part.estimated = try whole(row, "estimated")
        part.hasUnestimated = try row.bool("has_unestimated")
        part.isSimulated = try row.bool("is_simulated")
        part.micrograms = try row.double("micrograms")
        part.microgramsLow = try row.double("micrograms_low")
        part.microgramsHigh = try row.doubleIfPresent("micrograms_high") ?? 0
        part.intensityLow = try row.double("intensity_low")
        part.intensityHigh = try row.double("intensity_high")
        part.withIntensity = try whole(row, "with_intensity")
        part.meterError = try row.double("meter_error")
        part.floorError = try row.double("floor_error")
        part.shareVariance = try row.double("share_variance")
        part.gapVariance = try row.double("gap_variance")
        part.meterErrorMicrograms = try row.double("meter_error_ug")
        part.floorErrorMicrograms = try row.double("floor_error_ug")
        part.shareVarianceMicrograms = try row.double("share_variance_ug")
        return part
    }

    /// See `RollUpQuestion.groupExpression`.
    static func group(_ row: PostgresRow) throws -> [String?] {
        try row.stringArray("cell").map { $0.isEmpty ? nil : String($0.dropFirst()) }
    }

    static func bucket(_ row: PostgresRow) throws -> Timestamp? {
        try row.timestampMicrosecondsIfPresent("bucket").map { Timestamp(microseconds: $0) }
    }

    private static func component(_ row: PostgresRow) throws -> Component {
        let text = try row.string("component")
        guard let component = Component(rawValue: text) else { throw StoredValueError(what: "component", found: text) }
        return component
    }

    /// A sum of whole numbers: `numeric`, since a farm's may pass 64 bits.
    static func whole(_ row: PostgresRow, _ column: String) throws -> Int128 {
        let text = try row.numericString(column)
        guard let number = Int128(text) else { throw StoredValueError(what: "whole number", found: text) }
        return number
    }
}
