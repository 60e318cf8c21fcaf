/// A run of a manifest: observe, regroup, compute, then aggregate.
public struct ModelRun: Sendable {
    public enum Phase: String, Sendable, Hashable, CaseIterable {
        case observe, regroup, compute
    }

    public struct Options: Sendable {
        public var phases: Set<Phase>
        /// As upstream computes, its traps among it. What upstream runs as code is not run in either mode.
        public var isStrict: Bool
        /// New outputs come after those that the file has.
        public var appends: Bool

        public init(phases: Set<Phase> = Set(Phase.allCases), isStrict: Bool = false, appends: Bool = false) {
            self.phases = phases
            self.isStrict = isStrict
            self.appends = appends
        }
    }

    /// The manifest with what was made of its tree.
    public let manifest: Manifest
    public let notes: [ModelNote]
    /// The document to write.
    public let document: ModelMap

    /// - Throws: `ModelFault`; a manifest is computed as a whole or not at all.
    public init(_ manifest: Manifest, options: Options = Options(), sources: ModelSources) throws(ModelFault) {
        var runner = Runner(manifest: manifest, options: options, sources: sources)
        var tree = manifest.tree
        try runner.run(&tree, Runner.Inherited())
        if let aggregation = manifest.aggregation, options.phases.contains(.compute) {
            var aggregator = Aggregator(
                aggregation: aggregation,
                methods: runner.methods,
                isStrict: options.isStrict,
                notes: runner.notes
            )
            try aggregator.run(&tree)
            runner.notes = aggregator.notes
        }
        var result = manifest
        result.tree = tree
        self.manifest = result
        notes = runner.notes.list
        document = Self.document(result, options, notes)
    }

    private static func document(_ manifest: Manifest, _ options: Options, _ notes: [ModelNote]) -> ModelMap {
        var document = manifest.document
        // What an earlier run said of itself is not true of this one.
        document["execution"] = nil
        if manifest.explains {
            document["explain"] = .map(
                ModelMap(
                    manifest.plugins.map { plugin in
                        var map = ModelMap([("path", .text(plugin.path)), ("method", .text(plugin.method))])
                        for side in ["inputs", "outputs"] { map[side] = plugin.metadata[side] ?? .null }
                        return (plugin.name, .map(map))
                    }
                )
            )
        }
        var execution = ModelMap([("status", .text("success"))])
        if options.isStrict { execution["strict-upstream"] = .bool(true) }
        if !notes.isEmpty { execution["notes"] = .list(notes.map { .text($0.description) }) }
        document["execution"] = .map(execution)
        return document
    }
}

extension Manifest {
    /// Whether a run may ask for the tables of cloud machines.
    public var needsCloudTables: Bool {
        plugins.contains { PluginKind.known($0) == .cloudCarbonFootprint }
    }

    /// What the plugins with `path: wattle` ask a collector for, so that it can be asked before the run.
    ///
    /// - Throws: `ModelFault` for settings that are missing.
    public func measuredQueries() throws(ModelFault) -> [MeasuredQuery] {
        var queries: [MeasuredQuery] = []
        for plugin in plugins where plugin.path == "wattle" {
            let query = try Measured.query(PluginConfig(plugin: plugin, values: plugin.config, isStrict: false))
            if !queries.contains(query) { queries.append(query) }
        }
        return queries
    }
}

private struct Runner {
    /// What a node has from its ancestors: each as a whole from the nearest one that has it.
    struct Inherited {
        var pipeline: Manifest.Pipeline?
        var defaults: ModelMap?
        var config: [String: ModelMap] = [:]
    }

    let manifest: Manifest
    let options: ModelRun.Options
    let sources: ModelSources
    let methods: ParameterMethods
    var notes: ModelNotes
    private var kinds: [String: PluginKind] = [:]

    init(manifest: Manifest, options: ModelRun.Options, sources: ModelSources) {
        self.manifest = manifest
        self.options = options
        self.sources = sources
        var methods = manifest.methods
        for plugin in manifest.plugins {
            if let kind = PluginKind.known(plugin) { methods.declare(kind) }
        }
        if options.isStrict { methods.undeclared = manifest.dialect.isImpl ? .knownElseSum : .nothing }
        self.methods = methods
        notes = manifest.notes
    }

    mutating func run(_ node: inout Manifest.Node, _ inherited: Inherited) throws(ModelFault) {
        var here = inherited
        here.pipeline = node.pipeline ?? inherited.pipeline
        here.defaults = node.defaults ?? inherited.defaults
        if let config = node.config {
            // The settings of an impl's node lie over those above it, plugin by plugin.
            here.config = manifest.dialect.isImpl ? inherited.config.merging(config) { _, own in own } : config
        }
        if !node.children.isEmpty {
            if node.inputs != nil { notes.add(node.path, "inputs beside children are not used") }
            for index in node.children.indices { try run(&node.children[index], here) }
            return
        }
        guard let pipeline = here.pipeline else {
            if node.inputs != nil { notes.add(node.path, "no pipeline: nothing is computed") }
            return
        }
        try work(&node, try steps(pipeline, node.path, here), here)
    }

    // MARK: Steps

    private struct Steps {
        var observe: [String] = []
        /// Only in lists without phases: what comes before the regrouping.
        var before: [String] = []
        var regroup: [String]?
        var compute: [String] = []
    }

    private mutating func steps(_ pipeline: Manifest.Pipeline, _ place: String, _ here: Inherited) throws(ModelFault) -> Steps {
        guard let flat = pipeline.flat else {
            return Steps(observe: pipeline.observe, regroup: pipeline.regroup, compute: pipeline.compute)
        }
        var steps = Steps()
        var rest = flat[...]
        while let name = rest.first, try kind(name, place).observes {
            steps.observe.append(name)
            rest.removeFirst()
        }
        for name in rest {
            if try kind(name, place) == .groupBy, steps.regroup == nil {
                steps.regroup = try GroupBy(try config(name, place, here)).keys
                steps.before = steps.compute
                steps.compute = []
            } else {
                steps.compute.append(name)
            }
        }
        return steps
    }

