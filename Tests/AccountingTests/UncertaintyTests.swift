import Carbon
import Energy
import TestSupport
import Testing

@testable import Accounting

/// Slices made by hand: what the errors of sums must do whatever the engine finds.
struct UncertaintyTests {
    static let hour = Hour(number: 480_000)

    static func whole(_ dynamic: Double, idle: Double = 0, meter: Double = 0.05, floor: Double = 0.05) -> HourFigures {
        HourFigures(meterErrorRatio: meter, floorErrorRatio: floor, shared: dynamic, metered: dynamic + idle)
    }

    /// - Parameter minutes: of the hour.
    static func slice(
        _ member: Int64,
        host: Int32 = 1,
        hour: Hour = hour,
        component: Component = .cpu,
        minutes: ClosedRange<Double> = 0...60,
        dynamic: Double,
        idle: Double = 0,
        floor: Double = 0,
        edges: (Double, Double) = (0, 0),
        method: ShareMethod = .measured,
        whole: HourFigures,
        intensity: IntensityFigure? = nil,
        pue: PUEFigure = PUEFigure(key: .pue("site a"), best: 1.2, low: 1.1, high: 1.3)
    ) -> SliceFigures {
        func at(_ minute: Double) -> Timestamp { hour.start + Microseconds(Int64(minute * 60e6)) }
        var one = Slice(
            spanID: member,
            component: component,
            interval: Interval(at(minutes.lowerBound), at(minutes.upperBound)),
            dynamic: Int64(dynamic),
            idle: IdleMoved(reserved: Int64(idle)),
            bounds: SliceBounds(),
            metered: Microseconds(Int64((minutes.upperBound - minutes.lowerBound) * 60e6)),
            meanShare: 0.1,
            shareMethod: method,
            quality: .measured
        )
        one.errors.floor = floor
        one.errors.start = edges.0
        one.errors.end = edges.1
        one.bounds.drawnLow = dynamic + floor
        one.bounds.drawnHigh = dynamic + floor
        one.bounds.floorLow = floor
        one.bounds.floorHigh = floor
        return SliceFigures(one, host: host, hour: hour, policy: .reserved, whole: whole, pue: pue, intensity: intensity)
    }

    static func sum(_ slices: [SliceFigures]) -> UncertainSum {
        var sum = UncertainSum()
        for slice in slices { sum.add(slice) }
        return sum
    }

    static let gb = IntensityFigure(
        key: .intensity(zone: "GB", provider: "carbonintensity.org.uk", kind: "actual"),
        best: 200,
        low: 150,
        high: 270
    )

    /// A set of slices of any kind, on a few hosts over a few hours.
    static func random(seed: UInt64) -> [SliceFigures] {
        var random = RandomSource(seed: seed)
        return (0..<20).map { i in
            let host = Int32.random(in: 1...3, using: &random)
            let hour = Hour(number: 480_000 + Int64.random(in: 0...2, using: &random))
            let start = Double.random(in: 0...50, using: &random)
            let total = 9e9 * Double(host)
            var one = slice(
                Int64(i),
                host: host,
                hour: hour,
                component: random.chance(0.3) ? .dram : .cpu,
                minutes: start...Double.random(in: start...60, using: &random),
                dynamic: Double.random(in: 0...1e9, using: &random),
                idle: Double.random(in: 0...1e8, using: &random),
                floor: Double.random(in: 0...3e8, using: &random),
                edges: (Double.random(in: 0...1e6, using: &random), Double.random(in: 0...1e6, using: &random)),
                method: ShareMethod.allCases.randomElement(using: &random) ?? .equal,
                whole: whole(total, idle: 1e9),
                intensity: gb
            )
            if random.chance(0.3) { one.estimated = Double.random(in: 0...1e8, using: &random) }
            return one
        }
    }

