import Agent
import ArgumentParser
import Meters

/// `wattle-agent detect`: what is measurable here, and with what quality.
struct Detect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is measurable on this machine and with what quality.",
        discussion: """
            Examples:
              wattle-agent detect
              wattle-agent detect --format json
              wattle-agent detect --options
              wattle-agent detect --root /tmp/fixture --proc-root /tmp/fixture/proc
            """
    )

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json
    }

    @OptionGroup var configuration: ConfigurationOptions

    @Flag(help: "List what can be set for each sensor with --set or in agent.yaml, and stop.")
    var options = false

    @Option(help: "table or json.")
    var format = Format.table

    func run() throws {
        if options {
            print(SensorOptions.table, terminator: "")
            return
        }
        let settings = try configuration.settings()
        let sensors = HostSensors.find(on: try settings.sensorHost(clock: { ClockReading.now().wall }))
        let report = DetectReport(sensors)
        switch format {
        case .table: print(report.table, terminator: "")
        case .json: print(try report.json(), terminator: "")
        }
    }
}
