import Energy

/// What one job has used of its host, from a moment on: of each component's energy above idle, the job's part of the busy CPU time.
///
/// The collector's accounts are the better word, since they know of all the jobs; this one is for the job itself, at once, and tells
/// nothing of any other. Idle energy is not in it.
struct JobShare {
    private var last: HostSnapshot
    private var energy: [Component: Double] = [:]
    private(set) var cpuTime: Int64 = 0

    init(since snapshot: HostSnapshot) {
        last = snapshot
        for component in snapshot.components.keys { energy[component] = 0 }
    }

    /// - Parameters:
    ///   - snapshot: of the host, now.
    ///   - used: CPU time of the job since the last call, µs.
    mutating func add(_ snapshot: HostSnapshot, used: Int64) {
        let elapsed = snapshot.time - last.time
        guard elapsed > .zero else {
            // Not read anew since: what was used counts with the next reading.
            pending += max(0, used)
            return
        }
        let used = max(0, used) + pending
        pending = 0
        let busy = max(snapshot.busy - last.busy, used)
        let share = busy > 0 ? Double(used) / Double(busy) : 0
        for (component, total) in snapshot.components {
            guard let before = last.components[component] else {
                energy[component] = energy[component] ?? 0
                continue
            }
            let idle = Double(snapshot.idlePower[component] ?? 0) * elapsed.seconds
            energy[component, default: 0] += max(0, Double(total - before) - idle) * share
        }
        cpuTime += used
        last = snapshot
    }

    private var pending: Int64 = 0

    /// The job as if it were a host of its own: its energy, its CPU time, nothing idle and nobody else.
    var view: HostSnapshot {
        var view = HostSnapshot(time: last.time, busy: cpuTime, agentCPU: 0, cpus: last.cpus)
        view.components = energy.mapValues { Int64(saturating: $0.rounded(.down)) }
        view.cover = view.components.values.reduce(0, +)
        view.idlePower = energy.mapValues { _ in 0 }
        view.quality = last.quality
        view.basis = last.basis
        view.boundLow = last.boundLow
        view.boundHigh = last.boundHigh
        view.cpuTime = cpuTime
        return view
    }
}
