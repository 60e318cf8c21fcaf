import Foundation
import Simulation

// accuracy [--hosts N] [--calibration N] [--seed S] [--traces DIR]: the tables of docs/accuracy.md, as Markdown on standard output.

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("accuracy: \(message)\n".utf8))
    exit(2)
}

var hosts = 24
var calibrated = 1_000
var seed: UInt64 = 1
var traces: String?
var arguments = Array(CommandLine.arguments.dropFirst())
while let option = arguments.first {
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
    default: fail("expected --hosts N, --calibration N, --seed S or --traces DIR, found '\(option)'")
    }
}

func note(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }

print("## Replay of recorded counters\n")
print(replayed(from: traces))
print("## Simulated hosts\n")
print("\(hosts) hosts per family and length of jobs, seed \(seed).\n")
print(AccuracyTable(hosts: hosts, seed: seed, progress: note).markdown)
print("## Calibration of the intervals\n")
print(
    """
    Hosts drawn independently, each with its true energies: how many of the 95 % intervals hold the truth, for one job, for all jobs together, for
    the whole host and for a difference (docs/methodology.md, "Uncertainty"). *As modelled*: every error is drawn as the engine supposes; 93 to 97 %
    is held. The other worlds are not told to the engine; at least 90 % is held, with a mean width of at most 1.5 times that of an oracle which
    knows each world's spread. *Within bounds*: hard limits that hold the truth, the meters' own error apart.

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
