public import Energy

/// What a meter says when it is read.
public struct MeterReading: Hashable, Sendable {
    /// The raw count in µJ.
    public var count: Int64
    /// The instant that the count belongs to, where it is not that of the call: the latest sample of a sensor that is asked on a
    /// thread of its own. Never later than the call.
    public var time: Timestamp?
    /// Why the count knows nothing of the time since the reading before: that stretch is a gap. Nil where it does.
    public var gap: Gap.Cause?

    public init(_ count: Int64, time: Timestamp? = nil, gap: Gap.Cause? = nil) {
        self.count = count
        self.time = time
        self.gap = gap
    }
}
