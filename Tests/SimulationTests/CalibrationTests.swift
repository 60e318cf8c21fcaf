import Simulation
import TestSupport
import Testing

/// Whether the 95 % intervals hold the truth as often as they say. The long run draws 1,000 hosts of each, the short one a sample, with
/// limits as much wider as so few draws scatter.
struct CalibrationTests {
    private static let hosts = LongRun.rounds(short: 40, long: 1_000)
    /// Four standard deviations of a count around 95 %; in the long run what is promised.
    private static let scatter = LongRun.isOn ? 0.02 : 4 * (0.95 * 0.05 / 40).squareRoot()

    private func outcome(_ hostClass: Calibration.HostClass, _ world: Calibration.World, _ target: Calibration.Target)
        -> Calibration.Outcome
    {
        let outcome = Calibration.outcome(hostClass, world, target, hosts: Self.hosts, seed: 1)
        print(
            "\(hostClass.rawValue) \(world.rawValue) \(target.rawValue): \(outcome.coverage) of \(outcome.hosts), CO2e \(outcome.coverageGrams),",
            "width \(outcome.meanWidth), oracle's \(outcome.oracleWidth)"
        )
        return outcome
    }

    @Test(arguments: Calibration.HostClass.allCases, Calibration.Target.allCases)
    func `where every source is as modelled 93 to 97 % of the intervals hold the truth`(
        hostClass: Calibration.HostClass,
        target: Calibration.Target
    ) {
        let outcome = outcome(hostClass, .asModelled, target)
        #expect(outcome.hosts > Self.hosts * 9 / 10)
        // An interval is around what was metered: of what was not it can leave out too much on one side only.
        #expect(0.95 - Self.scatter <= outcome.coverage && outcome.coverage <= (hostClass == .gaps ? 0.975 : 0.95) + Self.scatter)
        #expect(abs(outcome.coverageGrams - 0.95) <= Self.scatter)
        #expect(outcome.withinBounds == outcome.hosts)
    }

    @Test(arguments: Calibration.World.allCases.dropFirst(), Calibration.HostClass.allCases)
    func `where the world is another 90 % do, at no more than one and a half times an oracle's width`(
        world: Calibration.World,
        hostClass: Calibration.HostClass
    ) {
        for target in LongRun.isOn ? Calibration.Target.allCases : [.job] {
            let outcome = outcome(hostClass, world, target)
            #expect(outcome.coverage >= (LongRun.isOn ? 0.9 : 0.75))
            // A few draws tell little of the oracle's ends.
            if LongRun.isOn { #expect(outcome.meanWidth <= 1.5 * outcome.oracleWidth) }
            #expect(outcome.withinBounds == outcome.hosts)
        }
    }
}
