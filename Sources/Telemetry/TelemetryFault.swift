/// Bytes that are not what a sender said they are: where, what was expected, what was found.
public struct TelemetryFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// As the format's own description calls it: `timeseries[3].samples[0].timestamp`.
    public let field: String
    public let expected: String
    public let found: String

    public init(field: String, expected: String, found: String) {
        self.field = field
        self.expected = expected
        self.found = found
    }

    public var description: String { "field \(field): expected \(expected), found \(found)" }
}
