import Energy
import TestSupport
import Testing

@testable import Accounting

/// Thousands of everything at once: nothing takes time for each pair of them.
@Suite struct ScaleTests {
    private static let hour = Hour(number: 480_000).interval
    private static let count = 10_000

    private static func time(_ seconds: Double) -> Timestamp { hour.start + Microseconds(Int64(seconds * 1e6)) }

    private static func line(_ knots: Int, offset: Double, rate: Double) -> Curve {
        Curve(
            knots: (0...knots).map {
                let at = Double($0) * 3_600 / Double(knots) + offset
                return Knot(time: time(at), value: Int64((at - offset) * rate * 1e6) + Int64($0 % 3))
            }
        )
    }

    private static func accounts(_ component: Component, _ spans: [SpanInput]) -> ComponentAccounts {
        var meter = RuleTests.meter(100, idle: 20)
        meter.component = component
        meter.curve = line(100, offset: 0, rate: 100)
        return Sweep.accounts(of: HostInput(window: hour, cpus: 64, meters: [meter], spans: spans))[0]
    }

    /// A wide limit: machines differ, and so does what else they do. Taking time for each pair would need minutes.
    private static func expectSeconds(_ body: () -> Void) {
        let duration = ContinuousClock().measure(body)
        #expect(duration < .seconds(30), "\(duration)")
    }

