/// Multiplies parameters.
struct Multiply: EachObservation {
    private let inputs: [ParameterTerm]
    private let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        inputs = try config.terms("input-parameters")
        output = try config.output("output-parameter")
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        var product = 1.0
        for input in inputs { product *= try context.number(input, observation, at: index) }
        try context.set(output, to: product, &observation, at: index)
    }
}
