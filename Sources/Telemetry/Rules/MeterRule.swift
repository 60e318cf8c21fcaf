public import Documents
public import Energy

/// A row of `meters.yaml`: which series of which exporter is which meter of a host.
public struct MeterRule: Sendable, Hashable {
    /// What the values say.
    public enum Reading: String, Sendable, CaseIterable {
        /// An amount that grows.
        case counter
        /// Power at an instant, integrated by trapezoid.
        case power
    }

    /// What a series becomes.
    public enum Role: Sendable, Hashable {
        case meter(Place)
        /// The host's busy CPU time.
        case hostBusy
        /// Known, and not to be counted.
        case ignored
    }

    /// Where a meter stands, from the series' labels.
    public struct Place: Sendable, Hashable {
        public var name: LabelTemplate
        public var zone: Zone
        public var package: LabelTemplate?
        public var die: LabelTemplate?
        public var inside: LabelTemplate?
    }

    public var name: String
    public var exporter: String
    /// Patterns of names.
    public var series: [String]
    public var with: [String: [Pattern]] = [:]
    public var without: [String: [Pattern]] = [:]
    /// Patterns of host names; nil for every host.
    public var hosts: [Pattern]?
    /// Samples from this time on, and before that one.
    public var from: Timestamp?
    public var until: Timestamp?
    public var role: Role
    public var reading: Reading?
    public var unit: SeriesUnit?
    public var sensor: String
    public var quality: Quality?
    public var epsilon = Energy(microjoules: 1_000_000)
    public var maximumPower: Power?
    /// The largest value of a counter that wraps, in µJ.
    public var counterRange: Int64?
    /// A counter of this exporter wraps at a value that the exporter does not tell, no smaller than this one.
    public var leastCounterRange: Int64?
    /// Samples of power further apart than this say nothing of the time between them.
    public var longestStep = Microseconds.seconds(300)
    /// A power that stays the same for longer is that of a sensor that stands still; nil where that is no sign.
    public var longestRepeat: Microseconds?
    /// Labels by which the parts of a sum differ; empty for a meter of one series.
    public var sumOver: [String] = []
    /// Labels that name the host, in this order; nil for those of the file.
    public var hostLabels: [String]?
    public var note = ""

    /// Whether a series is the one meant, by all but host and time.
    func matches(_ labels: [String: String]) -> Bool {
        for (label, patterns) in with {
            guard let value = labels[label], patterns.contains(where: { $0.matches(value) }) else { return false }
        }
        for (label, patterns) in without {
            if let value = labels[label], patterns.contains(where: { $0.matches(value) }) { return false }
        }
        return true
    }

    func counts(at time: Timestamp) -> Bool { (from.map { $0 <= time } ?? true) && (until.map { time < $0 } ?? true) }
}

extension Zone {
    /// What a part of an ordinary machine draws at most, where nobody says it: a bound for gaps and for nonsense.
    var usualMaximumPower: Power {
        switch self {
        case .node, .psys: Power(watts: 10_000)
        case .module: Power(watts: 3_000)
        case .package, .core, .uncore: Power(watts: 1_000)
        case .dram, .io: Power(watts: 500)
        case .gpu: Power(watts: 2_000)
        }
    }
}
