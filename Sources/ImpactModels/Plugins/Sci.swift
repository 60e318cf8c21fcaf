import Carbon

/// Carbon per functional unit.
///
/// Without a unit served there is no intensity: null, with a note. Upstream then gives the carbon itself; so does strict mode.
struct Sci: EachObservation {
    private let unit: String

    init(_ config: PluginConfig) throws(ModelFault) {
        unit = try config.text("functional-unit")
        if let time = try config.optionalText("functional-unit-time") {
            throw ModelFault(
                config.plugin.place,
                key: "config.functional-unit-time",
                expected: "no such setting: the result is per functional unit",
                found: "the text \"\(time)\"",
                advice: "take it out; for a rate in time divide by duration with Divide"
            )
        }
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let carbon: Double
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
        let units = try context.number(unit, observation, at: index)
        guard units >= 0 else {
            throw context.fault(at: index, unit, expected: "a number of units, 0 or more", found: "the number \(units)")
        }
        if let score = SCI(operational: CO2e(grams: carbon), embodied: .zero, functionalUnits: units).gramsPerUnit {
            try context.set("sci", to: score, &observation, at: index)
        } else if context.isStrict {
            context.note("inputs[\(index)]: 0 \(unit): sci is the carbon itself, as upstream has it")
            try context.set("sci", to: carbon, &observation, at: index)
        } else {
            context.note("inputs[\(index)]: 0 \(unit): sci is null, as there is nothing to divide by")
            observation[context.plugin.mapping["sci"] ?? "sci"] = .null
        }
    }
}
