import Carbon
import Energy
import TestSupport
import Testing

/// When to run: exact integrals, whatever the steps of a feed.
struct BestWindowTests {
    private static let basis = Intensity.Basis(scope: "direct", signal: "average", side: "production")

    private static func intensity(_ value: Double, zone: String = "GB", basis: Intensity.Basis = basis, kind: Intensity.Kind = .forecast)
        -> Intensity
    {
        Intensity(
            zone: zone,
            gramsPerKilowattHour: value,
            low: value * 0.9,
            high: value * 1.2,
            kind: kind,
            basis: basis,
            provider: "test",
            year: 2026
        )
    }

    private static func at(_ minutes: Int64) -> Timestamp { Timestamp(microseconds: minutes * 60_000_000) }

    /// Half hours, quarters and five minutes in one curve, now and then with a hole.
    private static func random(_ random: inout RandomSource, holes: Bool) throws -> IntensityCurve {
        var pieces: [IntensityCurve.Piece] = []
        var minute: Int64 = 0
        while minute < 24 * 60 {
            let step: Int64 = [5, 15, 30, 60].randomElement(using: &random) ?? 30
            if !(holes && random.chance(0.05)) {
                let value = Double(Int.random(in: 1...400, using: &random))
                pieces.append(.init(Interval(at(minute), at(minute + step)), intensity(value)))
            }
            minute += step
        }
        return try IntensityCurve(pieces.shuffled(using: &random))
    }

    /// g/kWh, minute after minute; nil where one is not known.
    private static func bruteMean(_ curve: IntensityCurve, _ from: Int64, _ minutes: Int64) -> Double? {
        var sum = 0.0
        for minute in from..<from + minutes {
            guard let here = curve.pieces.first(where: { $0.interval.contains(at(minute)) }) else { return nil }
            sum += here.intensity.gramsPerKilowattHour
        }
        return sum / Double(minutes)
    }

