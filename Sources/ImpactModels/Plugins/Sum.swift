/// Adds parameters.
struct Sum: ArithmeticStep {
    let terms: [ParameterTerm]
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        terms = try config.terms("input-parameters")
        output = try config.output("output-parameter")
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        var sum = 0.0
        for input in terms { sum += try context.number(input, observation, at: index) }
        return sum
    }
}