    @Test func `splitting a span in two and summing gives the same interval`() {
        let whole = Self.whole(6e9, idle: 2e9)
        let one = Self.slice(1, dynamic: 2e9, idle: 4e8, floor: 3e8, edges: (2e6, 3e6), whole: whole, intensity: Self.gb)
        let first = Self.slice(
            1,
            minutes: 0...20,
            dynamic: 5e8,
            idle: 1e8,
            floor: 1e8,
            edges: (2e6, 7e6),
            whole: whole,
            intensity: Self.gb
        )
        let second = Self.slice(
            2,
            minutes: 20...60,
            dynamic: 1.5e9,
            idle: 3e8,
            floor: 2e8,
            edges: (7e6, 3e6),
            whole: whole,
            intensity: Self.gb
        )
        #expect(close(Self.sum([one]).energy(), Self.sum([first, second]).energy(), 1))
        #expect(close(Self.sum([one]).grams()!, Self.sum([first, second]).grams()!, 1e-6))
    }

    @Test func `the sum over everything has no share term`() {
        let whole = Self.whole(6e9, meter: 1e-12, floor: 1e-12)
        let parts = [1e9, 2e9, 3e9].enumerated().map { Self.slice(Int64($0), dynamic: $1, method: .equal, whole: whole) }
        #expect(Self.sum([parts[0]]).energy().halfWidth > 1e8)
        #expect(Self.sum(parts).energy().halfWidth < 1)
    }

    @Test(arguments: 1...20)
    func `adding in any order gives identical digits`(seed: UInt64) {
        var random = RandomSource(seed: seed)
        let slices = Self.random(seed: seed)
        let expected = Self.sum(slices)
        let shuffled = slices.shuffled(using: &random)
        let left = Self.sum(Array(shuffled.prefix(7)))
        let right = Self.sum(Array(shuffled.dropFirst(7)))
        for other in [Self.sum(shuffled), left + right, right + left] {
            #expect(other.energy() == expected.energy())
            #expect(other.grams() == expected.grams())
        }
    }

    @Test(arguments: 1...20)
    func `what is taken out again leaves no trace`(seed: UInt64) {
        var sum = Self.sum(Self.random(seed: seed))
        let before = (sum.energy(), sum.grams())
        for slice in Self.random(seed: seed + 100) { sum.add(slice) }
        for slice in Self.random(seed: seed + 100).reversed() { sum.add(slice, sign: -1) }
        #expect(sum.energy() == before.0)
        #expect(sum.grams() == before.1)
    }

    @Test(arguments: 1...20)
    func `a comparison of identical sets is nothing, with no doubt`(seed: UInt64) {
        let slices = Self.random(seed: seed)
        let same = comparison(Self.sum(slices), Self.sum(slices.reversed()))
        #expect(same.energy.best == 0 && same.energy.low == 0 && same.energy.high == 0)
        #expect(same.grams?.best == 0 && same.grams?.low == 0 && same.grams?.high == 0)
        #expect(same.relative?.best == 0 && same.relative?.low == 0 && same.relative?.high == 0)
        #expect(!same.isSignificant)
    }

    @Test func `two jobs on one meter differ by less than their meter's error`() {
        let before = Self.slice(1, hour: Hour(number: 480_000), dynamic: 1e9, whole: Self.whole(1e9))
        let after = Self.slice(2, hour: Hour(number: 480_001), dynamic: 0.9e9, whole: Self.whole(0.9e9))
        let compared = comparison(Self.sum([after]), Self.sum([before]))
        // 5 % of a tenth.
        #expect(abs(compared.energy.halfWidth - 1.96 * 0.05 * 1e8) < 1e5)
        #expect(compared.isSignificant)
        #expect(compared.relative.map { abs($0.best + 0.1) < 1e-9 && $0.halfWidth < 1e-6 } == true)
        // Of two machines the errors are two.
        let elsewhere = Self.slice(2, host: 2, dynamic: 0.9e9, whole: Self.whole(0.9e9))
        #expect(comparison(Self.sum([elsewhere]), Self.sum([before])).energy.halfWidth > 1.3e8)
    }

