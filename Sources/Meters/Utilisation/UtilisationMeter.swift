public import Energy

/// Power of the CPUs from how busy they are, for machines without a sensor: `/proc/stat` x the table of CPUs.
///
/// Scaled to the CPUs that this machine really has: watts of a package by the threads of its model, times the CPUs online, so that
/// a virtual machine with 4 of 128 threads gets 4/128 of the package.
public struct UtilisationMeter: Meter {
    public let place = MeterPlace(name: "model/cpu", zone: .package, package: nil, quality: .modelled)
    public let basis: String
    /// The model has a row of its own in the table.
    public let isKnownModel: Bool
    private let perThread: UtilisationModel
    private let cpusAtStart: Int
    private var stat: ProcStatReader
    private var last: (time: Timestamp, busy: Microseconds)?
    /// Busy time beyond 100 % of a window: ticks fall into the wrong one. Carried over, so that no window's excess is lost.
    private var carried = Microseconds.zero
    private var total = 0.0

    public var sensor: String { "model" }
    public var counting: MeterCounting { .program }
    public var cadence: MeterCadence { .slow }
    public var maximumPower: Power { perThread.scaled(by: Double(cpusAtStart)).full.high }
    public var idlePower: UtilisationModel.Point? { perThread.scaled(by: Double(cpusAtStart)).idle }
    public var boundRatios: (low: Double, high: Double) { perThread.boundRatios }

    public init(roots: HostRoots, match: CPUPowerTable.Match) throws(SensorFault) {
        stat = try ProcStatReader(roots: roots)
        cpusAtStart = try stat.read().cpus
        perThread = match.perThread
        isKnownModel = match.row != nil
        let scaled = perThread.scaled(by: Double(cpusAtStart))
        let watts = "\(WattText.short(scaled.idle.best)) idle to \(WattText.short(scaled.full.best)) full"
        if let row = match.row {
            basis =
                "\(row.maker) \(row.model), TDP \(WattText.short(row.thermalDesignPower)) x \(cpusAtStart) of \(row.threads) threads: \(watts)"
        } else {
            let name = match.found.isEmpty ? "a processor without a name" : "'\(match.found)'"
            basis =
                "\(name) is not in the CPU table: median of \(match.models) \(match.maker.map { "\($0) " } ?? "")models a thread, "
                + "x \(cpusAtStart) threads: \(watts)"
        }
    }

    public mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        let now = try stat.read()
        if let last, last.time < time {
            let elapsed = time - last.time
            let capacity = Microseconds(elapsed.count * Int64(now.cpus))
            let due = carried + (now.busy - last.busy)
            let counted = min(due, capacity)
            // No more than a second of all CPUs: a clock that stood still must not keep the model at 100 % for long.
            carried = min(due - counted, Microseconds.seconds(Int64(now.cpus)))
            total += perThread.scaled(by: Double(now.cpus)).microjoules(over: elapsed, busy: counted, cpus: now.cpus)
        }
        if last.map({ $0.time < time }) ?? true { last = (time, now.busy) }
        return MeterReading(Int64(saturating: total.rounded(.down)))
    }
}

/// Watts for people.
enum WattText {
    /// Three digits or so: `0.42 W`, `7.8 W`, `280 W`.
    static func short(_ power: Power) -> String {
        let decimals = power.watts < 1 ? 100.0 : power.watts < 100 ? 10.0 : 1.0
        let scaled = Int64(saturating: (power.watts * decimals).rounded())
        let whole = scaled / Int64(decimals)
        let part = scaled % Int64(decimals)
        guard part != 0 else { return "\(whole) W" }
        let digits = String(part)
        return "\(whole).\(String(repeating: "0", count: (decimals == 100 ? 2 : 1) - digits.count))\(digits) W"
    }
}
