// Bytes of a packed knot, on recorded energy and on the CPU time of a real build.
//
//   storage traces FOLDER          the recorded traces (`t_s,socket,domain,energy_j`), as an agent keeps them
//   storage record COMMAND...      CPU time of a command's processes and of the machine while it runs
import Energy
import Foundation

/// What knots take once they are packed.
struct Packed {
    var knots = 0
    var bytes = 0
    var curves = 0

    mutating func add(_ knots: [Knot]) {
        guard knots.count > 1 else { return }
        let curve = Curve(knots: knots)
        curves += 1
        for hour in curve.extent.map(Hour.touching) ?? [] {
            let packed = PackedHour(curve, hour: hour)
            guard !packed.knots.isEmpty else { continue }
            self.knots += packed.knots.count
            bytes += packed.bytes.count
        }
    }

    func line(_ name: String, samples: Int) -> String {
        let each = (Double(bytes) / Double(max(1, knots)) * 100).rounded() / 100
        return "\(name): \(curves) curves, \(samples) readings, \(knots) knots, \(bytes) bytes, \(each) bytes a knot"
    }
}

/// Through the agent's own recorder.
func knots(_ samples: [Knot], epsilon: Int64) -> [Knot] {
    var recorder = CurveRecorder(epsilon: epsilon)
    for sample in samples { recorder.add(time: sample.time, value: sample.value, flags: sample.flags) }
    return recorder.knots + (recorder.isTailAKnot ? [] : [recorder.tail].compactMap(\.self))
}

func fail(_ message: String) -> Never {
    FileHandle.standardError.write(Data("storage: \(message)\n".utf8))
    exit(2)
}

// MARK: Traces

/// Readings at 10 Hz, the trace again and again until there is an hour of it.
func readings(of text: String) -> [[Knot]] {
    var samples: [String: [Knot]] = [:]
    var counts: [String: Double] = [:]
    for line in text.split(separator: "\n").dropFirst() {
        let fields = line.split(separator: ",")
        guard fields.count == 4, let t = Double(fields[0]), let joules = Double(fields[3]) else { continue }
        let name = "\(fields[1]) \(fields[2])"
        counts[name, default: 0] += joules * 1e6
        let knot = Knot(time: Timestamp(microseconds: 1_767_225_600_000_000 + Int64(t * 1e6)), value: Int64(counts[name, default: 0]))
        if let last = samples[name]?.last, knot.time - last.time < .milliseconds(100) { continue }
        samples[name, default: []].append(knot)
    }
    return samples.keys.sorted().map { name in
        let once = samples[name, default: []]
        guard let first = once.first, let last = once.last, last.time > first.time else { return once }
        let (length, rise) = (last.time - first.time, last.value - first.value)
        return (0..<max(1, 3_590_000_000 / length.count)).flatMap { round in
            once.dropFirst(round == 0 ? 0 : 1).map {
                Knot(time: $0.time + Microseconds(round * length.count), value: $0.value + round * rise)
            }
        }
    }
}

func traces(_ folder: String) throws {
    // Not everybody has them; a folder that is there and cannot be read is an error.
    guard FileManager.default.fileExists(atPath: folder) else {
        print("traces: skipped, there is no \(folder)")
        return
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".csv") }.sorted()
    guard !names.isEmpty else { fail("\(folder): expected recorded energy (*.csv), found none") }
    var total = Packed()
    var count = 0
    for name in names {
        var packed = Packed()
        let all = readings(of: try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8))
        guard !all.isEmpty else { fail("\(folder)/\(name): expected lines of t_s,socket,domain,energy_j, found none") }
        for samples in all {
            packed.add(knots(samples, epsilon: 1_000_000))
            total.add(knots(samples, epsilon: 1_000_000))
        }
        count += all.reduce(0) { $0 + $1.count }
        print(packed.line(name, samples: all.reduce(0) { $0 + $1.count }))
    }
    print(total.line("traces", samples: count))
    if total.bytes > 8 * total.knots { exit(1) }
}

// MARK: A build

/// Clock ticks to µs.
let tick = 1_000_000 / Int64(sysconf(Int32(_SC_CLK_TCK)))

func contents(_ path: String) -> String? {
    guard let file = FileManager.default.contents(atPath: path) else { return nil }
    return String(decoding: file, as: UTF8.self)
}

/// CPU time in µs and the parent of a process, with what its children that have ended used.
func process(_ pid: Int32) -> (parent: Int32, own: Int64, ended: Int64)? {
    guard let text = contents("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else { return nil }
    let fields = text[text.index(after: close)...].split(separator: " ")
    guard fields.count > 15, let parent = Int32(fields[1]), let user = Int64(fields[11]), let system = Int64(fields[12]),
        let endedUser = Int64(fields[13]), let endedSystem = Int64(fields[14])
    else { return nil }
    return (parent, (user + system) * tick, (endedUser + endedSystem) * tick)
}

/// CPU time of a process and all below it, as a cgroup of theirs counts it; by child of the first, and in all.
func tree(_ root: Int32) throws -> Int64 {
    let pids = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }
    var all: [Int32: (parent: Int32, own: Int64, ended: Int64)] = [:]
    for pid in pids { all[pid] = process(pid) }
    var sum: Int64 = 0
    for (pid, figures) in all {
        var at = pid
        for _ in 0..<64 where at != root { at = all[at]?.parent ?? 0 }
        if at == root { sum += figures.own + figures.ended }
    }
    return sum
}

func busy() -> Int64 {
    let fields = contents("/proc/stat")?.split(separator: "\n").first?.split(separator: " ").dropFirst().compactMap { Int64($0) } ?? []
    guard fields.count > 7 else { fail("/proc/stat: expected counts of the CPUs' time, found none") }
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6] + fields[7]) * tick
}

func record(_ command: [String]) throws {
    let child = Process()
    child.executableURL = URL(filePath: "/usr/bin/env")
    child.arguments = command
    child.standardOutput = FileHandle.nullDevice
    child.standardError = FileHandle.nullDevice
    let firstBusy = busy()
    try child.run()
    let began = Date()
    var machine: [Knot] = []
    var build: [Knot] = []
    var most: Int64 = 0
    while child.isRunning {
        let time = Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1e6))
        // What is between two processes' lives may be seen twice or not at all: a cgroup's count never falls.
        most = max(most, try tree(child.processIdentifier))
        if machine.last.map({ $0.time < time }) ?? true {
            machine.append(Knot(time: time, value: busy() - firstBusy))
            build.append(Knot(time: time, value: most))
        }
        Thread.sleep(forTimeInterval: 1)
    }
    var packed = Packed()
    for samples in [machine, build] { packed.add(knots(samples, epsilon: 50_000)) }
    guard child.terminationStatus == 0 else {
        fail("\(command.joined(separator: " ")): expected a build, found exit status \(child.terminationStatus)")
    }
    let seconds = Int(Date().timeIntervalSince(began).rounded())
    print(packed.line("build of \(seconds) s", samples: machine.count + build.count))
    if packed.bytes > 8 * packed.knots { exit(1) }
}

do {
    switch CommandLine.arguments.dropFirst().first {
    case "traces" where CommandLine.arguments.count == 3: try traces(CommandLine.arguments[2])
    case "record" where CommandLine.arguments.count > 2: try record(Array(CommandLine.arguments.dropFirst(2)))
    default: fail("expected traces FOLDER or record COMMAND...")
    }
} catch {
    fail("\(error)")
}
