extension Manifest {
    /// Reads a manifest or an impl from its document.
    ///
    /// - Throws: `ModelFault` with the place, also for a step that no plugin was declared for.
    public init(_ document: ModelValue) throws(ModelFault) {
        guard let map = document.map else {
            throw ModelFault("", expected: "a manifest: a mapping with initialize and tree", found: document.described)
        }
        var reader = ManifestReader()
        self = try reader.manifest(map)
    }
}

private struct ManifestReader {
    var notes = ModelNotes()
    var dialect = Manifest.Dialect.manifest
    var methods = ParameterMethods()

    /// Deeper trees than any organisation.
    private static let deepest = 64

    mutating func manifest(_ map: ModelMap) throws(ModelFault) -> Manifest {
        guard let root = map["tree"] ?? map["graph"], let initialize = map["initialize"]?.map else {
            throw ModelFault(
                "",
                expected: "the keys initialize and tree, or graph in an impl of 2023",
                found: map.keys.isEmpty ? "nothing" : map.keys.joined(separator: ", ")
            )
        }
        if !map.contains("tree") {
            dialect = holds("observations", root) ? .observations : .impl
            notes.add("", "an impl of 2023: read as such, config values are laid over each observation")
        }
        let plugins = try self.plugins(initialize)
        parameters(map["params"] ?? map["parameters"])
        for plugin in plugins { try declare(plugin) }
        guard let rootMap = root.map else {
            throw ModelFault(dialect.root, expected: "a mapping with children or inputs", found: root.described)
        }
        return Manifest(
            name: map["name"]?.text,
            dialect: dialect,
            explains: map["explainer"]?.bool ?? false,
            aggregation: try aggregation(map["aggregation"] ?? .null),
            plugins: plugins,
            methods: methods,
            tree: try node(rootMap, name: dialect.root, path: dialect.root, depth: 0),
            source: map,
            notes: notes
        )
    }

    private func holds(_ key: String, _ value: ModelValue, depth: Int = 0) -> Bool {
        guard depth < Self.deepest, let map = value.map else { return false }
        return map.contains(key) || (map["children"]?.map?.pairs.contains { holds(key, $0.value, depth: depth + 1) } ?? false)
    }

    // MARK: Plugins

    private mutating func plugins(_ initialize: ModelMap) throws(ModelFault) -> [Manifest.Plugin] {
        if let declared = initialize["plugins"], !dialect.isImpl || !declared.isNull {
            guard let map = declared.map else {
                throw ModelFault("initialize.plugins", expected: "a mapping of names to plugins", found: declared.described)
            }
            var plugins: [Manifest.Plugin] = []
            for (name, value) in map.pairs { plugins.append(try plugin(name, value, place: "initialize.plugins.\(name)")) }
            return plugins
        }
        guard let models = initialize["models"]?.list else {
            throw ModelFault(
                "initialize",
                expected: dialect.isImpl ? "models, a list" : "plugins, a mapping of names to plugins",
                found: initialize.isEmpty ? "nothing" : initialize.keys.joined(separator: ", ")
            )
        }
        var plugins: [Manifest.Plugin] = []
        for (index, value) in models.enumerated() {
            guard let name = value.map?["name"]?.text else {
                throw ModelFault(
                    "initialize.models[\(index)]",
                    key: "name",
                    expected: "a text",
                    found: value.map?["name"]?.described ?? "nothing"
                )
            }
            plugins.append(try plugin(name, value, place: "initialize.models.\(name)"))
        }
        return plugins
    }

    private mutating func plugin(_ name: String, _ value: ModelValue, place: String) throws(ModelFault) -> Manifest.Plugin {
        guard let map = value.map else {
            throw ModelFault(place, expected: "a mapping with path and method", found: value.described)
        }
        func text(_ keys: [String]) throws(ModelFault) -> String? {
            for key in keys {
                guard let value = map[key], !value.isNull else { continue }
                guard let text = value.text else { throw ModelFault(place, key: key, expected: "a text", found: value.described) }
                return text
            }
            return nil
        }
        var mapping: [String: String] = [:]
        for (key, value) in try self.map(map["mapping"], place, "mapping")?.pairs ?? [] {
            guard let other = value.text else {
                throw ModelFault(place, key: "mapping.\(key)", expected: "a name of a parameter", found: value.described)
            }
            mapping[key] = other
        }
        let kind = try text(["kind"])
        // The first impls had no path, an empty one or false for what was built in.
        var path = map["path"] == .bool(false) && dialect.isImpl ? "" : try text(["path"]) ?? ""
        if path.isEmpty, dialect.isImpl || kind == "builtin" || kind == "plugin" { path = "builtin" }
        if map.contains("global-config") { notes.add(place, "global-config: read as config, its name since 2024") }
        var config = try self.map(map["config"] ?? map["global-config"], place, "config") ?? ModelMap()
        config = hyphenated(config, place)
        return Manifest.Plugin(
            name: name,
            place: place,
            path: path,
            method: try text(["method", "model"]) ?? name,
            config: config,
            mapping: mapping,
            metadata: try self.map(map["parameter-metadata"], place, "parameter-metadata") ?? ModelMap()
        )
    }

