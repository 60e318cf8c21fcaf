import Energy
import TestSupport
import Testing

@Suite struct CurveTests {
    static func knot(_ seconds: Double, _ value: Int64, _ flags: KnotFlags = []) -> Knot {
        Knot(time: Timestamp(microseconds: Int64(seconds * 1e6)), value: value, flags: flags)
    }

    static func at(_ seconds: Double) -> Timestamp { Timestamp(microseconds: Int64(seconds * 1e6)) }

    @Test func energyOfAnIntervalIsTheDifferenceOfTwoValues() {
        let curve = Curve(knots: [Self.knot(0, 0), Self.knot(10, 1_000), Self.knot(20, 1_000), Self.knot(30, 4_000)])
        #expect(curve.increase(over: Interval(Self.at(5), Self.at(25))) == 2_000)
        #expect(curve.value(at: Self.at(-1)) == nil)
        #expect(curve.increase(over: Interval(Self.at(-5), Self.at(100))) == 4_000)
    }

    @Test func aKnotOnTheLineChangesNothing() {
        let plain = Curve(knots: [Self.knot(0, 0), Self.knot(10, 1_000)])
        let withKnot = Curve(knots: [Self.knot(0, 0), Self.knot(4, 400), Self.knot(10, 1_000)])
        for t in stride(from: 0.0, through: 10.0, by: 0.5) { #expect(plain.value(at: Self.at(t)) == withKnot.value(at: Self.at(t))) }
    }

    @Test(arguments: 0..<20) func mergingKnotsInAnyOrderChangesNothing(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var time = 0.0
        var value: Int64 = 0
        let knots = (0..<50).map { _ in
            time += Double.random(in: 0.001...5, using: &random)
            value += Int64.random(in: 0...1_000_000, using: &random)
            return Self.knot(time, value)
        }
        #expect(Curve(knots: knots).knots == Curve(knots: knots.shuffled(using: &random) + knots).knots)
    }

    @Test func aGapIsNotKnown() {
        let gap = Gap(interval: Interval(Self.at(4), Self.at(6)), low: 0, high: 500, cause: .reboot)
        let curve = Curve(knots: [Self.knot(0, 0), Self.knot(4, 400), Self.knot(6, 400), Self.knot(10, 800)], gaps: [gap])
        #expect(
            curve.known(within: Interval(Self.at(-5), Self.at(20)))
                == [Interval(Self.at(0), Self.at(4)), Interval(Self.at(6), Self.at(10))]
        )
    }

    @Test func hoursAreNumberedFromTheEpochAlsoBeforeIt() {
        #expect(Hour(containing: Timestamp(microseconds: -1)).number == -1)
        #expect(Hour(containing: Timestamp(microseconds: 0)).number == 0)
        #expect(Hour.touching(Interval(Hour(number: 5).start, Hour(number: 7).start)).map(\.number) == [5, 6])
        #expect(Hour.touching(Interval(Self.at(1), Self.at(1))).isEmpty)
    }
}

@Suite struct SwingingDoorTests {
    /// Feeds samples through a door and gives back all knots, the tail included.
    static func thin(_ samples: [Knot], epsilon: Int64) -> [Knot] {
        var door = SwingingDoor(epsilon: epsilon)
        var knots = samples.compactMap { door.add($0) }
        if let last = door.force() { knots.append(last) }
        return knots
    }

    /// Random walks in power: steady, bursts, idling.
    static func samples(seed: UInt64, count: Int = 2_000) -> [Knot] {
        var random = RandomSource(seed: seed)
        var value: Int64 = 0
        var watts = 40.0
        return (0..<count).map { i in
            if random.chance(0.03) { watts = Double.random(in: 5...250, using: &random) }
            value += Int64((watts + Double.random(in: -3...3, using: &random)) * 100_000)
            return Knot(time: Timestamp(microseconds: Int64(i) * 100_000 + Int64.random(in: 0...900, using: &random)), value: value)
        }
    }

