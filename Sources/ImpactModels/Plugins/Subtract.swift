/// Takes every further parameter from the first.
struct Subtract: EachObservation {
    private let inputs: [ParameterTerm]
    private let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        inputs = try config.terms("input-parameters")
        output = try config.output("output-parameter")
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        var difference = try context.number(inputs[0], observation, at: index)
        for input in inputs.dropFirst() { difference -= try context.number(input, observation, at: index) }
        try context.set(output, to: difference, &observation, at: index)
    }
}