    @Test func oneCgroupThatLostCPUTimeIsNoTroubleToOthers() {
        let spans = (0..<Int64(Self.count)).map { id in
            SpanInput(
                id: id,
                interval: Self.hour,
                workload: .init(
                    curve: Self.line(3, offset: Double(id) * 0.001, rate: 0.001),
                    isClosed: true,
                    partialSince: id == 0 ? Self.time(0) : nil
                )
            )
        }
        Self.expectSeconds { #expect(Self.accounts(.cpu, spans).isConserved) }
    }

    @Test func aCgroupOfManyIsDividedOnce() {
        // Each names all the others: that is a pair of each itself.
        let ids = (0..<Int64(400)).map { $0 }
        let curve = Self.line(10, offset: 0, rate: 1)
        let spans = ids.map { id in
            var span = SpanInput(
                id: id,
                interval: Interval(Self.time(Double(id)), Self.time(2_000 + Double(id))),
                workload: .init(curve: curve, isClosed: true, sharingSpanIDs: ids.filter { $0 != id })
            )
            span.memory = Self.line(10, offset: 0, rate: 3)
            return span
        }
        Self.expectSeconds { #expect(Self.accounts(.dram, spans).isConserved) }
    }

    @Test func manyCgroupsWithinOneAreTakenFromItOneByOne() {
        let ids = (0..<Int64(Self.count)).map { $0 }
        let spans = ids.map { id in
            var span = SpanInput(
                id: id,
                interval: Self.hour,
                workload: .init(
                    curve: Self.line(3, offset: Double(id) * 0.001, rate: id == 0 ? 20 : 0.001),
                    isClosed: true,
                    childSpanIDs: id == 0 ? Array(ids.dropFirst()) : [],
                    partialSince: id == 1 ? Self.time(0) : nil
                )
            )
            span.memory = Self.line(3, offset: Double(id) * 0.001, rate: id == 0 ? 20 : 0.001)
            return span
        }
        Self.expectSeconds { #expect(Self.accounts(.dram, spans).isConserved) }
    }

    @Test(arguments: [nil, 0.3]) func stepsOfOneJobThatAllRunAtOnceAreTheJobs(measured: Double?) {
        // Each is still looked at when one starts, but keeps nothing of it.
        let spans = (0..<Int64(1_500)).map { id in
            // One after another: whoever starts changes what all others have.
            var span = SpanInput(
                id: id,
                interval: id == 0 ? Self.hour : Interval(Self.time(Double(id) * 0.1), Self.time(2_000 + Double(id) * 0.1)),
                workload: id == 0 ? measured.map { .init(curve: Self.line(360, offset: 0, rate: $0 * 64), isClosed: true) } : nil
            )
            if id > 0 { span.parentID = 0 }
            return span
        }
        Self.expectSeconds {
            let all = Self.accounts(.cpu, spans)
            let alone = Self.accounts(.cpu, [spans[0]])
            #expect(all.isConserved)
            #expect(all.flags.contains(.stepsUndivided) && !alone.flags.contains(.stepsUndivided))
            #expect(abs(all.jobDynamic - alone.jobDynamic) <= 1)
            #expect(abs(all.idleMoved.reserved - alone.idleMoved.reserved) <= 1)
            #expect(abs(all.idleMoved.equal - alone.idleMoved.equal) <= 1)
            // While few ran they had their parts.
            #expect(all.slices[1].dynamic > 0 && all.slices[0].dynamic > alone.jobDynamic / 2)
            #expect(all.slices[1].bounds.limits(idleMoved: 0).high >= Double(all.slices[1].dynamic))
        }
    }

    @Test func curvesAreSummedInOnePass() {
        let curves = (0..<Self.count).map { (curve: Self.line(10, offset: Double($0) * 0.001, rate: 1), isClosed: true) }
        Self.expectSeconds {
            let sum = Curve.sum(curves)
            #expect(sum.knots.count == 11 * Self.count)
            #expect(sum.knots.last?.value == curves.reduce(0) { $0 + ($1.curve.knots.last?.value ?? 0) })
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 50, long: 1_000)) func aSumOfCurvesIsTheSumOfTheirValues(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let curves = (0..<Int.random(in: 2...6, using: &random)).map { _ in
            let count = Int.random(in: 0...8, using: &random)
            let times = (0..<count).map { _ in Int64.random(in: 0...100, using: &random) }.sorted()
            var value = Int64.random(in: 0...1_000_000, using: &random)
            let knots = times.map { time in
                value += Int64.random(in: 0...1_000, using: &random)
                return Knot(time: Timestamp(microseconds: time), value: value)
            }
            return (curve: Curve(knots: knots), isClosed: random.chance(0.7))
        }
        let sum = Curve.sum(curves)
        let known = curves.compactMap(\.curve.extent)
        #expect(sum.extent?.start == known.map(\.start).min())
        for knot in sum.knots {
            let expected = curves.reduce(0.0) { sum, one in
                guard let extent = one.curve.extent else { return sum }
                return sum + (one.curve.value(at: min(max(knot.time, extent.start), extent.end)) ?? 0)
            }
            #expect(abs(Double(knot.value) - expected) <= 0.501, "seed \(seed)")
        }
    }

    @Test func aRunnersJobsAreHeldAgainstThoseBesideThemOnly() {
        // One after another on two runners, two that overlap, and one that never ended.
        var spans: [SpanIdentity] = []
        for n in 0..<Self.count {
            let start = Double(n / 2) * 20
            let length: Double = n == 20 ? 25 : 15
            spans.append(
                SpanIdentity(
                    id: Int64(n),
                    startedAt: Self.time(start),
                    finishedAt: n == 11 ? nil : Self.time(start + length),
                    edgeResolution: .seconds(1),
                    key: "k\(n)",
                    runner: n % 2 == 0 ? "even" : "odd"
                )
            )
        }
        let cgroups = ["even", "odd"].enumerated().map { n, name in
            WatchedCgroup(
                curveID: Int32(n),
                path: "/system.slice/actions.runner.o-r.\(name).service",
                bornAt: Self.time(-100),
                unit: "actions.runner.o-r.\(name).service"
            )
        }
        Self.expectSeconds {
            let decisions = OwnershipDecision.decide(spans: spans, cgroups: cgroups)
            #expect(decisions.values.count { $0.ownership?.rule == .unit } == Self.count - 3)
            #expect([11, 20, 22].allSatisfy { decisions[$0]?.reason == .runnerShared })
        }
    }

    @Test func cgroupsThatFitManySpansAreLookedAtOnce() {
        let spans = (0..<Int64(Self.count)).map {
            SpanIdentity(id: $0, startedAt: Self.time(10), finishedAt: Self.time(20), edgeResolution: .seconds(1), key: "k\($0)")
        }
        let cgroups = (0..<Int32(Self.count)).map {
            WatchedCgroup(curveID: $0, path: "/system.slice/docker-\($0).scope", bornAt: Self.time(10.1), diedAt: Self.time(20.1))
        }
        Self.expectSeconds {
            #expect(OwnershipDecision.decide(spans: spans, cgroups: cgroups).values.allSatisfy { $0 == .none(.ambiguous) })
        }
        // One after another: each is told by what the one before it left.
        Self.expectSeconds {
            let chain = (0..<Int64(Self.count)).map { i in
                SpanIdentity(
                    id: i,
                    startedAt: Self.time(Double(i) / 10),
                    finishedAt: Self.time(2_000 + Double(i) / 10),
                    edgeResolution: .milliseconds(110),
                    key: "k\(i)"
                )
            }
            let scopes = (0..<Int32(Self.count)).map {
                WatchedCgroup(
                    curveID: $0,
                    path: "/a/\($0)",
                    bornAt: Self.time(Double($0) / 10),
                    diedAt: Self.time(2_000 + Double($0) / 10)
                )
            }
            let decisions = OwnershipDecision.decide(spans: chain, cgroups: scopes)
            #expect(decisions.count == Self.count)
        }
    }
}
