import Energy
import TestSupport
import Testing

@testable import Accounting

/// Meters around others: a slow one fixes the amount, the inner ones the shape.
@Suite struct RestTests {
    private static let window = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 100_000_000))

    private static func curve(_ points: [(second: Int64, joules: Int64)], gaps: [Gap] = []) -> Curve {
        Curve(knots: points.map { Knot(time: window.start + .seconds($0.second), value: $0.joules * 1_000_000) }, gaps: gaps)
    }

    private static func floor(_ watts: Double) -> UtilisationModel.Point {
        UtilisationModel.Point(low: Power(watts: watts), best: Power(watts: watts), high: Power(watts: watts))
    }

    /// A package of 20 W, but 120 W for the ten seconds of one job; the node is seen at both ends only.
    private static func host(node: Int64 = 5_000) -> HostInput {
        let meter = MeterInput(
            name: "package",
            component: .cpu,
            quality: .measured,
            curve: curve([(0, 0), (40, 800), (50, 2_000), (100, 3_000)]),
            idle: floor(20)
        )
        let job = Interval(window.start + .seconds(40), window.start + .seconds(50))
        return HostInput(
            window: window,
            cpus: 4,
            meters: [meter],
            wholes: [WholeMeterInput(name: "node", quality: .sampled, curve: curve([(0, 0), (100, node)]), inner: ["package"])],
            busy: curve([(0, 0), (40, 0), (50, 40), (100, 40)]),
            spans: [SpanInput(id: 1, interval: job, cpuShare: 1)]
        )
    }

    @Test func theJobKeepsWhatThePackageSawOfItAndTheRestIsEven() {
        let accounts = Sweep.accounts(of: Self.host())
        #expect(accounts.map(\.component) == [.cpu, .rest])
        #expect(accounts[0].slices[0].dynamic == 1_000_000_000)
        let rest = accounts[1]
        #expect(rest.metered == 2_000_000_000)
        #expect(rest.idle == 2_000_000_000)
        #expect(rest.flags.contains(.idleFloorFitted))
        #expect(!rest.flags.contains(.nodeBelowInner))
        #expect(rest.quality == .sampled)
        // 20 W for its ten seconds; in proportion to the package it would be two fifths of it all.
        #expect(rest.slices[0].idle.reserved == 200_000_000)
        let limits = rest.slices[0].bounds.limits(idleMoved: rest.slices[0].idle.reserved)
        #expect(limits.low <= 200_000_000 && limits.high >= 800_000_000)
        #expect(rest.isConserved)
    }

    @Test func whatTheMetersMayBeOffByIsInTheLimitsOfRest() {
        func width(_ change: (inout HostInput) -> Void) -> Double {
            var host = Self.host()
            change(&host)
            let slice = Sweep.accounts(of: host)[1].slices[0]
            let limits = slice.bounds.limits(idleMoved: slice.idle.reserved)
            return limits.high - limits.low
        }
        let before = width { _ in }
        #expect(width { $0.wholes[0].epsilonMicrojoules = 5_000_000 } > before)
        #expect(width { $0.meters[0].epsilonMicrojoules = 5_000_000 } > before)
        #expect(width { $0.wholes[0].samplePeriod = .seconds(1) } > before)
    }

    @Test func aNodeBelowItsPartsHasNoRestAndSaysSo() {
        let accounts = Sweep.accounts(of: Self.host(node: 2_900))
        #expect(accounts[1].metered == 0)
        #expect(accounts[1].flags.contains(.nodeBelowInner))
        #expect(accounts[0].metered == 3_000_000_000)
    }

    @Test func onlyWhatAllOfThemKnowHasARest() {
        var host = Self.host()
        host.wholes[0].curve = Self.curve([(20, 0), (70, 2_500)])
        let rest = Sweep.accounts(of: host)[1]
        // 400 J to 2400 J of the package within those 50 s.
        #expect(rest.metered == 500_000_000)
        #expect(rest.unmetered == .seconds(50))
        #expect(rest.quality == .partial)
        host.meters[0].curve = Self.curve(
            [(0, 0), (40, 800), (50, 2_000), (60, 2_200), (65, 2_200), (100, 2_900)],
            gaps: [
                Gap(interval: Interval(Self.window.start + .seconds(60), Self.window.start + .seconds(65)), low: 0, high: 1, cause: .reboot)
            ]
        )
        #expect(Sweep.accounts(of: host)[1].unmetered == .seconds(55))
    }

    @Test func aFloorOfItsOwnMakesTheRestOfItDynamic() {
        var host = Self.host()
        host.restIdle = Self.floor(15)
        let rest = Sweep.accounts(of: host)[1]
        #expect(rest.idle == 1_950_000_000)
        #expect(rest.slices[0].dynamic == 50_000_000)
        #expect(!rest.flags.contains(.idleFloorFitted))
    }

    @Test func severalWholesEachHaveTheirRest() {
        var host = Self.host()
        var second = host.meters[0]
        second.name = "other"
        host.meters.append(second)
        host.wholes.append(
            WholeMeterInput(name: "module", quality: .measured, curve: Self.curve([(0, 0), (100, 4_000)]), inner: ["other"])
        )
        #expect(Sweep.accounts(of: host)[1].metered == 3_000_000_000)
    }

    @Test(arguments: 0..<LongRun.rounds(short: 100, long: 2_000)) func theNodesEnergyIsItsPartsAndTheRest(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var host = RandomHost(seed: UInt64(seed), meterCount: 2, withoutGaps: true).enriched(nil).input
        var value: Int64 = 0
        let knots = (-1...61).map { minute -> Knot in
            value += Int64.random(in: 0...60_000_000_000, using: &random)
            return Knot(time: host.window.start + .seconds(Int64(minute) * 60), value: value)
        }
        host.wholes = [WholeMeterInput(name: "node", quality: .sampled, curve: Curve(knots: knots), inner: ["m0", "m1"])]
        host.cuts = [host.window.start + .seconds(1_800)]
        let accounts = Sweep.accounts(of: host)
        let inner = accounts.filter { $0.component != .rest }.reduce(0) { $0 + $1.metered }
        let node = host.wholes[0].curve.wholeValue(at: host.window.end) - host.wholes[0].curve.wholeValue(at: host.window.start)
        guard let rest = accounts.first(where: { $0.component == .rest }) else {
            Issue.record("no rest")
            return
        }
        #expect(abs(rest.metered - max(0, node - inner)) <= 4, "seed \(seed)")
        #expect(rest.flags.contains(.nodeBelowInner) == (node < inner))
        #expect(accounts.allSatisfy { $0.isConserved })
    }
}
