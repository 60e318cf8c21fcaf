/// Takes every further parameter from the first.
struct Subtract: ArithmeticStep {
    let terms: [ParameterTerm]
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        terms = try config.terms("input-parameters")
        output = try config.output("output-parameter")
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        var difference = try context.number(terms[0], observation, at: index)
        for input in terms.dropFirst() { difference -= try context.number(input, observation, at: index) }
        return difference
    }
}
