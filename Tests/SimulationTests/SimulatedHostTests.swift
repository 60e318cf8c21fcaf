import Accounting
import Energy
import Simulation
import TestSupport
import Testing

@Suite("Simulated hosts")
struct SimulatedHostTests {
    static let start = Timestamp(microseconds: 1_788_253_200_000_000)

    private func host(_ family: NoiseFamily, seed: UInt64, seconds: Int64 = 900, shapley: Bool = false) -> SimulatedHost {
        SimulatedHost(seed: seed, family: family, jobLength: 30, start: Self.start, duration: .seconds(seconds), withShapley: shapley)
    }

    @Test(arguments: NoiseFamily.allCases)
    func theSameSeedMakesTheSameHost(family: NoiseFamily) {
        let (a, b, c) = (host(family, seed: 3), host(family, seed: 3), host(family, seed: 4))
        #expect(a.jobs.map(\.interval) == b.jobs.map(\.interval))
        #expect(a.jobs.map(\.truth) == b.jobs.map(\.truth))
        #expect(a.jobs.map(\.truth) != c.jobs.map(\.truth))
    }

    @Test func jobsAndNobodyTogetherDrawWhatTheHostDraws() {
        for seed in 0..<UInt64(LongRun.rounds(short: 20, long: 300)) {
            let families = NoiseFamily.allCases
            let host = host(families[Int(seed) % families.count], seed: seed)
            let jobs = host.jobs.reduce(0) { $0 + $1.truth.microjoules(.cpuAndDRAM) }
            #expect(jobs > 0)
            #expect(jobs < host.trueInner)
            let node = host.jobs.reduce(0) { $0 + $1.truth.microjoules(.node) }
            #expect(node >= jobs - 1e-6 && node < host.trueNode)
            // CPU time is accounted for too.
            let cpu = host.jobs.reduce(0) { $0 + $1.cpuTime.total } + host.systemCPU.total
            #expect(abs(cpu / host.busy.total - 1) < 1e-9)
        }
    }

    @Test func aJobsTruthIsWhatStepsOfAMillisecondGive() throws {
        // Dynamic power of a linear model is the job's own load: summed by steps from its CPU time, without the closed form.
        let host = host(.asModelled, seed: 11, seconds: 300)
        let job = try #require(host.jobs.first { $0.interval.duration.seconds < 60 })
        var sum = 0.0
        var time = job.interval.start
        while time < job.interval.end {
            let next = min(job.interval.end, time + .milliseconds(1))
            let load = (job.cpuTime.value(at: next) - job.cpuTime.value(at: time)) / Double(host.draw.cpus)
            sum += host.draw.power.dynamicWatts * load
            time = next
        }
        #expect(abs(sum / job.truth.cpuDynamic - 1) < 1e-6)
    }

    @Test func shapleyIsTheProportionWhereTheCurveIsALineAndAddsUpWhereItIsNot() {
        let line = ShapleyValue.values(of: [0.1, 0.3, 0.2]) { 100 * $0 }
        for (value, expected) in zip(line, [10.0, 30, 20]) { #expect(abs(value - expected) < 1e-9) }
        // Two players, f = sqrt: (f(a) + f(a + b) - f(b)) / 2.
        let two = ShapleyValue.values(of: [0.09, 0.16]) { $0.squareRoot() }
        #expect(abs(two[0] - (0.3 + 0.5 - 0.4) / 2) < 1e-12)
        #expect(abs(two[0] + two[1] - 0.5) < 1e-12)
    }

    @Test func theEnginesAnswerOfAWorldAsItTakesItToBeIsNearTheTruth() {
        var errors = ErrorSample()
        for seed in 0..<UInt64(LongRun.rounds(short: 6, long: 60)) {
            let host = host(.asModelled, seed: 100 + seed)
            let answers = EngineRun.answers(AgentView(of: host))
            for job in host.jobs { errors.add(answer: answers[job.id]?.best, truth: job.truth.microjoules(.cpuAndDRAM)) }
        }
        // The sensors are off by 1 %.
        #expect(errors.silent == 0)
        #expect(errors.median < 0.02, "\(errors.median)")
        #expect(errors.percentile95 < 0.06, "\(errors.percentile95)")
    }

    @Test func noWrapLosesEnergy() throws {
        let host = host(.wraps, seed: 5, seconds: 1_800)
        let view = AgentView(of: host)
        let counted = view.meters.filter { $0.component == .cpu }.reduce(0.0) { $0 + $1.curve.increase(over: host.window) }
        let turns = counted / Double(host.draw.counterModulus)
        #expect(turns > 1, "expected the counter to turn over, it did \(turns) times")
        #expect(abs(counted / host.countedPackages.total - 1) < 1e-6)
    }

    @Test func oursIsTheLowestWhereNothingIsHidden() throws {
        let lengths = AccuracyTable.lengths.filter { $0.seconds < 600 }
        let table = AccuracyTable(
            hosts: LongRun.rounds(short: 4, long: 24),
            seed: 9,
            families: [.asModelled, .compileStorm],
            lengths: lengths
        )
        for length in lengths {
            for line in AccuracyTable.lines where line.tool != AccuracyTable.ours {
                let ours = table.pooled(AccuracyTable.Line(tool: AccuracyTable.ours, isDynamicOnly: line.isDynamicOnly), length)
                let theirs = table.pooled(line, length)
                guard !theirs.errors.isEmpty else { continue }
                #expect(ours.median < theirs.median, "\(length.name), \(line.tool): ours \(ours.median), theirs \(theirs.median)")
                #expect(ours.percentile95 < theirs.percentile95, "\(length.name), \(line.tool)")
            }
        }
        #expect(table.markdown.contains("### Where ours is not the lowest"))
    }
}
