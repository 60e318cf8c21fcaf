import Energy

/// Kepler 0.10 and later: `active = dE * U`, `idle = dE - active`, with U the node's ratio of busy CPU;
/// `E_i = active * C_i / sum of C over processes`.
///
/// Idle stays on the node and is never billed. All zones go by CPU time. Every 5 s; the sum is over the processes that are alive then, so a
/// process that lives and dies between two looks is not there, and what a process did after the last look is the others'. A process that is
/// new counts with all its CPU time. Wraps of a zone are taken right.
public enum Kepler: PeerTool {
    public static let name = "Kepler"
    public static let sampling = "5 s"
    public static let leavesIdleOut = true
    static let interval = Microseconds.seconds(5)

    public static func scope(on host: SimulatedHost) -> EnergyScope { .cpuAndDRAM }

    /// The formula itself, in the unit of the zone's energy.
    public static func energy(zone: Double, busyRatio: Double, cpuTime: Double, allCPUTime: Double) -> Double {
        allCPUTime > 0 ? zone * busyRatio * cpuTime / allCPUTime : 0
    }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        guard host.draw.hasCounters, host.draw.hasCgroups else { return nil }
        var joules: [Int64: Double] = [:]
        for (from, to, processes) in ProcessSamples(host: host).windows(ScrapeTimes(of: host, every: interval, stream: 33)) {
            let zones =
                (0..<host.draw.packages).reduce(0.0) {
                    $0 + Self.increase(host.packageRegister($1, at: from), host.packageRegister($1, at: to), host.draw.counterModulus)
                } + Self.increase(host.dramRegister(at: from), host.dramRegister(at: to), host.draw.counterModulus)
            let busy = host.busy.value(at: to) - host.busy.value(at: from)
            let ratio = busy / (Double((to - from).count) * Double(host.draw.cpus))
            let all = processes.reduce(0) { $0 + $1.cpuTime }
            for process in processes {
                guard let job = process.job else { continue }
                joules[job, default: 0] += energy(zone: zones, busyRatio: ratio, cpuTime: process.cpuTime, allCPUTime: all)
            }
        }
        return joules
    }

    /// One wrap, in joules.
    static func increase(_ first: Int64, _ second: Int64, _ modulus: Int64) -> Double {
        Double(second >= first ? second - first : modulus - first + second) / 1e6
    }
}
