/// A step whose one result comes of numbers that an observation has.
///
/// What is computed of something unknown (null) is unknown: null, with a note. Upstream takes null for missing, which is a fault; so does
/// strict mode.
protocol ArithmeticStep: EachObservation {
    var terms: [ParameterTerm] { get }
    var output: String { get }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double
}

extension ArithmeticStep {
    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        if !context.isStrict, let unknown = terms.lazy.flatMap(\.parameters).first(where: { context.isUnknown($0, observation) }) {
            context.note("\(output) is null where \(unknown) is")
            observation[context.plugin.mapping[output] ?? output] = .null
            return
        }
        try context.set(output, to: try result(observation, at: index, &context), &observation, at: index)
    }
}
