import Energy
import Meters
import Wire

/// A registered cgroup with its curve of CPU time.
struct Workload {
    var curve: CountedCurve
    let cgroup: String
    let directory: String
    let kind: CgroupHierarchy.Kind
    let key: String
    let born: Timestamp
    /// Nil once the cgroup has vanished.
    var source: CgroupCPUTime?
    var died: Timestamp?
    /// Whether the collector has to be told of its birth or its death.
    var isChanged = true

    var state: AgentState.Workload? {
        guard died == nil, let curve = curve.state else { return nil }
        return AgentState.Workload(
            curve: curve,
            cgroup: cgroup,
            directory: directory,
            isUnified: kind == .unified,
            key: key,
            born: born.microseconds
        )
    }

    var change: WireWorkloadChange {
        var change = WireWorkloadChange()
        change.ref = curve.announcement.ref
        change.cgroup = cgroup
        change.bornUs = born.microseconds
        change.diedUs = died?.microseconds ?? 0
        change.spanKey = key
        return change
    }
}
