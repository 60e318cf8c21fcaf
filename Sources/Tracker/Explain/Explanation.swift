/// The answer to `GET /v1/jobs/{id}/explain`: the fields that are shown.
public struct Explanation: Decodable, Sendable {
    public struct Statement: Decodable, Sendable {
        public var sha256: String
    }
    public struct Span: Decodable, Sendable {
        public var accounted_from: String
        public var accounted_to: String
        public var seconds: Double
        public var owned_by: String?
        public var not_owned_because: String?
        public var cgroups: [String]
    }
    public struct Host: Decodable, Sendable {
        public var name: String
        public var cpus: Double
        public var slots: Double?
    }
    public struct Meter: Decodable, Sendable {
        public var name: String
        public var component: String
        public var quality: String
        public var idle_w: Double?
        public var error_ratio: Double
    }
    public struct Intensity: Decodable, Sendable {
        public var zone: String
        public var g_per_kwh: Double
        public var kind: String
        public var basis: String
        public var provider: String
        public var version: String
    }
    /// What the host's meters of a component counted.
    public struct Metering: Decodable, Sendable {
        public struct Reading: Decodable, Sendable {
            public var name: String
            public var at_from_j: Double?
            public var at_to_j: Double?
            public var energy_j: Double
            public var metered_seconds: Double
            public var idle_w: Double?
        }
        public var energy_j: Double
        public var idle_floor_j: Double
        public var dynamic_j: Double
        public var idle_floor_scale: Double
        public var meters: [Reading]
    }
    /// What contracts, the machine's making and water add; nil where nobody said it.
    public struct Terms: Decodable, Sendable {
        public var site: String?
        public var market_g_per_kwh: Double?
        public var market_g: Double?
        public var reserved_seconds: Double?
        public var embodied_g_per_h: Double?
        public var embodied_g: Double?
        public var wue_l_per_kwh: Double?
        public var water_l: Double?
    }
    /// Time in which no rate changes.
    public struct Stretch: Decodable, Sendable {
        public var from: String
        public var seconds: Double
        public var energy_j: Double
        public var idle_floor_j: Double
        public var dynamic_j: Double
        public var busy: Double?
        public var busy_counted: Double
        public var measured: Double
        public var agent: Double
        public var remainder: Double
        public var weights: Double
        public var own: Double
        public var own_is: String
        public var jobs: Int
        public var jobs_with_slot: Int
        public var reserved: Double
        public var reserved_by_all: Double
        public var shares_of_all: Double
        public var share: Double
        public var idle_part: Double
        public var own_dynamic_j: Double
        public var own_idle_j: Double
    }
    public struct Slice: Decodable, Sendable {
        public var component: String
        public var from: String
        public var to: String
        public var seconds: Double
        public var metered_seconds: Double
        public var quality: String
        public var share_method: String
        public var cpu_share_mean: Double
        public var detail: String
        public var flags: [String]
        public var dynamic_uj: DecimalMicrojoules
        public var idle_uj: DecimalMicrojoules
        public var uj: DecimalMicrojoules
        public var pue: Double
        public var intensity: Intensity?
        public var co2e_g: Double?
        public var terms: Terms?
        public var host: Metering?
        public var stretch_count: Int?
        public var stretches: [Stretch]
        public var share_effective: Double?
        public var idle_part_effective: Double?
        public var part_effective: Double?
    }
    public struct Totals: Decodable, Sendable {
        public var dynamic_uj: DecimalMicrojoules
        public var idle_uj: DecimalMicrojoules
        public var uj: DecimalMicrojoules
        public var bound_low_kwh: Double
        public var bound_high_kwh: Double
        public var low_kwh: Double?
        public var high_kwh: Double?
        public var co2e_g: Double?
        public var co2e_low_g: Double?
        public var co2e_high_g: Double?
        public var coverage: Double?
    }
    /// A cause of doubt.
    public struct Doubt: Decodable, Sendable {
        public var key: String
        public var of: String
        /// Standard deviation.
        public var sigma_j: Double
    }
    public struct Missing: Decodable, Sendable {
        public var field: String
        public var reason: String
    }

    public var id: String
    public var key: String
    public var job: String?
    public var state: String
    public var policy: String
    public var statement: Statement?
    public var span: Span?
    public var host: Host?
    public var meters: [Meter]
    public var slices: [Slice]
    public var totals: Totals?
    public var errors: [Doubt]?
    public var missing: [Missing]
}