    @Test(arguments: 0..<30) func noSampleIsFurtherThanEpsilonFromTheLine(seed: UInt64) {
        let samples = Self.samples(seed: seed)
        let epsilon: Int64 = 1_000_000
        let curve = Curve(knots: Self.thin(samples, epsilon: epsilon))
        let worst = samples.map { abs(curve.value(at: $0.time)! - Double($0.value)) }.max()!
        #expect(worst <= Double(epsilon) + 1)
        #expect(curve.knots.count < samples.count / 2)
    }

    @Test(arguments: 0..<10) func totalsAreExactWhateverWasThinned(seed: UInt64) {
        let samples = Self.samples(seed: seed)
        let knots = Self.thin(samples, epsilon: 1_000_000)
        #expect(knots.first == samples.first)
        #expect(knots.last?.value == samples.last?.value)
        #expect(knots.last?.time == samples.last?.time)
    }

    @Test func aStraightStretchCostsNothing() {
        let samples = (0...1_000).map { Knot(time: Timestamp(microseconds: Int64($0) * 100_000), value: Int64($0) * 5_000_000) }
        #expect(Self.thin(samples, epsilon: 1).count == 2)
    }

    @Test func aForcedKnotIsARealSampleAndThinningGoesOnFromIt() {
        var door = SwingingDoor(epsilon: 1_000)
        _ = door.add(CurveTests.knot(0, 0))
        _ = door.add(CurveTests.knot(1, 500))
        let forced = door.force(flags: .edge)
        #expect(forced == CurveTests.knot(1, 500, .edge))
        #expect(door.force() == nil)
        #expect(door.add(CurveTests.knot(2, 50_000)) == nil)
        #expect(door.add(CurveTests.knot(3, 50_000)) == CurveTests.knot(2, 50_000))
    }
}

