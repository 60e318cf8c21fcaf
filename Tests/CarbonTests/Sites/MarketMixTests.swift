import Carbon
import Testing
import TestSupport

/// Contracts cover their shares, the residual mix the rest; neither is ever the location's average.
@Suite struct MarketMixTests {
    private static func rate(_ best: Double, _ low: Double? = nil, _ high: Double? = nil) throws -> MarketMix.Rate {
        try #require(MarketMix.Rate(best, low: low, high: high))
    }

    @Test func sharesAreWeighted() throws {
        let mix = MarketMix(
            contracts: [.init(share: 0.5, rate: try Self.rate(0)), .init(share: 0.25, rate: try Self.rate(40, 30, 60))],
            residual: try Self.rate(400, 300, 600)
        )
        #expect(try mix.rate() == Self.rate(110, 82.5, 165))
        #expect(mix.hasResidual)
    }

    @Test func whatIsNotCoveredIsNotGuessed() throws {
        #expect(throws: MarketMix.Missing.noContract) { try MarketMix(contracts: [], residual: nil).rate() }
        let half = MarketMix(contracts: [.init(share: 0.5, rate: try Self.rate(0))], residual: nil)
        #expect(throws: MarketMix.Missing.noResidualMix) { try half.rate() }
        let more = MarketMix(
            contracts: [.init(share: 0.7, rate: try Self.rate(0)), .init(share: 0.7, rate: try Self.rate(0))],
            residual: nil
        )
        #expect(throws: MarketMix.Missing.overContracted) { try more.rate() }
    }

    @Test func tenTenthsAreAllOfIt() throws {
        let mix = MarketMix(contracts: try (0..<10).map { _ in .init(share: 0.1, rate: try Self.rate(20)) }, residual: nil)
        #expect(!mix.hasResidual)
        #expect(abs(try mix.rate().best - 20) < 1e-9)
    }

    @Test func absurdRatesAreNone() {
        for value in [-1, 2_001, .nan, .infinity] { #expect(MarketMix.Rate(value) == nil) }
        #expect(MarketMix.Rate(10, low: -1) == nil)
    }

    @Test func theMixLiesBetweenItsPartsWhateverTheShares() throws {
        var random = RandomSource(seed: 7)
        for _ in 0..<LongRun.rounds(short: 200, long: 20_000) {
            var left = 1.0
            let contracts = try (0..<Int.random(in: 0..<4, using: &random)).map { _ in
                let share = left * Double.random(in: 0..<1, using: &random)
                left -= share
                return MarketMix.Contract(share: share, rate: try Self.rate(Double.random(in: 0..<1_200, using: &random)))
            }
            let mix = MarketMix(contracts: contracts, residual: try Self.rate(Double.random(in: 0..<1_200, using: &random)))
            let all = contracts.map(\.rate.best) + [try #require(mix.residual).best]
            let rate = try mix.rate()
            #expect(try #require(all.min()) - 1e-9 <= rate.best && rate.best <= (try #require(all.max())) + 1e-9)
            #expect(rate.low <= rate.best && rate.best <= rate.high)
        }
    }
}
