import Agent
import ArgumentParser
import Energy

/// `wattle-agent demo`: what the agent is good for, shown.
struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what goes wrong when counters are read carelessly.",
        subcommands: [Aliasing.self]
    )

    /// `wattle-agent demo aliasing`.
    struct Aliasing: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "The joules that scrapers miss on counters that wrap, beside the agent's.",
            discussion: """
                Counters of the real sizes are read by the agent's code every 0.1 s and by scrapers every 15 s, 30 s and hour, with the
                rule of Prometheus' increase() (a fall is a restart from 0) or adding the range once at a fall.

                Examples:
                  wattle-agent demo aliasing
                  wattle-agent demo aliasing trace.csv --hours 6
                """
        )

        @Argument(help: "A trace as for 'replay', whose shape the load takes; else it is steady.")
        var trace: String?

        @Option(help: "How long the load lasts.")
        var hours = 24.0

        func validate() throws {
            guard (1...8_760).contains(hours) else { throw ValidationError("--hours: expected 1 to 8760, found \(hours)") }
        }

        func run() throws {
            var recorded: EnergyTrace?
            if let trace {
                do {
                    recorded = try EnergyTrace(csv: try InputText.read(trace))
                } catch let fault as EnergyTrace.Fault {
                    throw ValidationError("\(trace): \(fault)")
                }
            }
            let demo = AliasingDemo(trace: recorded, duration: Microseconds(Int64(hours * 3.6e9)))
            print(demo.table, terminator: "")
            print(
                """

                A scraper loses energy when it takes a fall of the counter for a restart (on average power x period / 2 of each turn),
                or when it comes by more rarely than the counter turns. Every 15 s is often enough for one that adds the range.
                """
            )
        }
    }
}
