/// Something that looks like a sensor and is not used, and why.
public struct UnusedSensor: Hashable, Sendable {
    public var name: String
    public var reason: String
    /// What an operator can do about it; nil where nothing need or can be done.
    public var remedy: String?

    public init(name: String, reason: String, remedy: String? = nil) {
        self.name = name
        self.reason = reason
        self.remedy = remedy
    }
}