    @Test func `quadrature over jobs would be wrong: errors of one meter add up`() {
        let slices = (0..<100).map { Self.slice(Int64($0), dynamic: 1e7, whole: Self.whole(1e9)) }
        #expect(abs(Self.sum(slices).energy().halfWidth / (1.96 * 0.05 * 1e9) - 1) < 1e-3)
        let apart = (0..<100).map { Self.slice(1, host: $0, dynamic: 1e7, whole: Self.whole(1e7)) }
        #expect(abs(Self.sum(apart).energy().halfWidth / (1.96 * 0.05 * 1e8) - 1) < 1e-3)
    }

    @Test func `neighbours cancel at the instant between them`() {
        let whole = Self.whole(4e9, meter: 1e-12, floor: 1e-12)
        let before = Self.slice(1, minutes: 0...30, dynamic: 2e9, edges: (0, 5e7), whole: whole)
        let after = Self.slice(2, minutes: 30...60, dynamic: 2e9, edges: (5e7, 0), whole: whole)
        #expect(Self.sum([before]).energy().halfWidth > 9e7)
        #expect(Self.sum([before, after]).energy().halfWidth < 1)
    }

    @Test(arguments: 1...50)
    func `an interval is around its figure, not below nothing, and inside what the hosts can have used`(seed: UInt64) {
        let slices = Self.random(seed: seed).map { slice in
            var slice = slice
            slice.whole.ceiling = slice.whole.metered
            return slice
        }
        let estimate = Self.sum(slices).energy()
        #expect(0 <= estimate.low && estimate.low <= estimate.best && estimate.best <= estimate.high)
        #expect(estimate.boundLow <= estimate.best && estimate.best <= estimate.boundHigh)
        let grams = Self.sum(slices).grams()!
        #expect(0 <= grams.low && grams.low <= grams.best && grams.best <= grams.high)
        // The same hours, whole.
        var hosts = UncertainSum()
        for (_, some) in Dictionary(grouping: slices, by: { ErrorKey.gap(host: $0.host, hour: $0.hour, component: $0.component) }) {
            var all = some[0]
            all.energy = all.whole.metered
            all.shared = all.whole.shared
            all.errors = SliceErrors()
            all.idleMoved = 0
            all.estimated = 0
            hosts.add(all)
        }
        #expect(estimate.high <= hosts.energy().high * (1 + 1e-9))
    }

    @Test func `a job on an idle machine's meter is no wider than the machine`() {
        var slice = Self.slice(1, dynamic: 9e8, method: .equal, whole: Self.whole(1e9, idle: 0))
        slice.whole.ceiling = 1e9
        slice.shareErrorRatio = 5
        #expect(Self.sum([slice]).energy().high <= 1e9 * (1 + 1.96 * 0.05) + 1)
    }

    @Test func `what was not metered widens the figure upwards, and to nearly all that can have flowed where nobody can say`() {
        let plain = Self.slice(1, dynamic: 1e9, whole: Self.whole(1e9))
        var missed = plain
        missed.estimated = 3e8
        missed.unmeteredHigh = 9e8
        let estimate = Self.sum([missed]).energy()
        #expect(estimate.best == 1e9)
        #expect(estimate.high > 1.3e9 && estimate.high < 1.9e9)
        var unknown = missed
        unknown.estimated = nil
        #expect(Self.sum([unknown]).energy().high >= 1e9 + 0.95 * 9e8)
    }

    @Test(arguments: [0.05, 0.3, 2, 20])
    func `an interval that begins at what was metered leaves out 5 %, not 2.5 %`(missed: Double) {
        // An error of 1 around so much more.
        let interval = ErrorInterval(ErrorMoments(variance: 1), holding: -missed)
        let within = NormalDistribution.part(below: interval.high) - NormalDistribution.part(below: interval.low)
        #expect(abs(within - 0.95) < 1e-6)
        #expect(interval.low <= -missed || missed < 1.96)
        let other = ErrorInterval(ErrorMoments(variance: 1), holding: missed)
        #expect(abs(other.low + interval.high) < 1e-6 && abs(other.high + interval.low) < 1e-6)
    }

