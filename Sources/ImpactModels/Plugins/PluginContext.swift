import Energy

/// What a step knows beside its observations, and how it reads them.
struct PluginContext {
    let node: String
    let plugin: Manifest.Plugin
    let isStrict: Bool
    let sources: ModelSources
    let methods: ParameterMethods
    let dialect: Manifest.Dialect
    /// Parameters that the node sets once for all its observations.
    let constants: Set<String>
    var notes: ModelNotes

    var place: String { "\(node): \(plugin.name)" }

    mutating func note(_ text: String) { notes.add(place, text) }

    func fault(at index: Int?, _ key: String?, expected: String, found: String, advice: String? = nil) -> ModelFault {
        ModelFault(node, plugin: plugin.name, observation: index, key: key, expected: expected, found: found, advice: advice)
    }

    // MARK: Reading observations

    /// A parameter under the plugin's name for it, the manifest's, or an older one; nil where it is missing or null.
    mutating func value(_ name: String, _ observation: ModelMap) -> ModelValue? {
        if let mapped = plugin.mapping[name], let key = ParameterNames.key(of: mapped, in: observation) { return observation[key] }
        guard let key = ParameterNames.key(of: name, in: observation) else { return nil }
        if key != name { note("\(key): read as \(name)") }
        return observation[key]
    }

    /// Whether the observation has null for a parameter.
    func isUnknown(_ name: String, _ observation: ModelMap) -> Bool {
        if let mapped = plugin.mapping[name], ParameterNames.key(of: mapped, in: observation) != nil { return false }
        return ParameterNames.isUnknown(plugin.mapping[name] ?? name, in: observation) || ParameterNames.isUnknown(name, in: observation)
    }

    mutating func optionalNumber(_ name: String, _ observation: ModelMap, at index: Int) throws(ModelFault) -> Double? {
        guard let value = value(name, observation) else { return nil }
        guard let number = value.number, number.isFinite else {
            throw fault(at: index, name, expected: "a number", found: value.described)
        }
        return number
    }

    mutating func number(_ name: String, _ observation: ModelMap, at index: Int) throws(ModelFault) -> Double {
        guard let number = try optionalNumber(name, observation, at: index) else {
            throw fault(
                at: index,
                name,
                expected: "a number",
                found: observation.isEmpty ? "nothing" : "none among \(observation.keys.joined(separator: ", "))",
                advice: "add it to the observation or to the node's defaults, or run a step before that makes it"
            )
        }
        return number
    }

    /// A number, or the name of another parameter that has it: `time-reserved: duration`.
    mutating func optionalReferredNumber(_ name: String, _ observation: ModelMap, at index: Int) throws(ModelFault) -> Double? {
        if let other = value(name, observation)?.text, other != name { return try number(other, observation, at: index) }
        return try optionalNumber(name, observation, at: index)
    }

    mutating func text(_ name: String, _ observation: ModelMap, at index: Int) throws(ModelFault) -> String {
        guard let value = value(name, observation), let text = value.text ?? (value.number == nil ? nil : value.plain) else {
            throw fault(at: index, name, expected: "a text", found: observation[name]?.described ?? "nothing")
        }
        return text
    }

    mutating func number(_ term: ParameterTerm, _ observation: ModelMap, at index: Int) throws(ModelFault) -> Double {
        switch term {
        case .number(let number): return number
        case .parameter(let name): return try number(name, observation, at: index)
        case .arithmetic(let arithmetic):
            return try arithmetic.value { name throws(ModelFault) in try self.number(name, observation, at: index) }
        }
    }

    /// In seconds.
    mutating func duration(_ observation: ModelMap, at index: Int) throws(ModelFault) -> Double {
        let seconds = try number("duration", observation, at: index)
        guard ObservationTime.duration(seconds: seconds) != nil else {
            throw fault(at: index, "duration", expected: "seconds, 0 or more", found: "the number \(ModelValue.number(seconds).plain)")
        }
        return seconds
    }

    /// From the timestamp on, for the duration.
    mutating func interval(_ observation: ModelMap, at index: Int) throws(ModelFault) -> Interval {
        guard let value = value("timestamp", observation), let read = ObservationTime.read(value) else {
            throw fault(
                at: index,
                "timestamp",
                expected: "an instant such as 2026-09-01T09:00:00Z",
                found: self.value("timestamp", observation)?.described ?? "nothing"
            )
        }
        let duration = ObservationTime.duration(seconds: try duration(observation, at: index)) ?? .zero
        return Interval(read.instant, read.instant + duration)
    }

    // MARK: Writing results

    /// Sets a result under the manifest's name for it.
    mutating func set(_ name: String, to number: Double, _ observation: inout ModelMap, at index: Int) throws(ModelFault) {
        guard number.isFinite else {
            throw fault(at: index, name, expected: "a result that is a number", found: "\(number)")
        }
        observation[plugin.mapping[name] ?? name] = .number(number)
    }
}
