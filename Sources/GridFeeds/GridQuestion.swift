public import Carbon
public import Energy

/// What is asked of a provider.
public struct GridQuestion: Hashable, Sendable {
    public enum Span: Hashable, Sendable {
        /// What is known of the present.
        case latest
        /// What was; an end after `now` asks for no forecast.
        case past(Interval)
        /// What is expected from `now` on.
        case forecast
    }

    public var zone: GridZone
    public var span: Span
    public var now: Timestamp

    public init(_ span: Span, of zone: GridZone, now: Timestamp) {
        self.zone = zone
        self.span = span
        self.now = now
    }
}
