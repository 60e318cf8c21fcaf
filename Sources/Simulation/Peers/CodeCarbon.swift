import Energy

/// CodeCarbon 3.3.2 beside a job, from its first instant to its last, in machine mode.
///
/// Where there is RAPL it counts the packages of the whole machine (DRAM adds 0 by default), whoever uses them; wraps are taken right. Else
/// it is `CodeCarbonMachineLoad`. It reads as it starts and stops, and every 15 s in between: the sum of counters is the same however
/// often.
public enum CodeCarbonMachine: PeerTool {
    public static let name = "CodeCarbon, machine mode"
    public static let sampling = "start, 15 s, stop"
    public static let leavesIdleOut = false

    public static func scope(on host: SimulatedHost) -> EnergyScope { .cpu }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        guard host.draw.hasCounters else { return CodeCarbonMachineLoad.joules(on: host) }
        var joules: [Int64: Double] = [:]
        for job in host.jobs {
            let times = CodeCarbonSampling.times(of: job)
            for (from, to) in zip(times, times.dropFirst()) {
                for package in 0..<host.draw.packages {
                    joules[job.id, default: 0] += Kepler.increase(
                        host.packageRegister(package, at: from),
                        host.packageRegister(package, at: to),
                        host.draw.counterModulus
                    )
                }
            }
        }
        return joules
    }
}

/// CodeCarbon 3.3.2 in machine mode without counters (or with `force_mode_cpu_load`): `TDP * (0.1 + 0.9 * load^3)`, with the load of the
/// whole machine, here the mean of every second of the 15 s.
///
/// A row of its table of CPUs is taken to be there; its miss (4 W per thread) is not counted against it.
public enum CodeCarbonMachineLoad: PeerTool {
    public static let name = "CodeCarbon, machine mode by CPU load"
    public static let sampling = "start, 15 s, stop; load sampled each second"
    public static let leavesIdleOut = false

    public static func scope(on host: SimulatedHost) -> EnergyScope { .cpu }

    /// The curve itself, W.
    public static func watts(thermalDesignWatts: Double, load: Double) -> Double {
        thermalDesignWatts * (0.1 + 0.9 * load * load * load)
    }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        var joules: [Int64: Double] = [:]
        for job in host.jobs {
            // A sampler of its own asks for the load each second; the measure takes its powers' mean.
            var from = job.interval.start
            while from < job.interval.end {
                let to = min(job.interval.end, from + .seconds(1))
                let load = (host.busy.value(at: to) - host.busy.value(at: from)) / (Double((to - from).count) * Double(host.draw.cpus))
                joules[job.id, default: 0] += watts(thermalDesignWatts: host.draw.thermalDesignWatts, load: load) * (to - from).seconds
                from = to
            }
        }
        return joules
    }
}

/// CodeCarbon 3.3.2 in process mode by CPU load: `TDP * cpu_time / wall / cpus`, linear and without a floor, over the CPU time of processes
/// that are alive at both samples, every 15 s.
///
/// Its RAPL reading ignores the mode; there it is `CodeCarbonMachine`. What it says here is what `force_mode_cpu_load` makes it say.
public enum CodeCarbonProcess: PeerTool {
    public static let name = "CodeCarbon, process mode by CPU load"
    public static let sampling = "start, 15 s, stop"
    public static let leavesIdleOut = false

    public static func scope(on host: SimulatedHost) -> EnergyScope { .cpu }

    /// The formula itself, W; both times in the same unit.
    public static func watts(thermalDesignWatts: Double, cpuTime: Double, wallTime: Double, cpus: Int) -> Double {
        wallTime > 0 ? thermalDesignWatts * cpuTime / wallTime / Double(max(1, cpus)) : 0
    }

    public static func joules(on host: SimulatedHost) -> [Int64: Double]? {
        var joules: [Int64: Double] = [:]
        for job in host.jobs {
            let times = CodeCarbonSampling.times(of: job)
            for (from, to) in zip(times, times.dropFirst()) {
                // The tracker's own process is there all the time; a phase's process may not be.
                let start = job.hasShortProcesses ? job.phaseStart(at: Timestamp(microseconds: to.microseconds - 1)) : from
                let cpuTime = start <= from ? job.cpuTime.value(at: to) - job.cpuTime.value(at: from) : 0
                let elapsed = Double((to - from).count)
                let power = watts(
                    thermalDesignWatts: host.draw.thermalDesignWatts,
                    cpuTime: cpuTime,
                    wallTime: elapsed,
                    cpus: host.draw.cpus
                )
                joules[job.id, default: 0] += power * elapsed / 1e6
            }
        }
        return joules
    }
}

enum CodeCarbonSampling {
    static let interval = Microseconds.seconds(15)

    static func times(of job: SimulatedJob) -> [Timestamp] {
        var times = [job.interval.start]
        while let last = times.last, last + interval < job.interval.end { times.append(last + interval) }
        return times + [job.interval.end]
    }
}
