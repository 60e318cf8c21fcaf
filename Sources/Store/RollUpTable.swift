import Accounting
public import Carbon
public import Energy
public import Postgres

/// What one group's jobs got of one component of one host in one stretch of time, as sums that later ones can be added to. Energies in µJ.
public struct RollUpPart: Sendable {
    /// Where intensities come from: they err together. And their means, weighted by the energy that they count for.
    public struct Intensities: Sendable, Hashable {
        public var zone: String
        public var provider: String
        public var kind: String
        /// Figures of two are never in one sum.
        public var basis: String
        /// gCO2e/kWh.
        public var best: Double
        public var low: Double
        public var high: Double
        /// Facility energy over that of the machines, weighted alike.
        public var pue: Double
        /// CO2e in g of the energy's hard limits.
        public var boundLowGrams: Double
        public var boundHighGrams: Double
    }

    /// Of each of the question's fields; nil where its jobs say nothing.
    public var group: [String?]
    /// The start of the stretch: an hour, or a day or month whose hours' own errors are summed already.
    public var start: Timestamp
    public var hostID: Int32
    public var component: Component
    /// Nil where no intensity is known.
    public var intensities: Intensities?
    /// By what the host's site has bought; nil where that is not known.
    public var market: Intensities?
    /// Of the machines' energy; nil where nobody says how much the building uses.
    public var waterLitres: Double?
    /// Of making the machines, for the time that the jobs had them reserved: with the first component. Nil where a figure is lacking.
    public var embodied: CO2eRange? = .zero

    public var dynamic: Int128 = 0
    /// Moved by the policy.
    public var idle: Int128 = 0
    /// Hard limits of the two together; never beyond what the host's meters allow.
    public var boundLow = 0.0
    public var boundHigh = 0.0
    /// Time of the slices, and of it what was metered.
    public var time = Microseconds.zero
    public var metered = Microseconds.zero
    /// Dynamic and idle together, in the order of `ShareMethod.allCases`.
    public var byMethod: [Int128] = [0, 0, 0, 0]
    /// The part that a model says and no sensor.
    public var modelled: Int128 = 0
    public var quality = Quality.measured
    /// The jobs' own mean power over time that was not metered, with its standard deviation.
    public var estimated: Int128 = 0
    public var gapError = 0.0
    /// The most that can have flowed where too little was metered to say.
    public var unestimatedHigh = 0.0
    public var isSimulated = false

    /// What all accounts of the host shared out by use in these hours, and what its meters counted and can have counted at most.
    public var wholeShared = 0.0
    public var wholeMetered = 0.0
    public var ceiling = 0.0
    /// Standard deviation of the meters' own error over all that they counted in these hours, µJ.
    public var wholeMeterError = 0.0
    /// The same of the group's energy, and of its idle floor.
    public var meterError = 0.0
    public var floorError = 0.0
    /// Each method's error times the energy that was shared out by it.
    public var shareWeight = 0.0
    /// Square of the standard deviation of the shares, of stretches of several hours.
    public var shareVariance = 0.0

    public init(group: [String?], start: Timestamp, hostID: Int32, component: Component) {
        self.group = group
        self.start = start
        self.hostID = hostID
        self.component = component
    }

    public var energy: Int128 { dynamic + idle }
}

extension RollUpPart.Intensities {
    /// From sums over a part's hours: of energy times the figures, times PUE, and of the limits.
    fileprivate init(
        _ row: PostgresRow,
        zone: String,
        provider: String,
        kind: String,
        basis: String,
        columns: String,
        energy: Double
    ) throws {
        self.zone = zone
        self.provider = provider
        self.kind = kind
        self.basis = basis
        let g = try row.double(columns)
        let pue = try row.double("pue")
        best = energy > 0 ? g / energy : 0
        low = energy > 0 ? try row.double("\(columns)_low") / energy : 0
        high = energy > 0 ? try row.double("\(columns)_high") / energy : 0
        self.pue = g > 0 ? try row.double("\(columns)_pue") / g : pue
        boundLowGrams = try row.double("bound_low_\(columns)")
        boundHighGrams = try row.double("bound_high_\(columns)")
    }
}