    @Test(arguments: [false, true]) func theMeanIsTheSumOverMinutes(holes: Bool) throws {
        var random = RandomSource(seed: 71)
        for _ in 0..<LongRun.rounds(short: 50, long: 2_000) {
            let curve = try Self.random(&random, holes: holes)
            let start = Int64.random(in: 0..<1_400, using: &random)
            let length = Int64.random(in: 1...(1_440 - start), using: &random)
            let mean = curve.mean(over: Interval(Self.at(start), Self.at(start + length)))?.gramsPerKilowattHour
            let brute = Self.bruteMean(curve, start, length)
            #expect((mean == nil) == (brute == nil))
            if let mean, let brute { #expect(abs(mean - brute) <= 1e-9 * brute) }
        }
    }

    @Test(arguments: [false, true]) func noOtherWindowIsBetterThanTheBest(holes: Bool) throws {
        var random = RandomSource(seed: 72)
        for _ in 0..<LongRun.rounds(short: 20, long: 500) {
            let curve = try Self.random(&random, holes: holes)
            let length = Int64.random(in: 1...360, using: &random)
            let from = Int64.random(in: 0...600, using: &random)
            let until = Int64.random(in: from...1_440, using: &random)
            let best = BestWindow(in: curve, lasting: .seconds(length * 60), from: Self.at(from), until: Self.at(until))
            let all = from + length <= until ? (from...(until - length)).compactMap { Self.bruteMean(curve, $0, length) } : []
            #expect((best == nil) == all.isEmpty)
            guard let best, let least = all.min() else { continue }
            #expect(abs(best.gramsPerKilowattHour - least) <= 1e-9 * least)
            #expect(Self.at(from) <= best.interval.start && best.interval.end <= Self.at(until))
            #expect(best.low <= best.gramsPerKilowattHour && best.gramsPerKilowattHour <= best.high)
            if let saving = best.saving(against: Self.at(from), in: curve) { #expect(saving >= -1e-12) }
        }
    }

    @Test func ofWindowsThatAreAsGoodTheFirstIsTheBest() throws {
        let flat = try IntensityCurve((0..<48).map { .init(Interval(Self.at($0 * 30), Self.at($0 * 30 + 30)), Self.intensity(0.1)) })
        let best = BestWindow(in: flat, lasting: .seconds(5_000), from: Self.at(7), until: Self.at(1_000))
        #expect(best?.interval.start == Self.at(7))
        #expect(best.flatMap { $0.saving(against: Self.at(7), in: flat) } == 0)
    }

    @Test func ofSeveralZonesTheOneWithTheLeastIsTakenAndOtherBasesAreNotCompared() throws {
        func curve(_ zone: String, _ value: Double, _ basis: Intensity.Basis) throws -> IntensityCurve {
            try IntensityCurve([.init(Interval(Self.at(0), Self.at(60)), Self.intensity(value, zone: zone, basis: basis))])
        }
        let marginal = Intensity.Basis(scope: "direct", signal: "marginal", side: "production")
        let curves = [try curve("GB", 200, Self.basis), try curve("FR", 30, Self.basis), try curve("NO", 1, marginal)]
        let best = BestWindow.best(in: curves, lasting: .seconds(600), from: Self.at(0), until: Self.at(60))
        #expect(best?.zone == "FR")
        #expect(best.flatMap { $0.saving(against: Self.at(0), in: curves[2]) } == nil)
    }

    @Test func averageAndMarginalFiguresMakeNoCurveAndNeitherDoZones() {
        let first = IntensityCurve.Piece(Interval(Self.at(0), Self.at(30)), Self.intensity(1))
        let marginal = Intensity.Basis(scope: "direct", signal: "marginal", side: "production")
        let hour = Interval(Self.at(30), Self.at(60))
        #expect(throws: IntensityCurve.Fault.mixedBases(Self.basis, marginal)) {
            try IntensityCurve([first, .init(hour, Self.intensity(1, basis: marginal))])
        }
        #expect(throws: IntensityCurve.Fault.mixedZones("GB", "FR")) {
            try IntensityCurve([first, .init(hour, Self.intensity(1, zone: "FR"))])
        }
        #expect(throws: IntensityCurve.Fault.self) {
            try IntensityCurve([first, .init(Interval(Self.at(29), Self.at(60)), Self.intensity(1))])
        }
    }

    @Test func theFirstInstantBelowALimit() throws {
        let curve = try IntensityCurve(
            [300.0, 150, 80].enumerated().map { .init(Interval(Self.at(Int64($0) * 30), Self.at(Int64($0) * 30 + 30)), Self.intensity($1)) }
        )
        #expect(curve.first(atMost: 150, from: Self.at(10), until: Self.at(90)) == Self.at(30))
        #expect(curve.first(atMost: 150, from: Self.at(40), until: Self.at(90)) == Self.at(40))
        #expect(curve.first(atMost: 100, from: Self.at(10), until: Self.at(50)) == nil)
        #expect(curve.first(atMost: 10, from: Self.at(0), until: Self.at(90)) == nil)
    }

    @Test func whatForecastsWereOffBy() {
        func pair(_ lead: Int64, _ forecast: Double, _ actual: Double) -> ForecastError.Pair {
            ForecastError.Pair(
                madeAt: Self.at(-lead),
                interval: Interval(Self.at(0), Self.at(30)),
                forecastGramsPerKilowattHour: forecast,
                actualGramsPerKilowattHour: actual
            )
        }
        let pairs = [pair(60, 110, 100), pair(60, 90, 100), pair(60, 130, 100), pair(600, 200, 100)]
        let near = ForecastError(pairs, leads: .zero..<Microseconds.seconds(120 * 60))
        #expect(near?.pairs == 3)
        #expect(near?.meanGramsPerKilowattHour == 10)
        #expect(near.map { abs($0.meanAbsoluteGramsPerKilowattHour - 50.0 / 3) < 1e-12 } == true)
        #expect(near?.tenthWorstGramsPerKilowattHour == 30)
        #expect(ForecastError(pairs, leads: Microseconds.seconds(1_000_000)..<Microseconds(.max)) == nil)
    }
}
