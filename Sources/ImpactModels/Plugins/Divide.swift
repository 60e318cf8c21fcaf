/// One parameter by another, or by a number.
///
/// A division by 0 is a fault. Upstream gives back the numerator when the 0 stands in the settings; so does strict mode.
struct Divide: ArithmeticStep {
    private let numerator: ParameterTerm
    private let denominator: ParameterTerm
    var terms: [ParameterTerm] { [numerator, denominator] }
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        numerator = try config.term("numerator")
        denominator = try config.term("denominator")
        output = try config.output("output")
        if !config.isStrict, denominator == .number(0) {
            throw config.fault("denominator", "a number other than 0")
        }
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        let top = try context.number(numerator, observation, at: index)
        let bottom = try context.number(denominator, observation, at: index)
        guard bottom == 0 else { return top / bottom }
        guard context.isStrict, denominator == .number(0) else {
            throw context.fault(at: index, output, expected: "a denominator other than 0", found: "0")
        }
        context.note("denominator 0: the result is the numerator, as upstream has it")
        return top
    }
}