/// Errors of the instants at which a group's jobs began and ended on a component of a host: plus at an end, minus at a start.
public struct RollUpEdge: Sendable {
    public var group: [String?]
    public var start: Timestamp
    public var hostID: Int32
    public var component: Component
    /// Nil where those of several instants are summed to one standard deviation.
    public var instant: Timestamp?
    public var microjoules: Double
    public var grams: Double
    /// By what the host's site has bought; 0 where that is not known.
    public var marketGrams: Double
    /// Of the intensity at the instant; nil where none is known.
    public var basis: String?
}

/// How finely errors are told apart by time.
public enum RollUpStretch: String, Sendable {
    /// As they are.
    case hour
    /// Errors that each belong to an hour or an instant are summed over a day or a month; those that last longer are kept apart by what
    /// they belong to all the same.
    case day, month
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

    /// The sums of settled hours.
    ///
    /// - Parameters:
    ///   - leavingOut: hours that somebody else sums.
    ///   - terms: of the hosts' sites and making.
    public static func parts(
        _ question: RollUpQuestion,
        by stretch: RollUpStretch,
        leavingOut: Set<HostHour>,
        terms: [Int32: HostTerms],
        _ connection: PostgresConnection
    ) async throws -> [RollUpPart] {
        let methods = ShareMethod.allCases
        let values =
            values(question, stretch, leavingOut) + termValues(terms, question.interval)
            + [.textArray(methods.map(\.rawValue)), .float8Array(methods.map(\.errorRatio))]
        return try await connection.query(question.statement("energy", energySQL(question)), values).map(part)
    }

    /// The errors of the edges within the same hours.
    public static func edges(
        _ question: RollUpQuestion,
        by stretch: RollUpStretch,
        leavingOut: Set<HostHour>,
        terms: [Int32: HostTerms],
        _ connection: PostgresConnection
    ) async throws -> [RollUpEdge] {
        let name = stretch == .hour ? "edges" : "edge_sums"
        let sql = edgesSQL(question, isSummed: stretch != .hour)
        let values = values(question, stretch, leavingOut) + termValues(terms, question.interval)
        return try await connection.query(question.statement(name, sql), values).map { row in
            RollUpEdge(
                group: try group(row),
                start: Timestamp(microseconds: try row.timestampMicroseconds("start")),
                hostID: try row.int32("host_id"),
                component: try component(row),
                instant: try row.timestampMicrosecondsIfPresent("t").map { Timestamp(microseconds: $0) },
                microjoules: try row.double("error"),
                grams: try row.double("grams"),
                marketGrams: try row.double("market_grams"),
                basis: try row.stringIfPresent("basis")
            )
        }
    }

    /// The groups and buckets that have slices in some hours.
    public static func groups(
        _ question: RollUpQuestion,
        in hours: Set<HostHour>,
        _ connection: PostgresConnection
    ) async throws -> [(group: [String?], bucket: Timestamp?)] {
        let asked = "(SELECT FROM unnest($\(RollUpQuestion.parameters + 4)::int4[], $\(RollUpQuestion.parameters + 5)::timestamptz[])"
        let sql = """
            WITH \(shortCells(question)) part AS (
                SELECT DISTINCT \(RollUpQuestion.groupExpression(question.keys)) AS cell, date_trunc($3::text, s.hour, 'UTC') AS bucket
                \(slices(question, only: "EXISTS \(asked) AS a (host_id, hour) WHERE a.host_id = s.host_id AND a.hour = s.hour)"))
            ) SELECT cell, bucket FROM part
            """
        let sorted = hours.sorted { ($0.hostID, $0.hour) < ($1.hostID, $1.hour) }
        let values: [PostgresValue?] =
            question.values(by: question.bucket?.rawValue) + [
                .text(question.policy.rawValue), .int4Array([]), .timestamptzArray(microseconds: [Int64]()),
                .int4Array(sorted.map(\.hostID)), .timestamptzArray(microseconds: sorted.map { $0.hour.start.microseconds }),
            ]
        return try await connection.query(question.statement("moving", sql), values).map { (try group($0), try bucket($0)) }
    }

    private static func values(_ question: RollUpQuestion, _ stretch: RollUpStretch, _ leavingOut: Set<HostHour>) -> [PostgresValue?] {
        let hours = leavingOut.sorted { ($0.hostID, $0.hour) < ($1.hostID, $1.hour) }
        return question.values(by: stretch.rawValue) + [
            .text(question.policy.rawValue), .int4Array(hours.map(\.hostID)),
            .timestamptzArray(microseconds: hours.map { $0.hour.start.microseconds }),
        ]
    }

