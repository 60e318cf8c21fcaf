import Carbon
import Energy
import TestSupport
import Testing

@testable import Accounting

/// The analytical intervals against drawn ones.
struct UncertaintyMonteCarloTests {
    private let draws = 200_000
    /// Where a few percent are asked.
    private let few = LongRun.rounds(short: 30_000, long: 200_000)

    private func widthsAgree(_ a: Estimate, _ b: Estimate, within tolerance: Double) -> Bool {
        abs(a.low - b.low) <= tolerance * b.halfWidth && abs(a.high - b.high) <= tolerance * b.halfWidth
    }

    @Test func `they agree within 1 % of the half-width where all errors are normal`() {
        let whole = UncertaintyTests.whole(6e9, idle: 2e9)
        let slices = (0..<4).map {
            UncertaintyTests.slice(
                Int64($0),
                host: Int32($0 / 2),
                component: $0 == 3 ? .dram : .cpu,
                dynamic: 1e9,
                idle: 3e8,
                floor: 1e8,
                edges: (3e7, 2e7),
                whole: whole
            )
        }
        let drawn = MonteCarlo(draws: draws, seed: 7).estimates(of: slices).energy
        #expect(widthsAgree(UncertaintyTests.sum(slices).energy(), drawn, within: 0.01))
    }

    @Test func `they agree within 1 % of the half-width for one lognormal factor`() {
        // A meter without error: the grid's is all there is.
        let slice = UncertaintyTests.slice(
            1,
            dynamic: 1e12,
            whole: UncertaintyTests.whole(1e12, meter: 1e-12, floor: 1e-12),
            intensity: UncertaintyTests.gb,
            pue: PUEFigure(key: .pue("site a"), best: 1.2, low: 1.2, high: 1.2)
        )
        let drawn = MonteCarlo(draws: draws, seed: 8).estimates(of: [slice]).grams!
        let grams = UncertaintyTests.sum([slice]).grams()!
        #expect(widthsAgree(grams, drawn, within: 0.01))
        // What the source says is what comes out.
        #expect(abs(grams.low / grams.best - 0.75) < 1e-6 && abs(grams.high / grams.best - 1.35) < 1e-6)
    }

    @Test func `they agree within 1 % of the half-width for one gap`() {
        var slice = UncertaintyTests.slice(1, dynamic: 1e9, whole: UncertaintyTests.whole(1e9, meter: 1e-12, floor: 1e-12))
        slice.estimated = 9e8
        slice.errors.gap = 4e8
        let drawn = MonteCarlo(draws: draws, seed: 9).estimates(of: [slice]).energy
        let energy = UncertaintyTests.sum([slice]).energy()
        #expect(abs(energy.high - drawn.high) < 0.01 * drawn.halfWidth)
        // Nothing lies below what was metered, so all of the 5 % that are left out lie above: one lognormal whose 95 % point is known.
        let s = (ElementaryFunctions.log(1 + 16.0 / 81)).squareRoot()
        #expect(energy.low == 1e9)
        #expect(abs(energy.high - 1e9 - 9e8 * ElementaryFunctions.exp(1.644_854 * s - s * s / 2)) < 0.01 * energy.halfWidth)
    }

    @Test func `they agree within 1 % of the half-width for what a whole meter has beyond its parts, which is normal however little it is`()
    {
        let slice = UncertaintyTests.slice(
            1,
            component: .rest,
            dynamic: 1e9,
            whole: UncertaintyTests.whole(1e9, meter: 0.4, floor: 1e-12)
        )
        let drawn = MonteCarlo(draws: draws, seed: 10).estimates(of: [slice]).energy
        let energy = UncertaintyTests.sum([slice]).energy()
        #expect(widthsAgree(energy, drawn, within: 0.01))
        #expect(abs(energy.high - 1.784e9) < 1e6 && abs(energy.low - 0.216e9) < 1e6)
    }

    @Test(arguments: 1...3)
    func `they agree within 5 % of the half-width where errors are skewed and multiply`(seed: UInt64) {
        let slices = Array(UncertaintyTests.random(seed: seed).prefix(8))
        let drawn = MonteCarlo(draws: few, seed: seed).estimates(of: slices)
        let sum = UncertaintyTests.sum(slices)
        #expect(widthsAgree(sum.energy(), drawn.energy, within: 0.05))
        #expect(widthsAgree(sum.grams()!, drawn.grams!, within: 0.05))
    }

    @Test(arguments: [(0.5, 0.8), (0.1, 0.8), (0.02, 0.8), (0.9, 0.6), (0.3, 0.15)])
    func `they agree within 10 % of the half-width for a share`(share: Double, sigma: Double) {
        var slice = UncertaintyTests.slice(1, dynamic: share * 1e9, whole: UncertaintyTests.whole(1e9, meter: 1e-12, floor: 1e-12))
        slice.shareErrorRatio = sigma
        let drawn = MonteCarlo(draws: few, seed: 3).estimates(of: [slice]).energy
        let own = UncertaintyTests.sum([slice]).energy()
        #expect(widthsAgree(own, drawn, within: 0.1), "\(own) against \(drawn)")
    }

    @Test func `the same seed draws the same figures`() {
        let slices = UncertaintyTests.random(seed: 5)
        let once = MonteCarlo(draws: 2_000, seed: 4).estimates(of: slices)
        let again = MonteCarlo(draws: 2_000, seed: 4).estimates(of: slices)
        #expect(once.energy == again.energy && once.grams == again.grams)
    }

    @Test func `logarithm and exponential are exact to 15 digits`() {
        for x in stride(from: -600.0, through: 600, by: 7.3) {
            #expect(abs(ElementaryFunctions.log(ElementaryFunctions.exp(x)) - x) < 4e-15 * max(1, abs(x)))
        }
        #expect(abs(ElementaryFunctions.exp(1) - 2.718281828459045) < 1e-15)
        #expect(abs(ElementaryFunctions.log(10) - 2.302585092994046) < 1e-15)
        #expect(ElementaryFunctions.log(0) == -.infinity && ElementaryFunctions.log(-1).isNaN)
    }
}
