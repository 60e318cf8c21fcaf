import Agent
import ArgumentParser
import Meters

/// `wattle-agent selftest`: does each sensor move, and do they agree.
struct SelfTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest",
        abstract: "Read every sensor at rest and under load on all CPUs; exit 1 where one does not move or two disagree.",
        discussion: """
            Examples:
              wattle-agent selftest
              wattle-agent selftest --rest 10 --load 30      for a slow BMC
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    @Option(help: "Seconds at rest.")
    var rest = 4.0

    @Option(help: "Seconds under load.")
    var load = 6.0

    func validate() throws {
        guard (0.2...600).contains(rest), (0.2...600).contains(load) else {
            throw ValidationError("--rest and --load: expected 0.2 to 600 seconds, found \(rest) and \(load)")
        }
    }

    func run() throws {
        let clock = { @Sendable () in ClockReading.now().wall }
        let sensors = HostSensors.find(on: try configuration.settings().sensorHost(clock: clock))
        for unused in sensors.unused where unused.remedy != nil {
            print("not used: \(unused.name): \(unused.reason); \(unused.remedy ?? "")")
        }
        let result = Agent.SelfTest.run(sensors, rest: .seconds(rest), load: .seconds(load), clock: clock)
        print(result.table, terminator: "")
        guard result.passed else { throw ExitCode(1) }
    }
}
