public import Energy

/// A meter of a host's cover, as the accounting sees it.
public struct MeterInput: Sendable {
    public var name: String
    public var component: Component
    public var quality: Quality
    /// µJ over time.
    public var curve: Curve
    /// Largest distance of a sample from the curve's line, µJ.
    public var epsilonMicrojoules: Int64
    public var samplePeriod: Microseconds
    public var maximumPower: Power
    /// Power at idle: configured, learned, or a model's 0 % point; nil where nothing is known, which counts as 0 and is flagged.
    public var idle: UtilisationModel.Point?
    /// Limits of the true energy as ratios of the curve's; 1 and 1 for a sensor.
    public var boundRatios: (low: Double, high: Double)
    /// The meter has ended: after its last knot it is no part of the cover, rather than missing from it.
    public var isClosed: Bool
    /// Standard deviation of the meter's own error as a part of what it counts; the whole meter is off by one factor.
    public var errorRatio: Double

    public init(
        name: String,
        component: Component,
        quality: Quality,
        curve: Curve,
        epsilonMicrojoules: Int64 = 0,
        samplePeriod: Microseconds = .zero,
        maximumPower: Power = Power(watts: 1000),
        idle: UtilisationModel.Point? = nil,
        boundRatios: (low: Double, high: Double) = (1, 1),
        isClosed: Bool = false,
        errorRatio: Double = 0
    ) {
        self.name = name
        self.component = component
        self.quality = quality
        self.curve = curve
        self.epsilonMicrojoules = epsilonMicrojoules
        self.samplePeriod = samplePeriod
        self.maximumPower = maximumPower
        self.idle = idle
        self.boundRatios = boundRatios
        self.isClosed = isClosed
        self.errorRatio = errorRatio
    }
}

/// A meter around others of the cover (`node`, `psys`, `module`): it fixes the amount, they fix the shape. What it counts beyond them is
/// the component `rest`.
public struct WholeMeterInput: Sendable {
    public var name: String
    public var quality: Quality
    /// µJ over time.
    public var curve: Curve
    /// The names of the meters of the cover that are inside it.
    public var inner: Set<String>
    public var epsilonMicrojoules: Int64
    public var samplePeriod: Microseconds
    public var maximumPower: Power
    public var errorRatio: Double

    public init(
        name: String,
        quality: Quality,
        curve: Curve,
        inner: Set<String>,
        epsilonMicrojoules: Int64 = 0,
        samplePeriod: Microseconds = .zero,
        maximumPower: Power = Power(watts: 1000),
        errorRatio: Double = 0
    ) {
        self.name = name
        self.quality = quality
        self.curve = curve
        self.inner = inner
        self.epsilonMicrojoules = epsilonMicrojoules
        self.samplePeriod = samplePeriod
        self.maximumPower = maximumPower
        self.errorRatio = errorRatio
    }
}

/// A span on the host, as the accounting sees it.
public struct SpanInput: Sendable {
    /// CPU time that an agent measured for the span's cgroup, µs over time.
    public struct Workload: Sendable {
        public var curve: Curve
        /// The cgroup has ended: after its last knot it used nothing. Else what follows is not known yet.
        public var isClosed: Bool
        public var epsilonMicroseconds: Int64
        /// Spans whose cgroups lie directly below this one: their CPU time is in this curve too, and is theirs.
        public var childSpanIDs: [Int64]
        /// Other spans that own the same cgroup: while several of them run nobody knows which of them used what.
        public var sharingSpanIDs: [Int64]
        /// From here on the cgroup may have used more than the curve says: nobody read it as it died. Nil where all was counted.
        public var partialSince: Timestamp?

        public init(
            curve: Curve,
            isClosed: Bool,
            epsilonMicroseconds: Int64 = 0,
            childSpanIDs: [Int64] = [],
            sharingSpanIDs: [Int64] = [],
            partialSince: Timestamp? = nil
        ) {
            self.curve = curve
            self.isClosed = isClosed
            self.epsilonMicroseconds = epsilonMicroseconds
            self.childSpanIDs = childSpanIDs
            self.sharingSpanIDs = sharingSpanIDs
            self.partialSince = partialSince
        }
    }

