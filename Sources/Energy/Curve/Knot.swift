/// What is known about a knot beyond its coordinates.
public struct KnotFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The sensor was read at this very instant because somebody asked (a span's edge): no interpolation error here.
    public static let edge = KnotFlags(rawValue: 1 << 0)
    /// Forced at a UTC hour, so that an hour stands alone.
    public static let hour = KnotFlags(rawValue: 1 << 1)
    /// The last reading before a gap, or the first one after it.
    public static let gapEdge = KnotFlags(rawValue: 1 << 2)
    /// Settled by a parent's count after the workload had vanished.
    public static let settled = KnotFlags(rawValue: 1 << 3)
}

/// A corner of a curve: a cumulative value at an instant.
public struct Knot: Hashable, Sendable {
    public var time: Timestamp
    /// µJ on an energy curve, µs on a CPU-time curve.
    public var value: Int64
    public var flags: KnotFlags

    public init(time: Timestamp, value: Int64, flags: KnotFlags = []) {
        self.time = time
        self.value = value
        self.flags = flags
    }
}

/// How far a figure may be trusted, best first.
public enum Quality: String, Sendable, CaseIterable, Comparable {
    case measured, sampled, modelled, partial, unknown

    public static func < (a: Quality, b: Quality) -> Bool { a.rank < b.rank }

    private var rank: Int { Quality.allCases.firstIndex(of: self)! }
}

/// The unit of a curve's values.
public enum CurveUnit: String, Sendable {
    case microjoules, microseconds
}
