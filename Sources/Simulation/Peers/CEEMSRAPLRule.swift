import Energy

/// CEEMS 0.10.2, recording rule for hosts with RAPL:
/// `P_i = PUE * (P_pkg * C_i/C_busy + P_dram * mem_i/(MemTotal - MemAvailable))`.
///
/// C_busy is the node's CPU time without idle, iowait and steal, so that the whole package power, idle included, goes to whoever was busy.
/// Powers and CPU rates are Prometheus' `irate`: the last two samples. The total of a job is `sum_over_time(power > 0) *
/// scrape_interval`: a rectangle rule, in which gaps count as zero. A counter that falls is taken to have begun anew at 0, as Prometheus
/// does, so that what it had left to its end is lost. Every 15 s, the interval of its users' reports. CPU time comes from cgroups, where
/// exited children stay; a cgroup needs two samples before it has a rate.
public enum CEEMSRAPLRule: PeerTool {
    public static let name = "CEEMS, RAPL rule"
    public static let sampling = "15 s scrapes"
    public static let leavesIdleOut = false
    static let interval = Microseconds.seconds(15)

    public static func scope(on host: SimulatedHost) -> EnergyScope { .cpuAndDRAM }

    /// The rule itself, W.
    public static func watts(
        packageWatts: Double,
        dramWatts: Double,
        unitCPUTime: Double,
        busyCPUTime: Double,
        unitMemory: Double,
        usedMemory: Double,
        pue: Double = 1
    ) -> Double {
        pue
            * (packageWatts * (busyCPUTime > 0 ? unitCPUTime / busyCPUTime : 0) + dramWatts
                * (usedMemory > 0 ? unitMemory / usedMemory : 0))
    }

    /// The rate that Prometheus makes of two samples of a counter.
    public static func rate(from first: Int64, to second: Int64, seconds: Double) -> Double {
        Double(second >= first ? second - first : second) / seconds
    }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        guard host.draw.hasCounters, host.draw.hasCgroups else { return nil }
        var joules: [Int64: Double] = [:]
        for look in UnitScrape.all(on: host, every: interval, stream: 31) {
            for unit in look.units {
                let power = watts(
                    packageWatts: look.packageWatts,
                    dramWatts: look.dramWatts,
                    unitCPUTime: unit.cpuTime,
                    busyCPUTime: look.busyCPUTime,
                    unitMemory: unit.memory,
                    usedMemory: look.usedMemory
                )
                if power > 0 { joules[unit.job, default: 0] += power * interval.seconds }
            }
        }
        return joules
    }
}

/// What CEEMS' exporter and Prometheus know at one scrape: rates since the one before.
struct UnitScrape {
    var time: Timestamp
    var packageWatts: Double
    var dramWatts: Double
    var busyCPUTime: Double
    var usedMemory: Double
    /// Units with a sample at this scrape and the one before.
    var units: [(job: Int64, cpuTime: Double, memory: Double)]
    /// Units that exist at this scrape.
    var unitCount: Int

    static func all(on host: SimulatedHost, every interval: Microseconds, stream: UInt64) -> [UnitScrape] {
        let jobs = host.jobs.sorted { $0.interval.start < $1.interval.start }
        var next = 0
        var alive: [SimulatedJob] = []
        return ScrapeTimes(of: host, every: interval, stream: stream).windows.map { from, to in
            while next < jobs.count, jobs[next].interval.start <= to {
                alive.append(jobs[next])
                next += 1
            }
            alive.removeAll { $0.interval.end <= to }
            let seconds = (to - from).seconds
            let packages = (0..<host.draw.packages).reduce(0.0) {
                $0
                    + CEEMSRAPLRule.rate(
                        from: host.packageRegister($1, at: from),
                        to: host.packageRegister($1, at: to),
                        seconds: seconds
                    ) / 1e6
            }
            return UnitScrape(
                time: to,
                packageWatts: packages,
                dramWatts: CEEMSRAPLRule.rate(from: host.dramRegister(at: from), to: host.dramRegister(at: to), seconds: seconds) / 1e6,
                busyCPUTime: host.busy.value(at: to) - host.busy.value(at: from),
                usedMemory: alive.reduce(host.draw.systemMemoryBytes) { $0 + $1.memoryBytes },
                units: alive.filter { $0.interval.start <= from }.map {
                    ($0.id, $0.cpuTime.value(at: to) - $0.cpuTime.value(at: from), $0.memoryBytes)
                },
                unitCount: alive.count
            )
        }
    }
}
