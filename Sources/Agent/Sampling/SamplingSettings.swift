public import Energy

/// How densely the host is sampled.
public struct SamplingSettings: Hashable, Sendable {
    /// Readings of fast meters a second.
    public var rate: Double
    /// Largest distance of an energy sample from the line.
    public var energyEpsilon: Energy
    /// Largest distance of a CPU-time sample from the line.
    public var cpuEpsilon: Microseconds
    /// Workloads that may be registered at a time, and spans that may run.
    public var maximumWorkloads: Int
    /// Whether cgroups are followed that no client named.
    public var isWatchingCgroups = true

    public init(
        rate: Double = 10,
        energyEpsilon: Energy = Energy(microjoules: 1_000_000),
        cpuEpsilon: Microseconds = .milliseconds(50),
        maximumWorkloads: Int = 4_096
    ) {
        self.rate = rate
        self.energyEpsilon = energyEpsilon
        self.cpuEpsilon = cpuEpsilon
        self.maximumWorkloads = maximumWorkloads
    }

    /// Time between readings of fast meters.
    var fastPeriod: Microseconds { Microseconds(max(1_000, min(1_000_000, Int64(saturating: (1e6 / max(rate, 1)).rounded())))) }
    /// Time between readings of everything else.
    var slowPeriod: Microseconds { .seconds(1) }
}
