import Energy

/// What the agent says of itself and its meters at one moment. Counts begin with the process or, for energy and CPU time, with the
/// curve: a reader sees them only grow, and fall to zero at most where the agent's state was lost.
struct MetricsSnapshot: Hashable, Sendable {
    struct Meter: Hashable, Sendable {
        var place: MeterPlace
        /// One of the meters whose sum is the host's energy.
        var isInCover: Bool
        var energy: Energy
        /// Readings that failed.
        var failures: UInt64
        /// Stretches of time of which the meter knows no more than limits.
        var gaps: UInt64
    }

    struct Spool: Hashable, Sendable {
        /// From 0, empty, to 1, full.
        var fill: Double
        var capacityBytes: Int
        var uplink: UplinkCounts.Values
    }

    var version: String
    /// Why a sensor of this machine is not used, by its name.
    var unusedSensors: [String] = []
    var meters: [Meter] = []
    /// Time that the host's CPUs were busy.
    var hostBusy: Microseconds = .zero
    /// CPU time of the agent itself.
    var agentCPU: Microseconds = .zero
    /// Cgroups that are followed at the moment.
    var workloads = 0
    /// Nil without a collector.
    var spool: Spool?
}

/// Takes a snapshot. Called at most once a second, and only while somebody asks.
typealias MetricsSource = @Sendable () async -> MetricsSnapshot
