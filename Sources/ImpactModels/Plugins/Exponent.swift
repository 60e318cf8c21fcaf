/// A parameter to a power.
struct Exponent: ArithmeticStep {
    let terms: [ParameterTerm]
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        terms = [try config.parameter("input-parameter"), try config.term("exponent")]
        output = try config.output("output-parameter")
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        let base = try context.number(terms[0], observation, at: index)
        return Self.power(base, try context.number(terms[1], observation, at: index))
    }

    /// By squaring for the whole part of the exponent, by square roots for the bits of the rest: right to some 1e-14 of the value, exact where
    /// all steps are. NaN for a fraction of an exponent over a negative base.
    static func power(_ base: Double, _ exponent: Double) -> Double {
        guard exponent >= 0 else { return 1 / power(base, -exponent) }
        guard exponent < 0x1p53 else { return .nan }
        var whole = UInt64(exponent)
        var rest = exponent - Double(whole)
        if rest > 0, base < 0 { return .nan }
        var result = 1.0
        var square = base
        while whole > 0 {
            if whole & 1 == 1 { result *= square }
            whole >>= 1
            if whole > 0 { square *= square }
        }
        var root = base
        while rest > 0, root != 1 {
            root = root.squareRoot()
            rest *= 2
            if rest >= 1 {
                result *= root
                rest -= 1
            }
        }
        return result
    }
}
