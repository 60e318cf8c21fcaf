public import Carbon
public import Energy

/// An intensity and the stretch of time that it is of.
public struct GridFigure: Hashable, Sendable {
    public var interval: Interval
    public var value: Intensity
    /// The provider's own edition, in an order in which a later one is larger: a revision is another edition. Nil where the provider names
    /// none: what was read later replaces what was read before where it differs.
    public var edition: String?

    public init(interval: Interval, value: Intensity, edition: String? = nil) {
        self.interval = interval
        self.value = value
        self.edition = edition
    }
}
