import Energy
import TestSupport
import Testing

@testable import Accounting

/// Spans within spans where no cgroups tell it.
@Suite struct NestingTests {
    private static let window = RuleTests.window

    /// 50 W, 20 of them idle, over 10 s, so 300 J dynamic; busy as said, of 2 CPUs.
    private static func accounts(_ spans: [SpanInput], busy: Double? = nil, slots: Double? = nil) -> ComponentAccounts {
        Sweep.accounts(
            of: HostInput(
                window: window,
                cpus: 2,
                slots: slots,
                meters: [RuleTests.meter(50, idle: 20)],
                busy: busy.map { RuleTests.line(Int64($0 * 2e6)) },
                spans: spans
            )
        )[0]
    }

    private static func span(_ id: Int64, _ share: Double? = nil, in parent: Int64? = nil, from: Double = 0, to: Double = 10) -> SpanInput {
        func time(_ seconds: Double) -> Timestamp { window.start + Microseconds(Int64(seconds * 1e6)) }
        var span = SpanInput(id: id, interval: Interval(time(from), time(to)), cpuShare: share)
        span.parentID = parent
        return span
    }

    private static func measured(_ id: Int64, _ fraction: Double, in parent: Int64? = nil) -> SpanInput {
        var span = SpanInput(
            id: id,
            interval: window,
            workload: .init(curve: RuleTests.line(Int64(fraction * 2e6)), isClosed: true)
        )
        span.parentID = parent
        return span
    }

    private static func joules(_ accounts: ComponentAccounts) -> [Double] {
        accounts.slices.map { (Double($0.dynamic) / 1e6 * 1_000).rounded() / 1_000 }
    }

    @Test func aParentIsChargedItsOwnLessItsChildrens() {
        let accounts = Self.accounts([Self.span(1, 0.5), Self.span(2, 0.2, in: 1)])
        #expect(Self.joules(accounts) == [90, 60])
        #expect(accounts.slices.map(\.idle.reserved) == [60_000_000, 40_000_000])
        #expect(accounts.isConserved)
    }

    @Test func onlyTheInnermostCompeteForWhatNobodyDeclared() {
        // Alone the job would have all of the host's, since slots are not known. A step within it changes nothing for others.
        let alone = Self.accounts([Self.span(1), Self.span(3)])
        #expect(Self.joules(alone) == [150, 150])
        let nested = Self.accounts([Self.span(1), Self.span(2, in: 1), Self.span(3)])
        #expect(Self.joules(nested) == [0, 150, 150])
        #expect(nested.slices.map(\.idle.equal) == [0, 100_000_000, 100_000_000])
        let halves = Self.accounts([Self.span(1), Self.span(2, in: 1, to: 5), Self.span(3)])
        #expect(Self.joules(halves) == [75, 75, 150])
        let siblings = Self.accounts([Self.span(1), Self.span(2, in: 1), Self.span(3), Self.span(4, in: 1)])
        #expect(Self.joules(siblings) == [0, 75, 150, 75])
    }

    @Test func whatWasMeasuredOfAJobIsItsUnmeasuredStepsToo() {
        // Half of the host's CPU is the job's cgroup's, half busy in all: 300 J are the job's, with all that runs within it.
        #expect(Self.joules(Self.accounts([Self.measured(1, 0.5), Self.span(2, 0.2, in: 1)], busy: 0.5)) == [180, 120])
        #expect(Self.joules(Self.accounts([Self.measured(1, 0.5), Self.span(2, in: 1)], busy: 0.5)) == [0, 300])
        // More than there is: scaled.
        let scaled = Self.accounts([Self.measured(1, 0.5), Self.span(2, 0.6, in: 1), Self.span(3, 0.4, in: 1)], busy: 0.5)
        #expect(Self.joules(scaled) == [0, 180, 120])
        #expect(scaled.isConserved)
        // What nobody measured may have been all or nothing of it.
        #expect(scaled.slices[1].bounds.limits(idleMoved: 0).low == 0)
        #expect(scaled.slices[1].bounds.limits(idleMoved: 0).high >= 300_000_000)
    }

    @Test func aMeasuredStepIsTakenFromADeclaredJob() {
        let accounts = Self.accounts([Self.span(1, 0.5), Self.measured(2, 0.2, in: 1)])
        #expect(Self.joules(accounts) == [90, 60])
    }

    /// The host is busy throughout: 300 J are shared out.
    @Test(arguments: [nil, 1.0, 4.0]) func whatAStepSaysOrWasMeasuredIsTakenFromAnUndeclaredJob(slots: Double?) {
        let alone = Self.joules(Self.accounts([Self.span(1)], busy: 1, slots: slots))[0]
        #expect(alone == 300 / (slots ?? 1))
        for step in [Self.measured(2, 0.1, in: 1), Self.span(2, 0.1, in: 1)] {
            let accounts = Self.accounts([Self.span(1), step], busy: 1, slots: slots)
            #expect(Self.joules(accounts) == [alone - 30, 30])
            #expect(accounts.isConserved)
            // One that declares nothing beside it has what is left.
            #expect(Self.joules(Self.accounts([Self.span(1), step, Self.span(3, in: 1)], busy: 1, slots: slots)) == [0, 30, alone - 30])
        }
        let claims = Self.accounts([Self.span(1), Self.span(2, 0.1, in: 1)], busy: 1, slots: slots).slices.map(\.idle.reserved)
        #expect(claims == [Int64(200e6 / (slots ?? 1)) - 20_000_000, 20_000_000])
    }

