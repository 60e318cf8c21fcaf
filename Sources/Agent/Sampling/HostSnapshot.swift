import Energy

/// What the host has used since its meters began to count, at an instant.
struct HostSnapshot: Sendable {
    var time: Timestamp
    var meters: [(name: String, energy: Int64)] = []
    /// Sum over the cover.
    var cover: Int64 = 0
    var components: [Component: Int64] = [:]
    var quality = Quality.unknown
    var basis = ""
    var boundLow: UInt32 = 0
    var boundHigh: UInt32 = 0
    /// Power at idle by component, µW; only where every meter of the component has one.
    var idlePower: [Component: UInt64] = [:]
    var busy: Int64
    var agentCPU: Int64
    var cpus: Int
    /// Cumulative CPU time of a span's cgroup.
    var cpuTime: Int64?
}
