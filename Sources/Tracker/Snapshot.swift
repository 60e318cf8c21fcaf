public import Energy

/// What a host has used since its meters began to count, at an instant.
public struct Snapshot: Sendable {
    public var time: Timestamp
    /// Cumulative energy of the host's cover by component.
    public var components: [Component: Energy]
    /// Cumulative busy time of all CPUs together; nil where it is not known.
    public var busy: Microseconds?
    /// Cumulative CPU time of the agent; nil where none runs.
    public var agentCPU: Microseconds?
    /// CPUs of the host, as many as can be busy at a time.
    public var cpus: Int
    public var quality: Quality
    /// What the figures rest on, for people.
    public var basis: String
    /// Limits of the true energy as ratios of the figure; 1 and 1 for a sensor.
    public var boundRatios: (low: Double, high: Double)
    /// Power at idle by component, where it is known.
    public var idlePower: [Component: UtilisationModel.Point]

    public init(
        time: Timestamp,
        components: [Component: Energy],
        busy: Microseconds?,
        agentCPU: Microseconds?,
        cpus: Int,
        quality: Quality,
        basis: String,
        boundRatios: (low: Double, high: Double),
        idlePower: [Component: UtilisationModel.Point]
    ) {
        self.time = time
        self.components = components
        self.busy = busy
        self.agentCPU = agentCPU
        self.cpus = cpus
        self.quality = quality
        self.basis = basis
        self.boundRatios = boundRatios
        self.idlePower = idlePower
    }
}
