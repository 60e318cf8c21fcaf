extension Manifest {
    /// The document again, with what a run made of the tree.
    public var document: ModelMap {
        var map = source
        map[dialect.root] = .map(written(tree))
        return map
    }

    private func written(_ node: Node) -> ModelMap {
        var map = node.source
        // Children stay at their place, what a run adds comes before them as far as it is new.
        let children = map["children"]
        map["children"] = nil
        func set(_ key: String, _ list: [ModelMap]?) {
            if let list {
                map[key] = .list(list.map { .map($0) })
            } else if map[key].map({ !$0.isNull }) == true {
                map[key] = nil
            }
        }
        set(dialect.inputs, node.inputs)
        set(dialect.outputs, node.outputs)
        if let aggregated = node.aggregated { map[dialect.aggregated] = .map(aggregated) }
        if !node.children.isEmpty {
            map["children"] = .map(ModelMap(node.children.map { ($0.name, .map(written($0))) }))
        } else if let children {
            map["children"] = children
        }
        return map
    }
}
