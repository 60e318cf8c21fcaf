import Energy
import TestSupport
import Testing

@testable import Accounting

/// Whatever comes in: right or flagged, never a trap.
@Suite struct EdgeCaseTests {
    private static func host(_ spans: [SpanInput], window: Interval = RuleTests.window) -> HostInput {
        HostInput(window: window, cpus: 2, meters: [RuleTests.meter(50, idle: 20)], busy: RuleTests.line(2_000_000), spans: spans)
    }

    @Test func sharesOverOneAreScaledToWhatThereIs() {
        let accounts = Sweep.accounts(
            of: Self.host([
                SpanInput(id: 1, interval: RuleTests.window, cpuShare: 3), SpanInput(id: 2, interval: RuleTests.window, cpuShare: 1),
            ])
        )[0]
        #expect(accounts.slices.map(\.dynamic) == [225_000_000, 75_000_000])
        #expect(accounts.slices.map(\.idle.reserved) == [150_000_000, 50_000_000])
        #expect(accounts.isConserved)
    }

    @Test func aSpanWithoutLengthHasNoSliceAndOneOfAYearHasItsPart() {
        let year = Interval(Timestamp(microseconds: -31_536_000_000_000), Timestamp(microseconds: 31_536_000_000_000))
        let accounts = Sweep.accounts(
            of: Self.host([
                SpanInput(id: 1, interval: Interval(RuleTests.window.start, RuleTests.window.start)), SpanInput(id: 2, interval: year),
                SpanInput(id: 3, interval: Interval(Timestamp(microseconds: .min), Timestamp(microseconds: .max)), cpuShare: 0.5),
            ])
        )[0]
        #expect(accounts.slices.map(\.spanID) == [2, 3])
        #expect(accounts.slices.allSatisfy { $0.interval == RuleTests.window })
        #expect(accounts.isConserved)
    }