    private static let policy = "$\(RollUpQuestion.parameters + 1)"
    private static let openHosts = "$\(RollUpQuestion.parameters + 2)"
    private static let openHours = "$\(RollUpQuestion.parameters + 3)"
    private static let stretch = "$3"
    private static let firstTerm = RollUpQuestion.parameters + 4
    private static let methods = "$\(firstTerm + termTypes.count)"
    private static let shareErrors = "$\(firstTerm + termTypes.count + 1)"
    private static let idle = """
        CASE \(policy) WHEN 'reserved' THEN s.idle_reserved_uj WHEN 'busy' THEN s.idle_busy_uj WHEN 'equal' THEN s.idle_equal_uj ELSE 0 END
        """

    private static let termTypes = [
        ("host_id", "int4"), ("from_t", "timestamptz"), ("to_t", "timestamptz"), ("site", "text"), ("provider", "text"), ("kind", "text"),
        ("g", "float8"), ("g_low", "float8"), ("g_high", "float8"), ("wue", "float8"), ("making", "float8"), ("making_low", "float8"),
        ("making_high", "float8"),
    ]

    /// `terms t`: of each host, in order of time and without holes, what its energy is put to; what is not known is null. Of making the
    /// machine grams an hour.
    private static let termsCTE = """
        terms AS MATERIALIZED (SELECT * FROM unnest(
            \(termTypes.enumerated().map { "$\(firstTerm + $0)::\($1.1)[]" }.joined(separator: ", "))
        ) AS t (\(termTypes.map(\.0).joined(separator: ", "))))
        """

    private static func termsOf(_ table: String) -> String {
        "LEFT JOIN terms t ON t.host_id = \(table).host_id AND \(table).hour >= t.from_t AND \(table).hour < t.to_t"
    }

    private static func termValues(_ terms: [Int32: HostTerms], _ interval: Interval) -> [PostgresValue] {
        var stretches: [(host: Int32, part: Interval, stretch: HostTerms.Stretch)] = []
        for (host, terms) in terms.sorted(by: { $0.key < $1.key }) {
            for stretch in terms.stretches {
                if let part = stretch.interval.intersection(interval) { stretches.append((host, part, stretch)) }
            }
        }
        let markets = stretches.map(\.stretch.marketIntensity)
        let making = stretches.map(\.stretch.embodiedPerHour)
        return [
            .int4Array(stretches.map(\.host)), .timestamptzArray(microseconds: stretches.map(\.part.start.microseconds)),
            .timestamptzArray(microseconds: stretches.map(\.part.end.microseconds)), .textArray(markets.map { $0?.zone }),
            .textArray(markets.map { $0?.provider }), .textArray(markets.map { $0?.kind.rawValue }),
            .float8Array(markets.map { $0?.gramsPerKilowattHour }), .float8Array(markets.map { $0?.low }),
            .float8Array(markets.map { $0?.high }), .float8Array(stretches.map { $0.stretch.water?.litresPerKilowattHour }),
            .float8Array(making.map { $0?.best.grams }), .float8Array(making.map { $0?.low.grams }),
            .float8Array(making.map { $0?.high.grams }),
        ]
    }

    /// The slices that count (below 0 are hosts on the host, whose jobs have slices of their own), each with its job `k`, its host `h` and `x.idle`, the idle that the policy moves to it.
    private static func slices(_ question: RollUpQuestion, joins: String = "", only: String = "true") -> String {
        """
        FROM host h JOIN slice s ON s.host_id = h.host_id AND s.hour >= $1 AND s.hour < $2 AND s.span_id > 0
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
                    FROM host h JOIN slice s ON s.host_id = h.host_id AND s.hour >= $1 AND s.hour < $2 AND s.span_id > 0
                        JOIN span p ON p.host_id = s.host_id AND p.span_id = s.span_id JOIN span_key k ON k.job_id = p.job_id
                        \(RollUpQuestion.releaseJoin(question.keys))
                    WHERE \(RollUpQuestion.isShort) AND \(question.condition(isByRelease: question.keys.contains(.release)))
                ) j GROUP BY cell, hour
                HAVING count(*) >= \(RollUpQuestion.shortJobsTogether)
                    AND sum(greatest(time, interval '0')) >= interval '\(RollUpQuestion.aloneSeconds) seconds'
            ),
            """
    }

