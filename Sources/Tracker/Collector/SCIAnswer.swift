import HTTPClient

/// The answer to `GET /v1/sci`: a score after ISO/IEC 21031 with what the standard wants told beside it.
public struct SCIAnswer: Decodable, Sendable {
    public struct Units: Decodable, Sendable {
        public var per: String
        public var name: String
        /// Nil where it is not said which units are meant.
        public var count: Double?
        public var counted: String
    }
    public struct Market: Decodable, Sendable {
        public var operational: RollUps.Interval?

        enum CodingKeys: String, CodingKey {
            case operational = "o_g"
        }
    }
    public struct Boundary: Decodable, Sendable {
        public var included: [String]
        public var excluded: [String]
        public var intensity: String
    }
    public struct Exclusions: Decodable, Sendable {
        public var jobsWithoutHost: Int64
        public var jobsWithoutMeter: Int64
        public var jobsHosted: Int64
        public var jobsRunning: Int64
        public var hoursLeftOut: Int64
        public var hoursSetAside: Int64

        enum CodingKeys: String, CodingKey {
            case jobsWithoutHost = "jobs_without_host"
            case jobsWithoutMeter = "jobs_without_meter"
            case jobsHosted = "jobs_hosted"
            case jobsRunning = "jobs_running"
            case hoursLeftOut = "hours_left_out"
            case hoursSetAside = "hours_set_aside"
        }
    }

    public var standard: String
    /// `gCO2e per release`.
    public var unit: String
    public var policy: String
    public var window: RollUps.Window
    public var score: RollUps.Interval?
    public var units: Units
    public var operationalGrams: RollUps.Interval?
    public var kilowattHours: RollUps.Interval?
    public var gramsPerKilowattHour: Double?
    public var embodiedGrams: RollUps.Interval?
    public var market: Market
    public var boundary: Boundary
    public var quality: String?
    /// Metered part of the jobs' time, 0...1.
    public var coverage: Double?
    public var shareMethods: [String]
    public var exclusions: Exclusions
    public var jobsCounted: Int64
    public var jobsWithoutUnit: Int64
    public var isSettled: Bool
    public var isSimulated: Bool
    public var missing: [RollUps.Missing]

    enum CodingKeys: String, CodingKey {
        case standard, unit, policy, window, boundary, quality, coverage, exclusions, missing
        case score = "sci"
        case units = "r"
        case operationalGrams = "o_g"
        case kilowattHours = "e_kwh"
        case gramsPerKilowattHour = "i_g_per_kwh"
        case embodiedGrams = "m_g"
        case market = "market_based"
        case shareMethods = "share_methods"
        case jobsCounted = "jobs_counted"
        case jobsWithoutUnit = "jobs_without_unit"
        case isSettled = "settled"
        case isSimulated = "simulated"
    }

    /// Why a figure is null.
    public func reason(_ field: String) -> String { missing.first { $0.field == field }?.reason ?? "-" }
}

extension CollectorClient {
    /// `GET /v1/sci`, and the text it came as.
    public func sci(_ items: [(name: String, value: String)]) async throws(CollectorError) -> (answer: SCIAnswer, json: [UInt8]) {
        let path = "/v1/sci?" + items.map { "\(Self.escaped($0.name))=\(Self.escaped($0.value))" }.joined(separator: "&")
        let body = try await send("GET", path).body
        return (try decode(SCIAnswer.self, body, of: path), body)
    }
}
