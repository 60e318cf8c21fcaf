public import Energy

/// What a job does, and what it has truly cost.
public struct SimulatedJob: Sendable {
    /// A stretch in which it does one thing.
    public struct Phase: Hashable, Sendable {
        public var end: Timestamp
        /// CPUs that it would use.
        public var cpus: Double
        /// Energy of a second of its CPU time against another's.
        public var intensity: Double
    }

    public var id: Int64
    public var slot: Int
    public var interval: Interval
    public var phases: [Phase]
    public var memoryBytes: Double
    /// Whether each phase is a process of its own; else one process does it all.
    public var hasShortProcesses: Bool
    /// CPU time used until each of the times, µs.
    public var cpuTime = CumulativeTrack()
    public var truth = TrueEnergy()
}

/// What a job has truly cost, µJ.
///
/// Dynamic power beyond idle is a function of the sum of the loads (CPU time weighted by its intensity), and goes to each in proportion to
/// its load. For a function of a sum this is the Aumann-Shapley value: each bit of load bears the mean cost of a bit over all orders of
/// arrival. Idle power goes by the policy `reserved`: one slot's part. DRAM the same; losses and fans follow what they are lost on.
public struct TrueEnergy: Hashable, Sendable {
    public var cpuDynamic = 0.0
    public var cpuIdle = 0.0
    public var dramDynamic = 0.0
    public var dramIdle = 0.0
    public var restDynamic = 0.0
    public var restIdle = 0.0
    /// CPU and DRAM dynamic energy that would not have flowed without the job, all else as it was.
    public var marginal = 0.0
    /// CPU and DRAM dynamic energy by the Shapley value over whole jobs.
    public var shapley = 0.0

    public init() {}

    /// µJ of the components that a tool claims to count.
    public func microjoules(_ scope: EnergyScope, dynamicOnly: Bool = false) -> Double {
        let dynamic =
            switch scope {
            case .cpu: cpuDynamic
            case .cpuAndDRAM: cpuDynamic + dramDynamic
            case .node: cpuDynamic + dramDynamic + restDynamic
            }
        let idle =
            switch scope {
            case .cpu: cpuIdle
            case .cpuAndDRAM: cpuIdle + dramIdle
            case .node: cpuIdle + dramIdle + restIdle
            }
        return dynamicOnly ? dynamic : dynamic + idle
    }
}

/// The components that a tool claims to count.
public enum EnergyScope: String, Sendable {
    case cpu
    case cpuAndDRAM = "cpu+dram"
    case node
}
