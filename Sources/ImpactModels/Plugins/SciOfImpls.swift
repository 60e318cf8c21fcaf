import Carbon

/// `sci-e` of the impls of 2023: the energy of the parts, added.
struct SciE: EachObservation {
    init(_ config: PluginConfig) throws(ModelFault) {}

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        var sum = 0.0
        var found = false
        for part in ["cpu/energy", "memory/energy", "network/energy"] {
            guard let energy = try context.optionalNumber(part, observation, at: index) else { continue }
            sum += energy
            found = true
        }
        guard found else {
            throw context.fault(
                at: index,
                nil,
                expected: "cpu/energy, memory/energy or network/energy (energy-cpu, energy-memory, energy-network)",
                found: observation.isEmpty ? "nothing" : observation.keys.joined(separator: ", ")
            )
        }
        try context.set("energy", to: sum, &observation, at: index)
    }
}

/// `sci-o`: energy times the grid's intensity.
struct SciO: EachObservation {
    init(_ config: PluginConfig) throws(ModelFault) {}

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let grams =
            try context.number("energy", observation, at: index)
            * context.number("grid/carbon-intensity", observation, at: index)
        try context.set(context.dialect.isImpl ? "operational-carbon" : "carbon-operational", to: grams, &observation, at: index)
    }
}

/// `sci-m`: `M = TE * (TiR / EL) * (RR / ToR)`.
struct SciM: EachObservation {
    init(_ config: PluginConfig) throws(ModelFault) {}

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let total = try context.number("device/emissions-embodied", observation, at: index)
        let lifetime = try context.number("device/expected-lifespan", observation, at: index)
        guard let reserved = try context.optionalReferredNumber("time-reserved", observation, at: index) else {
            throw context.fault(at: index, "time-reserved", expected: "seconds", found: "nothing")
        }
        let all = try context.number("resources-total", observation, at: index)
        guard all > 0 else { throw context.fault(at: index, "resources-total", expected: "a number above 0", found: "the number \(all)") }
        let share = try context.number("resources-reserved", observation, at: index) / all
        guard
            let mass = SCI.embodied(
                total: CO2e(grams: total),
                reservedSeconds: reserved,
                lifetimeSeconds: lifetime,
                resourceShare: share
            )
        else {
            throw context.fault(
                at: index,
                nil,
                expected: "a lifespan above 0 s, a time of 0 s or more and a share of 0 to 1",
                found: "\(lifetime) s, \(reserved) s and \(share)"
            )
        }
        try context.set(context.dialect.isImpl ? "embodied-carbon" : "carbon-embodied", to: mass.grams, &observation, at: index)
    }
}
