/// A parameter times a number.
struct Coefficient: ArithmeticStep {
    let terms: [ParameterTerm]
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        terms = [try config.parameter("input-parameter"), try config.term("coefficient")]
        output = try config.output("output-parameter")
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        try context.number(terms[0], observation, at: index) * context.number(terms[1], observation, at: index)
    }
}
