/// A parameter times a number.
struct Coefficient: EachObservation {
    private let input: ParameterTerm
    private let coefficient: ParameterTerm
    private let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        input = try config.parameter("input-parameter")
        coefficient = try config.term("coefficient")
        output = try config.output("output-parameter")
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let product = try context.number(input, observation, at: index) * context.number(coefficient, observation, at: index)
        try context.set(output, to: product, &observation, at: index)
    }
}
