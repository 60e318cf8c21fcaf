import Simulation
import TestSupport
import Testing

/// Whether the 95 % intervals hold the truth as often as they say. The long run draws 1,000 hosts of each and asks for what the
/// specification promises; the short one draws few of each (some 20 s of a debug build) and asks that of all together, within four standard
/// deviations of so many: enough that too high a coverage fails too.
struct CalibrationTests {
    private func outcome(
        _ hostClass: Calibration.HostClass,
        _ world: Calibration.World,
        _ target: Calibration.Target,
        hosts: Int,
        seed: UInt64
    ) -> Calibration.Outcome {
        let outcome = Calibration.outcome(hostClass, world, target, hosts: hosts, seed: seed)
        print(
            "\(hostClass.rawValue) \(world.rawValue) \(target.rawValue): \(outcome.coverage) of \(outcome.hosts), CO2e \(outcome.coverageGrams),",
            "width \(outcome.meanWidth), oracle's \(outcome.oracleWidth)"
        )
        #expect(outcome.hosts >= hosts * 9 / 10)
        #expect(outcome.withinBounds == outcome.hosts, "\(hostClass) \(world) \(target)")
        return outcome
    }

    /// Four standard deviations of the part of `count` draws that has a property which `part` of all have.
    private func scatter(_ part: Double, _ count: Int) -> Double { 4 * (part * (1 - part) / Double(count)).squareRoot() }

    @Test func `where every source is as modelled 93 to 97 % of the intervals hold the truth`() {
        var sum = Calibration.Outcome()
        var seed: UInt64 = 0
        for hostClass in Calibration.HostClass.allCases {
            for target in Calibration.Target.allCases {
                // Seeds of their own: the same hosts would tell the same thing three times.
                seed += 1
                let outcome = outcome(hostClass, .asModelled, target, hosts: LongRun.rounds(short: 26, long: 1_000), seed: seed)
                if LongRun.isOn {
                    #expect(abs(outcome.coverage - 0.95) <= 0.02, "\(hostClass) \(target)")
                    #expect(abs(outcome.coverageGrams - 0.95) <= 0.02, "\(hostClass) \(target)")
                    #expect(outcome.meanWidth <= 1.5 * outcome.oracleWidth, "\(hostClass) \(target)")
                }
                sum.hosts += outcome.hosts
                sum.covered += outcome.covered
                sum.coveredGrams += outcome.coveredGrams
            }
        }
        let scatter = scatter(0.95, sum.hosts)
        #expect(scatter < 0.05)
        #expect(abs(sum.coverage - 0.95) <= scatter)
        #expect(abs(sum.coverageGrams - 0.95) <= scatter)
    }

    @Test func `where the world is another 90 % do, at no more than one and a half times an oracle's width`() {
        var sum = Calibration.Outcome()
        for world in Calibration.World.allCases.dropFirst() {
            for hostClass in Calibration.HostClass.allCases {
                for target in LongRun.isOn ? Calibration.Target.allCases : [.job] {
                    let outcome = outcome(hostClass, world, target, hosts: LongRun.rounds(short: 6, long: 1_000), seed: 1)
                    if LongRun.isOn {
                        #expect(outcome.coverage >= 0.9, "\(hostClass) \(world) \(target)")
                        // A few draws tell little of the oracle's ends.
                        #expect(outcome.meanWidth <= 1.5 * outcome.oracleWidth, "\(hostClass) \(world) \(target)")
                    }
                    sum.hosts += outcome.hosts
                    sum.covered += outcome.covered
                }
            }
        }
        #expect(sum.coverage >= 0.9 - scatter(0.9, sum.hosts))
    }
}
