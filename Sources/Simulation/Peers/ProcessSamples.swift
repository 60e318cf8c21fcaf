import Energy

/// Processes of a simulated host as somebody sees them who walks `/proc` at two moments.
struct ProcessSamples {
    struct Process {
        /// Nil for the system's.
        var job: Int64?
        /// Born before the first moment, so that it was there at both.
        var wasSeenBefore: Bool
        /// CPU time between the two, µs; since its birth where that is later.
        var cpuTime: Double
    }

    private let host: SimulatedHost
    private let jobs: [SimulatedJob]

    init(host: SimulatedHost) {
        self.host = host
        jobs = host.jobs.sorted { $0.interval.start < $1.interval.start }
    }

    /// Processes that are alive at `to`, for each window; what lived and died between two moments was never there.
    func windows(_ times: ScrapeTimes) -> [(from: Timestamp, to: Timestamp, processes: [Process])] {
        var next = 0
        var alive: [SimulatedJob] = []
        return times.windows.map { from, to in
            while next < jobs.count, jobs[next].interval.start <= to {
                alive.append(jobs[next])
                next += 1
            }
            alive.removeAll { $0.interval.end <= to }
            var processes = alive.map { job in
                // One process does all, or the phase of this moment is one.
                let birth = job.hasShortProcesses ? job.phaseStart(at: to) : job.interval.start
                let since = max(from, birth)
                return Process(
                    job: job.id,
                    wasSeenBefore: birth <= from,
                    cpuTime: job.cpuTime.value(at: to) - job.cpuTime.value(at: since)
                )
            }
            processes.append(
                Process(job: nil, wasSeenBefore: true, cpuTime: host.systemCPU.value(at: to) - host.systemCPU.value(at: from))
            )
            return (from, to, processes)
        }
    }
}

extension SimulatedJob {
    /// When what it does at an instant began.
    func phaseStart(at time: Timestamp) -> Timestamp {
        var low = 0
        var high = phases.count
        while low < high {
            let middle = (low + high) / 2
            if phases[middle].end <= time { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? interval.start : phases[low - 1].end
    }
}
