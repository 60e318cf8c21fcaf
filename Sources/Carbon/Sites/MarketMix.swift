/// What a site has bought: the market-based intensity of its electricity, as the GHG Protocol's Scope 2 Guidance has it. Each contract covers
/// its share; the rest is the grid's residual mix, never the location's average, in which others' contracts are still counted.
public struct MarketMix: Hashable, Sendable {
    /// gCO2e/kWh with the limits that its source states.
    public struct Rate: Hashable, Sendable {
        public var best: Double
        public var low: Double
        public var high: Double

        /// Limits on the wrong side of `best` are moved to it. Nil below 0, above 2,000 and for NaN.
        public init?(_ best: Double, low: Double? = nil, high: Double? = nil) {
            guard (0...2_000).contains(best), (0...2_000).contains(low ?? best), (0...2_000).contains(high ?? best) else { return nil }
            self.best = best
            self.low = min(best, low ?? best)
            self.high = max(best, high ?? best)
        }
    }

    public struct Contract: Hashable, Sendable {
        /// Of the site's electricity, 0...1.
        public var share: Double
        public var rate: Rate

        public init(share: Double, rate: Rate) {
            self.share = share
            self.rate = rate
        }
    }

    /// Why there is no figure.
    public enum Missing: String, Error, Hashable, Sendable {
        /// Neither a contract nor a residual mix is known.
        case noContract = "no_contract"
        /// The contracts do not cover all of it.
        case noResidualMix = "no_residual_mix"
        /// They cover more than there is.
        case overContracted = "over_contracted"
    }

    public var contracts: [Contract]
    public var residual: Rate?

    public init(contracts: [Contract], residual: Rate?) {
        self.contracts = contracts
        self.residual = residual
    }

    /// What contracts cover, 0...1.
    public var covered: Double { contracts.reduce(0) { $0 + $1.share } }

    /// Whether a part of it is the grid's residual mix.
    public var hasResidual: Bool { covered < 1 - Self.rounding }

    public func rate() throws(Missing) -> Rate {
        guard !contracts.isEmpty || residual != nil else { throw .noContract }
        guard covered <= 1 + Self.rounding else { throw .overContracted }
        var sum = (best: 0.0, low: 0.0, high: 0.0)
        func add(_ rate: Rate, _ share: Double) {
            sum.best += share * rate.best
            sum.low += share * rate.low
            sum.high += share * rate.high
        }
        for contract in contracts { add(contract.rate, contract.share) }
        if hasResidual {
            guard let residual else { throw .noResidualMix }
            add(residual, 1 - covered)
        }
        guard let rate = Rate(sum.best, low: sum.low, high: sum.high) else { throw .overContracted }
        return rate
    }

    /// Shares are written as decimals: ten tenths are all of it.
    private static let rounding = 1e-9
}

extension Intensity.Basis {
    /// Of what is bought: what its generation emits directly, as certificates state it.
    public static let market = Intensity.Basis(scope: "direct", signal: "average", side: "consumption")
}
