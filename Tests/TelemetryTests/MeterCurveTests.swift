import Documents
import Energy
import TestSupport
import Testing

@testable import Telemetry

@Suite struct MeterCurveTests {
    static let start = Timestamp(microseconds: 1_788_253_200_000_000)
    static let range: Int64 = 262_143_328_850

    static func meter(
        _ reading: MeterRule.Reading = .counter,
        range: Int64? = nil,
        least: Int64? = nil,
        zone: Zone = .package,
        isSum: Bool = false,
        longestRepeat: Microseconds? = nil
    ) -> TelemetryMeter {
        let zoneWord = zone.rawValue
        let kind = reading == .power ? "unit: W" : "unit: uJ"
        let yaml = """
            host_labels: [host]
            rules:
              - {name: t, series: x, meter: m, zone: \(zoneWord), \(kind), p_max_w: 1000, epsilon_j: 1\(range.map { ", counter_range_j: \(Double($0) / 1e6)" } ?? "")\(
                least.map { ", least_counter_range_j: \(Double($0) / 1e6)" } ?? "")\(isSum ? ", sum_over: [part]" : "")\(
                longestRepeat.map { ", longest_repeat_s: \($0.seconds)" } ?? "")}
            """
        do {
            let rules = try MeterRules(json: ShippedTable.json(yaml))
            let series = TelemetrySeries(name: "x", labels: ["host": "h"], samples: [TelemetrySample(time: start, value: 0)])
            guard case .mapped(let mapped) = rules.map(series) else { preconditionFailure("the rule must map") }
            return mapped.meter
        } catch { preconditionFailure("\(error)") }
    }

    /// Readings of one series: seconds since the start, and the value.
    static func series(
        _ meter: TelemetryMeter,
        _ values: [(Double, Int64)],
        part: String = "",
        startedAt: Timestamp? = nil,
        isDelta: Bool = false
    ) -> MappedSeries {
        MappedSeries(
            hostName: "h",
            meter: meter,
            part: part,
            replica: "",
            isDelta: isDelta,
            readings: values.map {
                MappedSeries.Reading(
                    time: start + Microseconds(Int64($0.0 * 1e6)),
                    value: $0.1,
                    isStale: false,
                    startedAt: startedAt
                )
            }
        )
    }

    static let later = start + .day

    struct Collected {
        var knots: [Knot] = []
        var gaps: [Gap] = []
        var tail: Knot?

        mutating func add(_ curve: inout MeterCurve) {
            let taken = curve.take()
            knots += taken.knots
            gaps += taken.gaps
            tail = curve.tail
        }

        var curve: Curve { Curve(knots: knots + (tail.map { [$0] } ?? []), gaps: gaps) }
    }

    private func collect(_ meter: TelemetryMeter, _ batches: [(String, MappedSeries)]) -> (Collected, MeterCurve.Tally) {
        var state: MeterCurve.State?
        var tally = MeterCurve.Tally()
        var collected = Collected()
        for (source, series) in batches {
            var curve = MeterCurve(meter, state: state)
            tally += curve.read(series, from: source, now: Self.later)
            collected.add(&curve)
            // As it is stored between two requests.
            state = curve.kept.flatMap { MeterCurve.State(json: Self.stored($0.json), epsilon: meter.epsilon) }
            #expect((state == nil) == (curve.kept == nil))
        }
        return (collected, tally)
    }

    private static func stored(_ json: JSONValue) -> JSONValue {
        do { return try JSONValue(parsing: Array(try json.text.utf8)) } catch { return .null }
    }

    // MARK: Counters

