/// The names that parameters have had: `cpu-util` of 2023 is today's `cpu/utilization`.
enum ParameterNames {
    /// Older names of a parameter, the youngest first.
    private static let older: [String: [String]] = [
        "timestamp": ["datetime"],
        "cpu/utilization": ["cpu-util"],
        "cpu/expected-lifespan": ["expected-lifespan"],
        "cpu/thermal-design-power": ["thermal-design-power"],
        "cloud/vendor": ["vendor", "provider"],
        "cloud/instance-type": ["instance-type"],
        "carbon-embodied": ["embodied-carbon", "embodied-emissions"],
        "embodied-carbon": ["carbon-embodied"],
        "carbon-operational": ["operational-carbon", "operational-emissions"],
        "grid/carbon-intensity": ["grid-carbon-intensity"],
        "device/emissions-embodied": ["total-embodied-emissions"],
        "device/expected-lifespan": ["expected-lifespan"],
        "resources-total": ["total-resources"],
        "cpu/energy": ["energy-cpu", "e-cpu"],
        "memory/energy": ["energy-memory", "e-mem"],
        "network/energy": ["energy-network", "e-net"],
    ]

    /// Those names with their spellings, the youngest first.
    private static let spellings: [String: [String]] = older.reduce(into: [:]) { spellings, entry in
        spellings[entry.key] = ([entry.key] + entry.value).flatMap(underscored)
    }

    private static func underscored(_ name: String) -> [String] {
        name.utf8.contains(UInt8(ascii: "-")) ? [name, name.replacing("-", with: "_")] : [name]
    }

    private static func all(_ parameter: String) -> [String] { spellings[parameter] ?? underscored(parameter) }

    /// Whether an observation says of a parameter that it is not known: the key is there, with null for it.
    static func isUnknown(_ parameter: String, in observation: ModelMap) -> Bool {
        key(of: parameter, in: observation) == nil && all(parameter).contains { observation.contains($0) }
    }

    /// The key under which an observation holds a parameter; nil where it lacks it, or has null for it.
    static func key(of parameter: String, in observation: ModelMap) -> String? {
        func isThere(_ key: String) -> Bool {
            switch observation[key] {
            case nil, .null?: false
            default: true
            }
        }
        // Of many observations nearly all have it under its own name.
        return isThere(parameter) ? parameter : all(parameter).first(where: isThere)
    }
}