    @Test func aStepThatHasMoreThanItsJobsEqualPartLeavesItNothingUntilThatGrows() {
        // Three jobs at first, so a third each; the step has 0.4. From 5 s on the job is alone.
        let accounts = Self.accounts(
            [Self.span(1), Self.span(2, 0.4, in: 1), Self.span(3, to: 5), Self.span(4, to: 5)],
            busy: 1
        )
        // 150 J in each half: of weights 0.4, 1/3 and 1/3, then of 0.6 and 0.4.
        let scale = 150 / (0.4 + 2 / 3.0)
        let expected = [0.6 * 150, 0.4 * scale + 60, scale / 3, scale / 3]
        for (joules, expected) in zip(Self.joules(accounts), expected) { #expect(abs(joules - expected) < 0.01) }
    }

    @Test func aChildLongerThanItsParentStandsAloneThen() {
        let accounts = Self.accounts([Self.span(1, 0.5, to: 5), Self.span(2, 0.2, in: 1)])
        #expect(Self.joules(accounts) == [45, 60])
        #expect(accounts.isConserved)
    }

    @Test func anUnknownParentIsNoneAndACycleIsFlagged() {
        #expect(Self.joules(Self.accounts([Self.span(1, 0.5, in: 99)])) == [150])
        let cycle = Self.accounts([Self.span(1, 0.5, in: 2), Self.span(2, 0.2, in: 1), Self.span(3, 0.1, in: 3), Self.span(4, 0.1, in: 1)])
        #expect(cycle.flags.contains(.nestedInItself))
        #expect(Self.joules(cycle) == [120, 60, 30, 30])
        #expect(cycle.isConserved)
        #expect(!Self.accounts([Self.span(1, 0.5), Self.span(2, 0.2, in: 1)]).flags.contains(.nestedInItself))
    }

    @Test func aChainOfThousandsIsNoTrouble() {
        let spans = (0..<2_000).map { Self.span(Int64($0), 0.5, in: $0 == 0 ? nil : Int64($0 - 1)) }
        let accounts = Self.accounts(spans)
        #expect(accounts.slices.last?.dynamic == 150_000_000)
        #expect(accounts.jobDynamic == 150_000_000)
    }

    /// Whatever lies within a job, the job with all of it has what it would have had alone. On a busy host with 8 slots jobs are within
    /// what there is, so that what is measured of one takes nothing from others.
    @Test(arguments: 0..<LongRun.rounds(short: 100, long: 3_000)) func nestingConservesAtEachLevel(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var roots: [SpanInput] = []
        var all: [SpanInput] = []
        var rootOf: [Int64: Int64] = [:]
        var id: Int64 = 1
        let isBusy = random.chance(0.5)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            var root = SpanInput(id: id, interval: Self.window, cpuShare: random.chance(0.5) ? isBusy ? 0.2 : 0.4 : nil)
            if random.chance(0.3) { root = Self.measured(id, 0.2) }
            let isMeasured = root.workload != nil
            id += 1
            roots.append(root)
            all.append(root)
            rootOf[root.id] = root.id
            // Undeclared ones within it, and within those: the job's own is divided among them. Where there is room enough, up to two of
            // those directly within it declare a part or are measured.
            var within = [root.id]
            if isBusy {
                for _ in 0..<Int.random(in: 0...2, using: &random) {
                    let share = Double.random(in: 0.01...0.06, using: &random)
                    all.append(isMeasured || random.chance(0.5) ? Self.span(id, share, in: root.id) : Self.measured(id, share, in: root.id))
                    rootOf[id] = root.id
                    id += 1
                }
            }
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                let from = Double.random(in: 0...9, using: &random)
                let parent = within.randomElement(using: &random) ?? root.id
                let child = Self.span(id, in: parent, from: from, to: Double.random(in: from...10, using: &random))
                id += 1
                within.append(child.id)
                all.append(child)
                rootOf[child.id] = root.id
            }
        }
        func totals(_ spans: [SpanInput]) -> [Int64: SpanFigure] {
            let host = HostInput(
                window: Self.window,
                cpus: 2,
                slots: isBusy ? 8 : random.chance(0.5) ? 3 : nil,
                meters: [RuleTests.meter(50, idle: 20)],
                busy: RuleTests.line(isBusy ? 2_000_000 : 1_600_000),
                spans: spans
            )
            var result: [Int64: SpanFigure] = [:]
            for cell in Sweep.unclamped(of: host)[0].cells { result[rootOf[cell.spanID] ?? 0, default: SpanFigure()].add(cell.figure) }
            return result
        }
        let generator = random
        let alone = totals(roots)
        random = generator
        let nested = totals(all)
        // A child that outlives its parent stands alone, so only the trees whose members lie within one another are compared.
        let byID = Dictionary(all.map { ($0.id, $0.interval) }) { first, _ in first }
        let isContained = all.allSatisfy { span in
            span.parentID.map { byID[$0].map { $0.start <= span.interval.start && span.interval.end <= $0.end } ?? true } ?? true
        }
        guard isContained else { return }
        for root in roots {
            guard let a = alone[root.id], let b = nested[root.id] else { continue }
            for (one, two) in [(a.dynamic, b.dynamic), (a.reserved, b.reserved), (a.busy, b.busy), (a.equal, b.equal)] {
                #expect(abs(one - two) < 1, "seed \(seed), root \(root.id): \(one), \(two)")
            }
        }
    }
}
