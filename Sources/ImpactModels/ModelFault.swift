/// Why a manifest cannot be run: where, what was expected there, what was found, and what to do.
public struct ModelFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// The node of the tree or the part of the file: `tree.children.server-1`, `initialize.plugins.sum`.
    public var place: String
    /// The step of the pipeline.
    public var plugin: String?
    /// The number of the observation in its list, from 0.
    public var observation: Int?
    public var key: String?
    public var expected: String
    public var found: String
    public var advice: String?

    public init(
        _ place: String,
        plugin: String? = nil,
        observation: Int? = nil,
        key: String? = nil,
        expected: String,
        found: String,
        advice: String? = nil
    ) {
        self.place = place
        self.plugin = plugin
        self.observation = observation
        self.key = key
        self.expected = expected
        self.found = found
        self.advice = advice
    }

    public var description: String {
        let places = [place, plugin, observation.map { "inputs[\($0)]" }, key].compactMap { $0 }.filter { !$0.isEmpty }
        return (places + ["expected \(expected), found \(found)"]).joined(separator: ": ") + (advice.map { "; \($0)" } ?? "")
    }
}

/// What a reader of the result has to know: a spelling that was understood, a figure that differs from a published one.
public struct ModelNote: Hashable, Sendable, CustomStringConvertible {
    public let place: String
    public let text: String

    public var description: String { place.isEmpty ? text : "\(place): \(text)" }
}

/// Notes in the order in which they came, each once.
public struct ModelNotes: Sendable {
    public private(set) var list: [ModelNote] = []
    private var known: Set<ModelNote> = []

    public init() {}

    public mutating func add(_ place: String, _ text: String) {
        let note = ModelNote(place: place, text: text)
        if known.insert(note).inserted { list.append(note) }
    }
}
