import Energy
import Glibc
import Synchronization

/// A program whose lines are energy: started when it is first needed, started again when it ends, ended when nobody needs it.
final class ExecProgram: Sampling {
    /// A meter that the program's lines are for.
    struct Target: Sendable {
        var place: MeterPlace
        /// As lines name it.
        var name: String
        var energy: SampledEnergy

        /// Whether a line is for this meter: all that the line says of itself must fit.
        func takes(_ line: ExecLine) -> Bool {
            (line.name ?? name) == name && (line.zone ?? place.zone) == place.zone && (line.package ?? place.package) == place.package
        }
    }

    /// How long to wait before a program that ended is started again: twice as long each time, up to a minute.
    static let shortestPause = Microseconds.seconds(1)
    static let longestPause = Microseconds.seconds(60)

    let arguments: [String]
    /// Nil for a program that runs on; else it is run once in this time.
    let period: Microseconds?
    private let clock: @Sendable () -> Timestamp
    private let targets: [Target]
    private let pause: Microseconds
    private let thread = Mutex<SensorThread?>(nil)

    init(
        _ arguments: [String],
        period: Microseconds?,
        targets: [Target],
        clock: @escaping @Sendable () -> Timestamp,
        pause: Microseconds = ExecProgram.shortestPause
    ) {
        self.arguments = arguments
        self.period = period
        self.targets = targets
        self.clock = clock
        self.pause = pause
    }

    func begin() throws(SensorFault) {
        let fault: SensorFault? = thread.withLock { thread in
            guard thread == nil else { return nil }
            let (arguments, period, targets, clock, pause) = (arguments, period, targets, clock, pause)
            do throws(SensorFault) {
                thread = try SensorThread(arguments.joined(separator: " ")) { stop in
                    var runner = Runner(arguments: arguments, period: period, targets: targets, clock: clock, pause: pause)
                    runner.work(until: stop)
                }
                return nil
            } catch {
                return error
            }
        }
        if let fault { throw fault }
    }

    /// The thread's side.
    private struct Runner {
        let arguments: [String]
        let period: Microseconds?
        let targets: [Target]
        let clock: @Sendable () -> Timestamp
        let pause: Microseconds
        var hasComplained = false
        var hasSlowed = false
        var lines = 0

        enum End {
            case stopped, closed, late
            case lineTooLong
        }

        var path: String { arguments.joined(separator: " ") }

        mutating func work(until stop: SensorThread.Stop) {
            var pause = pause
            while true {
                let begun = SensorThread.now()
                lines = 0
                do throws(SensorFault) {
                    let program = try ChildProgram(arguments, joinsErrors: false)
                    let end = pump(program, stop)
                    // One that has closed its output but does not end has a moment to do so.
                    let status = program.end(within: end == .closed ? .milliseconds(100) : .zero)
                    if end == .stopped { return }
                    try judge(end, status)
                } catch {
                    for target in targets { target.energy.take(error) }
                }
                if lines > 0, SensorThread.now() - begun > .seconds(10) { pause = self.pause }
                let wait = period.map { begun + $0 - SensorThread.now() } ?? pause
                if stop.wait(wait) { return }
                if period == nil { pause = min(Microseconds(pause.count * 2), ExecProgram.longestPause) }
            }
        }

        /// - Throws: what is wrong with how the program ended.
        private func judge(_ end: End, _ status: ChildProgram.Status?) throws(SensorFault) {
            let expected = period == nil ? "a program that runs on" : "a program that prints a line and ends"
            switch end {
            case .stopped: return
            case .lineTooLong: throw fault("a line of at most 64 KiB", "a longer one; the program was ended")
            case .late: throw fault(expected, "it still ran after its time and was ended")
            case .closed:
                if period != nil, status == 0, lines > 0 { return }
                throw fault(expected, "it ended with status \(status ?? -1)\(lines == 0 ? " and printed nothing of use" : "")")
            }
        }

        private func fault(_ expected: String, _ found: String) -> SensorFault {
            SensorFault(path: path, kind: .malformed(expected: expected, found: found))
        }

        private mutating func pump(_ program: ChildProgram, _ stop: SensorThread.Stop) -> End {
            let deadline = period.map { SensorThread.now() + max($0, .seconds(5)) }
            var buffer = LineBuffer()
            var chunk = [UInt8](repeating: 0, count: 4_096)
            var allowance = ReadAllowance(at: SensorThread.now())
            var resumes = SensorThread.now()
            while true {
                let isPaused = SensorThread.now() < resumes
                var both = [
                    pollfd(fd: isPaused ? -1 : program.output, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: stop.descriptor, events: Int16(POLLIN), revents: 0),
                ]
                let now = SensorThread.now()
                if let deadline, deadline <= now { return .late }
                let left = [deadline, isPaused ? resumes : nil].compactMap { $0.map { max(0, ($0 - now).count) } }.min()
                let ready = poll(&both, 2, left.map { Int32(clamping: ($0 + 999) / 1_000) } ?? -1)
                if ready < 0, errno != EINTR { return .closed }
                guard ready > 0 else { continue }
                if both[1].revents != 0 { return .stopped }
                guard both[0].revents != 0 else { continue }
                let count = read(program.output, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    buffer.takeRest { take($0) }
                    return .closed
                }
                let hadComplained = hasComplained
                var printed = 0
                let isShort = buffer.add(chunk[..<count]) {
                    printed += 1
                    take($0)
                }
                guard isShort else { return .lineTooLong }
                let pause = allowance.take(lines: printed, bytes: count, at: SensorThread.now())
                guard pause > .zero else { continue }
                resumes = SensorThread.now() + pause
                // Not in the place of a complaint that nobody has heard yet.
                if hasComplained == hadComplained { slow() }
            }
        }

        private mutating func take(_ bytes: ArraySlice<UInt8>) {
            let line: ExecLine
            do throws(ExecLine.Malformed) {
                line = try ExecLine.parse(bytes)
            } catch {
                complain(error.expected, error.found)
                return
            }
            let now = clock()
            let time = line.time.map { min($0, now) } ?? now
            guard let target = targets.first(where: { $0.takes(line) }) else {
                complain(
                    "a line for \(targets.map(\.name).joined(separator: " or "))",
                    "one for \(line.name ?? "")\(line.zone.map { " zone \($0.rawValue)" } ?? "")\(line.package.map { " package \($0)" } ?? "")"
                )
                return
            }
            switch line.value {
            case .energy(let microjoules): target.energy.take(microjoules: microjoules, at: time)
            case .power(let microwatts):
                if let most = line.maximum, microwatts > most.microwatts {
                    target.energy.take(fault("at most \(WattText.short(most)), as the line says itself", "\(microwatts) µW"))
                    return
                }
                target.energy.take(microwatts: microwatts, at: time)
            }
            lines += 1
        }

        /// Once.
        private mutating func slow() {
            guard !hasSlowed else { return }
            hasSlowed = true
            let most = "at most \(Int(ReadAllowance.linesPerSecond)) lines or \(Int(ReadAllowance.bytesPerSecond) >> 10) KiB a second"
            targets.first?.energy.announce(fault(most, "more; it is read no faster than that, so its values come late"))
        }

        /// Once: a program that prints nonsense prints a lot of it.
        private mutating func complain(_ expected: String, _ found: String) {
            guard !hasComplained else { return }
            hasComplained = true
            targets.first?.energy.announce(fault(expected, "\(found); such lines are skipped"))
        }
    }
}
