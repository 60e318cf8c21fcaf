import Accounting
import Carbon
import Energy
import TestSupport
import Testing

/// What energy that somebody states emits: exact where it is arithmetic, and as uncertain as its causes, however it is cut.
struct CarbonEstimateTests {
    private static let basis = Intensity.Basis(scope: "direct", signal: "average", side: "production")
    private static let wattHour = 3.6e9

    private static func at(_ minutes: Int64) -> Timestamp { Timestamp(microseconds: minutes * 60_000_000) }

    private static func curve(_ values: [(minutes: Int64, value: Double)], errorRatio: Double = 0.1) throws -> IntensityCurve {
        var minute: Int64 = 0
        return try IntensityCurve(
            values.map { length, value in
                defer { minute += length }
                let intensity = Intensity(
                    zone: "GB",
                    gramsPerKilowattHour: value,
                    low: value * (1 - 1.96 * errorRatio),
                    high: value * (1 + 1.96 * errorRatio),
                    kind: .actual,
                    basis: basis,
                    provider: "test",
                    year: 2026
                )
                return .init(Interval(at(minute), at(minute + length)), intensity)
            }
        )
    }

    private static func building(_ pue: Double) -> PUEFigure { PUEFigure(key: .pue("test"), best: pue, low: pue, high: pue) }

    /// Points as carbon-ops has them (vectors E1 to E4: 500 Wh x 1.2 x 350 = 210 g and so on), by the same formula.
    @Test func gramsAreEnergyTimesBuildingTimesIntensity() throws {
        func grams(_ wattHours: Double, _ pue: Double, _ values: [(minutes: Int64, value: Double)]) throws -> Double {
            let estimate = CarbonEstimate(
                .init(microjoules: wattHours * Self.wattHour, errorRatio: 0.001),
                over: Interval(Self.at(0), Self.at(60)),
                in: try Self.curve(values),
                pue: Self.building(pue)
            )
            return try #require(estimate.grams).best
        }
        #expect(abs(try grams(500, 1.2, [(60, 350)]) - 210) < 1e-9)
        #expect(abs(try grams(1_000, 1.2, [(60, 350)]) - 420) < 1e-9)
        #expect(abs(try grams(800, 1.5, [(15, 300), (15, 400), (15, 500), (15, 200)]) - 420) < 1e-9)
        #expect(abs(try grams(900, 1, [(20, 100), (40, 400)]) - 270) < 1e-9)
    }

    @Test func theIntervalDoesNotShrinkWhereTheSameHourIsCutIntoPieces() throws {
        func width(_ pieces: Int64, _ method: CarbonEstimate.Method) throws -> Double {
            let estimate = CarbonEstimate(
                .init(microjoules: 1_000 * Self.wattHour, errorRatio: 0.02),
                over: Interval(Self.at(0), Self.at(60)),
                in: try Self.curve((0..<pieces).map { _ in (60 / pieces, 350) }),
                pue: Self.building(1.2),
                method: method
            )
            return try #require(estimate.grams).halfWidth
        }
        let one = try width(1, .analytical)
        // 10 % of the grid and 2 % of the meter, in squares.
        #expect(abs(one / 420 - 1.96 * (0.1 * 0.1 + 0.02 * 0.02).squareRoot()) < 0.01)
        for pieces: Int64 in [2, 4, 12, 60] { #expect(abs(try width(pieces, .analytical) / one - 1) < 1e-9) }
        #expect(abs(try width(4, .monteCarlo(draws: 50_000, seed: 3)) / one - 1) < 0.03)
    }

    @Test func drawingAgreesWithTheFormulaAndRepeatsItself() throws {
        let curve = try Self.curve([(15, 300), (15, 120), (30, 500)], errorRatio: 0.08)
        func estimate(_ method: CarbonEstimate.Method) -> CarbonEstimate {
            CarbonEstimate(
                .init(microjoules: 250 * Self.wattHour, errorRatio: 0.05),
                over: Interval(Self.at(5), Self.at(55)),
                in: curve,
                pue: PUEFigure(1.4, site: "lab", host: 0),
                method: method
            )
        }
        let analytical = try #require(estimate(.analytical).grams)
        let drawn = try #require(estimate(.monteCarlo(draws: 100_000, seed: 1)).grams)
        #expect(abs(drawn.low - analytical.low) < 0.05 * analytical.halfWidth)
        #expect(abs(drawn.high - analytical.high) < 0.05 * analytical.halfWidth)
        #expect(estimate(.monteCarlo(draws: 10_000, seed: 5)) == estimate(.monteCarlo(draws: 10_000, seed: 5)))
        #expect(analytical.low > 0 && analytical.low < analytical.best && analytical.best < analytical.high)
    }

    @Test func whatIsNotKnownIsNotZero() throws {
        let curve = try Self.curve([(30, 200)])
        let partly = CarbonEstimate(
            .init(microjoules: Self.wattHour),
            over: Interval(Self.at(0), Self.at(60)),
            in: curve,
            pue: Self.building(1)
        )
        #expect(partly.grams == nil)
        #expect(partly.gramsPerKilowattHour == nil)
        #expect(partly.coverage == 0.5)
        #expect(partly.energy.best == Self.wattHour)
        // An unknown error is the largest default, and an instant is what counts there.
        let instant = CarbonEstimate(
            .init(microjoules: Self.wattHour),
            over: Interval(Self.at(5), Self.at(5)),
            in: curve,
            pue: Self.building(1)
        )
        #expect(abs((instant.grams?.best ?? 0) - 0.2) < 1e-12)
        #expect(instant.energy.high > 1.2 * Self.wattHour)
        let nothing = CarbonEstimate(
            .init(microjoules: 0, errorRatio: 0.1),
            over: Interval(Self.at(0), Self.at(30)),
            in: curve,
            pue: Self.building(1)
        )
        #expect(nothing.grams?.best == 0)
    }

    @Test func gramsOfPartsAddUpToTheGramsOfTheWhole() throws {
        var random = RandomSource(seed: 81)
        for _ in 0..<LongRun.rounds(short: 30, long: 2_000) {
            let curve = try Self.curve(
                (0..<20).map { _ in (Int64.random(in: 1...60, using: &random), Double.random(in: 1...500, using: &random)) }
            )
            let end = (curve.pieces.last?.interval.end.microseconds ?? 0) / 60_000_000
            let cut = Int64.random(in: 1..<end, using: &random)
            func grams(_ from: Int64, _ to: Int64) -> Double {
                let part = Double(to - from) / Double(end)
                let interval = Interval(Self.at(from), Self.at(to))
                return CarbonEstimate(.init(microjoules: 1e12 * part), over: interval, in: curve, pue: Self.building(1.3)).grams?.best
                    ?? .nan
            }
            #expect(abs(grams(0, cut) + grams(cut, end) - grams(0, end)) < 1e-9 * grams(0, end))
        }
    }
}
