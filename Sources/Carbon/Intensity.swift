/// Grams of CO2e per kWh of electricity, with limits where the source states them.
public struct Intensity: Hashable, Sendable {
    /// How the figure came to be, best first.
    public enum Kind: String, Sendable, CaseIterable {
        case actual, estimated, forecast, yearly
    }

    /// What is counted: `lifecycle` or `direct`; `average` or `marginal`; `production` or `consumption`.
    ///
    /// Figures of different bases are never mixed in one sum.
    public struct Basis: Hashable, Sendable, CustomStringConvertible {
        public var scope: String
        public var signal: String
        public var side: String

        public init(scope: String, signal: String, side: String) {
            self.scope = scope
            self.signal = signal
            self.side = side
        }

        /// Parses `lifecycle/average/production`; nil for anything that is not such a triple.
        public init?(_ text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3,
                ["lifecycle", "direct"].contains(parts[0]),
                ["average", "marginal"].contains(parts[1]),
                ["production", "consumption"].contains(parts[2])
            else { return nil }
            self.init(scope: parts[0], signal: parts[1], side: parts[2])
        }

        public var description: String { "\(scope)/\(signal)/\(side)" }
    }

    /// ISO 3166-1 alpha-2, an Electricity Maps key, or `WORLD`.
    public var zone: String
    public var gramsPerKilowattHour: Double
    public var low: Double
    public var high: Double
    public var kind: Kind
    public var basis: Basis
    public var provider: String
    public var year: Int

    public init(
        zone: String,
        gramsPerKilowattHour: Double,
        low: Double,
        high: Double,
        kind: Kind,
        basis: Basis,
        provider: String,
        year: Int
    ) {
        self.zone = zone
        self.gramsPerKilowattHour = gramsPerKilowattHour
        self.low = low
        self.high = high
        self.kind = kind
        self.basis = basis
        self.provider = provider
        self.year = year
    }

    /// CO2e in fractional µg of an amount of energy in µJ: `µJ / 3.6e12 µJ/kWh * g/kWh * 1e6 µg/g`.
    public static func micrograms(microjoules: Double, gramsPerKilowattHour: Double) -> Double {
        microjoules * gramsPerKilowattHour / 3.6e6
    }
}
