/// A parameter under another name; the original stays or goes.
struct Copy: EachObservation {
    private let from: String
    private let to: String
    private let keepsExisting: Bool

    init(_ config: PluginConfig) throws(ModelFault) {
        from = try config.text("from")
        to = try config.output("to")
        keepsExisting = try config.bool("keep-existing") ?? true
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let mapped = context.plugin.mapping[from].flatMap { observation.contains($0) ? $0 : nil }
        guard let key = mapped ?? ParameterNames.key(of: from, in: observation), let value = observation[key] else {
            throw context.fault(
                at: index,
                from,
                expected: "a value",
                found: observation.isEmpty ? "nothing" : "none among \(observation.keys.joined(separator: ", "))"
            )
        }
        if !keepsExisting { observation[key] = nil }
        observation[context.plugin.mapping[to] ?? to] = value
    }
}
