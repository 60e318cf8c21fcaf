/// The answer to `POST /v1/spans`.
public struct SpansAccepted: Decodable, Sendable {
    public struct Span: Decodable, Sendable {
        /// 26 characters: the job's id in every other route.
        public var id: String
        public var key: String?
        public var state: String?
    }
    public var accepted: [Span]
}

/// A footprint as `GET /v1/jobs/{id}` answers it; the fields that are shown.
public struct JobFootprint: Decodable, Sendable {
    public struct EnergyFigures: Decodable, Sendable {
        public var bestKilowattHours: Double?
        public var lowKilowattHours: Double?
        public var highKilowattHours: Double?
        public var quality: String?

        enum CodingKeys: String, CodingKey {
            case bestKilowattHours = "best_kwh"
            case lowKilowattHours = "low_kwh"
            case highKilowattHours = "high_kwh"
            case quality
        }
    }
    public struct Emissions: Decodable, Sendable {
        public struct Grams: Decodable, Sendable {
            public var best: Double?
            public var low: Double?
            public var high: Double?
        }
        public var location: Grams?
        /// By what the site has bought.
        public var market: Grams?
        /// Of making the machine.
        public var embodied: Grams?

        enum CodingKeys: String, CodingKey {
            case location = "location_g"
            case market = "market_g"
            case embodied = "embodied_g"
        }
    }
    public struct Share: Decodable, Sendable {
        public var method: String?
        public var mean: Double?
    }
    public struct Missing: Decodable, Sendable {
        public var field: String
        public var reason: String
    }

    public var id: String
    public var key: String?
    /// `pending`, `unattributed`, `final` or `closed`.
    public var state: String
    public var host: String?
    public var startedAt: String?
    public var finishedAt: String?
    public var energy: EnergyFigures?
    public var emissions: Emissions?
    public var share: Share?
    public var policy: String?
    /// Names what the footprint was made from.
    public var statement: String?
    public var missing: [Missing]?

    /// Nothing will be added to it but corrections.
    public var isSettled: Bool { state == "final" || state == "closed" }

    enum CodingKeys: String, CodingKey {
        case id, key, state, host, energy, share, policy, statement, missing
        case startedAt = "started_at"
        case finishedAt = "finished_at"
        case emissions = "co2e"
    }
}

/// One hour of `GET /v1/hosts/{name}/hours`: the accounts of a host, every joule in exactly one of them.
public struct HostHour: Decodable, Sendable {
    public struct Job: Decodable, Sendable {
        /// Nil for a host that runs on this one.
        public var id: String?
        public var key: String?
        public var job: String?
        /// A host that runs on this one: what it has here is its own energy.
        public var host: String?
        public var dynamicMicrojoules: DecimalMicrojoules
        public var idleMicrojoules: DecimalMicrojoules

        enum CodingKeys: String, CodingKey {
            case id, key, job, host
            case dynamicMicrojoules = "dynamic_uj"
            case idleMicrojoules = "idle_uj"
        }
    }

    public var hour: String
    /// `settled`, `open` or `set_aside`.
    public var state: String
    /// Nil, as all accounts, in an hour that could not be accounted and of which nothing is known.
    public var metered: DecimalMicrojoules?
    public var jobDynamic: DecimalMicrojoules?
    public var system: DecimalMicrojoules?
    public var agent: DecimalMicrojoules?
    /// Before policy.
    public var idle: DecimalMicrojoules?
    public var unknown: DecimalMicrojoules?
    /// What of `idle` goes to jobs for the part of the machine they reserved.
    public var idleReserved: DecimalMicrojoules?
    public var jobs: [Job]?

    enum CodingKeys: String, CodingKey {
        case hour, state, jobs
        case metered = "metered_uj"
        case jobDynamic = "job_dynamic_uj"
        case system = "system_uj"
        case agent = "agent_uj"
        case idle = "idle_uj"
        case unknown = "unknown_uj"
        case idleReserved = "idle_reserved_uj"
    }
}

/// The answer to `GET /v1/hosts/{name}/hours`.
public struct HostHours: Decodable, Sendable {
    public var host: String
    public var hours: [HostHour]
    /// Nil from a collector that does not tell yet.
    public var carbon: HostCarbon?
}

/// Whole µJ as collectors write them: a decimal string, since a farm's month passes what a JSON number holds.
public struct DecimalMicrojoules: Decodable, Sendable, Hashable {
    public var count: Int64

    public init(_ count: Int64) { self.count = count }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text: String
        do {
            text = try container.decode(String.self)
        } catch DecodingError.typeMismatch {
            count = try container.decode(Int64.self)
            return
        }
        guard let number = Int64(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "expected whole µJ as a decimal string, found \(text)")
        }
        count = number
    }
}
