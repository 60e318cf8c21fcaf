/// An Impact Framework manifest (`tree`) or, of 2023, an impl (`graph`).
public struct Manifest: Sendable {
    /// The keys under which a dialect keeps things.
    public struct Dialect: Sendable, Hashable {
        /// `graph` with `initialize.models`; the values of `config` are laid over each observation.
        public var isImpl: Bool
        public var inputs: String
        public var outputs: String
        public var aggregated: String

        static let manifest = Dialect(isImpl: false, inputs: "inputs", outputs: "outputs", aggregated: "aggregated")
        static let impl = Dialect(isImpl: true, inputs: "inputs", outputs: "outputs", aggregated: "aggregated-outputs")
        /// The first impls.
        static let observations = Dialect(isImpl: true, inputs: "observations", outputs: "impacts", aggregated: "aggregated-outputs")

        var root: String { isImpl ? "graph" : "tree" }
    }

    /// What is put together after the run.
    public struct Aggregation: Sendable, Hashable {
        public var metrics: [String]
        public var overTime: Bool
        public var overComponents: Bool
        /// Names or paths of components that are left out of their parents' sums.
        public var skipped: [String]
    }

    /// A step that pipelines may name.
    public struct Plugin: Sendable, Hashable {
        public var name: String
        /// `initialize.plugins.sum`.
        public var place: String
        public var path: String
        public var method: String
        public var config: ModelMap
        /// The plugin's name of a parameter to the observations' name of it.
        public var mapping: [String: String]
        public var metadata: ModelMap
    }

    public struct Pipeline: Sendable, Hashable {
        /// Steps that make observations.
        public var observe: [String] = []
        /// Keys by whose values observations become children.
        public var regroup: [String]?
        public var compute: [String] = []
        /// A list without phases, as before 2024.
        public var flat: [String]?
    }

    public struct Node: Sendable {
        public var name: String
        /// `tree.children.server-1`.
        public var path: String
        /// Its keys as they were read.
        var source: ModelMap
        public var pipeline: Pipeline?
        public var defaults: ModelMap?
        /// Plugin to settings, beside those of `initialize`.
        var config: [String: ModelMap]?
        public var inputs: [ModelMap]?
        public var outputs: [ModelMap]?
        public var aggregated: ModelMap?
        public var children: [Node] = []
    }

    public var name: String?
    public var dialect: Dialect
    public var explains: Bool
    public var aggregation: Aggregation?
    public var plugins: [Plugin]
    public var methods: ParameterMethods
    public var tree: Node
    /// The document as it was read.
    var source: ModelMap
    /// What was understood although it is not today's spelling.
    public var notes: ModelNotes

    func plugin(_ name: String) -> Plugin? { plugins.first { $0.name == name } }
}
