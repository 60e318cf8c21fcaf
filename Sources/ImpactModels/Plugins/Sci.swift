import Carbon

/// Carbon per functional unit.
///
/// Without a unit served there is no intensity: null, with a note. Upstream then gives the carbon itself; so does strict mode.
struct Sci: EachObservation {
    /// Nil where an older manifest wants a rate in time alone.
    private let unit: String?
    /// In older manifests the units are those of such a time, and the carbon is brought to it.
    private let perSeconds: Double?

    init(_ config: PluginConfig) throws(ModelFault) {
        let isRate = !(config.values["functional-unit-time"] ?? .null).plain.isEmpty
        unit = isRate && (config.values["functional-unit"] ?? .null).plain.isEmpty ? nil : try config.text("functional-unit")
        guard let time = config.values["functional-unit-time"], !time.isNull, time != .text("") else {
            perSeconds = nil
            return
        }
        let count = try config.optionalNumber("functional-unit-duration") ?? 1
        guard let seconds = time.text.flatMap(Self.seconds), count > 0 else {
            throw config.fault("functional-unit-time", "a time such as 1 min, hour or day, and functional-unit-duration above 0")
        }
        perSeconds = seconds * count
    }

    /// `minute`, `1-min`, `2 days`; a year has 365 days, and twelve months.
    private static func seconds(_ text: String) -> Double? {
        let words = text.lowercased().split { " -".contains($0) }.map(String.init)
        guard let unit = words.last, words.count <= 2, let count = words.count == 2 ? Double(words[0]) : 1, count > 0 else { return nil }
        switch unit {
        case "s", "sec", "secs", "second", "seconds": return count
        case "m", "min", "mins", "minute", "minutes": return count * 60
        case "h", "hr", "hrs", "hour", "hours": return count * 3_600
        case "d", "day", "days": return count * 86_400
        case "week", "weeks": return count * 604_800
        case "month", "months": return count * 2_628_000
        case "y", "year", "years": return count * 31_536_000
        default: return nil
        }
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        if !context.isStrict, let unknown = unknown(observation, context) {
            context.note("sci is null where \(unknown) is")
            observation[context.plugin.mapping["sci"] ?? "sci"] = .null
            return
        }
        var carbon: Double
        if let given = try context.optionalNumber("carbon", observation, at: index) {
            carbon = given
        } else if context.value("carbon-operational", observation) != nil, context.value("carbon-embodied", observation) != nil {
            context.note("carbon: the sum of the operational and the embodied")
            carbon =
                try context.number("carbon-operational", observation, at: index)
                + context.number("carbon-embodied", observation, at: index)
        } else {
            carbon = try context.number("carbon", observation, at: index)
        }
        if let perSeconds {
            let seconds = try context.duration(observation, at: index)
            guard seconds > 0 else { throw context.fault(at: index, "duration", expected: "seconds, above 0", found: "0") }
            carbon *= perSeconds / seconds
            guard let unit, context.value(unit, observation) != nil else {
                context.note("sci is per time alone, as there are no units")
                return try context.set("sci", to: carbon, &observation, at: index)
            }
        }
        guard let unit else { return }
        let units = try context.number(unit, observation, at: index)
        guard units >= 0 else {
            throw context.fault(at: index, unit, expected: "a number of units, 0 or more", found: "the number \(units)")
        }
        if let score = SCI(operational: CO2e(grams: carbon), embodied: .zero, functionalUnits: units).gramsPerUnit {
            try context.set("sci", to: score, &observation, at: index)
        } else if context.isStrict {
            context.note("0 \(unit): sci is the carbon itself, as upstream has it")
            try context.set("sci", to: carbon, &observation, at: index)
        } else {
            context.note("0 \(unit): sci is null, as there is nothing to divide by")
            observation[context.plugin.mapping["sci"] ?? "sci"] = .null
        }
    }

    /// The first parameter that the observation has null for, of those that the result takes.
    private func unknown(_ observation: ModelMap, _ context: PluginContext) -> String? {
        var parameters = ["carbon"]
        if ParameterNames.key(of: "carbon", in: observation) != nil {
            parameters = []
        } else if !context.isUnknown("carbon", observation) {
            parameters = ["carbon-operational", "carbon-embodied"]
        }
        return (parameters + (unit.map { [$0] } ?? [])).first { context.isUnknown($0, observation) }
    }
}
