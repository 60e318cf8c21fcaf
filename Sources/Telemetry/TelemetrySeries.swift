public import Energy

/// One series of another exporter, whatever way it came: a name, labels, and values at instants.
public struct TelemetrySeries: Sendable, Hashable {
    /// What its sender says that the values are.
    public enum Kind: String, Sendable {
        /// Grows but for resets.
        case counter
        case gauge
        /// Each value is the increase since its own start (OTLP's delta sums).
        case delta
        /// Histograms, summaries, states: nothing a meter is made of.
        case other
        case unknown
    }

    public var name: String
    public var labels: [String: String]
    public var kind: Kind
    /// As the sender says it (`J`, `W`, `joules`); empty where it does not.
    public var unit: String
    public var samples: [TelemetrySample]

    public init(
        name: String,
        labels: [String: String] = [:],
        kind: Kind = .unknown,
        unit: String = "",
        samples: [TelemetrySample] = []
    ) {
        self.name = name
        self.labels = labels
        self.kind = kind
        self.unit = unit
        self.samples = samples
    }
}

/// A value at an instant.
public struct TelemetrySample: Sendable, Hashable {
    public var time: Timestamp
    public var value: Double
    /// When the count began, where the sender says so (created timestamps, OTLP's start time).
    public var startedAt: Timestamp?

    public init(time: Timestamp, value: Double, startedAt: Timestamp? = nil) {
        self.time = time
        self.value = value
        self.startedAt = startedAt
    }

    /// The one NaN by which Prometheus says that a series has ended.
    public static let staleValue = Double(bitPattern: 0x7FF0_0000_0000_0002)

    public var isStale: Bool { value.bitPattern == Self.staleValue.bitPattern }
}

extension Timestamp {
    /// Nil for what does not fit.
    init?(milliseconds: Int64) {
        let (microseconds, overflow) = milliseconds.multipliedReportingOverflow(by: 1_000)
        guard !overflow else { return nil }
        self.init(microseconds: microseconds)
    }
}
