import Energy
import Testing

@testable import Tracker

@Suite struct BoundedFigureTests {
    private func energy(_ best: Int64, _ low: Int64, _ high: Int64) -> BoundedFigure {
        .energy(best: Energy(microjoules: best), low: Energy(microjoules: low), high: Energy(microjoules: high))
    }

    @Test(arguments: [
        // µJ best, low, high
        (44_280_000_000 as Int64, 42_840_000_000 as Int64, 45_720_000_000 as Int64, "12.3 Wh  [11.9 .. 12.7]"),
        (44_280_000_000_000, 42_840_000_000_000, 45_720_000_000_000, "12.3 kWh  [11.9 .. 12.7]"),
        (1_476_000_000, 900_000_000, 2_376_000_000, "410 mWh  [250 .. 660]"),
        (3_600_000_000, 3_600_000_000, 3_600_000_000, "1.000 Wh"),
        (36_000, 18_000, 72_000, "10 µWh  [5 .. 20]"),
        (45_027_720, 1_820_000, 325_000_000, "13 mWh  [0.5 .. 91]"),
        (0, 0, 0, "0.000 µWh"),
        (0, 0, 7_200_000, "0.0 mWh  [0.0 .. 2.0]"),
    ])
    func `an energy is shown in the unit that fits, with no more digits than its limits allow`(
        best: Int64,
        low: Int64,
        high: Int64,
        expected: String
    ) {
        #expect(energy(best, low, high).text == expected)
    }

    @Test func `a limit is rounded away from the figure, so that it still holds`() {
        let figure = energy(10_000_000_000, 9_333_333_333, 10_666_666_667)
        #expect(figure.unit == "Wh")
        #expect(figure.best == "2.78")
        // 2.5926 and 2.9630
        #expect(figure.low == "2.59")
        #expect(figure.high == "2.97")
    }

    @Test func `a decimal that a binary fraction misses by a hair does not move a limit`() {
        #expect(DecimalText.fixed(0.29, 2, .down) == "0.29")
        #expect(DecimalText.fixed(0.07 * 100, 0, .up) == "7")
    }

    @Test func `numbers that are none do not trap`() {
        #expect(DecimalText.fixed(.nan, 2) == "?")
        #expect(DecimalText.fixed(.infinity, 2) == "inf")
        #expect(DecimalText.significant(0, 3) == "0")
        #expect(DecimalText.fixed(-0.05, 1, .down) == "-0.1")
        #expect(BoundedFigure.energy(bestKilowattHours: .nan, low: 0, high: 1).best == "?")
    }

    @Test func `emissions go from kilograms to micrograms`() {
        #expect(BoundedFigure.emissions(bestGrams: 3.14, low: 2.8, high: 3.5).text == "3.1 g  [2.8 .. 3.5]")
        #expect(BoundedFigure.emissions(bestGrams: 0.0021, low: 0.001, high: 0.003).text == "2.1 mg  [1.0 .. 3.0]")
        #expect(BoundedFigure.emissions(bestGrams: 31_400, low: 31_400, high: 31_400).text == "31.40 kg")
    }

    @Test(arguments: [
        (4_000 as Int64, "0.004 s"), (12_340_000, "12.3 s"), (59_960_000, "1 min 00 s"), (245_000_000, "4 min 05 s"),
        (7_500_000_000, "2 h 05 min"),
    ])
    func `durations read as people say them`(microseconds: Int64, expected: String) {
        #expect(Microseconds(microseconds).text == expected)
    }
}
