/// How a command's part of the machine's energy was found, in the words that carbon-ops' users know.
public enum AttributionMode: String, Sendable, Hashable, CaseIterable {
    /// The agent's counters, shared by the CPU time that the command's own cgroup counted.
    case cgroup
    /// The agent's counters, shared by the CPU time of the processes that were waited for.
    case governorCPUTime = "governor_cpu_time"
    /// The agent's counters, but not how busy the machine was: the command is taken for all of it.
    case governorEnergy = "governor_energy"
    /// This machine's counters, read by the command's own tracker: no agent answered.
    case monitorOnly = "monitor_only"
    /// A model of the processor's power; nothing was measured.
    case modelled
}
