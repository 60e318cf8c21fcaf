import Energy

/// What is drawn of a host before any time passes.
public struct HostDraw: Sendable {
    public var family: NoiseFamily
    public var cpus: Int
    public var slots: Int
    public var packages: Int
    public var power: PowerModel
    /// Distinct values of a package's counter, µJ; the register counts in units of a 2^32th part.
    public var counterModulus: Int64
    /// What the sensors count of a true joule.
    public var packageGain: Double
    public var dramGain: Double
    public var nodeGain: Double
    public var memoryBytes: Double
    public var systemMemoryBytes: Double
    /// What the table of CPU models says, W.
    public var tableIdleWatts: Double
    public var tableFullWatts: Double
    public var thermalDesignWatts: Double
    /// The idle floor that the engine is told, as a ratio of the true one.
    public var toldFloorRatio: Double

    /// Standard deviation of a sensor's own scale; the whole sensor is off by one factor.
    public static let sensorErrorRatio = 0.01

    public init(family: NoiseFamily, draws: inout RandomDraws) {
        self.family = family
        cpus = [8, 16, 32, 64][Int(draws.next() % 4)]
        slots = [1, 2, 4, 8][Int(draws.next() % 4)]
        packages = cpus >= 32 && draws.chance(0.5) ? 2 : 1
        let perCPU = draws.uniform(2, 5)
        let full = family == .wraps ? 400.0 * Double(packages) : perCPU * Double(cpus)
        let idlePart = draws.uniform(0.15, 0.4)
        let hasRest = family == .nodeMeter
        power = PowerModel(
            shape: family == .concave ? .concave(exponent: 0.7) : family == .smt ? .hyperthreads : .linear,
            idleWatts: full * idlePart,
            dynamicWatts: full * (1 - idlePart),
            dramIdleWatts: draws.uniform(0.03, 0.08) * full,
            dramDynamicWatts: draws.uniform(0.05, 0.15) * full,
            restIdleWatts: hasRest ? draws.uniform(0.2, 0.4) * full : 0,
            lossRatio: hasRest ? draws.uniform(0.04, 0.1) : 0
        )
        counterModulus = family == .wraps ? 65_536_000_000 : 262_143_328_911
        packageGain = 1 + Self.sensorErrorRatio * draws.normal()
        dramGain = 1 + Self.sensorErrorRatio * draws.normal()
        nodeGain = 1 + Self.sensorErrorRatio * draws.normal()
        memoryBytes = Double(cpus) * 4e9
        systemMemoryBytes = draws.uniform(1e9, 4e9)
        tableIdleWatts = power.idleWatts * draws.logNormal(sigma: 0.15)
        tableFullWatts = max(tableIdleWatts, (power.idleWatts + power.dynamicWatts) * draws.logNormal(sigma: 0.15))
        thermalDesignWatts = (power.idleWatts + power.dynamicWatts) * draws.uniform(0.85, 1.15)
        toldFloorRatio = family == .wrongFloor ? (draws.chance(0.5) ? 0.8 : 1.2) : 1
    }

    public var hasCounters: Bool { family != .utilisation }
    public var hasCgroups: Bool { family != .webhookOnly }
    public var hasNodeMeter: Bool { family == .nodeMeter }
    /// What a job's energy is made of on this host.
    public var scope: EnergyScope { hasNodeMeter ? .node : hasCounters ? .cpuAndDRAM : .cpu }
}
