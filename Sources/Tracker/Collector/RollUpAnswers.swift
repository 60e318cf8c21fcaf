import HTTPClient

/// What groups of jobs cost, as `GET /v1/rollups` answers it; the fields that are shown.
public struct RollUps: Decodable, Sendable {
    public struct Interval: Decodable, Sendable {
        public var best: Double
        public var low: Double
        public var high: Double
    }
    public struct EnergyFigures: Decodable, Sendable {
        public var microjoules: String?
        public var bestKilowattHours: Double
        public var lowKilowattHours: Double
        public var highKilowattHours: Double
        public var quality: String
        /// Metered part of the jobs' time, 0...1.
        public var coverage: Double?
        public var byMethod: [String: Double]

        enum CodingKeys: String, CodingKey {
            case microjoules = "uj"
            case bestKilowattHours = "best_kwh"
            case lowKilowattHours = "low_kwh"
            case highKilowattHours = "high_kwh"
            case quality, coverage
            case byMethod = "by_method_kwh"
        }
    }
    public struct Emissions: Decodable, Sendable {
        public struct Limits: Decodable, Sendable {
            public var best: Double
            public var low: Double
            public var high: Double
        }

        public var location: Interval?
        /// By what the sites have bought.
        public var market: Interval?
        /// Of making the machines.
        public var embodied: Limits?

        enum CodingKeys: String, CodingKey {
            case location = "location_g"
            case market = "market_g"
            case embodied = "embodied_g"
        }
    }
    public struct Jobs: Decodable, Sendable {
        public var count: Int64
        public var succeeded: Int64
        public var withoutHost: Int64

        enum CodingKeys: String, CodingKey {
            case count, succeeded
            case withoutHost = "without_host"
        }
    }
    public struct Units: Decodable, Sendable {
        public var unit: String
        public var count: Double
        public var kilowattHoursPerUnit: Interval?
        public var gramsPerUnit: Interval?

        enum CodingKeys: String, CodingKey {
            case unit, count
            case kilowattHoursPerUnit = "kwh_per_unit"
            case gramsPerUnit = "g_per_unit"
        }
    }
    public struct Missing: Decodable, Sendable {
        public var field: String
        public var reason: String
    }
    public struct Group: Decodable, Sendable {
        /// Start of the bucket, RFC 3339; nil without buckets.
        public var from: String?
        public var energy: EnergyFigures?
        public var emissions: Emissions
        public var jobs: Jobs
        public var units: [Units]
        public var isSettled: Bool
        public var isSimulated: Bool
        public var missing: [Missing]

        enum CodingKeys: String, CodingKey {
            case from, energy, jobs, units, missing
            case emissions = "co2e"
            case isSettled = "settled"
            case isSimulated = "simulated"
        }
    }
    public struct Window: Decodable, Sendable {
        public var from: String
        public var to: String
    }

    public var policy: String
    public var window: Window
    public var groups: [Group]
    public var total: Group?
    public var openHours: Int?
    public var leftOutHours: Int
    /// That could not be accounted.
    public var setAsideHours: Int?

    enum CodingKeys: String, CodingKey {
        case policy, window, groups, total
        case openHours = "open_hours"
        case leftOutHours = "left_out_hours"
        case setAsideHours = "set_aside_hours"
    }
}

/// The answer to `GET /v1/compare`.
public struct TimesCompared: Decodable, Sendable {
    public struct Difference: Decodable, Sendable {
        public var kilowattHours: RollUps.Interval
        /// Whether the 95 % interval leaves out 0.
        public var isDistinguishable: Bool
        public var grams: RollUps.Interval?

        enum CodingKeys: String, CodingKey {
            case kilowattHours = "energy_kwh"
            case isDistinguishable = "is_distinguishable"
            case grams = "location_g"
        }
    }

    public var policy: String
    public var before: RollUps.Group
    public var after: RollUps.Group
    public var difference: Difference?
    public var perJob: Difference?
    public var missing: [RollUps.Missing]

    enum CodingKeys: String, CodingKey {
        case policy, before, after, difference, missing
        case perJob = "difference_per_job"
    }
}

extension CollectorClient {
    /// `GET /v1/rollups`: one group of jobs, in buckets of time or as one; and the text it came as.
    ///
    /// - Parameter items: the query.
    public func rollUps(_ items: [(name: String, value: String)]) async throws(CollectorError) -> (answer: RollUps, json: [UInt8]) {
        let path = "/v1/rollups?" + CollectorClient.query(items)
        let body = try await send("GET", path).body
        return (try decode(RollUps.self, body, of: path), body)
    }

    /// `GET /v1/compare`, and the text it came as.
    public func compare(_ items: [(name: String, value: String)]) async throws(CollectorError) -> (answer: TimesCompared, json: [UInt8]) {
        let path = "/v1/compare?" + CollectorClient.query(items)
        let body = try await send("GET", path).body
        return (try decode(TimesCompared.self, body, of: path), body)
    }

    private static func query(_ items: [(name: String, value: String)]) -> String {
        items.map { "\(escaped($0.name))=\(escaped($0.value))" }.joined(separator: "&")
    }
}
