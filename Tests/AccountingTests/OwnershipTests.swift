import Accounting
import Energy
import Testing

@Suite struct OwnershipTests {
    static func time(_ seconds: Double) -> Timestamp { Timestamp(microseconds: 1_788_253_200_000_000 + Int64(seconds * 1e6)) }

    static func span(
        _ id: Int64,
        _ start: Double,
        _ end: Double?,
        resolution: Double = 1,
        clockError: Double = 0,
        workload: String? = nil,
        runner: String? = nil
    ) -> SpanIdentity {
        SpanIdentity(
            id: id,
            startedAt: time(start),
            finishedAt: end.map(time),
            edgeResolution: Microseconds(Int64(resolution * 1e6)),
            clockError: Microseconds(Int64(clockError * 1e6)),
            key: "farm/\(id)",
            workload: workload,
            runner: runner,
            jobIDs: ["farm/\(id)", "\(id)"]
        )
    }

    static func cgroup(
        _ id: Int32,
        _ path: String,
        _ born: Double,
        _ died: Double?,
        key: String? = nil,
        unit: String? = nil,
        pod: String? = nil,
        job: String? = nil
    ) -> WatchedCgroup {
        WatchedCgroup(
            curveID: id,
            path: path,
            bornAt: time(born),
            diedAt: died.map(time),
            spanKey: key,
            unit: unit,
            pod: pod,
            jobLabel: job
        )
    }

    static func unit(_ name: String) -> String { "actions.runner.ocaml-dune.\(name).service" }

    @Test func whoCameFirstDecidesNothingOfTwoThatBeganAtOnce() {
        let unit = Self.cgroup(5, "/system.slice/r", -500, nil, unit: Self.unit("bremusa"))
        func decided(_ ids: [String: Int64]) -> [String: OwnershipDecision?] {
            let spans = ids.map { name, id in
                SpanIdentity(id: id, startedAt: Self.time(0), finishedAt: nil, key: "", jobID: name, runner: "bremusa")
            }
            let decisions = OwnershipDecision.decide(spans: spans, cgroups: [unit])
            return ids.mapValues { decisions[$0] }
        }
        let one = decided(["a": 1, "b": 2])
        #expect(one == decided(["a": 2, "b": 1]))
        // A runner takes one job at a time: of two that never ended the later one has it.
        #expect(one["b"]??.ownership?.rule == .unit && one["a"]??.reason == .runnerShared)
    }

    /// Every rule has a cgroup here; each case takes the one away that holds first.
    @Test func theRulesHoldInTheirOrder() {
        let all: [(OwnershipRule, WatchedCgroup)] = [
            (.run, Self.cgroup(1, "/wattle/run-1", 0.2, 99.8, key: "farm/1")),
            (.client, Self.cgroup(2, "/user/session", -500, nil)),
            (.container, Self.cgroup(3, "/docker/c", 2, 98, job: "1")),
            (.pod, Self.cgroup(4, "/kubepods/p", 3, 97, pod: "ci/bremusa")),
            (.unit, Self.cgroup(5, "/system.slice/runner", -1_000, nil, unit: Self.unit("bremusa"))),
            (.alone, Self.cgroup(6, "/other", 0.4, 100.5)),
        ]
        let span = Self.span(1, 0, 100, workload: "/user/session", runner: "bremusa")
        for first in all.indices {
            let left = all[first...]
            let decision = OwnershipDecision.decide(spans: [span], cgroups: left.map(\.1).reversed())[1]
            #expect(decision?.ownership?.rule == left.first?.0)
            #expect(decision?.ownership?.curveIDs == [left[first].1.curveID])
        }
        #expect(OwnershipDecision.decide(spans: [span], cgroups: [])[1] == OwnershipDecision.none(.noCgroup))
    }

