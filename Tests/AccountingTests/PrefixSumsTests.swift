import Energy
import TestSupport
import Testing

@testable import Accounting

/// What came before takes no digits from what comes after.
@Suite struct PrefixSumsTests {
    @Test(arguments: 0..<LongRun.rounds(short: 200, long: 5_000)) func differencesAreTheSumsOfTheirParts(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var sums = PrefixSums<SIMD2<Double>>()
        var parts: [SIMD2<Double>] = []
        var magnitude = 0.0
        sums.keep(magnitude: 0)
        for _ in 0..<40 {
            // Mostly ordinary, now and then of a machine that was asleep.
            let exponent = random.chance(0.2) ? Double.random(in: 40...80, using: &random) : Double.random(in: 0...40, using: &random)
            var size = 1.0
            for _ in 0..<Int(exponent) { size *= 2 }
            let part = SIMD2(Double.random(in: 0...1, using: &random) * size, Double.random(in: -1...1, using: &random) * size)
            parts.append(part)
            sums.add(part)
            magnitude += size
            if sums.keep(magnitude: magnitude) { magnitude = 0 }
        }
        for _ in 0..<100 {
            let from = Int.random(in: 0...40, using: &random)
            let to = Int.random(in: from...40, using: &random)
            let own = parts[from..<to]
            let largest = own.map { max(abs($0.x), abs($0.y)) }.max() ?? 0
            let found = sums.between(from, to)
            for (lane, expected) in [(0, own.reduce(0) { $0 + $1.x }), (1, own.reduce(0) { $0 + $1.y })] {
                #expect(abs(found[lane] - expected) <= 0.1 + largest * 1e-13, "seed \(seed), \(from) to \(to)")
            }
        }
    }

    @Test func aMachineThatWakesUpSharesItsEnergyAsOneThatWasNeverAsleep() {
        let hour = Hour(number: 480_000).interval
        func time(_ seconds: Int64) -> Timestamp { hour.start + .seconds(seconds) }
        // A cgroup that used 1 µs in half an hour, alone: each part of the machine's CPU is worth 10^11 times that energy.
        let asleep = SpanInput(
            id: 1,
            interval: Interval(hour.start, time(1_800)),
            workload: .init(curve: Curve(knots: [Knot(time: hour.start, value: 0), Knot(time: time(1_800), value: 1)]), isClosed: true)
        )
        let jobs = (2...4).map { id in
            let start = 1_800 + Int64(id) * 100
            return SpanInput(
                id: Int64(id),
                interval: Interval(time(start), time(start + 300)),
                workload: .init(
                    curve: Curve(knots: [Knot(time: time(start), value: 0), Knot(time: time(start + 300), value: Int64(id) * 700_000_001)]),
                    isClosed: true
                )
            )
        }
        func accounts(_ spans: [SpanInput]) -> ComponentAccounts {
            var meter = RuleTests.meter(100, idle: 20)
            meter.curve = Curve(knots: [Knot(time: hour.start, value: 0), Knot(time: hour.end, value: 1_234_567_890_123)])
            return Sweep.accounts(of: HostInput(window: hour, cpus: 64, meters: [meter], busy: nil, spans: spans))[0]
        }
        let rested = accounts(jobs)
        let woken = accounts([asleep] + jobs)
        for job in jobs {
            let (one, two) = (rested.slices.first { $0.spanID == job.id }, woken.slices.first { $0.spanID == job.id })
            #expect(abs((one?.dynamic ?? 0) - (two?.dynamic ?? -9)) <= 1)
            #expect(abs((one?.idle.busy ?? 0) - (two?.idle.busy ?? -9)) <= 1)
        }
    }
}
