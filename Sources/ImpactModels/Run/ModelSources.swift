public import Carbon
public import Energy

/// What a run asks of the world outside: nothing of it is read by the engine itself.
public struct ModelSources: Sendable {
    /// A file's text by the path in the manifest; the reader decides what the path is relative to and what it may reach.
    public var file: @Sendable (String) throws(SourceRefusal) -> String
    /// The model of cloud machines with its tables; nil where there are none.
    public var cloud: CCFModel?
    /// The spans or host hours of a collector.
    public var measured: @Sendable (MeasuredQuery) throws(SourceRefusal) -> MeasuredObservations

    public init(
        file: @escaping @Sendable (String) throws(SourceRefusal) -> String = { path throws(SourceRefusal) in
            throw SourceRefusal(expected: "files to be readable here", found: "none are")
        },
        cloud: CCFModel? = nil,
        measured: @escaping @Sendable (MeasuredQuery) throws(SourceRefusal) -> MeasuredObservations = { _ throws(SourceRefusal) in
            throw SourceRefusal(expected: "a collector to ask", found: "none")
        }
    ) {
        self.file = file
        self.cloud = cloud
        self.measured = measured
    }
}

/// What a source did not give, and why.
public struct SourceRefusal: Error, Hashable, Sendable {
    public let expected: String
    public let found: String
    public let advice: String?

    public init(expected: String, found: String, advice: String? = nil) {
        self.expected = expected
        self.found = found
        self.advice = advice
    }
}

/// What a plugin with `path: wattle` asks a collector for.
public struct MeasuredQuery: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case spans = "Spans"
        case hostHours = "HostHours"
    }

    public var kind: Kind
    /// `service`, `repository`, `release`, `host`, `key`: texts by which spans are chosen.
    public var filters: [String: String]
    public var range: Interval

    public init(kind: Kind, filters: [String: String], range: Interval) {
        self.kind = kind
        self.filters = filters
        self.range = range
    }
}