    @Test func aWindowOfAYearIsNoTroubleAndOneBeyondTheClockHasNoAccounts() {
        let year = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 31_536_000_000_000))
        var host = Self.host([SpanInput(id: 1, interval: year, cpuShare: 0.5)], window: year)
        let curve = Curve(knots: [Knot(time: year.start, value: 0), Knot(time: year.end, value: 3_153_600_000_000_000)])
        host.meters = [MeterInput(name: "p0", component: .cpu, quality: .measured, curve: curve, idle: nil)]
        let accounts = Sweep.accounts(of: host)[0]
        #expect(accounts.metered == 3_153_600_000_000_000)
        #expect(accounts.isConserved)
        host.window = Interval(Timestamp(microseconds: .min), Timestamp(microseconds: .max))
        #expect(Sweep.accounts(of: host).isEmpty)
        host.window = Interval(year.end, year.start)
        #expect(Sweep.accounts(of: host).isEmpty)
    }

    @Test func emptyAndStrangeCurvesAreGapsAndNoMeterIsNoAccount() {
        var host = Self.host([SpanInput(id: 1, interval: RuleTests.window, workload: .init(curve: Curve(knots: []), isClosed: true))])
        host.busy = Curve(knots: [])
        host.agent = Curve(knots: [Knot(time: RuleTests.window.start, value: 5)])
        host.meters[0].curve = Curve(knots: [])
        host.wholes = [WholeMeterInput(name: "node", quality: .sampled, curve: Curve(knots: []), inner: ["p0", "gone"])]
        let accounts = Sweep.accounts(of: host)
        #expect(accounts.map(\.metered) == [0, 0])
        #expect(accounts.allSatisfy { $0.isConserved && $0.unmetered == .seconds(10) && $0.quality >= .partial })
        #expect(accounts[0].slices[0].estimated == nil)
        host.meters = []
        host.wholes = []
        #expect(Sweep.accounts(of: host).isEmpty)
    }

    @Test func countersBeyondAllMeasureDoNotTrap() {
        var host = Self.host([SpanInput(id: 1, interval: RuleTests.window, edgeResolution: Microseconds(.max), cpuShare: .nan)])
        host.meters[0].curve = Curve(knots: [
            Knot(time: RuleTests.window.start, value: .min), Knot(time: RuleTests.window.end, value: .max),
        ])
        host.meters.append(host.meters[0])
        host.meters[0].boundRatios = (0, .infinity)
        host.cuts = [Timestamp(microseconds: .min), Timestamp(microseconds: 5_000_000), Timestamp(microseconds: .max)]
        host.spans[0].workload = .init(
            curve: Curve(knots: [Knot(time: RuleTests.window.start, value: .min), Knot(time: RuleTests.window.end, value: .max)]),
            isClosed: true,
            partialSince: Timestamp(microseconds: .min)
        )
        host.spans[0].postedCPUTime = Microseconds(.max)
        #expect(Sweep.accounts(of: host).count == 1)
    }

    /// A counter of µJ passes 2^53, beyond which doubles count in twos, within months.
    @Test func aLargeCounterLosesNothing() {
        let base: Int64 = 1 << 60
        var host = Self.host([SpanInput(id: 1, interval: RuleTests.window, cpuShare: 1)])
        host.meters[0].curve = Curve(knots: [
            Knot(time: RuleTests.window.start, value: base + 1), Knot(time: RuleTests.window.end, value: base + 500_000_004),
        ])
        let accounts = Sweep.accounts(of: host)[0]
        #expect(accounts.metered == 500_000_003)
        #expect(accounts.jobDynamic == 300_000_003)
    }

    /// Clocks go back an hour in autumn on walls only: instants are UTC. Over a leap second a clock may stand still or be smeared; spans
    /// then overlap or leave a second out, and each joule still has one owner.
    @Test func wallClocksAndLeapSecondsTouchNothing() {
        let leap = Timestamp(microseconds: 1_483_228_800_000_000)  // 2017-01-01T00:00:00Z, after the last leap second
        let window = Interval(leap - .seconds(5), leap + .seconds(5))
        var host = Self.host(
            [
                SpanInput(id: 1, interval: Interval(window.start, leap + .seconds(1)), cpuShare: 0.5),
                SpanInput(id: 2, interval: Interval(leap, window.end), cpuShare: 0.5),
            ],
            window: window
        )
        host.meters[0].curve = RuleTests.line(50_000_000, window)
        host.busy = RuleTests.line(2_000_000, window)
        let accounts = Sweep.accounts(of: host)[0]
        #expect(accounts.slices.map(\.dynamic) == [90_000_000, 75_000_000])
        #expect(accounts.isConserved)
    }

    @Test func tenThousandSpansAtOnceShareWhatThereIs() {
        let spans = (0..<10_000).map { SpanInput(id: $0, interval: RuleTests.window) }
        let clock = ContinuousClock()
        var accounts: [ComponentAccounts] = []
        let time = clock.measure { accounts = Sweep.accounts(of: Self.host(spans)) }
        #expect(accounts[0].isConserved)
        #expect(accounts[0].slices.allSatisfy { (30_000 - 1...30_000 + 1).contains($0.dynamic) })
        // Quadratic work would take minutes, in a debug build too.
        #expect(time < .seconds(20))
    }

    @Test func tenThousandMeasuredAndNestedSpansAtOnceAreFast() {
        let spans = (0..<10_000).map { i -> SpanInput in
            var span = SpanInput(id: Int64(i), interval: RuleTests.window, workload: .init(curve: RuleTests.line(100), isClosed: true))
            if i % 2 == 1 { span.parentID = Int64(i - 1) }
            if i % 2 == 1 { span.workload = nil }
            return span
        }
        let clock = ContinuousClock()
        let time = clock.measure { #expect(Sweep.accounts(of: Self.host(spans))[0].isConserved) }
        #expect(time < .seconds(30))
    }

    @Test func theGapIsEstimatedFromTheSlicesOwnPowerWhereHalfIsCovered() {
        func slice(gap: ClosedRange<Int64>) -> Slice {
            var host = Self.host([SpanInput(id: 1, interval: RuleTests.window, cpuShare: 1)])
            let interval = Interval(
                Timestamp(microseconds: gap.lowerBound * 1_000_000),
                Timestamp(microseconds: gap.upperBound * 1_000_000)
            )
            let before = gap.lowerBound * 50_000_000
            let after = before + (10 - gap.upperBound) * 50_000_000
            host.meters[0].curve = Curve(
                knots: [(0, 0), (gap.lowerBound, before), (gap.upperBound, before), (10, after)].map {
                    Knot(time: Timestamp(microseconds: $0 * 1_000_000), value: $1)
                },
                gaps: [Gap(interval: interval, low: 0, high: 1, cause: .reboot)]
            )
            return Sweep.accounts(of: host)[0].slices[0]
        }
        #expect(slice(gap: 2...4).estimated == 100_000_000)
        #expect(abs(slice(gap: 2...4).errors.gap - Slice.gapDeviation * 100_000_000) < 1)
        #expect(slice(gap: 2...7).estimated == 250_000_000)
        #expect(slice(gap: 2...8).estimated == nil)
    }

    @Test func errorsAtEdgesAreThoseThatTheAgentDidNotRead() {
        var host = Self.host([
            SpanInput(
                id: 1,
                interval: Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 5_000_000)),
                edgeResolution: .seconds(1),
                cpuShare: 0.5
            )
        ])
        host.meters[0].epsilonMicrojoules = 1_000_000
        host.meters[0].samplePeriod = .milliseconds(100)
        host.meters[0].maximumPower = Power(watts: 200)
        let slice = Sweep.accounts(of: host)[0].slices[0]
        // At the start the meter was read; nothing flowed before it that is known. At the end: 1 J, 5 J between samples, 1 s at 50 W.
        #expect(abs(slice.errors.start - 0.5 * 25e6 / 3.0.squareRoot()) < 1)
        #expect(abs(slice.errors.end - 0.5 * ((1.0 + 25 + 2_500) / 3).squareRoot() * 1e6) < 1)
        host.spans[0].edgeResolution = .zero
        host.cuts = [Timestamp(microseconds: 2_000_000)]
        let cut = Sweep.accounts(of: host)[0].slices
        #expect(cut.count == 2)
        // At a cut the errors of both sides are one, and of opposite sign.
        #expect(cut[0].errors.start == 0 && cut[0].errors.end == 0 && cut[1].errors.start == 0 && cut[1].errors.end > 0)
        #expect(abs(cut[0].errors.floor - 20e6) < 1)
    }

    /// 100 W of which `idle` are the floor, busy as said of 2 CPUs with one slot, over a minute; a span from 10 to 12 s, each give or take
    /// one: it may have run from 0 to 4 s.
    private static func coarse(idle: Double, busy: Double, cuts: [Double] = [], _ change: (inout SpanInput) -> Void) -> [Slice] {
        func time(_ seconds: Double) -> Timestamp { Timestamp(microseconds: Int64(seconds * 1e6)) }
        let window = Interval(time(0), time(60))
        var span = SpanInput(id: 1, interval: Interval(time(10), time(12)), edgeResolution: .seconds(1))
        change(&span)
        var meter = RuleTests.meter(100, idle: idle)
        meter.curve = RuleTests.line(100_000_000, window)
        return Sweep.accounts(
            of: HostInput(
                window: window,
                cuts: cuts.map(time),
                cpus: 2,
                slots: 1,
                meters: [meter],
                busy: RuleTests.line(Int64(busy * 2e6), window),
                spans: [span]
            )
        )[0].slices
    }

    private static func limits(_ slices: [Slice], _ policy: Policy) -> (low: Double, high: Double) {
        slices.reduce((0, 0)) { sum, slice in
            let limits = slice.bounds.limits(idleMoved: slice.idle[policy])
            return (sum.0 + limits.low / 1e6, sum.1 + limits.high / 1e6)
        }
    }

    @Test(arguments: [[], [10.3, 11.2, 11.7]]) func aSpanMayHaveRunShorterThanItsPostedEdges(cuts: [Double]) {
        let minute = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 60_000_000))
        // All of it idle energy: from 11 to 11 s, or from 9 to 13.
        let idle = Self.limits(Self.coarse(idle: 100, busy: 0, cuts: cuts) { $0.cpuShare = 1 }, .reserved)
        #expect(idle.low == 0 && idle.high >= 400)
        // Measured all along, and all of the host: between nothing and 400 J.
        func measured(_ error: Int64) -> [Slice] {
            Self.coarse(idle: 0, busy: 1, cuts: cuts) {
                $0.workload = .init(curve: RuleTests.line(2_000_000, minute), isClosed: false)
                $0.edgeResolution = .milliseconds(error)
            }
        }
        let coarse = Self.limits(measured(1_000), .dynamic)
        #expect(coarse.low == 0 && coarse.high >= 400)
        let finer = Self.limits(measured(100), .dynamic)
        #expect(abs(finer.low - 180) < 0.001 && abs(finer.high - 220) < 0.001)
        let exact = Self.limits(measured(0), .dynamic)
        #expect(abs(exact.low - 200) < 0.001 && abs(exact.high - 200) < 0.001)
        // With idle moved to what was measured.
        let moved = Self.limits(
            Self.coarse(idle: 50, busy: 1, cuts: cuts) {
                $0.workload = .init(curve: RuleTests.line(2_000_000, minute), isClosed: false)
                $0.edgeResolution = .milliseconds(100)
            },
            .reserved
        )
        #expect(moved.low <= 180 && moved.low >= 165 && moved.high >= 220)
    }

    @Test func aBirthOrADeathThatTheAgentReadIsNoCoarseEdge() {
        func span(_ from: Int64, _ to: Int64) -> [Slice] {
            Self.coarse(idle: 0, busy: 1) {
                let life = Interval(Timestamp(microseconds: from * 1_000_000), Timestamp(microseconds: to * 1_000_000))
                $0.workload = .init(curve: RuleTests.line(2_000_000, life), isClosed: true)
            }
        }
        let exact = Self.limits(span(10, 12), .dynamic)
        #expect(abs(exact.low - 200) < 0.001 && abs(exact.high - 200) < 0.001)
        #expect(span(10, 12)[0].errors.start == 0 && span(10, 12)[0].errors.end == 0)
        let late = Self.limits(span(10, 20), .dynamic)
        #expect(abs(late.low - 100) < 0.001 && abs(late.high - 300) < 0.001)
        #expect(span(10, 20)[0].errors.start == 0 && span(10, 20)[0].errors.end > 0)
    }

    @Test func anEdgesErrorIsOfTheIdleThatIsMovedToo() {
        let slice = Self.coarse(idle: 100, busy: 0) { $0.cpuShare = 1 }[0]
        #expect(abs(slice.errors.start - 100e6 / 3.0.squareRoot()) < 1)
        #expect(abs(slice.errors.end - 100e6 / 3.0.squareRoot()) < 1)
    }

    @Test func anHourInWhichASpanMayNotHaveRunAtAllHasThatInItsLimit() {
        // It began 0.5 s before this window, give or take a second.
        let slices = Self.coarse(idle: 0, busy: 1) {
            $0.interval = Interval(Timestamp(microseconds: -500_000), Timestamp(microseconds: 60_000_000 - 1))
            $0.workload = .init(
                curve: Curve(knots: [
                    Knot(time: Timestamp(microseconds: -9_000_000), value: 0),
                    Knot(time: Timestamp(microseconds: 61_000_000), value: 140_000_000),
                ]),
                isClosed: false
            )
        }
        let limits = Self.limits(slices, .dynamic)
        // Half a second at the start, one at the end.
        #expect(abs(limits.low - (6_000 - 150)) < 0.01)
    }

    @Test func aFloorThatNobodyKnowsMayBeAnythingUpToTheLowestPowerSeen() {
        let window = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 120_000_000))
        // 50 W for a minute, then 100; the job uses all of what is busy and reserves half of the machine.
        var meter = RuleTests.meter(100, idle: 0)
        meter.idle = nil
        meter.curve = Curve(
            knots: [(0, 0), (60, 3_000), (120, 9_000)].map {
                Knot(time: Timestamp(microseconds: $0.0 * 1_000_000), value: $0.1 * 1_000_000)
            }
        )
        var span = SpanInput(id: 1, interval: window, workload: .init(curve: RuleTests.line(2_000_000, window), isClosed: true))
        span.cpus = 1
        let accounts = Sweep.accounts(
            of: HostInput(window: window, cpus: 2, meters: [meter], busy: RuleTests.line(2_000_000, window), spans: [span])
        )[0]
        #expect(accounts.flags.contains(.idleFloorUnknown) && accounts.jobDynamic == 9_000_000_000)
        let slice = accounts.slices[0]
        // Of 50 W over two minutes none is the job's under `dynamic`.
        #expect(abs(slice.bounds.limits(policy: .dynamic, idle: slice.idle).low - 3_000e6) <= 2)
        // And with half of the idle moved to it, or all of it, it has no more than there is.
        let high = slice.bounds.limits(policy: .reserved, idle: slice.idle).high
        #expect(high >= 9_000e6 && high <= 9_000e6 + 10)
        #expect(abs(1.96 * accounts.floorErrorRatio * slice.errors.floor - 6_000e6) < 1)
    }

    @Test func underBusyTheIdleGoesWithSharesThatMayBeAnything() {
        let window = Interval(Timestamp(microseconds: 0), Timestamp(microseconds: 60_000_000))
        func slices(_ spans: [SpanInput], busy: Curve? = nil) -> [Slice] {
            var meter = RuleTests.meter(100, idle: 40)
            meter.curve = RuleTests.line(100_000_000, window)
            return Sweep.accounts(of: HostInput(window: window, cpus: 10, meters: [meter], busy: busy, spans: spans))[0].slices
        }
        let said = slices([SpanInput(id: 1, interval: window, cpuShare: 0.1), SpanInput(id: 2, interval: window, cpuShare: 0.9)])
        for slice in said {
            let limits = slice.bounds.limits(policy: .busy, idle: slice.idle)
            #expect(limits.low == 0 && limits.high >= 6_000e6 && limits.high < 6_000e6 + 300e6, "\(limits)")
        }
        // Measured beside one that declared: its own share is known, that of all spans is not.
        let workload = SpanInput.Workload(curve: RuleTests.line(3_000_000, window), isClosed: true)
        let beside = slices(
            [SpanInput(id: 1, interval: window, workload: workload), SpanInput(id: 2, interval: window, cpuShare: 0.2)],
            busy: RuleTests.line(5_000_000, window)
        )[0]
        // 0.6 of 3,600 J, and of 2,400 J idle all or 0.6.
        let limits = beside.bounds.limits(policy: .busy, idle: beside.idle)
        #expect(limits.low <= 3_600e6 && limits.high >= 4_560e6 - 2)
        let alone = slices([SpanInput(id: 1, interval: window, workload: workload)], busy: RuleTests.line(5_000_000, window))[0]
        let exact = alone.bounds.limits(policy: .busy, idle: alone.idle)
        #expect(abs(exact.low - 4_560e6) <= 2 && abs(exact.high - 4_560e6) <= 2)
    }

    @Test func aMeterThatHasNotBegunIsMissingUnlessItTakesAnothersPlace() {
        var host = Self.host([])
        var late = host.meters[0]
        late.name = "late"
        late.maximumPower = Power(watts: 100)
        let end = host.window.end
        late.curve = Curve(knots: [
            Knot(time: end + Microseconds(-2_000_000), value: 0), Knot(time: end, value: 20_000_000),
        ])
        host.meters.append(late)
        let accounts = Sweep.accounts(of: host)[0]
        #expect(accounts.unmetered.count == host.window.duration.count - 2_000_000)
        #expect(accounts.unmeteredMaximum == Int64(100 * (host.window.duration.count - 2_000_000)))
    }

    @Test func whatWasNotMeteredIsEstimatedUnderEachPolicy() {
        var meter = RuleTests.meter(50, idle: 20)
        meter.curve = Curve(
            knots: meter.curve.knots + [Knot(time: Timestamp(microseconds: 8_000_000), value: 500_000_000)],
            gaps: [Gap(interval: Interval(Timestamp(microseconds: 8_000_000), RuleTests.window.end), low: 0, high: 1, cause: .absence)]
        )
        let slice = Sweep.accounts(
            of: HostInput(
                window: RuleTests.window,
                cpus: 1,
                meters: [meter],
                spans: [SpanInput(id: 1, interval: RuleTests.window, cpuShare: 1)]
            )
        )[0].slices[0]
        #expect(slice.estimated == slice.estimated(under: .reserved) && slice.estimated == 125_000_000)
        #expect(slice.estimated(under: .dynamic) == (slice.dynamic * 2_000_000) / 8_000_000)
    }

    @Test func aThinnedCPUCurveMayHaveUsedItsTimeWhereThePowerWasHigh() {
        // 200 W every other tenth of a second; half a CPU of one in all, thinned to a line within 50 ms.
        var power: [Knot] = [Knot(time: RuleTests.window.start, value: 0)]
        var truth: [Knot] = power
        for i in 0..<100 {
            let time = RuleTests.window.start + Microseconds(Int64(i + 1) * 100_000)
            power.append(Knot(time: time, value: power[i].value + (i % 2 == 0 ? 20_000_000 : 0)))
            truth.append(Knot(time: time, value: truth[i].value + (i % 2 == 0 ? 100_000 : 0)))
        }
        var meter = RuleTests.meter(100, idle: 0)
        meter.curve = Curve(knots: power)
        func slice(_ curve: Curve, _ epsilon: Int64) -> Slice {
            let span = SpanInput(
                id: 1,
                interval: RuleTests.window,
                workload: .init(curve: curve, isClosed: true, epsilonMicroseconds: epsilon)
            )
            return Sweep.accounts(of: HostInput(window: RuleTests.window, cpus: 1, meters: [meter], spans: [span]))[0].slices[0]
        }
        let thinned = slice(RuleTests.line(500_000), 50_000)
        let limits = thinned.bounds.limits(idleMoved: 0)
        let real = Double(slice(Curve(knots: truth), 0).dynamic)
        #expect(limits.low <= real && real <= limits.high)
        #expect(thinned.dynamic < slice(Curve(knots: truth), 0).dynamic)
    }

    @Test func theMetersErrorsAddInSquares() {
        var host = Self.host([])
        host.meters[0].errorRatio = 0.03
        var second = host.meters[0]
        second.errorRatio = 0.04
        second.idle = UtilisationModel.Point(low: Power(watts: 10), best: Power(watts: 20), high: Power(watts: 30))
        host.meters.append(second)
        let accounts = Sweep.accounts(of: host)[0]
        #expect(abs(accounts.meterErrorRatio - 0.025) < 1e-12)
        #expect(abs(accounts.floorErrorRatio - 20 / (2 * 1.96 * 40)) < 1e-12)
    }

    @Test func anUnknownFloorIsFittedToTheLowestQuietMinute() {
        let window = Hour(number: 480_000).interval
        func curve(_ points: [(Int64, Int64)]) -> Curve {
            Curve(knots: points.map { Knot(time: window.start + .seconds($0.0), value: $0.1 * 1_000_000) })
        }
        var host = HostInput(
            window: window,
            cpus: 1,
            // 30 W for ten quiet minutes, then 100 W at work.
            meters: [MeterInput(name: "p0", component: .cpu, quality: .measured, curve: curve([(0, 0), (600, 18_000), (3_600, 318_000)]))],
            busy: curve([(0, 0), (600, 0), (3_600, 3_000)])
        )
        let fitted = Sweep.accounts(of: host)[0]
        #expect(fitted.flags.contains(.idleFloorFitted) && !fitted.flags.contains(.idleFloorUnknown))
        #expect(fitted.idle == 108_000_000_000)
        // Its low end is 0.
        #expect(abs(fitted.floorErrorRatio - 1 / (2 * 1.96)) < 1e-12)
        // Never quiet: nothing is known.
        host.busy = curve([(0, 0), (3_600, 3_600)])
        let unknown = Sweep.accounts(of: host)[0]
        #expect(unknown.flags.contains(.idleFloorUnknown) && !unknown.flags.contains(.idleFloorFitted))
        #expect(unknown.idle == 0)
    }

    @Test func gpusGoByTheirTimeElseToTheirOwnerElseEqually() {
        func shares(_ change: (inout [SpanInput]) -> Void) -> [Int64] {
            var host = Self.host([
                SpanInput(id: 1, interval: RuleTests.window, cpuShare: 0.9), SpanInput(id: 2, interval: RuleTests.window, cpuShare: 0.1),
            ])
            host.meters[0].component = .gpu
            host.meters[0].name = "gpu0"
            change(&host.spans)
            return Sweep.accounts(of: host)[0].slices.map(\.dynamic)
        }
        #expect(shares { _ in } == [150_000_000, 150_000_000])
        #expect(shares { $0[1].ownedGPUs = ["gpu0"] } == [0, 300_000_000])
        #expect(
            shares {
                $0[0].gpuTimes = ["gpu0": RuleTests.line(750_000)]
                $0[1].gpuTimes = ["gpu0": RuleTests.line(250_000)]
                $0[1].ownedGPUs = ["gpu0"]
            } == [225_000_000, 75_000_000]
        )
    }

    @Test func memoryDividesWhatJobsHaveOfDRAMWhereAllOfThemAreMeasured() {
        var host = Self.host([
            SpanInput(id: 1, interval: RuleTests.window, cpuShare: 0.4), SpanInput(id: 2, interval: RuleTests.window, cpuShare: 0.4),
        ])
        host.meters[0].component = .dram
        host.spans[0].memory = RuleTests.line(3_000_000)
        #expect(Sweep.accounts(of: host)[0].slices.map(\.dynamic) == [120_000_000, 120_000_000])
        host.spans[1].memory = RuleTests.line(1_000_000)
        let accounts = Sweep.accounts(of: host)[0]
        #expect(accounts.slices.map(\.dynamic) == [180_000_000, 60_000_000])
        #expect(accounts.system == 60_000_000)
    }
}