@Suite struct CounterUnwrappingTests {
    static let modulus = CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 262_143_328_850)

    @Test func thePowercapModulusIsOneUnitMoreThanTheLargestValue() {
        #expect(Self.modulus == 262_143_328_911)
        #expect(CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: 65_532_610_987) == 65_532_611_002)
    }

    @Test(arguments: 0..<50) func wrapsLoseNothing(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var counter = CounterUnwrapping(modulus: Self.modulus, maximumRate: 200)
        var truth = Int64.random(in: 0..<Self.modulus, using: &random)
        var counted: Int64 = 0
        var time = Timestamp(microseconds: 0)
        #expect(counter.read(raw: truth, at: time) == .first)
        for _ in 0..<200 {
            let step = Microseconds(Int64.random(in: 1...600_000_000, using: &random))
            let rate = Double.random(in: 0...200, using: &random)
            let increase = Int64(rate * Double(step.count))
            truth += increase
            time = time + step
            guard case .exactly(let delta) = counter.read(raw: truth % Self.modulus, at: time) else {
                Issue.record("an increase that cannot be ambiguous was called so")
                return
            }
            #expect(delta == increase)
            counted += delta
        }
    }

    @Test func aLongSilenceIsAmbiguousWhicheverWayTheCounterMoved() {
        // 200 W for 22 min turn the counter once; it reads as 1.4 W if only falls are checked.
        for raw: Int64 in [2_000_000_000, 500_000_000] {
            var counter = CounterUnwrapping(modulus: Self.modulus, maximumRate: 200)
            _ = counter.read(raw: 1_000_000_000, at: CurveTests.at(0))
            guard case .between(let low, let high, .wrap) = counter.read(raw: raw, at: CurveTests.at(22 * 60)) else {
                Issue.record("expected limits")
                return
            }
            #expect(low == (raw - 1_000_000_000 + Self.modulus) % Self.modulus)
            #expect(high == low + Self.modulus)
        }
    }

    @Test func aRebootIsAGapAndAFallOfA64BitCounterAReset() {
        var counter = CounterUnwrapping(modulus: Self.modulus, maximumRate: 100)
        _ = counter.read(raw: 5, at: CurveTests.at(0))
        #expect(counter.read(raw: 100, at: CurveTests.at(10), isSameBoot: false) == .between(low: 0, high: 1_000_000_000, cause: .reboot))
        var wide = CounterUnwrapping(modulus: nil, maximumRate: 100)
        _ = wide.read(raw: 5_000, at: CurveTests.at(0))
        #expect(wide.read(raw: 10, at: CurveTests.at(1)) == .between(low: 0, high: 100_000_000, cause: .reset))
        #expect(wide.read(raw: 30, at: CurveTests.at(2)) == .exactly(20))
    }

    @Test(arguments: [nil, modulus]) func aRiseBeyondReachIsAGapAndCountingGoesOnFromThere(modulus: Int64?) {
        var counter = CounterUnwrapping(modulus: modulus, maximumRate: 200)
        _ = counter.read(raw: 1_000, at: CurveTests.at(0))
        // 200 W for a second, twice that and ten seconds more for a reader that stood still: 4.4 kJ, and no µJ more.
        let most: Int64 = 4_400_000_000
        #expect(counter.read(raw: 1_000 + most, at: CurveTests.at(1)) == .exactly(most))
        let reset = CounterUnwrapping.Increase.between(low: 0, high: 200_000_000, cause: .reset)
        #expect(counter.read(raw: 1_001 + 2 * most, at: CurveTests.at(2)) == reset)
        #expect(counter.read(raw: 1_031 + 2 * most, at: CurveTests.at(3)) == .exactly(30))
    }

    @Test func aFallThatIsNoWrapIsAGap() {
        var counter = CounterUnwrapping(modulus: Self.modulus, maximumRate: 200)
        _ = counter.read(raw: Self.modulus / 2, at: CurveTests.at(0))
        #expect(counter.read(raw: 10, at: CurveTests.at(1)) == .between(low: 0, high: 200_000_000, cause: .reset))
        #expect(counter.read(raw: 40, at: CurveTests.at(2)) == .exactly(30))
    }

    @Test func aRateThatDoesNotBindIsNoReach() {
        var counter = CounterUnwrapping(modulus: nil, maximumRate: 1, isRateBinding: false)
        _ = counter.read(raw: 0, at: CurveTests.at(0))
        #expect(counter.read(raw: 1_000_000_000, at: CurveTests.at(1)) == .exactly(1_000_000_000))
    }

    @Test func anAbsurdReadingDoesNotTrap() {
        var counter = CounterUnwrapping(modulus: nil, maximumRate: .infinity)
        _ = counter.read(raw: .min, at: CurveTests.at(0))
        _ = counter.read(raw: .max, at: CurveTests.at(1))
    }
}

@Suite struct CoverTests {
    static func place(_ name: String, _ zone: Zone, _ package: Int? = 0, _ quality: Quality = .measured) -> MeterPlace {
        MeterPlace(name: name, zone: zone, package: package, quality: quality)
    }

    @Test func packagesAndMemoryAreCountedOnceAndTheirPartsNot() {
        let cover = Cover.choose(among: [
            Self.place("p0", .package, 0), Self.place("p1", .package, 1), Self.place("d0", .dram, 0), Self.place("d1", .dram, 1),
            Self.place("c0", .core, 0), Self.place("u0", .uncore, 0), Self.place("psys", .psys, nil),
        ])
        #expect(cover == ["p0", "p1", "d0", "d1"])
    }

    @Test func aModelStandsInOnlyWhereNoSensorIs() {
        #expect(Cover.choose(among: [Self.place("m", .package, nil, .modelled)]) == ["m"])
        #expect(Cover.choose(among: [Self.place("m", .package, nil, .modelled), Self.place("p0", .package)]) == ["p0"])
        #expect(Cover.choose(among: [Self.place("m", .package, nil, .modelled), Self.place("bmc", .node, nil, .sampled)]) == ["bmc"])
    }
}