    /// However the samples are cut into batches, repeated, or shuffled within reach: the curve's total is what the counter rose by, and each
    /// sample that counts is within ε of the line.
    @Test func theTotalDoesNotDependOnBatchesRepetitionsOrRestarts() throws {
        var random = RandomSource(seed: 64)
        for _ in 0..<LongRun.rounds(short: 60, long: 2_000) {
            let meter = Self.meter(range: Self.range)
            let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: Self.range)
            var truth: Int64 = 0
            let first = Int64.random(in: 0...Self.range, using: &random)
            var values: [(Double, Int64)] = []
            var samples: [(Timestamp, Int64)] = []
            for i in 0..<400 {
                if i > 0 { truth += Int64.random(in: 0...(15 * 900_000_000), using: &random) }
                let second = Double(i * 15)
                values.append((second, (first + truth) % modulus))
                samples.append((Self.start + Microseconds(Int64(second * 1e6)), truth))
            }
            var batches: [(String, MappedSeries)] = []
            var i = 0
            while i < values.count {
                let n = min(values.count - i, 1 + random.next(below: 20))
                let batch = Self.series(meter, Array(values[i..<(i + n)]))
                batches.append(("a", batch))
                // The sender had no answer and sends it again; a second one sends it too.
                if random.chance(0.3) { batches.append(("a", batch)) }
                if random.chance(0.3) { batches.append(("b", batch)) }
                i += n
            }
            let (collected, _) = collect(meter, batches)
            #expect(collected.tail?.value == truth)
            #expect(collected.gaps.isEmpty)
            let curve = collected.curve
            for (time, value) in samples { #expect(abs((curve.value(at: time) ?? -1) - Double(value)) <= 1_000_001) }
            for hour in Hour.touching(curve.extent!).dropFirst() { #expect(collected.knots.contains { $0.time == hour.start }) }
        }
    }

    @Test func aMissedScrapeLosesResolutionAndNoEnergy() {
        let meter = Self.meter()
        let (collected, _) = collect(meter, [("a", Self.series(meter, [(0, 0), (15, 1_000_000), (3_000, 200_000_000)]))])
        #expect(collected.tail?.value == 200_000_000)
        #expect(collected.gaps.isEmpty)
    }

    @Test func aFallWithoutAKnownRangeIsADeclaredGap() throws {
        let meter = Self.meter()
        let (collected, _) = collect(
            meter,
            [("a", Self.series(meter, [(0, 5_000_000_000), (15, 6_000_000_000), (30, 7), (45, 1_000_007)]))]
        )
        #expect(collected.tail?.value == 1_001_000_000)
        let gap = try #require(collected.gaps.first)
        #expect(collected.gaps.count == 1)
        #expect(gap.interval == Interval(Self.start + .seconds(15), Self.start + .seconds(30)))
        #expect((gap.low, gap.high, gap.cause) == (0, 15_000_000_000, .reset))
    }

    @Test func aFallWithAKnownRangeIsAWrap() {
        let meter = Self.meter(range: Self.range)
        let (collected, _) = collect(meter, [("a", Self.series(meter, [(0, Self.range - 999_999), (15, 500_000)]))])
        // One unit of the register, 61 µJ, lies between the largest value and 0.
        #expect(collected.tail?.value == 1_500_060)
        #expect(collected.gaps.isEmpty)
    }

    /// 65 kJ at 1 kW: after 66 s without a sample nobody knows how often it turned.
    @Test func aPauseInWhichAWrapFitsIsAGapThoughTheCountRose() throws {
        let meter = Self.meter(least: 65_532_000_000)
        let (collected, _) = collect(meter, [("a", Self.series(meter, [(0, 0), (60, 30_000_000), (160, 40_000_000)]))])
        #expect(collected.tail?.value == 30_000_000)
        let gap = try #require(collected.gaps.first)
        #expect((gap.low, gap.high, gap.cause) == (10_000_000, 100_000_000_000, .wrap))
    }

    @Test func aCountThatBeganAnewIsAGapThoughItRose() throws {
        let meter = Self.meter()
        let (collected, _) = collect(
            meter,
            [
                ("a", Self.series(meter, [(0, 10)], startedAt: Self.start - .seconds(50))),
                ("a", Self.series(meter, [(15, 5_000_000)], startedAt: Self.start + .seconds(5))),
                ("a", Self.series(meter, [(30, 6_000_000)], startedAt: Self.start + .seconds(5))),
            ]
        )
        #expect(collected.tail?.value == 1_000_000)
        #expect(collected.gaps.map(\.low) == [5_000_000])
    }

    @Test func aReaderWhoseClockIsAheadMakesNoReset() {
        let meter = Self.meter()
        // Two replicas under one name; the second one's readings are of half a second earlier.
        let (collected, tally) = collect(
            meter,
            [("a", Self.series(meter, [(0, 10_000_000_000), (15, 13_000_000_000), (15.1, 12_920_000_000), (30, 16_000_000_000)]))]
        )
        #expect(collected.tail?.value == 6_000_000_000)
        #expect(collected.gaps.isEmpty)
        #expect(tally.old == 1)
    }

    @Test func oneReplicaCountsAndTheOtherTakesOverWhenItIsSilent() {
        let meter = Self.meter()
        let batches: [(String, MappedSeries)] = (0..<40).flatMap { i -> [(String, MappedSeries)] in
            let second = Double(i) * 15
            let a = ("a", Self.series(meter, [(second, Int64(i) * 1_500_000)]))
            let b = ("b", Self.series(meter, [(second + 7, Int64(i) * 1_500_000 + 700_000)]))
            // The first one is away from the tenth to the twentieth round.
            return (10..<20).contains(i) ? [b] : [a, b]
        }
        let (collected, tally) = collect(meter, batches)
        #expect(collected.gaps.isEmpty)
        #expect(tally.spare > 30)
        #expect(abs((collected.tail?.value ?? 0) - 39 * 1_500_000) <= 700_000)
    }

    @Test func timesOf1970And2100AreLeftOut() {
        let meter = Self.meter()
        let (collected, tally) = collect(meter, [("a", Self.series(meter, [(-1.7e9, 1), (0, 5), (2.3e9, 9), (15, 8)]))])
        #expect(tally.untimely == 2)
        #expect(collected.tail?.value == 3)
    }

    // MARK: Sums

    @Test func thePartsOfASumMayComeOneAfterTheOther() {
        let meter = Self.meter(isSum: true)
        let (collected, _) = collect(
            meter,
            [
                ("a", Self.series(meter, [(0, 100)], part: "0")), ("a", Self.series(meter, [(0, 1_000)], part: "1")),
                ("a", Self.series(meter, [(15, 150)], part: "0")), ("a", Self.series(meter, [(30, 180)], part: "0")),
                // Late by one round: it counts at the next instant.
                ("a", Self.series(meter, [(15, 1_007)], part: "1")), ("a", Self.series(meter, [(30, 1_010)], part: "1")),
                ("a", Self.series(meter, [(45, 181)], part: "0")),
            ]
        )
        #expect(collected.tail == Knot(time: Self.start + .seconds(30), value: 90))
    }

    /// One instant a request, as a scrape gives it: the state is kept from the first one on.
    @Test func aSumBeginsWithItsFirstInstant() {
        let meter = Self.meter(isSum: true)
        var curve = MeterCurve(meter)
        _ = curve.read(Self.series(meter, [(0, 100)], part: "0"), from: "a", now: Self.later)
        #expect(curve.tail == Knot(time: Self.start, value: 0))
        #expect(curve.kept?.parts.count == 1)
    }

    // MARK: Power

    @Test func powerIsIntegratedByTrapezoidAndASilenceIsAGap() throws {
        let meter = Self.meter(.power)
        let (collected, _) = collect(
            meter,
            [
                ("a", Self.series(meter, [(0, 100_000_000)])), ("a", Self.series(meter, [(10, 200_000_000)])),
                ("a", Self.series(meter, [(10, 900_000_000), (410, 200_000_000)])), ("a", Self.series(meter, [(420, 200_000_000)])),
            ]
        )
        #expect(collected.tail?.value == 3_500_000_000)
        let gap = try #require(collected.gaps.first)
        #expect(gap.interval == Interval(Self.start + .seconds(10), Self.start + .seconds(410)))
        #expect((gap.low, gap.high) == (0, 400_000_000_000))
    }

    @Test func nothingIsIntegratedAcrossAStaleMarkerOrNonsense() throws {
        let meter = Self.meter(.power, zone: .node)
        var series = Self.series(meter, [(0, 100_000_000), (10, 100_000_000), (30, 100_000_000), (40, 0), (50, 100_000_000)])
        series.readings.insert(
            MappedSeries.Reading(time: Self.start + .seconds(20), value: nil, isStale: true, startedAt: nil),
            at: 2
        )
        let (collected, tally) = collect(meter, [("a", series)])
        #expect(collected.tail?.value == 1_000_000_000)
        #expect(
            collected.gaps.map(\.interval) == [
                Interval(Self.start + .seconds(10), Self.start + .seconds(30)),
                Interval(Self.start + .seconds(30), Self.start + .seconds(50)),
            ]
        )
        #expect(tally.impossible == 1)
    }

