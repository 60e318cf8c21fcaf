import Energy
import Meters

/// How the last value of a cgroup that has vanished is known.
///
/// - `read`: it was read after its last process had gone (`cgroup.events` said so), or while it was still there.
/// - `settled`: what its parent counted beyond what is known of all the parent's cgroups belongs to those that vanished since they
///   were last read, by the time that each of them lived since; each gets at most what all CPUs could give in that time. The sums are
///   kept from reading to reading, so that nothing is lost or counted twice where parent and children are not read at one instant.
/// - `last`: where the parent has processes of its own (or is the root, or has cgroups that are not followed), what it counted may be
///   theirs. The cgroup then ends with its last reading, which is a lower limit: nobody is charged what may be another's.
extension Workloads {
    /// - Parameter isDue: settles whatever that costs in readings.
    mutating func settleAll(at time: Timestamp, isDue: Bool) {
        var waiting: [Int] = []
        while let parent = unsettled.first {
            unsettled.removeFirst()
            let cost = nodes[parent].children.count + 1
            if isDue || cost <= readingsLeft {
                readingsLeft -= cost
                settle(parent, at: time)
            } else {
                waiting.append(parent)
            }
        }
        unsettled = waiting
    }

    private mutating func settle(_ p: Int, at time: Timestamp) {
        // One that is dead itself is settled by its own parent first.
        guard nodes[p].isAlive, !nodes[p].vanished.isEmpty else { return }
        guard canSettle(p) else { return settleNothing(p, at: time) }
        // The parent first: what its children use meanwhile is found at the next time.
        guard readNode(p, at: time) else { return }
        let raw = nodes[p].raw
        for child in nodes[p].children where !nodes[child].isFinal { _ = readNode(child, at: time) }
        let dead = nodes[p].vanished
        nodes[p].vanished = []
        if let place = unsettled.firstIndex(of: p) { unsettled.remove(at: place) }
        settle(dead, of: p, raw: raw, at: time)
    }

    private mutating func settle(_ dead: [Int], of p: Int, raw: Int64, at time: Timestamp) {
        let shares = share(raw - nodes[p].base - nodes[p].childrenRaw, among: dead)
        for (i, share) in zip(dead, shares) {
            nodes[p].childrenRaw += share
            finish(i, share: share, share == 0 && nodes[i].isFinal ? .read : .settled, mayHaveRun: false, at: time)
        }
        let left = raw - nodes[p].base - nodes[p].childrenRaw
        // More than they can have used: it was the parent's own.
        if left > 0 { nodes[p].base += left }
    }

    private mutating func settleNothing(_ p: Int, at time: Timestamp) {
        let dead = nodes[p].vanished
        nodes[p].vanished = []
        // Of what was never seen to run: only where the parent has counted something that may be its.
        let known = nodes[p].base + nodes[p].childrenRaw
        let mayHaveRun = nodes[p].depth > 0 && (rawValue(p, at: time) ?? 0) > known
        for i in dead { finish(i, share: 0, nodes[i].isFinal ? .read : .last, mayHaveRun: mayHaveRun, at: time) }
        guard nodes[p].isAlive else { return }
        nodes[p].isBaseStale = true
        if nodes[p].depth > 0, !nodes[p].hasStrangers, !CgroupDirectory.hasProcesses(nodes[p].directory) { rebase(p, at: time) }
    }

    private func canSettle(_ p: Int) -> Bool {
        nodes[p].depth > 0 && !nodes[p].hasStrangers && !nodes[p].isBaseStale && !CgroupDirectory.hasProcesses(nodes[p].directory)
    }

    /// From now on what the parent counts beyond its children's counts is that of children.
    mutating func rebase(_ p: Int, at time: Timestamp) {
        guard nodes[p].depth > 0 else { return }
        if nodes[p].isBaseStale {
            for child in nodes[p].children where !nodes[child].isFinal { _ = readNode(child, at: time) }
        }
        // One that was never read has no count yet from which a curve could go on.
        if nodes[p].isWhole, nodes[p].rawTime > Timestamp(microseconds: 0) {
            guard readNode(p, at: time) else { return }
        } else {
            guard let raw = note(p, at: time) else { return }
            for s in nodes[p].slots { slots[s].curve.read(raw: raw, at: time) }
        }
        nodes[p].base = nodes[p].raw - nodes[p].childrenRaw
        nodes[p].isBaseStale = false
    }

    /// Parents that could settle nothing because of cgroups beyond a limit, or of processes of their own, can again once those are
    /// followed or gone. A few parents a period, in turn.
    mutating func recover(at time: Timestamp) {
        var left = 16
        for _ in nodes.indices where left > 0 {
            recovered = (recovered + 1) % nodes.count
            let i = recovered
            guard nodes[i].isAlive, nodes[i].vanished.isEmpty, !nodes[i].isDetached else { continue }
            guard nodes[i].hasStrangers || nodes[i].isBaseStale && nodes[i].depth > 0 else { continue }
            left -= 1
            if nodes[i].hasStrangers {
                guard hasRoom(i, at: time) else { continue }
                nodes[i].hasStrangers = false
                nodes[i].isBaseStale = nodes[i].depth > 0
            }
            let cost = nodes[i].children.count + 1
            guard nodes[i].isAlive, nodes[i].isBaseStale, cost <= readingsLeft else { continue }
            guard nodes[i].vanished.isEmpty, !CgroupDirectory.hasProcesses(nodes[i].directory) else { continue }
            readingsLeft -= cost
            rebase(i, at: time)
        }
    }