    /// What a slice keeps of the default policy, under the one asked for: limits of the idle moved, and the estimate of its gaps.
    private static let underPolicy = """
        CROSS JOIN LATERAL (SELECT
            CASE \(policy) WHEN 'busy' THEN coalesce(s.busy_idle_low_uj, x.idle) ELSE x.idle END AS least,
            CASE \(policy) WHEN 'busy' THEN coalesce(s.busy_idle_high_uj, x.idle) ELSE x.idle END AS most,
            CASE WHEN s.estimated_uj IS NULL OR s.metered_us = 0 THEN s.estimated_uj ELSE round((s.dynamic_uj + x.idle)::float8 / s.metered_us
                * ((extract(epoch FROM s.to_t - s.from_t) * 1000000)::int8 - s.metered_us))::int8 END AS estimated_uj
        ) y
        """

    // A cell is a group in a host-hour's component. Its limits are never beyond what the host's meters allow; its error of sharing is that
    // of the union of its jobs, sigma x s x (1 - s) x D, which vanishes where they are all of the host.
    private static func energySQL(_ question: RollUpQuestion) -> String {
        let own = ShareMethod.allCases.enumerated().map {
            "coalesce(sum(own) FILTER (WHERE share_method = '\($1.rawValue)'), 0) AS own\($0)"
        }
        return """
            WITH \(termsCTE), \(shortCells(question)) part AS (
                SELECT \(RollUpQuestion.groupExpression(question.keys)) AS cell, s.host_id, s.hour, s.component, s.share_method, s.quality,
                    s.reserved_us,
                    s.dynamic_uj, x.idle, s.dynamic_uj + x.idle AS own, s.metered_us, y.estimated_uj,
                    CASE WHEN s.estimated_uj > 0 THEN s.gap_error_uj * y.estimated_uj / s.estimated_uj ELSE s.gap_error_uj END AS gap_error_uj, s.floor_uj,
                    s.unmetered_high_uj, h.is_simulated, s.intensity_id, (extract(epoch FROM s.to_t - s.from_t) * 1000000)::int8 AS time_us,
                    s.dynamic_uj + CASE \(policy) WHEN 'busy' THEN x.idle ELSE 0 END AS shared,
                    least(s.dynamic_uj + x.idle, greatest(0, s.drawn_low_uj
                        + least((y.least - s.floor_low_uj) * s.floor_ratio_low, (y.least - s.floor_low_uj) * s.floor_ratio_high))) AS low,
                    greatest(s.dynamic_uj + x.idle, s.drawn_high_uj + s.unmetered_high_uj
                        + greatest((y.most - s.floor_high_uj) * s.floor_ratio_low, (y.most - s.floor_high_uj) * s.floor_ratio_high)) AS high
                \(slices(question, joins: underPolicy))
            ), cell AS (
                SELECT cell, host_id, hour, component, i.zone, i.provider, i.kind, i.basis, sum(dynamic_uj) AS dynamic, sum(idle) AS idle,
                    sum(shared) AS shared, sum(low) AS low, sum(high) AS high, sum(time_us) AS time_us, sum(metered_us) AS metered_us,
                    \(own.joined(separator: ", ")), coalesce(sum(own) FILTER (WHERE p.quality = 'modelled'), 0) AS modelled,
                    max(array_position(ARRAY['measured', 'sampled', 'modelled', 'partial', 'unknown'], p.quality)) AS quality,
                    coalesce(sum(estimated_uj), 0) AS estimated, sum(gap_error_uj) AS gap_error,
                    coalesce(sum(unmetered_high_uj) FILTER (WHERE estimated_uj IS NULL), 0) AS unestimated,
                    bool_or(is_simulated) AS is_simulated, sum(idle - floor_uj) AS floor, CASE WHEN bool_and(reserved_us IS NOT NULL) THEN sum(reserved_us) END AS reserved_us,
                    sum(shared * (\(shareErrors)::float8[])[array_position(\(methods)::text[], share_method)]) AS share_weight,
                    sum(own * i.g_per_kwh) AS g, sum(own * i.low_g_per_kwh) AS g_low, sum(own * i.high_g_per_kwh) AS g_high,
                    sum(low * i.low_g_per_kwh) AS bound_low_g, sum(high * i.high_g_per_kwh) AS bound_high_g
                FROM part p LEFT JOIN intensity i USING (intensity_id) GROUP BY cell, host_id, hour, component, i.zone, i.provider, i.kind, i.basis
            ), keyed AS (
                SELECT c.*, t.site, t.provider AS seller, t.kind AS sale, t.g AS m, t.g_low AS m_low, t.g_high AS m_high, t.wue, t.making,
                    t.making_low, t.making_high, least(c.high, l.metered_high_uj + l.unmetered_max_uj) AS capped, l.pue, l.metered_uj,
                    l.metered_uj - l.idle_uj + CASE \(policy) WHEN 'busy' THEN l.idle_busy_uj ELSE 0 END AS whole_shared,
                    l.metered_high_uj + l.unmetered_max_uj AS ceiling,
                    coalesce(nullif(l.meter_error_ratio, 0), \(MeterAccuracy.unknown)) AS meter_ratio,
                    coalesce(nullif(l.floor_error_ratio, 0), \(MeterAccuracy.unknownFloor)) AS floor_ratio
                FROM cell c JOIN host_hour l USING (host_id, hour, component) \(termsOf("c"))
            )
            SELECT cell, date_trunc(\(stretch)::text, hour, 'UTC') AS start, host_id, component, zone, provider, kind, basis,
                sum(dynamic) AS dynamic, sum(idle) AS idle, sum(low) AS low, sum(capped) AS high,
                sum(time_us) AS time_us, sum(metered_us) AS metered_us,
                \(own.indices.map { "sum(own\($0)) AS own\($0)" }.joined(separator: ", ")),
                sum(modelled) AS modelled, max(quality) AS quality, sum(estimated) AS estimated,
                sqrt(sum(gap_error ^ 2)) AS gap_error, sum(unestimated) AS unestimated, bool_or(is_simulated) AS is_simulated,
                sum(whole_shared)::float8 AS whole_shared, sum(metered_uj)::float8 AS whole_metered, sum(ceiling)::float8 AS ceiling,
                sum(metered_uj * meter_ratio)::float8 AS whole_meter_error,
                sum((dynamic + idle + estimated) * meter_ratio)::float8 AS meter_error, sum(floor * floor_ratio)::float8 AS floor_error,
                sum(share_weight) AS share_weight,
                coalesce(sum((share_weight * greatest(0, 1 - shared / nullif(whole_shared, 0))) ^ 2), 0)::float8 AS share_variance,
                sum(g)::float8 AS g, sum(g_low)::float8 AS g_low, sum(g_high)::float8 AS g_high, sum(g * pue)::float8 AS g_pue,
                max(pue) AS pue, sum(bound_low_g * pue)::float8 / 3.6e12 AS bound_low_g,
                sum(bound_high_g * pue * coalesce(capped / nullif(high, 0), 1))::float8 / 3.6e12 AS bound_high_g,
                site, seller, sale, sum((dynamic + idle) * m)::float8 AS m, sum((dynamic + idle) * m_low)::float8 AS m_low,
                sum((dynamic + idle) * m_high)::float8 AS m_high, sum((dynamic + idle) * m * pue)::float8 AS m_pue,
                sum(low * m_low * pue)::float8 / 3.6e12 AS bound_low_m, sum(capped * m_high * pue)::float8 / 3.6e12 AS bound_high_m,
                CASE WHEN bool_and(wue IS NOT NULL) THEN sum((dynamic + idle) * wue)::float8 / 3.6e12 END AS water_l,
                bool_or(reserved_us IS NULL OR reserved_us > 0 AND making IS NULL) AS lacks_making,
                coalesce(sum(reserved_us * making), 0)::float8 / 3.6e9 AS making,
                coalesce(sum(reserved_us * making_low), 0)::float8 / 3.6e9 AS making_low,
                coalesce(sum(reserved_us * making_high), 0)::float8 / 3.6e9 AS making_high
            FROM keyed GROUP BY cell, start, host_id, component, zone, provider, kind, basis, site, seller, sale
            """
    }

