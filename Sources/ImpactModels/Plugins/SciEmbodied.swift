import Carbon

/// The embodied carbon of a machine's use.
///
/// From its parts, or, where the observation has `device/emissions-embodied`, from that figure by the standard's
/// `M = TE * TS * RS`.
///
/// Mended: upstream gives an SSD an HDD's mass and the reverse, adds 100 kg per vCPU where its source has 100 kg per further socket, and
/// takes the memory constant in kg where all others are in g.
struct SciEmbodied: EachObservation {
    private static let fourYears = 126_144_000.0

    private let baselineVCPUs: Double
    private let baselineMemory: Double
    private let baselineGrams: Double
    private let lifetimeSeconds: Double
    private let gramsPerVCPU: Double?
    private let gramsPerGigabyte: Double
    private let gramsPerSSD: Double
    private let gramsPerHDD: Double
    private let gramsPerGPU: Double
    private let output: String?
    private let readsGrams: Bool

    init(_ config: PluginConfig) throws(ModelFault) {
        func number(_ key: String, _ standard: Double) throws(ModelFault) -> Double {
            guard let number = try config.optionalNumber(key) else { return standard }
            guard number >= 0 else { throw config.fault(key, "a number, 0 or more") }
            return number
        }
        baselineVCPUs = try number("baseline-vcpus", 1)
        baselineMemory = try number("baseline-memory", 16)
        baselineGrams = try number("baseline-emissions", 1_000_000)
        lifetimeSeconds = try number("lifespan", Self.fourYears)
        guard lifetimeSeconds > 0 else { throw config.fault("lifespan", "seconds, above 0") }
        gramsPerVCPU = try config.optionalNumber("vcpu-emissions-constant") ?? (config.isStrict ? 100_000 : nil)
        let memory = try number("memory-emissions-constant", 533.0 / 384)
        // A gigabyte of memory was never made at 20 kg: such a figure is in grams, as the other constants are.
        readsGrams = !config.isStrict && memory > 20
        gramsPerGigabyte = readsGrams ? memory : memory * 1_000
        gramsPerSSD = try number("ssd-emissions-constant", config.isStrict ? 50_000 : 100_000)
        gramsPerHDD = try number("hdd-emissions-constant", config.isStrict ? 100_000 : 50_000)
        gramsPerGPU = try number("gpu-emissions-constant", 150_000)
        output = config.values.contains("output-parameter") ? try config.output("output-parameter") : nil
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        // Upstream's own built-in of today passes over the figure, without a word.
        let isIgnored = context.isStrict && context.plugin.path.hasPrefix("builtin")
        if !isIgnored, context.value("device/emissions-embodied", observation) != nil {
            try fromFigure(&observation, at: index, &context)
        } else {
            try fromParts(&observation, at: index, &context)
        }
    }

    // MARK: From the machine's parts

    private func fromParts(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        func given(_ key: String, _ standard: Double, _ context: inout PluginContext) throws(ModelFault) -> Double {
            guard let number = try context.optionalNumber(key, observation, at: index) else {
                observation[key] = .number(standard)
                return standard
            }
            guard number >= 0 else { throw context.fault(at: index, key, expected: "a number, 0 or more", found: "the number \(number)") }
            return number
        }
        if readsGrams { context.note("memory-emissions-constant above 20: read as g per GB; upstream multiplies it by 1000") }
        let seconds = try context.duration(observation, at: index)
        let vcpus = try given("vCPUs", 1, &context)
        let memory = try given("memory", baselineMemory, &context)
        let ssds = try given("ssd", 0, &context)
        let hdds = try given("hdd", 0, &context)
        let gpus = try given("gpu", 0, &context)
        if !context.isStrict, !observation.contains("usage-ratio") {
            context.note("usage-ratio is not given: the whole machine counts")
        }
        let share = try given("usage-ratio", 1, &context)
        guard context.isStrict || share <= 1 else {
            throw context.fault(at: index, "usage-ratio", expected: "a part of the machine, 0 to 1", found: "the number \(share)")
        }
        let time = try context.optionalNumber("time", observation, at: index) ?? seconds
        var grams = baselineGrams
        if let gramsPerVCPU {
            grams += (vcpus - baselineVCPUs) * gramsPerVCPU
        } else {
            let sockets = try context.optionalNumber("sockets", observation, at: index) ?? 1
            grams += max(0, sockets - 1) * 100_000
        }
        grams += (memory - baselineMemory) * gramsPerGigabyte
        grams += ssds * gramsPerSSD + hdds * gramsPerHDD + gpus * gramsPerGPU
        try context.set(output ?? "embodied-carbon", to: grams * share * time / lifetimeSeconds, &observation, at: index)
    }

    // MARK: From a figure for the whole

    private func fromFigure(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        context.note("device/emissions-embodied is given: that figure counts, and not the machine's parts")
        let total = try context.number("device/emissions-embodied", observation, at: index)
        let lifetime = try context.number("device/expected-lifespan", observation, at: index)
        var reserved = try context.optionalReferredNumber("time-reserved", observation, at: index)
        if reserved == nil { reserved = try context.duration(observation, at: index) }
        let share: Double
        // What a lookup of the machine found goes before what was set by hand.
        if context.value("vcpus-allocated", observation) != nil, context.value("vcpus-total", observation) != nil {
            share = try part("vcpus-allocated", of: "vcpus-total", observation, at: index, &context)
        } else {
            share = try part("resources-reserved", of: "resources-total", observation, at: index, &context)
        }
        guard
            let mass = SCI.embodied(
                total: CO2e(grams: total),
                reservedSeconds: reserved ?? 0,
                lifetimeSeconds: lifetime,
                resourceShare: share
            )
        else {
            throw context.fault(
                at: index,
                nil,
                expected: "a lifespan above 0 s, a time of 0 s or more and a share of 0 to 1",
                found: "\(lifetime) s, \(reserved ?? 0) s and \(share)"
            )
        }
        try context.set(output ?? "carbon-embodied", to: mass.grams, &observation, at: index)
    }

    private func part(
        _ some: String,
        of all: String,
        _ observation: ModelMap,
        at index: Int,
        _ context: inout PluginContext
    ) throws(ModelFault) -> Double {
        let total = try context.number(all, observation, at: index)
        guard total > 0 else { throw context.fault(at: index, all, expected: "a number above 0", found: "the number \(total)") }
        return try context.number(some, observation, at: index) / total
    }
}