    @Test func `where nobody stated a PUE the grams reach up to an average building's, and the meter's error is on either side`() {
        let unstated = PUEFigure(1, site: nil, host: 1)
        let slice = Self.slice(1, dynamic: 1e12, whole: Self.whole(1e12), intensity: Self.gb, pue: unstated)
        let grams = Self.sum([slice]).grams()!
        #expect(grams.low < 0.95 * grams.best && grams.high > 1.5 * grams.best && grams.high < 2.4 * grams.best, "\(grams)")
        let drawn = MonteCarlo(draws: 20_000, seed: 2).estimates(of: [slice]).grams!
        #expect(abs(grams.low - drawn.low) < 0.1 * drawn.halfWidth && abs(grams.high - drawn.high) < 0.1 * drawn.halfWidth, "\(drawn)")
    }

    @Test func `the grams of a joule have all their digits`() {
        let slice = Self.slice(1, dynamic: 1e6, whole: Self.whole(1e6), intensity: Self.gb)
        // 1 J at 200 g/kWh in a building of PUE 1.2.
        #expect(abs(Self.sum([slice]).grams()!.best / (200 * 1.2 / 3.6e6) - 1) < 1e-6)
    }

    @Test func `without an intensity there are no grams`() {
        let known = Self.slice(1, dynamic: 1e9, whole: Self.whole(1e9), intensity: Self.gb)
        let unknown = Self.slice(2, dynamic: 1e9, whole: Self.whole(1e9))
        #expect(Self.sum([known]).grams() != nil)
        #expect(Self.sum([known, unknown]).grams() == nil)
    }

    @Test func `a machine's making has one error however many jobs share it`() {
        var sum = UncertainSum()
        for _ in 0..<10 { sum.addEmbodied(host: 1, best: 100, low: 50, high: 200) }
        let estimate = sum.embodiedGrams()!
        #expect(estimate.best == 1000)
        #expect(abs(estimate.low - 500) < 1 && abs(estimate.high - 2000) < 1)
        #expect(UncertainSum().embodiedGrams() == nil)
    }

    @Test func `a total that somebody summed is worth its slices`() {
        let slices = (0..<5).map {
            Self.slice(Int64($0), hour: Hour(number: 480_000 + Int64($0)), dynamic: 1e9, idle: 2e8, floor: 1e8, whole: Self.whole(1e9))
        }
        var total = TotalFigures(host: 1, component: .cpu)
        total.energy = 6e9
        total.meterError = 6e9 * 0.05
        total.floorError = 5e8 * 0.05
        var sum = UncertainSum()
        sum.add(total)
        #expect(abs(sum.energy().halfWidth - Self.sum(slices).energy().halfWidth) < 1)
        total.ownVariance = 1e8 * 1e8
        var wider = UncertainSum()
        wider.add(total)
        #expect(wider.energy().halfWidth > sum.energy().halfWidth * 1.05)
    }

    @Test func `each kind of meter has a default, and one that nobody knows has the largest`() {
        var largest = 0.0
        for zone in Zone.allCases {
            for sensor in ["powercap", "msr", "nvml", "hwmon", "ipmi", "redfish", "exec"] {
                let ratio = MeterAccuracy.errorRatio(sensor: sensor, zone: zone, quality: .measured)
                #expect(ratio > 0)
                largest = max(largest, ratio)
            }
        }
        #expect(MeterAccuracy.errorRatio(sensor: "crystal-ball", zone: .package, quality: .measured) >= largest)
        #expect(MeterAccuracy.errorRatio(sensor: "powercap", zone: .package, quality: .unknown) >= largest)
        // The table's limits are a model's 95 % interval.
        let model = MeterAccuracy.errorRatio(sensor: "model", zone: .package, quality: .modelled, boundRatios: (0.5, 1.8))
        #expect(abs(model - 1.3 / 3.92) < 1e-3)
        #expect(ShareMethod.allCases.map(\.errorRatio) == ShareMethod.allCases.map(\.errorRatio).sorted())
        #expect(Intensity.Kind.allCases.map(\.errorRatio) == Intensity.Kind.allCases.map(\.errorRatio).sorted())
    }

    private func close(_ a: Estimate, _ b: Estimate, _ tolerance: Double) -> Bool {
        abs(a.best - b.best) <= tolerance && abs(a.low - b.low) <= tolerance && abs(a.high - b.high) <= tolerance
    }
}