    private func map(_ value: ModelValue?, _ place: String, _ key: String) throws(ModelFault) -> ModelMap? {
        guard let value, !value.isNull else { return nil }
        guard let map = value.map else { throw ModelFault(place, key: key, expected: "a mapping", found: value.described) }
        return map
    }

    /// Settings under today's spelling of their names.
    private mutating func hyphenated(_ config: ModelMap, _ place: String) -> ModelMap {
        var result = ModelMap()
        for (key, value) in config.pairs {
            let name = key.replacing("_", with: "-")
            if name != key, ConfigNames.known.contains(name), !config.contains(name) {
                notes.add(place, "\(key): read as \(name)")
                result[name] = value
            } else {
                result[key] = value
            }
        }
        return result
    }

    // MARK: Parameters

    private mutating func declare(_ plugin: Manifest.Plugin) throws(ModelFault) {
        for side in ["inputs", "outputs"] {
            for (name, value) in plugin.metadata[side]?.map?.pairs ?? [] {
                guard let method = value.map?["aggregation-method"], !method.isNull else { continue }
                let place = "\(plugin.place).parameter-metadata.\(side).\(name)"
                if let both = method.text {
                    let one = try self.method(both, place)
                    methods.declare(name, ParameterMethods.Pair(time: one, component: one))
                } else {
                    let time = try self.method(method.map?["time"]?.text ?? "", place + ".aggregation-method.time")
                    let component = try self.method(method.map?["component"]?.text ?? "", place + ".aggregation-method.component")
                    methods.declare(name, ParameterMethods.Pair(time: time, component: component))
                }
            }
        }
    }

    private func method(_ text: String, _ place: String) throws(ModelFault) -> AggregationMethod {
        guard let method = AggregationMethod(rawValue: text.lowercased()) else {
            let known = AggregationMethod.allCases.map(\.rawValue).joined(separator: ", ")
            throw ModelFault(place, expected: "one of \(known)", found: text.isEmpty ? "nothing" : "the text \"\(text)\"")
        }
        return method
    }

    /// The list of 2024: `params: [{name, unit, aggregation}]`.
    private mutating func parameters(_ value: ModelValue?) {
        for one in value?.list ?? [] {
            guard let name = one.map?["name"]?.text, let method = AggregationMethod(rawValue: one.map?["aggregation"]?.text ?? "") else {
                continue
            }
            methods.declare(name, ParameterMethods.Pair(time: method, component: method))
        }
    }

    // MARK: Aggregation

    private mutating func aggregation(_ value: ModelValue) throws(ModelFault) -> Manifest.Aggregation? {
        guard let map = value.map else {
            if value.isNull { return nil }
            throw ModelFault("aggregation", expected: "metrics and type", found: value.described)
        }
        var metrics: [String] = []
        if let listed = (map["metrics"] ?? map["aggregation-metrics"])?.list {
            for (index, metric) in listed.enumerated() {
                guard let name = metric.text else {
                    throw ModelFault("aggregation.metrics[\(index)]", expected: "a name of a parameter", found: metric.described)
                }
                metrics.append(name)
            }
        } else if let mapped = map["metrics"]?.map {
            // Of 2024: names with the method.
            for (name, value) in mapped.pairs {
                metrics.append(name)
                if let method = AggregationMethod(rawValue: value.map?["method"]?.text ?? "") {
                    methods.declare(name, ParameterMethods.Pair(time: method, component: method))
                }
            }
        } else {
            throw ModelFault("aggregation.metrics", expected: "a list of parameters", found: map["metrics"]?.described ?? "nothing")
        }
        let type = map["type"]?.text ?? (dialect.isImpl && !map.contains("type") ? "both" : "")
        let skipped = (map["skip-components"]?.list ?? []).compactMap(\.text)
        switch type {
        case "time", "horizontal":
            return Manifest.Aggregation(metrics: metrics, overTime: true, overComponents: false, skipped: skipped)
        case "component", "vertical":
            return Manifest.Aggregation(metrics: metrics, overTime: false, overComponents: true, skipped: skipped)
        case "both":
            return Manifest.Aggregation(metrics: metrics, overTime: true, overComponents: true, skipped: skipped)
        default:
            throw ModelFault(
                "aggregation.type",
                expected: "time, component or both (horizontal or vertical in older manifests)",
                found: map["type"]?.described ?? "nothing"
            )
        }
    }