    @Test func aControllerThatRepeatsItsLastValueForEverIsNotBelieved() {
        let meter = Self.meter(.power, zone: .node, longestRepeat: .seconds(600))
        let (collected, tally) = collect(meter, [("a", Self.series(meter, (0...100).map { (Double($0) * 15, 250_000_000) }))])
        #expect(tally.impossible == 60)
        #expect(collected.tail?.value == 150_000_000_000)
    }

    @Test func theEnergyOfPowerDoesNotDependOnBatches() {
        var random = RandomSource(seed: 65)
        let meter = Self.meter(.power)
        let values = (0..<500).map { (Double($0) * 7.3, Int64.random(in: 0...900_000_000, using: &random)) }
        let (whole, _) = collect(meter, [("a", Self.series(meter, values))])
        let (singly, _) = collect(meter, values.map { ("a", Self.series(meter, [$0])) })
        #expect(whole.tail == singly.tail)
        #expect(whole.knots == singly.knots)
    }

    // MARK: Deltas

    @Test func aDeltaCountsOnceAndALostOneIsAGap() throws {
        let meter = Self.meter()
        func delta(_ from: Double, _ to: Double, _ value: Int64) -> (String, MappedSeries) {
            ("a", Self.series(meter, [(to, value)], startedAt: Self.start + Microseconds(Int64(from * 1e6)), isDelta: true))
        }
        let (collected, _) = collect(
            meter,
            [delta(0, 10, 1_000), delta(10, 20, 2_000), delta(10, 20, 2_000), delta(30, 40, 500), delta(40, 50, 7)]
        )
        #expect(collected.tail?.value == 3_007)
        let gap = try #require(collected.gaps.first)
        #expect(gap.interval == Interval(Self.start + .seconds(20), Self.start + .seconds(40)))
        #expect(gap.low == 500)
    }

