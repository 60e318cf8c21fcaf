/// Moves a node's observations into children named by their values: `children/uk-west/children/A1`.
enum Regrouping {
    /// - Throws: `ModelFault` for an observation that lacks one of the keys, or has no name for a value.
    static func children(of node: Manifest.Node, _ observations: [ModelMap], by keys: [String]) throws(ModelFault) -> [Manifest.Node] {
        try group(observations.enumerated().map { ($0, $1) }, by: keys[...], path: node.path)
    }

    private static func group(
        _ observations: [(index: Int, map: ModelMap)],
        by keys: ArraySlice<String>,
        path: String
    ) throws(ModelFault) -> [Manifest.Node] {
        guard let key = keys.first else { return [] }
        var names: [String] = []
        var groups: [String: [(index: Int, map: ModelMap)]] = [:]
        for observation in observations {
            guard let value = observation.map[key], !value.plain.isEmpty else {
                throw ModelFault(
                    path,
                    observation: observation.index,
                    key: key,
                    expected: "a value to regroup by",
                    found: observation.map[key]?.described ?? "none among \(observation.map.keys.joined(separator: ", "))"
                )
            }
            if groups[value.plain] == nil { names.append(value.plain) }
            groups[value.plain, default: []].append(observation)
        }
        var nodes: [Manifest.Node] = []
        for name in names {
            let members = groups[name] ?? []
            var node = Manifest.Node(name: name, path: "\(path).children.\(name)", source: ModelMap())
            if keys.count > 1 {
                node.children = try group(members, by: keys.dropFirst(), path: node.path)
            } else {
                node.inputs = members.map(\.map)
            }
            nodes.append(node)
        }
        return nodes
    }
}
