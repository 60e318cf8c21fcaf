import Accounting
public import Carbon
public import Energy

/// What a piece of work cost, as far as this machine alone can tell.
public struct Footprint: Sendable {
    /// Energy with its hard limits.
    public struct Bounded: Sendable, Hashable {
        public var best: Energy
        public var low: Energy
        public var high: Energy
    }

    /// Operational emissions of the electricity, location-based; without the site's PUE, which only a collector knows.
    public struct Emissions: Sendable {
        /// µg CO2e.
        public var bestMicrograms: Int64
        public var lowMicrograms: Int64
        public var highMicrograms: Int64
        public var intensity: Intensity
        /// The intensity's own limits are not known: those above hold for the energy only.
        public var intensityHasLimits: Bool
    }

    public var interval: Interval
    /// CPU time of the work, summed over CPUs.
    public var cpuTime: Microseconds
    /// Dynamic energy and the reserved part of idle energy together.
    public var energy: Bounded
    /// What the work added to an idle machine.
    public var dynamic: Energy
    /// The part of the idle energy that goes with the part of the machine it reserved.
    public var idle: Energy
    /// The whole machine's energy in the interval.
    public var host: Energy
    /// Mean part of the host's CPUs that the work used, 0...1.
    public var meanShare: Double
    public var quality: Quality
    /// Where the number came from, for people.
    public var source: String
    public var flags: [String]
    public var emissions: Emissions?

    /// The footprint of work that used `cpuTime` between two snapshots of its host.
    ///
    /// - Parameters:
    ///   - cpus: CPUs that the work reserved; nil where nothing was said, which counts as the whole machine for idle energy.
    /// - Returns: nil where no time passed or the snapshots hold no energy.
    public init?(
        cpuTime: Microseconds,
        from start: Snapshot,
        to end: Snapshot,
        cpus: Double?,
        cpuShare: Double? = nil,
        source: String,
        intensity: Intensity? = nil,
        intensityHasLimits: Bool = false
    ) {
        let interval = Interval(start.time, end.time)
        guard !interval.isEmpty else { return nil }
        let used = max(Microseconds.zero, cpuTime)

        func curve(_ increase: Int64) -> Curve {
            Curve(knots: [
                Knot(time: interval.start, value: 0, flags: .edge), Knot(time: interval.end, value: max(0, increase), flags: .edge),
            ])
        }
        let meters = Component.allCases.compactMap { component -> MeterInput? in
            guard let first = start.components[component], let last = end.components[component] else { return nil }
            return MeterInput(
                name: component.rawValue,
                component: component,
                quality: end.quality,
                curve: curve((last - first).microjoules),
                idle: end.idlePower[component],
                boundRatios: end.boundRatios
            )
        }
        guard !meters.isEmpty else { return nil }
        var busy: Curve?
        if let first = start.busy, let last = end.busy { busy = curve((last - first).count) }
        var agent: Curve?
        if let first = start.agentCPU, let last = end.agentCPU { agent = curve((last - first).count) }
        let span = SpanInput(
            id: 1,
            interval: interval,
            workload: SpanInput.Workload(curve: curve(used.count), isClosed: true),
            cpuShare: cpuShare,
            cpus: cpus
        )
        let accounts = Sweep.accounts(
            of: HostInput(window: interval, cpus: end.cpus, slots: 1, meters: meters, busy: busy, agent: agent, spans: [span])
        )

        var dynamic: Int64 = 0
        var idle: Int64 = 0
        var low = 0.0
        var high = 0.0
        var metered: Int64 = 0
        var flags: AccountFlags = []
        var quality = Quality.measured
        for account in accounts {
            metered += account.metered
            flags.formUnion(account.flags)
            quality = max(quality, account.quality)
            for slice in account.slices {
                dynamic += slice.dynamic
                idle += slice.idle[.reserved]
                let limits = slice.bounds.limits(idleMoved: slice.idle[.reserved])
                low += limits.low
                high += limits.high
            }
        }
        self.interval = interval
        self.cpuTime = used
        self.dynamic = Energy(microjoules: dynamic)
        self.idle = Energy(microjoules: idle)
        let best = Energy(microjoules: dynamic + idle)
        energy = Bounded(best: best, low: min(best, Energy(rounding: low)), high: max(best, Energy(rounding: high)))
        host = Energy(microjoules: metered)
        meanShare = min(1, Double(used.count) / (Double(interval.duration.count) * Double(max(1, end.cpus))))
        self.quality = quality
        self.source = source
        self.flags = flags.names
        emissions = intensity.map { Emissions(of: energy, intensity: $0, intensityHasLimits: intensityHasLimits) }
    }
}

extension Footprint.Emissions {
    init(of energy: Footprint.Bounded, intensity: Intensity, intensityHasLimits: Bool) {
        func micrograms(_ energy: Energy, _ gramsPerKilowattHour: Double) -> Int64 {
            Int64(
                saturating: Intensity.micrograms(
                    microjoules: Double(energy.microjoules),
                    gramsPerKilowattHour: gramsPerKilowattHour
                ).rounded()
            )
        }
        bestMicrograms = micrograms(energy.best, intensity.gramsPerKilowattHour)
        lowMicrograms = micrograms(energy.low, intensityHasLimits ? intensity.low : intensity.gramsPerKilowattHour)
        highMicrograms = micrograms(energy.high, intensityHasLimits ? intensity.high : intensity.gramsPerKilowattHour)
        self.intensity = intensity
        self.intensityHasLimits = intensityHasLimits
    }
}