    /// Whether it is watched and all cgroups below it are followed, now that this was tried anew.
    private mutating func hasRoom(_ i: Int, at time: Timestamp) -> Bool {
        if nodes[i].watch == nil || nodes[i].kind == .unified && nodes[i].parent >= 0 && nodes[i].populationWatch == nil {
            guard addWatches(i) else { return false }
            notePopulation(i, .late)
        }
        let names: [String]
        do throws(SensorFault) { names = try CgroupDirectory.children(of: nodes[i].directory) } catch { return false }
        for name in names where byDirectory[directory(name, in: i)].map({ nodes[$0].parent == i }) != true {
            guard nodes[i].depth < settings.maximumDepth, directoryCount < settings.maximumDirectories else { return false }
            follow(name, in: i, at: time, .late)
        }
        return nodes[i].isAlive
    }

    /// Parents that have got processes of their own can settle nothing of the time in which they had them.
    mutating func lookForOwnProcesses() {
        for i in nodes.indices where nodes[i].isAlive && nodes[i].depth > 0 && !nodes[i].isBaseStale && !nodes[i].children.isEmpty {
            if CgroupDirectory.hasProcesses(nodes[i].directory) { nodes[i].isBaseStale = true }
        }
    }

    /// The sum is what there is, or less where it is more than they can have used.
    private func share(_ all: Int64, among dead: [Int]) -> [Int64] {
        var shares = [Int64](repeating: 0, count: dead.count)
        guard all > 0 else { return shares }
        // The kernel books a process's time at its clock's ticks.
        let tick: Int64 = 10_000
        let lifetimes = dead.map { max(1, ((nodes[$0].died ?? nodes[$0].rawTime) - nodes[$0].rawTime).count) }
        let limits = dead.enumerated().map { place, i in
            let longest = ((nodes[i].died ?? nodes[i].rawTime) - (nodes[i].raw > 0 ? nodes[i].rawTime : nodes[i].bornAfter)).count
            return Int64(cpus) * (max(lifetimes[place], longest) + tick)
        }
        var left = all
        var open = Array(dead.indices)
        while left > 0, !open.isEmpty {
            // By cumulative sums, so that nothing is lost in rounding.
            let total = open.reduce(Int128(0)) { $0 + Int128(lifetimes[$1]) }
            var (time, given) = (Int128(0), Int128(0))
            let rest = Int128(left)
            for place in open {
                time += Int128(lifetimes[place])
                let upTo = rest * time / total
                let share = min(Int64(upTo - given), limits[place] - shares[place])
                given = upTo
                shares[place] += share
                left -= share
            }
            let stillOpen = open.filter { shares[$0] < limits[$0] }
            guard stillOpen.count < open.count else { break }
            open = stillOpen
        }
        return shares
    }

    /// The last of a cgroup: its curves end with what it is known to have used, and those below it are settled by that.
    ///
    /// - Parameter mayHaveRun: whether one of which nothing is known may have used what nobody else has.
    mutating func finish(_ i: Int, share: Int64, _ ending: WorkloadCurve.Ending, mayHaveRun: Bool, at time: Timestamp) {
        let final = nodes[i].raw + share
        let last = nodes[i].rawTime
        let died = max(nodes[i].died ?? time, share > 0 ? last + Microseconds(1) : last)
        // An empty cgroup is nobody's work.
        let hasRun = nodes[i].raw > 0 || nodes[i].wasPopulated ?? mayHaveRun
        if nodes[i].slots.isEmpty, share > 0 || ending == .last && !nodes[i].isResident && hasRun {
            openCurve(i, fromRaw: nodes[i].raw, at: min(last, died - Microseconds(1)), isPreferred: true)
        }
        for s in nodes[i].slots {
            // A reading that is not later than the last one only makes a knot of it.
            if died > (slots[s].curve.tail?.time ?? last) {
                slots[s].curve.read(raw: final, at: died, flags: share > 0 ? .settled : [])
            }
            slots[s].died = died
            slots[s].ending = ending
            slots[s].isChanged = true
            slots[s].parent = parentRef(s)
            slots[s].node = -1
            slots[s].memory?.end(at: died)
        }
        let below = nodes[i].vanished
        nodes[i].vanished = []
        if ending == .last || nodes[i].hasStrangers || nodes[i].isBaseStale {
            let mayHaveRun = mayHaveRun || share > 0
            for child in below { finish(child, share: 0, nodes[child].isFinal ? .read : .last, mayHaveRun: mayHaveRun, at: time) }
        } else {
            settle(below, of: i, raw: final, at: time)
        }
        unsettled.removeAll { $0 == i }
        free(i)
    }
}