    @Test func edgesMoveToTheCgroupsOwnOnlyWithinTheirResolution() {
        let span = Self.span(1, 0, 100, workload: "/a")
        func edges(_ born: Double, _ died: Double?) -> Interval? {
            OwnershipDecision.decide(spans: [span], cgroups: [Self.cgroup(1, "/a", born, died)])[1]?.ownership?.interval
        }
        #expect(edges(0.9, 99.1) == Interval(Self.time(0.9), Self.time(99.1)))
        #expect(edges(-1, 101) == Interval(Self.time(-1), Self.time(101)))
        #expect(edges(-1.1, 101.1) == Interval(Self.time(0), Self.time(100)))
        #expect(edges(30, 99.5) == Interval(Self.time(0), Self.time(99.5)))
        #expect(edges(0.5, nil) == Interval(Self.time(0.5), Self.time(100)))
        // `wattle run` reads the host's clock: no other clock's error moves its edges.
        let exact = Self.span(2, 0, 100, resolution: 0, clockError: 0.5)
        let own = OwnershipDecision.decide(spans: [exact], cgroups: [Self.cgroup(1, "/r", 0.1, 99.9, key: "farm/2")])[2]
        #expect(own?.ownership?.interval == Interval(Self.time(0), Self.time(100)))
        // An instant never turns round.
        let instant = Self.span(3, 5, 5, workload: "/a")
        let kept = OwnershipDecision.decide(spans: [instant], cgroups: [Self.cgroup(1, "/a", 5.5, 5.6), Self.cgroup(2, "/a", 4.2, 4.6)])[3]
        #expect((kept?.ownership?.interval).map { $0.start <= $0.end } == true)
    }

    @Test func oneOfSeveralThatFitIsNobodysUntilTheOthersAreTaken() {
        // Both cgroups fit the coarse span; the second is the exact one's for certain.
        let coarse = Self.span(1, 0, 100, resolution: 20)
        let exact = Self.span(2, 10, 90)
        let first = Self.cgroup(1, "/a", 0.3, 99.7)
        let second = Self.cgroup(2, "/b", 10.2, 90.4)
        #expect(OwnershipDecision.decide(spans: [coarse], cgroups: [first, second])[1] == OwnershipDecision.none(.ambiguous))
        for spans in [[coarse, exact], [exact, coarse]] {
            for cgroups in [[first, second], [second, first]] {
                let decisions = OwnershipDecision.decide(spans: spans, cgroups: cgroups)
                #expect(decisions[1]?.ownership?.curveIDs == [1])
                #expect(decisions[2]?.ownership?.curveIDs == [2])
                #expect(decisions.values.allSatisfy { $0.ownership?.rule == .alone })
            }
        }
        // A chain: the third leaves the second to the second, and that the first to the first.
        let chain = [Self.span(1, 0, 100, resolution: 30), Self.span(2, 15, 85, resolution: 6), Self.span(3, 20, 80)]
        let three = [first, second, Self.cgroup(3, "/c", 20.5, 80.5)]
        let decisions = OwnershipDecision.decide(spans: chain, cgroups: three)
        #expect(chain.map { decisions[$0.id]?.ownership?.curveIDs } == [[1], [2], [3]])
        // What a rule before gave away is taken too.
        let named = OwnershipDecision.decide(spans: [coarse, Self.span(9, 10, 90, workload: "/b")], cgroups: [first, second])
        #expect(named[1]?.ownership?.curveIDs == [1])
        #expect(named[9]?.ownership?.rule == .client)
    }

    @Test func twoSpansThatFitOneCgroupGetNone() {
        let decisions = OwnershipDecision.decide(
            spans: [Self.span(1, 0, 100), Self.span(2, 0.5, 100)],
            cgroups: [Self.cgroup(1, "/a", 0.2, 100)]
        )
        #expect(decisions.values.allSatisfy { $0 == OwnershipDecision.none(.ambiguous) })
    }