    // MARK: The tree

    private mutating func node(_ map: ModelMap, name: String, path: String, depth: Int) throws(ModelFault) -> Manifest.Node {
        guard depth < Self.deepest else {
            throw ModelFault(path, expected: "at most \(Self.deepest) levels of components", found: "one more")
        }
        var node = Manifest.Node(name: name, path: path, source: map)
        node.pipeline = try pipeline(map["pipeline"], path)
        node.defaults = try self.map(map["defaults"], path, "defaults")
        if let config = try self.map(map["config"], path, "config") {
            var settings: [String: ModelMap] = [:]
            for (plugin, value) in config.pairs {
                guard let values = try self.map(value, path, "config.\(plugin)") else { continue }
                settings[plugin] = dialect.isImpl ? values : hyphenated(values, path)
            }
            node.config = settings
        }
        node.inputs = try observations(map[dialect.inputs] ?? (dialect.isImpl ? map["inputs"] : nil), path, dialect.inputs)
        node.outputs = try observations(map[dialect.outputs], path, dialect.outputs)
        if let children = try self.map(map["children"], path, "children") {
            for (name, value) in children.pairs {
                guard let child = value.map else {
                    throw ModelFault("\(path).children.\(name)", expected: "a component with inputs or children", found: value.described)
                }
                node.children.append(try self.node(child, name: name, path: "\(path).children.\(name)", depth: depth + 1))
            }
        }
        return node
    }

    private func observations(_ value: ModelValue?, _ path: String, _ key: String) throws(ModelFault) -> [ModelMap]? {
        guard let value, !value.isNull else { return nil }
        guard let list = value.list else { throw ModelFault(path, key: key, expected: "a list of observations", found: value.described) }
        var result: [ModelMap] = []
        for (index, one) in list.enumerated() {
            guard let map = one.map else {
                throw ModelFault(path, observation: index, expected: "an observation: parameters with their values", found: one.described)
            }
            result.append(map)
        }
        return result
    }

    private mutating func pipeline(_ value: ModelValue?, _ path: String) throws(ModelFault) -> Manifest.Pipeline? {
        guard let value, !value.isNull else { return nil }
        if value.list != nil {
            if !dialect.isImpl { notes.add(path, "pipeline: a list without observe, regroup and compute is run from top to bottom") }
            return Manifest.Pipeline(flat: try names(value, path, "pipeline"))
        }
        guard let map = value.map else {
            throw ModelFault(path, key: "pipeline", expected: "observe, regroup and compute, or a list of plugins", found: value.described)
        }
        if let unknown = map.keys.first(where: { !["observe", "regroup", "compute"].contains($0) }) {
            throw ModelFault(path, key: "pipeline", expected: "observe, regroup or compute", found: unknown)
        }
        var pipeline = Manifest.Pipeline()
        pipeline.observe = try names(map["observe"], path, "pipeline.observe")
        pipeline.compute = try names(map["compute"], path, "pipeline.compute")
        if let keys = map["regroup"], !keys.isNull { pipeline.regroup = try names(keys, path, "pipeline.regroup") }
        return pipeline
    }

    private func names(_ value: ModelValue?, _ path: String, _ key: String) throws(ModelFault) -> [String] {
        guard let value, !value.isNull else { return [] }
        guard let list = value.list else { throw ModelFault(path, key: key, expected: "a list of names", found: value.described) }
        var names: [String] = []
        for one in list {
            guard let name = one.text else { throw ModelFault(path, key: key, expected: "a list of names", found: one.described) }
            names.append(name)
        }
        return names
    }
}

/// Settings of plugins that manifests have also written with underscores.
enum ConfigNames {
    static let known: Set<String> = [
        "input-parameter", "input-parameters", "output-parameter", "functional-unit", "functional-unit-time", "functional-unit-duration",
        "start-time", "end-time", "allow-padding",
        "upsampling-resolution", "timestamp-from", "timestamp-to", "keep-existing", "expected-lifespan", "instance-type",
        "thermal-design-power", "grid-carbon-intensity",
    ]
}
