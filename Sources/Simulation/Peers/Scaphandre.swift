import Energy

/// Scaphandre 1.0.3: `P_i = P_host * cpu%_i / n_cores`, with the power of psys where there is one, else of all packages and DRAM.
///
/// What no process used is nobody's. Zones are added before they are compared, so an interval in which one wraps is dropped. A process
/// needs two looks before it has a percentage; one that exits between two looks is lost with its last part. How often it looks depends on
/// the exporter; 5 s here, as the loop of its QEMU mode is described; others are set by the operator.
public enum Scaphandre: PeerTool {
    public static let name = "Scaphandre"
    public static let sampling = "5 s"
    public static let leavesIdleOut = true
    static let interval = Microseconds.seconds(5)

    public static func scope(on host: SimulatedHost) -> EnergyScope { .cpuAndDRAM }

    /// The formula itself, W; a process that fills one core has 100 %.
    public static func watts(hostWatts: Double, cpuPercent: Double, cores: Int) -> Double {
        hostWatts * cpuPercent / 100 / Double(max(1, cores))
    }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        guard host.draw.hasCounters, host.draw.hasCgroups else { return nil }
        var joules: [Int64: Double] = [:]
        for (from, to, processes) in ProcessSamples(host: host).windows(ScrapeTimes(of: host, every: interval, stream: 34)) {
            let sums = [from, to].map { time in
                (0..<host.draw.packages).reduce(host.dramRegister(at: time)) { $0 + host.packageRegister($1, at: time) }
            }
            guard sums[1] >= sums[0] else { continue }
            let elapsed = Double((to - from).count)
            let hostWatts = Double(sums[1] - sums[0]) / elapsed
            for process in processes where process.wasSeenBefore {
                guard let job = process.job else { continue }
                let power = watts(hostWatts: hostWatts, cpuPercent: 100 * process.cpuTime / elapsed, cores: host.draw.cpus)
                joules[job, default: 0] += power * elapsed / 1e6
            }
        }
        return joules
    }
}