    private func declared(_ name: String, _ place: String) throws(ModelFault) -> Manifest.Plugin {
        guard let plugin = manifest.plugin(name) else {
            let known = manifest.plugins.map(\.name).joined(separator: ", ")
            throw ModelFault(
                place,
                key: "pipeline",
                expected: known.isEmpty ? "plugins to be declared under initialize" : "one of the plugins under initialize: \(known)",
                found: name
            )
        }
        return plugin
    }

    private mutating func kind(_ name: String, _ place: String) throws(ModelFault) -> PluginKind {
        if let kind = kinds[name] { return kind }
        let kind = try PluginKind(declared(name, place))
        kinds[name] = kind
        return kind
    }

    private func config(_ name: String, _ place: String, _ here: Inherited) throws(ModelFault) -> PluginConfig {
        let plugin = try declared(name, place)
        var values = plugin.config
        for (key, value) in here.config[name]?.pairs ?? [] {
            let hyphenated = key.replacing("_", with: "-")
            values[ConfigNames.known.contains(hyphenated) ? hyphenated : key] = value
        }
        return PluginConfig(plugin: plugin, values: values, isStrict: options.isStrict)
    }

    // MARK: Work

    private mutating func work(_ node: inout Manifest.Node, _ steps: Steps, _ here: Inherited) throws(ModelFault) {
        if options.phases.contains(.observe), !steps.observe.isEmpty {
            node.inputs = try run(steps.observe, node.inputs ?? [], node.path, here)
        }
        guard let inputs = node.inputs else {
            notes.add(node.path, "no inputs: nothing is computed")
            return
        }
        noteZoneless(inputs, node.path)
        guard options.phases.contains(.regroup) || options.phases.contains(.compute) else { return }
        var observations = filled(inputs, node.path, here)
        if options.phases.contains(.compute), !steps.before.isEmpty {
            observations = try run(steps.before, observations, node.path, here)
        }
        if options.phases.contains(.regroup), let keys = steps.regroup, !isGrouped(node, observations, by: keys) {
            node.children = try Regrouping.children(of: node, observations, by: keys)
            node.inputs = nil
            node.outputs = nil
            guard options.phases.contains(.compute), !steps.compute.isEmpty else { return }
            for index in node.children.indices {
                try computeGrouped(&node.children[index], Steps(compute: steps.compute), here)
            }
            return
        }
        guard options.phases.contains(.compute), !steps.compute.isEmpty else { return }
        let outputs = try run(steps.compute, observations, node.path, here)
        node.outputs = options.appends ? (node.outputs ?? []) + outputs : outputs
    }

    private mutating func noteZoneless(_ inputs: [ModelMap], _ place: String) {
        for input in inputs {
            guard let value = ParameterNames.key(of: "timestamp", in: input).flatMap({ input[$0] }),
                ObservationTime.read(value)?.isZoneless == true
            else { continue }
            return notes.add(place, "times without a zone, such as \(value.plain), are taken for UTC")
        }
    }

    private mutating func computeGrouped(_ node: inout Manifest.Node, _ steps: Steps, _ here: Inherited) throws(ModelFault) {
        if node.children.isEmpty { return try work(&node, steps, here) }
        for index in node.children.indices { try computeGrouped(&node.children[index], steps, here) }
    }

    private mutating func run(
        _ names: [String],
        _ observations: [ModelMap],
        _ place: String,
        _ here: Inherited
    ) throws(ModelFault) -> [ModelMap] {
        var current = observations
        for name in names {
            let kind = try kind(name, place)
            let config = try config(name, place, here)
            var context = PluginContext(
                node: place,
                plugin: config.plugin,
                isStrict: options.isStrict,
                sources: sources,
                methods: methods,
                dialect: manifest.dialect,
                constants: constants(here),
                notes: notes
            )
            let type = kind.type
            current = try type.init(config).run(current, &context)
            notes = context.notes
        }
        return current
    }

    private func constants(_ here: Inherited) -> Set<String> {
        Set(here.defaults?.keys ?? []).union(manifest.dialect.isImpl ? here.config.values.flatMap(\.keys) : [])
    }

    /// With the node's defaults where an observation has nothing, and, in an impl, its config over what an observation has.
    private mutating func filled(_ inputs: [ModelMap], _ place: String, _ here: Inherited) -> [ModelMap] {
        var result = inputs
        for (key, value) in here.defaults?.pairs ?? [] {
            for index in result.indices where result[index][key].map(\.isNull) ?? true { result[index][key] = value }
        }
        guard manifest.dialect.isImpl else { return result }
        for (plugin, config) in here.config.sorted(by: { $0.key < $1.key }) {
            for (key, value) in config.pairs where value.list == nil && value.map == nil {
                for index in result.indices {
                    if let own = result[index][key], own != value {
                        notes.add(place, "\(key): config of \(plugin) goes before the observations' own value, as it does in impls")
                    }
                    result[index][key] = value
                }
            }
        }
        return result
    }

    /// Whether the node is already where the values would put its observations, as in the output of an earlier run.
    private func isGrouped(_ node: Manifest.Node, _ observations: [ModelMap], by keys: [String]) -> Bool {
        let names = node.path.split(separator: ".children.", omittingEmptySubsequences: false).suffix(keys.count).map(String.init)
        return names.count == keys.count && !observations.isEmpty
            && observations.allSatisfy { observation in keys.map { observation[$0]?.plain ?? "" } == names }
    }
}
