import Glibc

public import Energy

/// Busy CPU time of the host from `/proc/stat`.
public struct ProcStat: Hashable, Sendable {
    /// Sum over all CPUs since boot. `user` includes a guest's time; iowait, idle and steal are not busy.
    public var busy: Microseconds
    /// CPUs that are online.
    public var cpus: Int

    public init(busy: Microseconds, cpus: Int) {
        self.busy = busy
        self.cpus = cpus
    }

    /// Parses the start of the file: the line `cpu`, then one line for each CPU. Nil where the first line is not there or too short.
    ///
    /// `isWhole` is false when the bytes end within the CPUs' lines, so that more must be read.
    static func parse(_ bytes: UnsafeRawBufferPointer, ticksPerSecond: Int64) -> (stat: ProcStat, isWhole: Bool)? {
        guard var offset = DecimalText.end(of: "cpu ", in: bytes, at: 0) else { return nil }
        var fields: (Int64, Int64, Int64, Int64, Int64) = (0, 0, 0, 0, 0)
        // user nice system idle iowait irq softirq steal guest guest_nice; the last five came with later kernels.
        for i in 0..<7 {
            guard let (value, end) = DecimalText.number(in: bytes, from: offset) else {
                if i >= 4 { break }
                return nil
            }
            offset = end
            switch i {
            case 0: fields.0 = value
            case 1: fields.1 = value
            case 2: fields.2 = value
            case 5: fields.3 = value
            case 6: fields.4 = value
            default: break
            }
        }
        let ticks = fields.0 &+ fields.1 &+ fields.2 &+ fields.3 &+ fields.4
        let (scaled, overflows) = ticks.multipliedReportingOverflow(by: 1_000_000 / ticksPerSecond)
        guard !overflows, scaled >= 0 else { return nil }
        var cpus = 0
        var line = DecimalText.nextLine(in: bytes, after: offset)
        while let number = DecimalText.end(of: "cpu", in: bytes, at: line), number < bytes.count, case 0x30...0x39 = bytes[number] {
            cpus += 1
            line = DecimalText.nextLine(in: bytes, after: number)
        }
        return (ProcStat(busy: Microseconds(scaled), cpus: max(1, cpus)), line + 4 < bytes.count)
    }
}

/// Reads `/proc/stat` again and again; the count never falls.
///
/// A fall of up to a second is rounding in the kernel, and waits until the sums have caught up. A greater one (CPUs that take their
/// sums with them when unplugged, a container that shows its own `/proc/stat` and was moved) is a new beginning: counting goes on
/// from there, and what was used between the two readings is not known.
public struct ProcStatReader {
    private let file: SensorFile
    private let ticksPerSecond: Int64
    private var last: Microseconds?
    /// What was lost in falls.
    private var lost = Microseconds.zero
    private static let rounding = Microseconds.seconds(1)

    public init(roots: HostRoots) throws(SensorFault) {
        file = try SensorFile("\(roots.proc)/stat", capacity: 8_192)
        let ticks = Int64(sysconf(Int32(_SC_CLK_TCK)))
        ticksPerSecond = ticks > 0 ? ticks : 100
    }

    public mutating func read() throws(SensorFault) -> ProcStat {
        while true {
            let bytes = try file.bytes()
            guard let (parsed, isWhole) = ProcStat.parse(bytes, ticksPerSecond: ticksPerSecond) else {
                throw SensorFault(
                    path: file.path,
                    kind: .malformed(expected: "a first line 'cpu' with tick counts", found: "something else")
                )
            }
            if !isWhole, file.isFull(bytes) {
                file.grow()
                continue
            }
            var stat = parsed
            stat.busy += lost
            if let last, stat.busy < last {
                if last - stat.busy > Self.rounding { lost += last - stat.busy }
                stat.busy = last
            }
            last = stat.busy
            return stat
        }
    }
}
