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

    /// Whether an observation says of a parameter that it is not known: the key is there, with null for it.
    static func isUnknown(_ parameter: String, in observation: ModelMap) -> Bool {
        guard key(of: parameter, in: observation) == nil else { return false }
        return ([parameter] + (older[parameter] ?? [])).contains { name in
            observation.contains(name) || observation.contains(name.replacing("-", with: "_"))
        }
    }

    /// The key under which an observation holds a parameter; nil where it lacks it, or has null for it.
    static func key(of parameter: String, in observation: ModelMap) -> String? {
        for name in [parameter] + (older[parameter] ?? []) {
            for spelling in [name, name.replacing("-", with: "_")] where observation[spelling].map({ !$0.isNull }) == true {
                return spelling
            }
        }
        return nil
    }
}
