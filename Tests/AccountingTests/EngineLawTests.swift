import Energy
import TestSupport
import Testing

@testable import Accounting

/// The laws of `docs/methodology.md` on random hosts, of figures before they are clamped and rounded where it says so.
@Suite struct EngineLawTests {
    private static func cuts(_ random: inout RandomSource) -> [Timestamp] {
        let start = Hour(number: 480_000).start
        return switch Int.random(in: 0..<3, using: &random) {
        case 0: [start + .seconds(1_800)]
        case 1: (1..<12).map { start + .seconds($0 * 300) }
        default: (0..<Int.random(in: 1...5, using: &random)).map { _ in start + .seconds(Int64.random(in: -10...3_700, using: &random)) }
        }
    }

    static func host(_ seed: Int) -> HostInput {
        RandomHost(seed: UInt64(seed)).enriched(seed % 2 == 0 ? nil : UInt64(seed)).input
    }

    @Test(arguments: 0..<LongRun.rounds(short: 200, long: 10_000)) func everyJouleIsInOneAccountInEachPieceUnderEveryPolicy(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var host = Self.host(seed)
        host.cuts = Self.cuts(&random)
        for accounts in Sweep.accounts(of: host) {
            #expect(accounts.isConserved, "seed \(seed), \(accounts.component)")
            var metered: Int64 = 0
            for piece in accounts.pieces {
                var whole: Int64 = 0
                for meter in host.meters where meter.component == accounts.component {
                    for part in meter.curve.known(within: piece.interval) {
                        whole += meter.curve.wholeValue(at: part.end) - meter.curve.wholeValue(at: part.start)
                    }
                }
                metered += whole
                #expect(piece.jobDynamic + piece.system + piece.agent + piece.idle + piece.unknown == whole, "seed \(seed)")
                #expect([piece.jobDynamic, piece.system, piece.agent, piece.idle, piece.unknown].allSatisfy { $0 >= 0 })
                let slices = accounts.slices.filter { $0.interval.intersection(piece.interval) != nil }
                #expect(slices.allSatisfy { piece.interval.intersection($0.interval) == $0.interval }, "a slice ends at every cut")
                #expect(slices.reduce(0) { $0 + $1.dynamic } == piece.jobDynamic, "seed \(seed)")
                for policy in Policy.allCases {
                    let moved = slices.reduce(0) { $0 + $1.idle[policy] }
                    #expect(0 <= moved && moved <= piece.idle, "seed \(seed), \(policy)")
                }
            }
            #expect(metered == accounts.metered)
            #expect(accounts.slices.allSatisfy { $0.dynamic >= 0 && $0.estimated ?? 0 >= 0 })
        }
    }

    /// What each span has over the window, of each component.
    private static func totals(_ host: HostInput, merging: [Int64: Int64] = [:]) -> [Component: [Int64: SpanFigure]] {
        var result: [Component: [Int64: SpanFigure]] = [:]
        for accounts in Sweep.unclamped(of: host) {
            var figures: [Int64: SpanFigure] = [:]
            for cell in accounts.cells { figures[merging[cell.spanID] ?? cell.spanID, default: SpanFigure()].add(cell.figure) }
            result[accounts.component] = figures
        }
        return result
    }

    private static func expectSame(
        _ a: [Component: [Int64: SpanFigure]],
        _ b: [Component: [Int64: SpanFigure]],
        scale: Double = 1,
        tolerance: Double = 0.05,
        _ name: String
    ) {
        #expect(a.keys == b.keys)
        for (component, figures) in a {
            let others = b[component] ?? [:]
            #expect(Set(figures.keys) == Set(others.keys), "\(name)")
            for (id, figure) in figures {
                guard let other = others[id] else { continue }
                for (one, two) in [
                    (figure.drawn, other.drawn), (figure.floor, other.floor), (figure.reserved, other.reserved),
                    (figure.busy, other.busy), (figure.equal, other.equal),
                ] {
                    #expect(abs(one * scale - two) <= tolerance + abs(two) * 1e-9, "\(name), \(component), span \(id): \(one), \(two)")
                }
            }
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 100, long: 3_000)) func cuttingTheWindowMovesNothing(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let host = Self.host(seed)
        var cut = host
        cut.cuts = Self.cuts(&random)
        Self.expectSame(Self.totals(host), Self.totals(cut), "seed \(seed)")
        // As stored: within 1 µJ for each slice, where nothing is clamped.
        for (a, b) in zip(Sweep.accounts(of: host), Sweep.accounts(of: cut)) {
            guard !a.flags.contains(.clamped), !b.flags.contains(.clamped) else { continue }
            #expect(a.metered == b.metered)
            let count = Int64(b.slices.count + b.pieces.count)
            for (one, two) in [(a.jobDynamic, b.jobDynamic), (a.system, b.system), (a.agent, b.agent), (a.idle, b.idle)] {
                #expect(abs(one - two) <= count, "seed \(seed)")
            }
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 100, long: 3_000)) func splittingASpanInTwoChangesNothingOfItOrOfOthers(seed: Int) {
        var host = RandomHost(seed: UInt64(seed)).enriched(nil).input
        // The CPU time that a client posted is of the whole span; of halves it would be other halves.
        host.spans = host.spans.filter { $0.postedCPUTime == nil }
        guard let i = host.spans.indices.first(where: { host.spans[$0].interval.duration > .seconds(2) }) else { return }
        let whole = host.spans[i]
        let middle = whole.interval.start + Microseconds(whole.interval.duration.count / 3)
        var first = whole
        first.interval = Interval(whole.interval.start, middle)
        var second = whole
        second.interval = Interval(middle, whole.interval.end)
        second.id = 1_000
        var split = host
        split.spans[i] = first
        split.spans.append(second)
        Self.expectSame(Self.totals(host), Self.totals(split, merging: [1_000: whole.id]), "seed \(seed)")
    }