    // An error of an instant counts plus at an end and minus at a start: where one job of a group begins as another ends it cancels.
    private static func edgesSQL(_ question: RollUpQuestion, isSummed: Bool) -> String {
        let instants = """
            WITH \(termsCTE), \(shortCells(question)) part AS (
                SELECT \(RollUpQuestion.groupExpression(question.keys)) AS cell, date_trunc(\(stretch)::text, s.hour, 'UTC') AS start,
                    s.host_id, s.component, e.t, e.error, e.error * coalesce(i.g_per_kwh, 0) * l.pue / 3.6e12 AS grams, i.basis,
                    e.error * coalesce(t.g, 0) * l.pue / 3.6e12 AS market_grams
                \(slices(question, joins: edgeJoins, only: "e.error <> 0"))
            ), instant AS (
                SELECT cell, start, host_id, component, t, sum(error) AS error, sum(grams) AS grams,
                    sum(market_grams) AS market_grams, min(basis) AS basis FROM part
                GROUP BY cell, start, host_id, component, t HAVING abs(sum(error)) > 1e-6 * max(abs(error))
            )
            """
        return isSummed
            ? """
            \(instants) SELECT cell, start, host_id, component, basis, NULL::timestamptz AS t, sqrt(sum(error ^ 2)) AS error,
                sqrt(sum(grams ^ 2)) AS grams, sqrt(sum(market_grams ^ 2)) AS market_grams FROM instant GROUP BY cell, start, host_id, component, basis
            """
            : "\(instants) SELECT * FROM instant"
    }

