import Accounting
import Energy
import TestSupport
import Testing

@Suite struct LawTests {
    @Test(arguments: 0..<LongRun.rounds(short: 300, long: 10_000)) func everyJouleIsInExactlyOneAccount(seed: Int) {
        let host = RandomHost(seed: UInt64(seed)).input
        for accounts in Sweep.accounts(of: host) {
            #expect(accounts.isConserved, "seed \(seed), \(accounts.component)")
            var metered: Int64 = 0
            for meter in host.meters where meter.component == accounts.component {
                for part in meter.curve.known(within: host.window) {
                    metered +=
                        meter.curve.wholeValue(at: part.end) - meter.curve.wholeValue(at: part.start)
                }
            }
            #expect(accounts.metered == metered, "seed \(seed), \(accounts.component)")
        }
    }

    @Test(arguments: 0..<100) func aPartIsWithinItsHardLimits(seed: UInt64) {
        for accounts in Sweep.accounts(of: RandomHost(seed: seed).input) where !accounts.flags.contains(.clamped) {
            for slice in accounts.slices {
                for policy in Policy.allCases {
                    let limits = slice.bounds.limits(policy: policy, idle: slice.idle)
                    let own = Double(slice.dynamic + slice.idle[policy])
                    #expect(
                        limits.low - 2 <= own && own <= limits.high + 2,
                        "seed \(seed), span \(slice.spanID), \(policy): \(limits), \(own)"
                    )
                }
            }
        }
        // And so is what was true, where what is seen of it is all within what was told of the meters.
        let violations = UncertaintyLimitsTests.violations(TrueHost(seed: seed))
        #expect(violations.isEmpty, "seed \(seed): \(violations.joined(separator: "\n"))")
    }

    @Test(arguments: 0..<100) func theSameInputsGiveTheSameDigitsInWhateverOrderTheSpansCome(seed: UInt64) {
        var host = RandomHost(seed: seed).input
        let before = Sweep.accounts(of: host)
        var random = RandomSource(seed: seed)
        host.spans.shuffle(using: &random)
        let after = Sweep.accounts(of: host)
        #expect(before.map(\.metered) == after.map(\.metered))
        #expect(before.map { $0.slices.map(\.dynamic) } == after.map { $0.slices.map(\.dynamic) })
        #expect(before.map(\.idleMoved) == after.map(\.idleMoved))
    }

    @Test(arguments: 0..<100) func aKnotOnTheLineChangesNothing(seed: UInt64) {
        let host = RandomHost(seed: seed, meterCount: 1, withoutGaps: true).input
        var random = RandomSource(seed: seed)
        var denser = host
        denser.meters = host.meters.map { meter in
            var meter = meter
            // Only where the line passes through a whole microjoule is a knot on the line possible.
            let extra = (0..<20).compactMap { _ -> Knot? in
                let i = Int.random(in: 0..<(meter.curve.knots.count - 1), using: &random)
                let (a, b) = (meter.curve.knots[i], meter.curve.knots[i + 1])
                guard (b.time - a.time).count % 2 == 0, (b.value - a.value) % 2 == 0, (b.time - a.time).count > 1 else { return nil }
                return Knot(time: a.time + Microseconds((b.time - a.time).count / 2), value: a.value + (b.value - a.value) / 2)
            }
            meter.curve = Curve(knots: meter.curve.knots + extra)
            return meter
        }
        let before = Sweep.accounts(of: host)[0]
        let after = Sweep.accounts(of: denser)[0]
        #expect(before.metered == after.metered)
        for (a, b) in zip(before.slices, after.slices) { #expect(abs(a.dynamic - b.dynamic) <= 1) }
        #expect(abs(before.system - after.system) <= 1)
        #expect(abs(before.idle - after.idle) <= 1)
    }

    @Test(arguments: 0..<100) func splittingASpanChangesNoTotal(seed: UInt64) {
        var host = RandomHost(seed: seed).input
        // Halves of a span that declares its part of the machine are the span; one with nothing declared would change how many run.
        host.spans = host.spans.filter { $0.cpuShare != nil || $0.cpus != nil }
        guard let whole = host.spans.first(where: { $0.interval.duration > .seconds(2) }) else { return }
        let middle = whole.interval.start + Microseconds(whole.interval.duration.count / 2)
        var first = whole
        first.interval = Interval(whole.interval.start, middle)
        var second = whole
        second.interval = Interval(middle, whole.interval.end)
        second.id = 1_000
        var split = host
        split.spans = host.spans.filter { $0.id != whole.id } + [first, second]
        for (before, after) in zip(Sweep.accounts(of: host), Sweep.accounts(of: split)) {
            guard !before.flags.contains(.clamped), !after.flags.contains(.clamped) else { continue }
            let old = before.slices.filter { $0.spanID == whole.id }.reduce(0) { $0 + $1.dynamic + $1.idle.reserved }
            let new = after.slices.filter { [whole.id, 1_000].contains($0.spanID) }.reduce(0) { $0 + $1.dynamic + $1.idle.reserved }
            #expect(abs(old - new) <= 4, "seed \(seed)")
            #expect(before.metered == after.metered)
            #expect(abs(before.system - after.system) <= 1)
        }
    }

    @Test(arguments: 0..<50) func aJobsEnergyGrowsWithItsShare(seed: UInt64) {
        var host = RandomHost(seed: seed, withoutGaps: true).input
        host.meters = host.meters.map { meter in
            var meter = meter
            meter.idle = nil
            return meter
        }
        host.spans = host.spans.filter { $0.cpuShare != nil }
        guard let one = host.spans.indices.first else { return }
        var last: [Int64] = []
        for share in [0.1, 0.2, 0.4, 0.8] {
            host.spans[one].cpuShare = share
            let energies = Sweep.accounts(of: host).map { $0.slices.first { $0.spanID == host.spans[one].id }?.dynamic ?? 0 }
            if !last.isEmpty { #expect(zip(last, energies).allSatisfy { $0 <= $1 + 1 }) }
            last = energies
        }
    }

    @Test(arguments: 0..<50) func scalingPowerScalesTheAnswer(seed: UInt64) {
        let host = RandomHost(seed: seed).input
        var doubled = host
        doubled.meters = host.meters.map { meter in
            var meter = meter
            meter.curve = Curve(
                knots: meter.curve.knots.map { Knot(time: $0.time, value: $0.value * 2, flags: $0.flags) },
                gaps: meter.curve.gaps
            )
            meter.idle = meter.idle.map {
                UtilisationModel.Point(
                    low: Power(watts: $0.low.watts * 2),
                    best: Power(watts: $0.best.watts * 2),
                    high: Power(watts: $0.high.watts * 2)
                )
            }
            return meter
        }
        for (one, two) in zip(Sweep.accounts(of: host), Sweep.accounts(of: doubled)) {
            for (a, b) in zip(one.slices, two.slices) { #expect(abs(a.dynamic * 2 - b.dynamic) <= 3) }
            #expect(abs(one.metered * 2 - two.metered) <= 8)
        }
    }
}

@Suite struct RuleTests {
    static let window = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 10_000_000))

    static func line(_ perSecond: Int64, _ window: Interval = window) -> Curve {
        Curve(knots: [
            Knot(time: window.start, value: 0), Knot(time: window.end, value: perSecond * window.duration.count / 1_000_000),
        ])
    }

    static func meter(_ watts: Double, idle: Double?) -> MeterInput {
        MeterInput(
            name: "p0",
            component: .cpu,
            quality: .measured,
            curve: line(Int64(watts * 1e6)),
            idle: idle.map { UtilisationModel.Point(low: Power(watts: $0), best: Power(watts: $0), high: Power(watts: $0)) }
        )
    }

    @Test func measuredSpansAtThreeToOneGetThreeToOne() {
        func span(_ id: Int64, _ fraction: Double) -> SpanInput {
            SpanInput(id: id, interval: Self.window, workload: .init(curve: Self.line(Int64(fraction * 1e6)), isClosed: true))
        }
        let accounts = Sweep.accounts(
            of: HostInput(
                window: Self.window,
                cpus: 2,
                meters: [Self.meter(50, idle: 20)],
                busy: Self.line(1_200_000),
                spans: [span(1, 0.75), span(2, 0.25)]
            )
        )[0]
        #expect(accounts.slices[0].dynamic == 187_500_000)
        #expect(accounts.slices[1].dynamic == 62_500_000)
        #expect(accounts.system == 50_000_000)
        #expect(accounts.slices.allSatisfy { $0.shareMethod == .measured })
    }

    @Test func aFloorAboveTheWholeHourIsLoweredAndFlagged() {
        let accounts = Sweep.accounts(of: HostInput(window: Self.window, cpus: 2, meters: [Self.meter(10, idle: 40)], busy: Self.line(0)))[
            0
        ]
        #expect(accounts.idle == 100_000_000)
        #expect(accounts.flags.contains(.idleFloorHigh))
    }

    @Test func aNegativeAccountIsStoredAsZeroAndTakenFromIdle() {
        // 0 W in the first half while a job runs, 200 W in the second while nothing does: D of the job is -100 J.
        let curve = Curve(
            knots: [(0, 0), (5, 0), (10, 1_000)].map { Knot(time: Timestamp(microseconds: $0 * 1_000_000), value: $1 * 1_000_000) }
        )
        let half = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 5_000_000))
        var meter = Self.meter(0, idle: 20)
        meter.curve = curve
        let busy = Curve(
            knots: [(0, 0), (5, 5), (10, 5)].map { Knot(time: Timestamp(microseconds: $0 * 1_000_000), value: $1 * 1_000_000) }
        )
        let accounts = Sweep.accounts(
            of: HostInput(
                window: Self.window,
                cpus: 1,
                meters: [meter],
                busy: busy,
                spans: [SpanInput(id: 1, interval: half, cpuShare: 1)]
            )
        )[0]
        #expect(accounts.isConserved)
        #expect(accounts.flags.contains(.clamped))
        #expect(accounts.jobDynamic == 0)
        #expect(accounts.idle == 1_000_000_000)
        // Idle was 200 J, 100 J of it in the job's time; the deficit of 100 J halves every slice's idle.
        #expect(accounts.slices[0].idle.reserved == 50_000_000)
    }

    @Test func withoutAMeterThereIsNoAccountAndWithoutAFloorAllIsDynamic() {
        #expect(Sweep.accounts(of: HostInput(window: Self.window, cpus: 1, meters: [])).isEmpty)
        let accounts = Sweep.accounts(
            of: HostInput(window: Self.window, cpus: 1, meters: [Self.meter(10, idle: nil)], busy: Self.line(500_000))
        )[0]
        #expect(accounts.system == 100_000_000)
        #expect(accounts.flags.contains(.idleFloorUnknown))
    }

    @Test func whatWasNotMeteredIsNotEnergyButALimit() {
        let gap = Interval(Timestamp(microseconds: 2_000_000), Timestamp(microseconds: 4_000_000))
        var meter = Self.meter(0, idle: 0)
        meter.maximumPower = Power(watts: 300)
        meter.curve = Curve(
            knots: [(0, 0), (2, 20), (4, 20), (10, 80)].map { Knot(time: Timestamp(microseconds: $0 * 1_000_000), value: $1 * 1_000_000) },
            gaps: [Gap(interval: gap, low: 0, high: 600_000_000, cause: .reboot)]
        )
        let accounts = Sweep.accounts(
            of: HostInput(window: Self.window, cpus: 1, meters: [meter], spans: [SpanInput(id: 1, interval: Self.window, cpuShare: 1)])
        )[0]
        #expect(accounts.metered == 80_000_000)
        #expect(accounts.unmetered == .seconds(2))
        #expect(accounts.unmeteredMaximum == 600_000_000)
        #expect(accounts.slices[0].quality == .partial)
        #expect(accounts.slices[0].bounds.limits(idleMoved: 0).high >= 680_000_000)
    }

    @Test func roundingHandsOutTheWholeTotalAndNothingBelowZero() {
        var rounding = CumulativeRounding(total: 10)
        #expect([3.4, 3.3, 3.3].map { rounding.next($0) }.reduce(0, +) + rounding.rest == 10)
        var short = CumulativeRounding(total: 2)
        #expect(short.next(5) == 2)
        #expect(short.next(-3) == 0)
        #expect(short.rest == 0)
    }

    @Test func aMeterThatReplacesAnotherLeavesNoHole() {
        func half(_ name: String, _ from: Int64, _ to: Int64, isClosed: Bool) -> MeterInput {
            let window = Interval(Timestamp(microseconds: from * 1_000_000), Timestamp(microseconds: to * 1_000_000))
            return MeterInput(
                name: name,
                component: .cpu,
                quality: .measured,
                curve: Self.line(10_000_000, window),
                maximumPower: Power(watts: 100),
                isClosed: isClosed
            )
        }
        func accounts(isClosed: Bool) -> ComponentAccounts {
            Sweep.accounts(
                of: HostInput(
                    window: Self.window,
                    cpus: 1,
                    meters: [half("old", 0, 4, isClosed: isClosed), half("new", 4, 10, isClosed: false)]
                )
            )[0]
        }
        #expect(accounts(isClosed: true).unmetered == .zero)
        #expect(accounts(isClosed: true).metered == 100_000_000)
        // One that is only silent is missing, and the other one before it began: nobody said that it takes its place.
        #expect(accounts(isClosed: false).unmetered == .seconds(10))
        #expect(accounts(isClosed: false).unmeteredMaximum == 1_000_000_000)
    }

    @Test func aSpanWithinAnotherIsChargedOnce() {
        // The outer cgroup counts the inner one's 0.75 CPU too, and 0.25 of its own.
        func span(_ id: Int64, _ fraction: Double, children: [Int64] = []) -> SpanInput {
            SpanInput(
                id: id,
                interval: Self.window,
                workload: .init(curve: Self.line(Int64(fraction * 1e6)), isClosed: true, childSpanIDs: children)
            )
        }
        let accounts = Sweep.accounts(
            of: HostInput(
                window: Self.window,
                cpus: 2,
                meters: [Self.meter(50, idle: 20)],
                busy: Self.line(1_200_000),
                spans: [span(1, 1, children: [2]), span(2, 0.75)]
            )
        )[0]
        #expect(accounts.slices.map(\.dynamic) == [62_500_000, 187_500_000])
        #expect(accounts.system == 50_000_000)
    }
}