    @Test func startsOfAnyYearNeverStopTheCurve() {
        let meter = Self.meter()
        let odd: [Int64] = [.min, -9_000_000_000_000_000_000, -1, 9_000_000_000_000_000_000, .max]
        for first in odd {
            for second in odd {
                var (collected, tally) = (Collected(), MeterCurve.Tally())
                for isDelta in [false, true] {
                    var curve = MeterCurve(meter)
                    for (i, start) in [first, second].enumerated() {
                        let one = Self.series(
                            meter,
                            [(Double(i * 15), Int64(i * 1_000))],
                            startedAt: Timestamp(microseconds: start),
                            isDelta: isDelta
                        )
                        tally += curve.read(one, from: "a", now: Self.later)
                        // What a collector of before the check may have stored.
                        if var kept = curve.kept {
                            kept.parts[0].startedAt = Timestamp(microseconds: start)
                            curve = MeterCurve(meter, state: kept)
                        }
                    }
                    collected.add(&curve)
                }
                #expect(tally.taken == 4)
                #expect(collected.tail?.value == 1_000)
            }
        }
    }

    @Test func anIncreaseSinceLongAgoIsWhereTheCountBegins() {
        let meter = Self.meter()
        let since2020 = Self.series(meter, [(0, 1_000_000)], startedAt: MeterCurve.earliest, isDelta: true)
        let next = Self.series(meter, [(10, 500)], startedAt: Self.start, isDelta: true)
        let (collected, tally) = collect(meter, [("a", since2020), ("a", next)])
        #expect(tally.longSince == 1 && tally.taken == 2)
        #expect(collected.tail?.value == 500)
        #expect(collected.knots.count <= 2)
    }

