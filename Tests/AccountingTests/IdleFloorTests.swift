import Accounting
import Energy
import TestSupport
import Testing

@Suite struct IdleFloorTests {
    private static let window = Hour(number: 480_000).interval

    private static func curve(_ points: [(second: Int64, value: Int64)], gaps: [Gap] = []) -> Curve {
        Curve(knots: points.map { Knot(time: window.start + .seconds($0.second), value: $0.value) }, gaps: gaps)
    }

    /// 40 W all the time, 2 CPUs, 1 % busy.
    private static func host() -> HostInput {
        HostInput(
            window: window,
            cpus: 2,
            meters: [
                MeterInput(name: "p0", component: .cpu, quality: .measured, curve: curve([(0, 0), (3_600, 144_000_000_000)]))
            ],
            busy: curve([(0, 0), (3_600, 72_000_000)])
        )
    }

    @Test func everyQuietMinuteIsSeenWithItsMeanPower() {
        #expect(IdleMinutes.means(of: Self.host()) == [.cpu: Array(repeating: Power(watts: 40), count: 60)])
    }

    @Test func noMinuteWithAJobCountsAndResidentsAreNoJobs() {
        var host = Self.host()
        host.spans = [
            SpanInput(id: 1, interval: Interval(Self.window.start + .seconds(59), Self.window.start + .seconds(61))),
            SpanInput(id: 2, interval: Self.window, cpuShare: 0),
            SpanInput(id: 3, interval: Interval(Self.window.start + .seconds(120), Self.window.start + .seconds(180))),
        ]
        #expect(IdleMinutes.means(of: host)[.cpu]?.count == 57)
    }

    @Test func noMinuteOfWorkCounts() {
        var host = Self.host()
        // Ten minutes at 2 %, the limit itself.
        host.busy = Self.curve([(0, 0), (600, 24_000_000), (3_600, 30_000_000)])
        #expect(IdleMinutes.means(of: host)[.cpu]?.count == 50)
        host.busy = nil
        #expect(IdleMinutes.means(of: host).isEmpty)
    }

    @Test func noMinuteWithAGapCountsAndNoModelIsAnObservation() {
        var host = Self.host()
        host.meters[0].curve = Self.curve(
            [(0, 0), (90, 3_600_000_000), (91, 3_600_000_000), (3_600, 144_000_000_000)],
            gaps: [
                Gap(
                    interval: Interval(Self.window.start + .seconds(90), Self.window.start + .seconds(91)),
                    low: 0,
                    high: 1,
                    cause: .reboot
                )
            ]
        )
        #expect(IdleMinutes.means(of: host)[.cpu]?.count == 59)
        host.meters[0].quality = .modelled
        #expect(IdleMinutes.means(of: host).isEmpty)
    }

    @Test func aMeterThatHasNotBegunIsMissingUnlessItTakesAnothersPlace() {
        var host = Self.host()
        // The second package's meter begins in the middle of the hour: until then the first one's power is not all of the CPU's.
        host.meters.append(
            MeterInput(name: "p1", component: .cpu, quality: .measured, curve: Self.curve([(1_800, 0), (3_600, 72_000_000_000)]))
        )
        #expect(IdleMinutes.means(of: host)[.cpu] == Array(repeating: Power(watts: 80), count: 30))
        // One that begins where another ended is the same power under another name.
        host.meters[0].curve = Self.curve([(0, 0), (1_800, 72_000_000_000)])
        host.meters[0].isClosed = true
        #expect(IdleMinutes.means(of: host)[.cpu] == Array(repeating: Power(watts: 40), count: 60))
    }

    @Test func aWindowThatBeginsWithinAMinuteGivesWholeMinutesOnly() {
        var host = Self.host()
        host.window = Interval(Self.window.start + .seconds(30), Self.window.start + .seconds(270))
        #expect(IdleMinutes.means(of: host)[.cpu]?.count == 3)
    }

    @Test func theRestIsWhatTheNodeCountsBeyondItsParts() {
        var host = Self.host()
        host.wholes = [
            WholeMeterInput(name: "node", quality: .sampled, curve: Self.curve([(0, 0), (3_600, 216_000_000_000)]), inner: ["p0"])
        ]
        let rest = IdleMinutes.means(of: host)[.rest] ?? []
        #expect(rest.count == 60)
        #expect(rest.allSatisfy { abs($0.watts - 20) < 1e-9 })
    }

    @Test func theFloorIsTheMedianAndNeedsThirtyMinutes() {
        let means = (1...31).map { Power(watts: Double($0)) }
        #expect(IdleFloor.median(of: Array(means.dropLast(2))) == nil)
        let floor = IdleFloor.median(of: means.reversed())
        #expect(floor?.best.watts == 16)
        #expect(floor?.low.watts == 10)
        #expect(floor?.high.watts == 22)
    }

    @Test func theIntervalHoldsTheTrueMedianInNineteenOfTwentyDraws() {
        var random = RandomSource(seed: 1)
        for count in [30, 31, 60, 333] {
            var inside = 0
            for _ in 0..<2_000 {
                // Skewed, with a median of 0.25.
                let means = (0..<count).map { _ in
                    let x = Double.random(in: 0..<1, using: &random)
                    return Power(watts: x * x)
                }
                guard let floor = IdleFloor.median(of: means) else { continue }
                if floor.low.watts <= 0.25 && 0.25 <= floor.high.watts { inside += 1 }
            }
            #expect(inside >= 1_880, "\(count): \(inside)")
        }
    }
}
