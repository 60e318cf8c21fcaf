// How many spans a second the pure engine accounts, on one core, and what memory it takes.
//
//     swift run -c release --package-path Benchmarks/engine engine
//
// Each case is a host-hour with a package meter (a knot every 10 s), busy time and overlapping spans; the time is the CPU time of
// `Sweep.accounts(of:)` alone, the best of several rounds. Held: at least 3,000,000 declared spans a second where 1,000 and 10,000
// lie in an hour, and ten times the spans in at most eleven times the memory. Exit 0: within both; 1: not.

import Accounting
import Energy
import Glibc

let hour = Hour(number: 480_000).interval

/// Random numbers from a seed (SplitMix64).
struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

func curve(rate: ClosedRange<Double>, every seconds: Int64, _ random: inout Random) -> Curve {
    var value: Int64 = 0
    let knots = stride(from: -seconds, through: 3_600 + seconds, by: Int64.Stride(seconds)).map { second in
        value += Int64(Double(seconds) * Double.random(in: rate, using: &random) * 1e6)
        return Knot(time: hour.start + .seconds(second), value: value)
    }
    return Curve(knots: knots)
}

enum Kind { case declared, shuffled, webhook, measured, allAtOnce }

func host(spans count: Int, _ kind: Kind, cuts: [Timestamp] = []) -> HostInput {
    var random = Random(state: UInt64(count))
    let floor = Power(watts: 40)
    let meter = MeterInput(
        name: "package-0",
        component: .cpu,
        quality: .measured,
        curve: curve(rate: 50...150, every: 10, &random),
        epsilonMicrojoules: 1_000_000,
        samplePeriod: .milliseconds(100),
        idle: UtilisationModel.Point(low: floor, best: floor, high: floor)
    )
    // Ids are given in order of arrival.
    var starts = (0..<count).map { _ in kind == .allAtOnce ? 0 : Int64.random(in: 0..<3_500_000_000, using: &random) }
    if kind != .shuffled { starts.sort() }
    let spans = (0..<count).map { i -> SpanInput in
        let start = starts[i]
        let length = kind == .allAtOnce ? 3_600_000_000 : Int64.random(in: 1_000_000...600_000_000, using: &random)
        let interval = Interval(hour.start + Microseconds(start), hour.start + Microseconds(start + length))
        var span = SpanInput(id: Int64(i), interval: interval, cpuShare: Double.random(in: 0.01...0.2, using: &random))
        if kind == .webhook { span.edgeResolution = .seconds(1) }
        if kind == .measured {
            // A knot a tenth of its life.
            var value: Int64 = 0
            let knots = (0...10).map { k -> Knot in
                value += k == 0 ? 0 : Int64.random(in: 0...length / 100, using: &random)
                return Knot(time: interval.start + Microseconds(length * Int64(k) / 10), value: value, flags: .edge)
            }
            span.workload = SpanInput.Workload(curve: Curve(knots: knots), isClosed: true, epsilonMicroseconds: 50_000)
        }
        return span
    }
    return HostInput(
        window: hour,
        cuts: cuts,
        cpus: 64,
        slots: 32,
        meters: [meter],
        busy: curve(rate: 10...60, every: 10, &random),
        spans: spans
    )
}

/// CPU time of this thread: what else the machine does is not counted.
func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// Seconds of the best of some rounds, and how many slices there were.
func time(_ host: HostInput, rounds: Int) -> (seconds: Double, slices: Int) {
    var best = Double.infinity
    var slices = 0
    for _ in 0..<rounds {
        let start = processorSeconds()
        let accounts = Sweep.accounts(of: host)
        best = min(best, processorSeconds() - start)
        slices = accounts.reduce(0) { $0 + $1.slices.count }
    }
    return (best, slices)
}

/// Bytes of a line of /proc/self/status.
func resident(_ name: String) -> Int {
    guard let file = fopen("/proc/self/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, 256, file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard text.hasPrefix("\(name):") else { continue }
        return (Int(text.filter(\.isNumber)) ?? 0) * 1_024
    }
    return 0
}

func padded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }

@discardableResult
func report(_ name: String, _ host: HostInput, rounds: Int) -> Double {
    let (seconds, slices) = time(host, rounds: rounds)
    let rate = Double(host.spans.count) / seconds
    let milliseconds = Double(Int(seconds * 1e5)) / 100
    print(
        padded(name, 40),
        padded("\(host.spans.count)", 9),
        padded("\(slices)", 9),
        padded("\(milliseconds)", 10),
        padded("\(Int(rate))", 12)
    )
    return rate
}

// Memory first: the peak only grows.
func peak(_ count: Int) -> Double {
    let input = host(spans: count, .declared)
    let before = resident("VmRSS")
    _ = time(input, rounds: 1)
    return Double(resident("VmHWM") - before) / Double(count)
}

let size = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 10_000
let small = peak(size)
let large = peak(size * 10)
print("bytes per declared span beside the input: \(Int(small)) of \(size), \(Int(large)) of \(size * 10)")
print(padded("", 40), padded("spans", 9), padded("slices", 9), padded("ms", 10), padded("spans/s", 12))
var least = Double.infinity
for count in [1_000, size] { least = min(least, report("declared", host(spans: count, .declared), rounds: 60)) }
report("declared", host(spans: 100, .declared), rounds: 60)
report("declared", host(spans: size * 10, .declared), rounds: 10)
report("declared, ids in no order", host(spans: size, .shuffled), rounds: 20)
report("declared, edges known to a second", host(spans: size, .webhook), rounds: 20)
let halves = [hour.start + .seconds(1_800)]
report("declared, cut each 30 minutes", host(spans: size, .declared, cuts: halves), rounds: 20)
let fives = (1..<12).map { hour.start + .seconds($0 * 300) }
report("declared, cut each 5 minutes", host(spans: size, .declared, cuts: fives), rounds: 20)
report("declared, all at once", host(spans: 10_000, .allAtOnce), rounds: 20)
report("measured, 11 knots each", host(spans: size, .measured), rounds: 5)
report("measured, 11 knots each", host(spans: size * 10, .measured), rounds: 2)

let isFast = least >= 3_000_000
let isLinear = large <= small * 1.1
print(
    "at least 3,000,000 declared spans a second: \(isFast ? "yes" : "no"); ten times the spans in at most eleven times the memory: \(isLinear ? "yes" : "no")"
)
exit(isFast && isLinear ? 0 : 1)