    private static let edgeJoins = """
        CROSS JOIN LATERAL (VALUES (s.from_t, -s.start_error_uj), (s.to_t, s.end_error_uj)) e (t, error)
        LEFT JOIN intensity i ON i.intensity_id = s.intensity_id
        JOIN host_hour l ON l.host_id = s.host_id AND l.hour = s.hour AND l.component = s.component
        \(termsOf("s"))
        """

    private static func part(_ row: PostgresRow) throws -> RollUpPart {
        var part = RollUpPart(
            group: try group(row),
            start: Timestamp(microseconds: try row.timestampMicroseconds("start")),
            hostID: try row.int32("host_id"),
            component: try component(row)
        )
        part.dynamic = try whole(row, "dynamic")
        part.idle = try whole(row, "idle")
        part.boundLow = try row.double("low")
        part.boundHigh = try row.double("high")
        part.time = Microseconds(Int64(clamping: try whole(row, "time_us")))
        part.metered = Microseconds(Int64(clamping: try whole(row, "metered_us")))
        part.byMethod = try ShareMethod.allCases.indices.map { try whole(row, "own\($0)") }
        part.modelled = try whole(row, "modelled")
        let order: [Quality] = [.measured, .sampled, .modelled, .partial, .unknown]
        let quality = Int(try row.int32("quality"))
        guard order.indices.contains(quality - 1) else { throw StoredValueError(what: "quality", found: "\(quality)") }
        part.quality = order[quality - 1]
        part.estimated = try whole(row, "estimated")
        part.gapError = try row.double("gap_error")
        part.unestimatedHigh = try row.double("unestimated")
        part.isSimulated = try row.bool("is_simulated")
        part.wholeShared = try row.double("whole_shared")
        part.wholeMetered = try row.double("whole_metered")
        part.ceiling = try row.double("ceiling")
        part.wholeMeterError = try row.double("whole_meter_error")
        part.meterError = try row.double("meter_error")
        part.floorError = try row.double("floor_error")
        part.shareWeight = try row.double("share_weight")
        part.shareVariance = try row.double("share_variance")
        let energy = Double(part.energy)
        if let zone = try row.stringIfPresent("zone") {
            part.intensities = try RollUpPart.Intensities(
                row,
                zone: zone,
                provider: try row.string("provider"),
                kind: try row.string("kind"),
                basis: try row.string("basis"),
                columns: "g",
                energy: energy
            )
        }
        if let site = try row.stringIfPresent("site") {
            part.market = try RollUpPart.Intensities(
                row,
                zone: site,
                provider: try row.string("seller"),
                kind: try row.string("sale"),
                basis: Intensity.Basis.market.description,
                columns: "m",
                energy: energy
            )
        }
        part.waterLitres = try row.doubleIfPresent("water_l")
        part.embodied =
            try row.bool("lacks_making")
            ? nil
            : CO2eRange(
                low: CO2e(grams: try row.double("making_low")),
                best: CO2e(grams: try row.double("making")),
                high: CO2e(grams: try row.double("making_high"))
            )
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
