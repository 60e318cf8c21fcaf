import Agent
import ArgumentParser
import Energy

/// `wattle-agent replay`: a recorded trace through the agent's own sampling.
struct Replay: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Feed a recorded trace of counters through the agent's sampling and show how far its curves are from it.",
        discussion: """
            A trace is a CSV file with the columns t_s and energy_j (what was added since the zone's row before), and socket and domain
            (package, dram...) to tell zones apart. Nothing is sent.

            Examples:
              wattle-agent replay trace.csv
              wattle-agent replay trace.csv --rate 50 --epsilon 0.5
            """
    )

    @Argument(help: "CSV files, one trace each.")
    var files: [String]

    @Option(help: ArgumentHelp("Readings a second, 1 to 1000.", valueName: "hz"))
    var rate = 10.0

    @Option(help: ArgumentHelp("The most that a reading may be off the curve.", valueName: "joules"))
    var epsilon = 1.0

    func validate() throws {
        guard (1...1_000).contains(rate) else { throw ValidationError("--rate: expected 1 to 1000 readings a second, found \(rate)") }
        guard (0...1_000_000).contains(epsilon) else { throw ValidationError("--epsilon: expected 0 J or more, found \(epsilon)") }
        guard !files.isEmpty else { throw ValidationError("expected a trace's file, found none") }
    }

    func run() throws {
        for (i, file) in files.enumerated() {
            let trace: EnergyTrace
            do {
                trace = try EnergyTrace(csv: try InputText.read(file))
            } catch let fault as EnergyTrace.Fault {
                throw ValidationError("\(file): \(fault)")
            }
            let replay = try TraceReplay(trace, rate: rate, epsilon: .joules(epsilon))
            if files.count > 1 { print("\(i > 0 ? "\n" : "")\(file)") }
            print(replay.table, terminator: "")
        }
    }
}
