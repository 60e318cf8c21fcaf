import Foundation
import Simulation

// accuracy [--hosts N] [--calibration N] [--seed S] [--traces DIR] [--only-calibration]: the tables of docs/accuracy.md, as Markdown on
// standard output.

let help = """
    Benchmarks/accuracy/run [--hosts N] [--calibration N] [--seed S] [--traces DIR] [--only-calibration]

    Makes docs/accuracy.md anew: recordings of real counters through the agent's code, simulated hosts with the peers' formulas, and how often
    the 95 % intervals hold the truth.

      --hosts N            hosts per family and length of jobs (24)
      --calibration N      hosts per class of the calibration (1000)
      --seed S             of everything that is drawn (1)
      --traces DIR         recordings of RAPL counters (t_s,socket,domain,energy_j); without them that part says that it was left out
      --only-calibration   prints that table on standard output and writes no page

    Examples:
      Benchmarks/accuracy/run
      Benchmarks/accuracy/run --only-calibration --calibration 200 --seed 7

    Exit 0: written. 1: failed. 2: wrong usage.
    """

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("accuracy: \(message)\n".utf8))
    exit(2)
}

var hosts = 24
var calibrated = 1_000
var seed: UInt64 = 1
var traces: String?
var arguments = Array(CommandLine.arguments.dropFirst())
var isCalibrationOnly = false
while let option = arguments.first {
    if option == "--help" || option == "-h" {
        print(help)
        exit(0)
    }
    if option == "--only-calibration" {
        isCalibrationOnly = true
        arguments.removeFirst()
        continue
    }
    guard arguments.count >= 2 else { fail("expected a value after \(option)") }
    let value = arguments[1]
    arguments.removeFirst(2)
    switch option {
    case "--hosts":
        guard let number = Int(value), number > 0 else { fail("expected a number of hosts, found '\(value)'") }
        hosts = number
    case "--calibration":
        guard let number = Int(value), number > 0 else { fail("expected a number of hosts, found '\(value)'") }
        calibrated = number
    case "--seed":
        guard let number = UInt64(value) else { fail("expected a seed, found '\(value)'") }
        seed = number
    case "--traces": traces = value
    default: fail("expected --hosts N, --calibration N, --seed S, --traces DIR or --only-calibration, found '\(option)'; see --help")
    }
}

func note(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

if isCalibrationOnly {
    print(Calibration.report(hosts: calibrated, seed: seed))
    exit(0)
}

print("## Replay of recorded counters\n")
print(replayed(from: traces))
print("## Simulated hosts\n")
print("\(hosts) hosts per family and length of jobs, seed \(seed).\n")
print(AccuracyTable(hosts: hosts, seed: seed, progress: note).markdown)
print("## Calibration of the intervals\n")
print(
    """
    Hosts drawn independently, each with its true energies: how many of the 95 % intervals hold the truth, for one job, for about half of the
    jobs together and for the whole host (docs/methodology.md, "Uncertainty"). *As modelled*: the world has the errors of the methodology, drawn
    from the simulated host and not from what the engine says; 93 to 97 % are asked for. The other worlds are not told to the engine; at least 90 %
    are asked for, with a mean width of at most 1.5 times an oracle's: one interval for all that holds 95 % of the errors, by somebody who has seen
    them. *Within bounds*: how often the hard limits, as they are stated, hold what perfect readings of the same meters would have given; the meters'
    own error is no part of them.

    """
)
note("calibration")
print(Calibration.report(hosts: calibrated, seed: seed))

func replayed(from folder: String?) -> String {
    let names = folder.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0) }?.filter { $0.hasSuffix(".csv") }.sorted() ?? []
    guard let folder, !names.isEmpty else {
        return "Left out: the recordings were not there when this page was made.\n"
    }
    return TraceReport.markdown(
        recordings: names.compactMap { name in
            // A recording that cannot be read is told by its absence from the count below.
            (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)).map { TraceWindows(csv: $0) }
        }
    )
}
