/// Multiplies parameters.
struct Multiply: ArithmeticStep {
    let terms: [ParameterTerm]
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        terms = try config.terms("input-parameters")
        output = try config.output("output-parameter")
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        var product = 1.0
        for input in terms { product *= try context.number(input, observation, at: index) }
        return product
    }
}
