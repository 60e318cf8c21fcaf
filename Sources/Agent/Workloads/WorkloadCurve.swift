import Energy
import Meters
import Wire

/// A cgroup's curve of CPU time, or a part of its life: a span has a curve of its own from its start to its end.
struct WorkloadCurve {
    enum Ending: String, Hashable, Sendable {
        /// The last value was read when nothing could run there any more, or at the end of its span.
        case read
        /// The last value is its parent's count less that of the others.
        case settled
        /// The last value is that of its last reading: it may have used more.
        case last
    }

    var curve: CountedCurve
    var memory: MemoryCurve?
    let cgroup: String
    let directory: String
    let hierarchy: Int
    let kind: CgroupHierarchy.Kind
    /// Empty for a cgroup that no client named.
    var key: String
    let born: Timestamp
    let identity: WorkloadIdentity
    /// -1 once it has ended.
    var node: Int
    var died: Timestamp?
    /// Nil while it lives, and while its last value waits to be settled.
    var ending: Ending?
    var labels: [String: String] = [:]
    var pod = ""
    var isIdentified: Bool
    /// Whether the collector has to be told of it.
    var isChanged = true
    /// The curve of what it is in; 0 for none.
    var parent: UInt32 = 0
    /// As the collector was told.
    var toldMaximum: Int64 = 0
    var tailSent: (time: Timestamp, value: Int64, hadMoved: Bool)?

    var isEnded: Bool { ending != nil }

    var state: AgentState.Workload? {
        guard !isEnded, let curve = curve.state else { return nil }
        var state = AgentState.Workload(
            curve: curve,
            cgroup: cgroup,
            directory: directory,
            isUnified: kind == .unified,
            key: key,
            born: born.microseconds
        )
        state.memory = memory?.curve.state
        return state
    }

    var change: WireWorkloadChange {
        var change = WireWorkloadChange()
        change.ref = curve.announcement.ref
        change.cgroup = cgroup
        change.bornUs = born.microseconds
        change.diedUs = isEnded ? died?.microseconds ?? 0 : 0
        change.spanKey = key
        change.parentRef = parent
        change.memoryRef = memory?.curve.announcement.ref ?? 0
        change.unit = identity.unit
        change.containerID = identity.containerID
        change.pod = pod
        change.labels = labels
        change.memoryMaxBytes = UInt64(max(0, memory?.maximum ?? 0))
        change.ending = ending?.rawValue ?? ""
        return change
    }

    /// What a curve of CPU time or of memory is called.
    static func announcement(
        _ kind: WireCurveKind,
        cgroup: String,
        born: Timestamp,
        epsilon: Int64,
        period: Microseconds
    ) -> WireCurveAnnouncement {
        var announcement = WireCurveAnnouncement()
        let name = kind == .workloadMemory ? "memory" : "cgroup"
        announcement.name = "\(name)\(cgroup)#\(born.microseconds)"
        announcement.kind = kind
        announcement.sensor = "cgroup"
        announcement.quality = Quality.measured.rawValue
        announcement.epsilon = epsilon
        announcement.samplePeriodUs = UInt64(max(0, period.count))
        announcement.boundLowPpm = 1_000_000
        announcement.boundHighPpm = 1_000_000
        return announcement
    }
}
