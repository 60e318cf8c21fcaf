public import Carbon
public import Energy

/// How a piece of work is measured.
public struct TrackerOptions: Sendable {
    /// The agent's socket; nil: no agent is asked.
    public var socketPath: String?
    /// Where the machine stands on the grid; nil: the agent's word, else no emissions.
    public var zone: GridZone?
    /// CPUs that the work reserves.
    public var cpus: Double?
    /// Part of the host's CPU that the work reserves, 0...1.
    public var cpuShare: Double?
    /// For tests of the fallbacks: hierarchies that may be used; nil: those that are mounted.
    var cgroupPlaces: [CgroupPlace]?
    /// For tests of the fallbacks: as if the kernel had no clone3.
    var withoutClone3 = false

    public init(
        socketPath: String? = AgentSocket.defaultPath,
        zone: GridZone? = nil,
        cpus: Double? = nil,
        cpuShare: Double? = nil
    ) {
        self.socketPath = socketPath
        self.zone = zone
        self.cpus = cpus
        self.cpuShare = cpuShare
    }
}

/// What is known when a command has begun to run.
public struct RunStart: Sendable {
    public var startedAt: Timestamp
    /// The machine, by the agent's name for it, else its own.
    public var host: String
    /// The command's cgroup below the hierarchy's mount; nil where it has none of its own.
    public var workload: String?
    /// The agent answered: its knots stand at `startedAt`.
    public var agentAnswered: Bool
}

/// A command that was run and measured.
public struct RunReport: Sendable {
    public var start: RunStart
    public var finishedAt: Timestamp
    public var exit: CommandExit
    /// CPU time of the command and what it started.
    public var cpuTime: Microseconds
    /// The whole descent was counted, by a cgroup; else only processes that were waited for.
    public var countedByCgroup: Bool
    /// The most memory that the command's cgroup held at a time.
    public var memoryPeakBytes: Int64?
    /// Nil where nothing here can be measured or modelled.
    public var footprint: Footprint?
    /// Why there is no footprint.
    public var footprintFailure: String?
    /// What the user ought to know.
    public var warnings: [String]
    /// How the energy was found; nil where there is none.
    public var attributionMode: AttributionMode?
    /// Why the agent did not help; not a fault where none was set up.
    public var agentFailure: AgentSocket.Failure?
}
