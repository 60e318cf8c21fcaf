import Energy
import TestSupport
import Testing

@testable import Accounting

/// The sweep by prefix sums against the definition.
@Suite struct PlainSweepTests {
    /// What no other random host has: memory, GPU time, cgroups within and beside one another, last CPU times lost.
    static func enrich(_ host: HostInput, seed: UInt64) -> HostInput {
        var host = host
        var random = RandomSource(seed: seed ^ 0xABCD)
        func curve(_ rate: Double) -> Curve {
            var knots = [Knot(time: host.window.start + .seconds(-30), value: 0)]
            while knots[knots.count - 1].time < host.window.end {
                let step = Microseconds(Int64.random(in: 1_000_000...1_200_000_000, using: &random))
                let last = knots[knots.count - 1]
                knots.append(
                    Knot(
                        time: last.time + step,
                        value: last.value + Int64(Double(step.count) * Double.random(in: 0...rate, using: &random))
                    )
                )
            }
            return Curve(knots: knots)
        }
        let hasMemory = random.chance(0.7)
        let count = Int64(host.spans.count)
        for i in host.spans.indices {
            if hasMemory, random.chance(0.9) { host.spans[i].memory = curve(5) }
            if random.chance(0.2) { host.spans[i].gpuTimes["m3"] = curve(0.5) }
            if random.chance(0.2) { host.spans[i].ownedGPUs = ["m3"] }
            if random.chance(0.1) { host.spans[i].cpuShare = 0 }
            if random.chance(0.3) {
                host.spans[i].workload = SpanInput.Workload(
                    curve: curve(Double(host.cpus) / 4),
                    isClosed: random.chance(0.5),
                    epsilonMicroseconds: 50_000,
                    // Those after it only: no cycles.
                    childSpanIDs: random.chance(0.5)
                        ? (host.spans[i].id + 1..<max(count, host.spans[i].id + 1)).filter { _ in random.chance(0.3) } : [],
                    partialSince: random.chance(0.2)
                        ? host.window.start + .seconds(Int64.random(in: -100...3_600, using: &random)) : nil
                )
            }
        }
        let sharing = host.spans.indices.filter { host.spans[$0].workload != nil && random.chance(0.3) }
        let ids = sharing.map { host.spans[$0].id }
        for i in sharing {
            let id = host.spans[i].id
            host.spans[i].workload?.sharingSpanIDs = ids.filter { $0 != id }
            host.spans[i].workload?.childSpanIDs.removeAll { ids.contains($0) }
        }
        // Floors are given.
        for m in host.meters.indices where host.meters[m].idle == nil {
            host.meters[m].idle = UtilisationModel.Point(low: .zero, best: .zero, high: .zero)
        }
        return host
    }

    static func expectNear(_ a: Double, _ b: Double, _ scale: Double, _ what: @autoclosure () -> String) {
        #expect(abs(a - b) <= 1e-9 * scale + 1e-3, "\(what()): \(a), \(b)")
    }

    static func compare(_ host: HostInput, _ name: String) {
        let plain = PlainSweep(host)
        for accounts in Sweep.unclamped(of: host) {
            let expected = plain.accounts(of: accounts.component)
            let energy = accounts.pieces.reduce(0) { $0 + $1.energy }
            func sum(_ path: (ComponentSums.PieceSums) -> Double) -> Double { accounts.pieces.reduce(0) { $0 + path($1) } }
            let what = "\(name), \(accounts.component)"
            expectNear(sum(\.agent), expected.agent, energy, "\(what), agent")
            expectNear(sum(\.system), expected.system, energy, "\(what), system")
            expectNear(sum(\.unknown), expected.unknown, energy, "\(what), unknown")
            expectNear(sum(\.idleDynamic), expected.idleDynamic, energy, "\(what), idle")
            expectNear(sum(\.floor), expected.floor, energy, "\(what), floor")
            var found: [Int64: SpanFigure] = [:]
            for cell in accounts.cells { found[cell.spanID, default: SpanFigure()].add(cell.figure) }
            #expect(Set(found.keys) == Set(expected.figures.keys), "\(what)")
            for (id, figure) in found {
                guard let other = expected.figures[id] else { continue }
                let what = "\(what), span \(id)"
                expectNear(figure.dynamic, other.dynamic, energy, "\(what), dynamic")
                expectNear(figure.reserved, other.reserved, energy, "\(what), reserved")
                expectNear(figure.busy, other.busy, energy, "\(what), busy")
                expectNear(figure.equal, other.equal, energy, "\(what), equal")
                expectNear(figure.low, other.low, energy, "\(what), low")
                expectNear(figure.lowFloor, other.lowFloor, energy, "\(what), floor at the low end")
                expectNear(figure.high, other.high, energy, "\(what), high")
                expectNear(figure.highFloor, other.highFloor, energy, "\(what), floor at the high end")
                expectNear(figure.missing, other.missing, 1e12, "\(what), missing")
                expectNear(figure.metered, other.metered, 1, "\(what), metered")
                expectNear(figure.use, other.use, 4e9, "\(what), use")
            }
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 60, long: 2_000)) func theFastSweepIsTheDefinition(seed: Int) {
        Self.compare(RandomHost(seed: UInt64(seed)).enriched(nil).input, "seed \(seed)")
    }

    @Test(arguments: 0..<LongRun.rounds(short: 100, long: 3_000)) func soItIsWithCgroupsMemoryAndGPUs(seed: Int) {
        Self.compare(RandomHost(seed: UInt64(seed)).enriched(UInt64(seed)).input, "seed \(seed)")
    }

    @Test(arguments: 0..<LongRun.rounds(short: 150, long: 4_000)) func soItIsWithSpansWithinSpans(seed: Int) {
        var host = RandomHost(seed: UInt64(seed)).enriched(seed % 3 == 0 ? UInt64(seed) : nil).input
        var random = RandomSource(seed: UInt64(seed) ^ 0x5EED)
        for i in host.spans.indices {
            if random.chance(0.4) {
                host.spans[i].cpuShare = random.chance(0.5) ? Double.random(in: 0...0.3, using: &random) : nil
                host.spans[i].cpus = nil
                host.spans[i].weight = nil
            }
            // Within one before it: no cycles.
            if i > 0, random.chance(0.6) { host.spans[i].parentID = Int64.random(in: 0..<Int64(i), using: &random) }
        }
        Self.compare(host, "seed \(seed)")
    }
}

extension SpanFigure {
    mutating func add(_ other: SpanFigure) {
        drawn += other.drawn
        floor += other.floor
        reserved += other.reserved
        busy += other.busy
        equal += other.equal
        low += other.low
        lowFloor += other.lowFloor
        high += other.high
        highFloor += other.highFloor
        missing += other.missing
        metered += other.metered
        energy += other.energy
        use += other.use
    }
}

extension RandomHost {
    /// With floors for all meters; and with everything else there is.
    func enriched(_ seed: UInt64?) -> RandomHost {
        var host = input
        for m in host.meters.indices where host.meters[m].idle == nil {
            host.meters[m].idle = UtilisationModel.Point(low: .zero, best: .zero, high: .zero)
        }
        return RandomHost(input: seed.map { PlainSweepTests.enrich(host, seed: $0) } ?? host)
    }
}
