/// A parameter to a power.
struct Exponent: EachObservation {
    private let input: ParameterTerm
    private let exponent: ParameterTerm
    private let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        input = try config.parameter("input-parameter")
        exponent = try config.term("exponent")
        output = try config.output("output-parameter")
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        let base = try context.number(input, observation, at: index)
        try context.set(output, to: Self.power(base, try context.number(exponent, observation, at: index)), &observation, at: index)
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