    @Test(arguments: 0..<LongRun.rounds(short: 50, long: 1_000)) func knotsInAnyOrderAndOnTheLineMakeTheSameAccounts(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let host = Self.host(seed)
        var other = host
        for m in other.meters.indices {
            let curve = other.meters[m].curve
            // A knot on the line wherever one falls on whole units.
            let between = zip(curve.knots, curve.knots.dropFirst()).compactMap { a, b -> Knot? in
                let (time, value) = (b.time.microseconds - a.time.microseconds, b.value - a.value)
                guard time % 2 == 0, value % 2 == 0, time > 1, random.chance(0.5) else { return nil }
                return Knot(time: a.time + Microseconds(time / 2), value: a.value + value / 2)
            }
            other.meters[m].curve = Curve(
                knots: (curve.knots + between).shuffled(using: &random),
                gaps: curve.gaps.shuffled(using: &random)
            )
        }
        other.spans.shuffle(using: &random)
        Self.expectSame(Self.totals(host), Self.totals(other), "seed \(seed)")
    }

    @Test(arguments: 0..<LongRun.rounds(short: 50, long: 1_000)) func scalingTimeOrPowerScalesTheAnswer(seed: Int) {
        let host = Self.host(seed)
        var strong = host
        var long = host
        let origin = host.window.start.microseconds
        func stretched(_ t: Timestamp) -> Timestamp { Timestamp(microseconds: origin + (t.microseconds - origin) * 2) }
        func stretched(_ i: Interval) -> Interval { Interval(stretched(i.start), stretched(i.end)) }
        func stretched(_ curve: Curve, values: Int64 = 2) -> Curve {
            Curve(
                knots: curve.knots.map { Knot(time: stretched($0.time), value: $0.value * values, flags: $0.flags) },
                gaps: curve.gaps.map { Gap(interval: stretched($0.interval), low: $0.low, high: $0.high, cause: $0.cause) }
            )
        }
        for m in host.meters.indices {
            let curve = host.meters[m].curve
            strong.meters[m].curve = Curve(knots: curve.knots.map { Knot(time: $0.time, value: $0.value * 3) }, gaps: curve.gaps)
            if let idle = host.meters[m].idle {
                strong.meters[m].idle = UtilisationModel.Point(
                    low: Power(watts: idle.low.watts * 3),
                    best: Power(watts: idle.best.watts * 3),
                    high: Power(watts: idle.high.watts * 3)
                )
            }
            long.meters[m].curve = stretched(curve)
        }
        long.window = stretched(host.window)
        long.busy = host.busy.map { stretched($0) }
        long.agent = host.agent.map { stretched($0) }
        for i in host.spans.indices {
            long.spans[i].interval = stretched(host.spans[i].interval)
            long.spans[i].fullDuration = Microseconds(host.spans[i].fullDuration.count * 2)
            long.spans[i].postedCPUTime = host.spans[i].postedCPUTime.map { Microseconds($0.count * 2) }
            long.spans[i].workload?.curve = stretched(host.spans[i].workload?.curve ?? Curve(knots: []))
            long.spans[i].workload?.partialSince = host.spans[i].workload?.partialSince.map { stretched($0) }
            long.spans[i].memory = host.spans[i].memory.map { stretched($0) }
            long.spans[i].gpuTimes = host.spans[i].gpuTimes.mapValues { stretched($0) }
        }
        Self.expectSame(Self.totals(host), Self.totals(strong), scale: 3, "power, seed \(seed)")
        Self.expectSame(Self.totals(host), Self.totals(long), scale: 2, "time, seed \(seed)")
    }

    @Test(arguments: 0..<LongRun.rounds(short: 100, long: 2_000)) func aPartIsNeverMoreThanTheWhole(seed: Int) {
        for accounts in Sweep.accounts(of: Self.host(seed)) {
            for slice in accounts.slices {
                for policy in Policy.allCases {
                    #expect(slice.dynamic + slice.idle[policy] <= accounts.metered, "seed \(seed)")
                }
                #expect(slice.errors.start >= 0 && slice.errors.end >= 0 && slice.errors.gap >= 0 && slice.errors.floor >= 0)
            }
            for policy in Policy.allCases {
                #expect(accounts.slices.reduce(0) { $0 + $1.dynamic + $1.idle[policy] } <= accounts.metered, "seed \(seed)")
            }
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 50, long: 1_000)) func aSpansEnergyGrowsWithItsShare(seed: Int) {
        var host = RandomHost(seed: UInt64(seed), withoutGaps: true).enriched(nil).input
        // With energy above the floor throughout.
        for m in host.meters.indices { host.meters[m].idle = UtilisationModel.Point(low: .zero, best: .zero, high: .zero) }
        guard let one = host.spans.indices.first(where: { host.spans[$0].workload == nil }) else { return }
        host.spans[one].postedCPUTime = nil
        var last: [Component: Double] = [:]
        for share in [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1.5] {
            host.spans[one].cpuShare = share
            // A share of 0 takes no slot, which others have then.
            guard share > 0 else { continue }
            for (component, figures) in Self.totals(host) where component != .gpu {
                let drawn = figures[host.spans[one].id]?.drawn ?? 0
                if let before = last[component] { #expect(before <= drawn + 0.05, "seed \(seed), share \(share)") }
                last[component] = drawn
            }
        }
    }
}