    /// Orders the accounts; unique on the host.
    public var id: Int64
    public var interval: Interval
    /// How far each edge may be off, either way.
    public var edgeResolution: Microseconds
    public var workload: Workload?
    /// CPU time that the client posted for the whole span, summed over its CPUs.
    public var postedCPUTime: Microseconds?
    /// The posted span's whole length, over which `postedCPUTime` was used.
    public var fullDuration: Microseconds
    /// Part of the host's CPU that the span declared, 0...1.
    public var cpuShare: Double?
    /// CPUs that the span declared.
    public var cpus: Double?
    /// Slots that the span takes.
    public var weight: Double?
    /// The span that this one runs within, on the same host: what it is charged is taken from that one, and only the innermost spans
    /// compete for what nobody declared. By `workload.childSpanIDs` where cgroups tell it.
    public var parentID: Int64?
    /// Memory that an agent measured for the span's cgroup, byte-seconds over time; DRAM is shared by it where every running span has it.
    public var memory: Curve?
    /// GPU time that an agent measured for the span, µs over time, by the name of the GPU's meter.
    public var gpuTimes: [String: Curve] = [:]
    /// Names of the GPU meters that the span has to itself.
    public var ownedGPUs: Set<String> = []
    /// Whether it counts among the jobs that a host runs: one that declares no part of the host (a resident service, known by its cgroup)
    /// makes nobody's undeclared part smaller, and reserves nothing.
    var takesSlot: Bool { cpuShare != 0 }

    public init(
        id: Int64,
        interval: Interval,
        edgeResolution: Microseconds = .zero,
        workload: Workload? = nil,
        postedCPUTime: Microseconds? = nil,
        cpuShare: Double? = nil,
        cpus: Double? = nil,
        weight: Double? = nil
    ) {
        self.id = id
        self.interval = interval
        self.edgeResolution = edgeResolution
        self.workload = workload
        self.postedCPUTime = postedCPUTime
        let (length, overflow) = interval.end.microseconds.subtractingReportingOverflow(interval.start.microseconds)
        self.fullDuration = Microseconds(overflow ? .max : length)
        self.cpuShare = cpuShare
        self.cpus = cpus
        self.weight = weight
    }
}

/// Everything that the accounts of one host over one window (an hour, as a rule) are made from.
public struct HostInput: Sendable {
    public var window: Interval
    /// Instants within the window at which slices end too, in order: the edges of the site's intensity feed.
    public var cuts: [Timestamp]
    public var cpus: Int
    /// Jobs that the host takes at once; nil where nobody said.
    public var slots: Double?
    /// The meters of the host's cover.
    public var meters: [MeterInput]
    /// The outermost meters around some of the cover's.
    public var wholes: [WholeMeterInput]
    /// Power at idle of what is in `wholes` and in no other meter; nil where nothing is known: then all of it counts as idle.
    public var restIdle: UtilisationModel.Point?
    /// Busy CPU time of the whole host, µs; nil where it is not known.
    public var busy: Curve?
    /// CPU time of the agent itself, µs.
    public var agent: Curve?
    public var spans: [SpanInput]

    public init(
        window: Interval,
        cuts: [Timestamp] = [],
        cpus: Int,
        slots: Double? = nil,
        meters: [MeterInput],
        wholes: [WholeMeterInput] = [],
        busy: Curve? = nil,
        agent: Curve? = nil,
        spans: [SpanInput] = []
    ) {
        self.window = window
        self.cuts = cuts
        self.cpus = max(1, cpus)
        self.slots = slots
        self.meters = meters
        self.wholes = wholes
        self.busy = busy
        self.agent = agent
        self.spans = spans
    }
}
