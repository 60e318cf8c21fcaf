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

    /// 1970 up to 2200: when a count can have begun. Anything else is a sender's mistake, and the count's beginning is not known.
    private static let starts = 0..<Int64(7_258_118_400_000_000)

    /// The instant where a count can have begun then, else nil.
    var asStart: Timestamp? { Self.starts.contains(microseconds) ? self : nil }

    /// Saturating: whatever was stored or sent, it is no reason to stop.
    func time(since earlier: Timestamp) -> Microseconds {
        let (difference, overflow) = microseconds.subtractingReportingOverflow(earlier.microseconds)
        return Microseconds(overflow ? (microseconds < 0 ? .min : .max) : difference)
    }
}

extension Int64 {
    /// Saturating.
    func adding(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (self < 0 ? .min : .max) : sum
    }
}