    @Test(arguments: [
        (0.0, 100.0, true), (1.0, 101.0, true), (-1.0, 99.0, true), (1.1, 100.0, false), (0.0, 98.9, false), (30.0, 60.0, false),
    ])
    func onlyACgroupThatWasBornAndDiedWithTheSpanIsItsOwn(born: Double, died: Double, fits: Bool) {
        let decision = OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: [Self.cgroup(1, "/a", born, died)])[1]
        #expect((decision?.ownership != nil) == fits)
        // Alive, it has no death to compare; running, the span has no end.
        #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: [Self.cgroup(1, "/a", born, nil)])[1]?.ownership == nil)
        #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, nil)], cgroups: [Self.cgroup(1, "/a", born, died)])[1]?.ownership == nil)
    }

    @Test func theErrorOfTheClockWidensTheEdges() {
        let late = [Self.cgroup(1, "/a", 1.4, 101.4)]
        #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: late)[1]?.ownership == nil)
        #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, 100, clockError: 0.5)], cgroups: late)[1]?.ownership?.rule == .alone)
    }

    @Test func aCgroupBelowAnotherThatFitsIsPartOfIt() {
        let nested = [Self.cgroup(1, "/a", 0.1, 99.9), Self.cgroup(2, "/a/init", 0.2, 99.8), Self.cgroup(3, "/a/init/x", 0.3, 99.7)]
        #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: nested)[1]?.ownership?.curveIDs == [1])
        // Not one whose name only begins alike.
        let beside = [Self.cgroup(1, "/a", 0.1, 99.9), Self.cgroup(2, "/ab", 0.2, 99.8)]
        #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: beside)[1] == OwnershipDecision.none(.ambiguous))
    }

    @Test func aCgroupThatIsSomebodyElsesByNameIsNeverAlone() {
        for other in [
            Self.cgroup(1, "/a", 0, 100, key: "farm/77"), Self.cgroup(1, "/a", 0, 100, job: "77"),
            Self.cgroup(1, "/a", 0, 100, unit: Self.unit("other")),
        ] {
            #expect(OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: [other])[1] == OwnershipDecision.none(.noCgroup))
        }
    }

    @Test func allContainersOfAJobAreItsOwn() {
        let containers = [
            Self.cgroup(3, "/docker/build", 20, 90, job: "1"), Self.cgroup(1, "/docker/clone", 1, 15, job: "1"),
            Self.cgroup(2, "/docker/other", 20, 90, job: "2"), Self.cgroup(4, "/docker/build/inner", 21, 80, job: "1"),
            Self.cgroup(5, "/docker/before", -90, -20, job: "1"),
        ]
        let decision = OwnershipDecision.decide(spans: [Self.span(1, 0, 100)], cgroups: containers)[1]
        #expect(decision?.ownership?.curveIDs == [1, 3])
        #expect(decision?.ownership?.interval.start == Self.time(1))
    }

    @Test func aRunnersUnitIsASpansWhileItRunsNoOther() {
        let unit = Self.cgroup(1, "/system.slice/r", -1_000, nil, unit: Self.unit("bremusa"))
        func decide(_ spans: [SpanIdentity]) -> [Int64: OwnershipDecision] { OwnershipDecision.decide(spans: spans, cgroups: [unit]) }
        let one = Self.span(1, 0, 100, runner: "bremusa")
        // One after the other, within their resolution: both.
        let next = decide([one, Self.span(2, 99, 200, runner: "bremusa")])
        #expect(next.values.allSatisfy { $0.ownership?.rule == .unit })
        // At the same time: neither.
        let both = decide([one, Self.span(2, 50, 200, runner: "bremusa")])
        #expect(both.values.allSatisfy { $0 == OwnershipDecision.none(.runnerShared) })
        // Another runner's span does not matter.
        #expect(decide([one, Self.span(2, 50, 200, runner: "other")])[1]?.ownership?.rule == .unit)
        // A span that never ended was over when the runner took the next.
        let lost = decide([Self.span(1, -500, nil, runner: "bremusa"), Self.span(2, 0, 100, runner: "bremusa")])
        #expect(lost[1] == OwnershipDecision.none(.runnerShared))
        #expect(lost[2]?.ownership?.rule == .unit)
        // A unit outlives its jobs: their edges stay.
        #expect(decide([one])[1]?.ownership?.interval == one.interval)
    }

    @Test(arguments: [
        ("actions.runner.ocaml-dune.bremusa.service", "bremusa", true),
        ("actions.runner.ocaml-dune.bremusa.service", "remusa", false),
        ("actions.runner.ocaml-dune.big_box-1.service", "big box-1", false),
        ("actions.runner.ocaml-dune.big-box-1.service", "big box-1", true),
        ("actions.runner.bremusa.service", "bremusa", false),
        ("gitlab-runner.bremusa.service", "bremusa", false),
        ("actions.runner.ocaml-dune.bremusa.service", "", false),
    ])
    func aUnitIsNamedForItsRunner(unit: String, runner: String, isNamed: Bool) {
        #expect(Self.cgroup(1, "/u", 0, nil, unit: unit).isUnit(of: runner) == isNamed)
    }

    @Test func twoUnitsOfOneNameAreNobodys() {
        let units = [
            Self.cgroup(1, "/system.slice/a", -9, nil, unit: Self.unit("x")),
            Self.cgroup(2, "/system.slice/b", -9, nil, unit: "actions.runner.other-org.x.service"),
        ]
        #expect(
            OwnershipDecision.decide(spans: [Self.span(1, 0, 100, runner: "x")], cgroups: units)[1] == OwnershipDecision.none(.ambiguous)
        )
    }

    @Test func ofTheLivesOfANamedCgroupThoseDuringTheSpanAreItsOwn() {
        let lives = [Self.cgroup(1, "/job", -90, 0.4), Self.cgroup(2, "/job", 0.6, 99.5), Self.cgroup(3, "/job", 99.8, 300)]
        let decision = OwnershipDecision.decide(spans: [Self.span(1, 0, 100, workload: "/job")], cgroups: lives)[1]
        #expect(decision?.ownership?.curveIDs == [2])
        // Restarted in the middle: both.
        let halves = [Self.cgroup(1, "/job", 0.1, 50), Self.cgroup(2, "/job", 51, 99.9)]
        let both = OwnershipDecision.decide(spans: [Self.span(1, 0, 100, workload: "/job")], cgroups: halves)[1]
        #expect(both?.ownership?.curveIDs == [1, 2])
        #expect(both?.ownership?.interval == Interval(Self.time(0.1), Self.time(99.9)))
    }

    @Test func curvesAddUpWhereEachIsKnown() {
        func curve(_ knots: [(Double, Int64)]) -> Curve { Curve(knots: knots.map { Knot(time: Self.time($0.0), value: $0.1) }) }
        let sum = Curve.sum([(curve([(0, 0), (10, 100)]), true), (curve([(20, 0), (30, 50)]), true)])
        #expect(sum.knots.map(\.value) == [0, 100, 100, 150])
        // Nothing is known beyond the last reading of one that lives.
        let living = Curve.sum([(curve([(0, 0), (10, 100)]), false), (curve([(5, 0), (30, 50)]), true)])
        #expect(living.extent == Interval(Self.time(0), Self.time(10)))
        #expect(living.knots.last?.value == 110)
    }

    @Test func spansThatShareACgroupGetEqualPartsOfItWhileBothRunAndNoJouleTwice() {
        // A cgroup that uses a CPU of two for 10 s; the first span runs all the time, the second the last 5 s.
        let window = RuleTests.window
        let middle = Timestamp(microseconds: (window.start.microseconds + window.end.microseconds) / 2)
        func workload(_ other: Int64) -> SpanInput.Workload {
            .init(curve: RuleTests.line(1_000_000), isClosed: true, sharingSpanIDs: [other])
        }
        let accounts = Sweep.accounts(
            of: HostInput(
                window: window,
                cpus: 2,
                meters: [RuleTests.meter(50, idle: 20)],
                busy: RuleTests.line(1_000_000),
                spans: [
                    SpanInput(id: 1, interval: window, workload: workload(2)),
                    SpanInput(id: 2, interval: Interval(middle, window.end), workload: workload(1)),
                ]
            )
        )[0]
        // 30 W dynamic: 150 J alone, then 75 J each.
        #expect(accounts.slices.map(\.dynamic) == [225_000_000, 75_000_000])
        #expect(accounts.isConserved)
        #expect(accounts.flags.contains(.cgroupShared))
        #expect(accounts.slices.map(\.shareMethod) == [.measured, .equal])
        // The second may have used anything from nothing to all of the shared 150 J.
        let limits = accounts.slices[1].bounds.limits(idleMoved: 0)
        #expect(limits.low == 0 && limits.high >= 150_000_000)
        #expect(accounts.slices[0].bounds.limits(idleMoved: 0).high >= 300_000_000)
    }

    /// A host of two CPUs, 30 W dynamic, one CPU busy for 10 s; spans of constant CPU time a second, over the whole window.
    private static func partial(_ spans: [(cpus: Double, partialSince: Double?, children: [Int64])]) -> ComponentAccounts {
        let window = RuleTests.window
        return Sweep.accounts(
            of: HostInput(
                window: window,
                cpus: 2,
                meters: [RuleTests.meter(50, idle: 20)],
                busy: RuleTests.line(1_000_000),
                spans: spans.enumerated().map { i, span in
                    SpanInput(
                        id: Int64(i + 1),
                        interval: window,
                        workload: .init(
                            curve: RuleTests.line(Int64(span.cpus * 1e6)),
                            isClosed: true,
                            childSpanIDs: span.children,
                            partialSince: span.partialSince.map { window.start + Microseconds(Int64($0 * 1e6)) }
                        )
                    )
                }
            )
        )[0]
    }

    /// Spans 1... with what they lost since when, and the limits of each, J. 300 J are for one CPU, 30 J a second.
    @Test(
        arguments: [
            // Nothing lost: exact. Lost since the middle: what nobody else used then, 0.5 CPUs for 5 s.
            ([(0.5, nil, [])], [(150, 150)]),
            ([(0.5, 5, [])], [(150, 225)]),
            // Lost in another window: all of this one.
            ([(0.5, -100, [])], [(150, 300)]),
            ([(0.5, 100, [])], [(150, 150)]),
            // What another measured is not in question.
            ([(0.5, 5, []), (0.25, nil, [])], [(150, 187.5), (75, 75)]),
            // Unless its cgroup lies around: its count holds what the inner one lost.
            ([(0.25, 5, []), (0.75, nil, [1])], [(75, 187.5), (75, 150)]),
            // Two that lost may both have used what is left.
            ([(0.25, 0, []), (0.25, 0, [])], [(75, 225), (75, 225)]),
            // A chain: what the inner two lost may be in the outermost's count.
            ([(0.1, 0, []), (0.2, 0, [1]), (0.5, nil, [2])], [(30, 300), (0, 270), (0, 90)]),
        ] as [([(Double, Double?, [Int64])], [(Double, Double)])]
    )
    func whatACgroupMayHaveUsedUnreadWidensItsLimitsAndMovesNothing(
        spans: [(Double, Double?, [Int64])],
        expected: [(Double, Double)]
    ) {
        let spans = spans.map { (cpus: $0.0, partialSince: $0.1, children: $0.2) }
        let accounts = Self.partial(spans)
        let certain = Self.partial(spans.map { ($0.cpus, nil, $0.children) })
        #expect(accounts.slices.map(\.dynamic) == certain.slices.map(\.dynamic))
        #expect(accounts.isConserved)
        for (slice, expected) in zip(accounts.slices, expected) {
            let limits = slice.bounds.limits(idleMoved: 0)
            #expect(abs(limits.low / 1e6 - expected.0) < 0.01 && abs(limits.high / 1e6 - expected.1) < 0.01, "\(slice.spanID): \(limits)")
        }
        let isLost = spans.map { ($0.partialSince ?? .infinity) < 10 }
        #expect(accounts.flags.contains(.cpuTimePartial) == isLost.contains(true))
        #expect(accounts.slices.map(\.quality) == isLost.map { $0 ? .partial : .measured })
        #expect(accounts.slices.allSatisfy { $0.shareMethod == .measured })
    }

    @Test(arguments: 0..<100)
    func whoeverSharesACgroupEveryJouleHasOneOwner(seed: Int) {
        var host = RandomHost(seed: UInt64(seed)).input
        let window = host.window
        let used = window.duration.count * Int64(host.cpus) / 3
        let curve = Curve(knots: [Knot(time: window.start, value: 0), Knot(time: window.end, value: used)])
        let sharing = host.spans.indices.filter { $0 % 3 != 0 }
        let ids = sharing.map { host.spans[$0].id }
        for i in sharing {
            host.spans[i].workload = SpanInput.Workload(
                curve: curve,
                isClosed: true,
                // Those not shared may lie below.
                childSpanIDs: host.spans.filter { $0.workload != nil && !ids.contains($0.id) }.map(\.id),
                sharingSpanIDs: ids.filter { $0 != host.spans[i].id }
            )
        }
        for accounts in Sweep.accounts(of: host) {
            #expect(accounts.isConserved)
            #expect(
                accounts.slices.allSatisfy { slice in
                    let limits = slice.bounds.limits(idleMoved: 0)
                    return limits.low <= limits.high
                }
            )
        }
    }
}