    @Test func nobodyDrawsALineThroughYearsByDeltas() {
        let meter = Self.meter()
        let year = 365.0 * 86_400
        let first = Self.series(meter, [(-5 * year, 1)], startedAt: Self.start + Microseconds(Int64((-5 * year - 1) * 1e6)), isDelta: true)
        let second = Self.series(meter, [(0, 1)], startedAt: Self.start + Microseconds(Int64(-5 * year * 1e6)), isDelta: true)
        let (collected, _) = collect(meter, [("a", first), ("a", second)])
        #expect(collected.knots.count < 10)
        #expect(collected.gaps.map(\.cause) == [.absence])
    }

    @Test func whereBridgesAreShortPausesAreGaps() {
        let meter = Self.meter()
        var curve = MeterCurve(meter, bridge: .hour)
        _ = curve.read(Self.series(meter, [(0, 0), (3_600, 5_000_000), (10_000, 10_000_000)]), from: "a", now: Self.later)
        let (_, gaps) = curve.take()
        #expect(gaps.map(\.interval.end) == [Self.start + .seconds(10_000)])
    }

    /// Values, times and starts of any size, as counters, powers and increases: the curve never stops the collector, and never falls.
    @Test func anySeriesMakesACurve() {
        var random = RandomSource(seed: 68)
        let meters = [
            Self.meter(), Self.meter(range: Self.range), Self.meter(.power), Self.meter(isSum: true), Self.meter(least: 65_000_000_000),
        ]
        for _ in 0..<LongRun.rounds(short: 3_000, long: 200_000) {
            let meter = meters[random.next(below: meters.count)]
            var state: MeterCurve.State?
            for _ in 0..<4 {
                var curve = MeterCurve(meter, state: state)
                func number() -> Int64 {
                    switch random.next(below: 4) {
                    case 0: Int64.random(in: .min ... .max, using: &random)
                    case 1: [Int64.min, .max, 0, 4_600_000_000_000_000_000][random.next(below: 4)]
                    default: Self.start.microseconds + Int64.random(in: -200_000_000...200_000_000, using: &random)
                    }
                }
                var one = Self.series(meter, [], part: "\(random.next(below: 3))", isDelta: random.chance(0.4))
                if !meter.isSum { one.part = "" }
                one.readings = (0..<random.next(below: 6)).map { _ in
                    MappedSeries.Reading(
                        time: Timestamp(microseconds: number()),
                        value: random.chance(0.9) ? min(4_600_000_000_000_000_000, max(0, number())) : nil,
                        isStale: random.chance(0.05),
                        startedAt: random.chance(0.5) ? Timestamp(microseconds: number()) : nil
                    )
                }.sorted { $0.time < $1.time }
                _ = curve.read(one, from: random.chance(0.8) ? "a" : "b", now: Self.later)
                let knots = curve.take().knots
                #expect(zip(knots, knots.dropFirst()).allSatisfy { $0.time < $1.time && $0.value <= $1.value })
                state = curve.kept.flatMap { MeterCurve.State(json: Self.stored($0.json), epsilon: meter.epsilon) }
            }
        }
    }
}
