/// A curve through points: straight lines, a natural cubic spline, or the one polynomial through all.
///
/// The points are sorted as pairs. Upstream sorts `x` and `y` each by itself, so a curve that falls somewhere becomes another one; so does
/// strict mode. A value outside the points is a fault; `off` gives 0.
struct Interpolation: ArithmeticStep {
    private let curve: Curve
    private let input: ParameterTerm
    var terms: [ParameterTerm] { [input] }
    let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        guard !config.values.isEmpty else {
            throw ModelFault(
                config.plugin.place,
                key: "config",
                expected: "method, x, y, input-parameter and output-parameter",
                found: "nothing"
            )
        }
        guard let method = Curve.Method(rawValue: try config.optionalText("method") ?? "linear") else {
            throw config.fault("method", "linear, spline or polynomial")
        }
        let x = try config.numbers("x")
        let y = try config.numbers("y")
        guard x.count == y.count else {
            throw ModelFault(config.plugin.place, key: "config.y", expected: "as many numbers as x has, \(x.count)", found: "\(y.count)")
        }
        guard (2...1_000).contains(x.count) else { throw config.fault("x", "2 to 1000 numbers") }
        let curve = Curve(method, x: x, y: y, sortsApart: config.isStrict)
        if let twice = zip(curve.x, curve.x.dropFirst()).first(where: { $0 == $1 }) {
            throw ModelFault(
                config.plugin.place,
                key: "config.x",
                expected: "each number once",
                found: "\(ModelValue.number(twice.0).plain) twice"
            )
        }
        self.curve = curve
        input = try config.parameter("input-parameter")
        output = try config.output("output-parameter")
    }

    func result(_ observation: ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) -> Double {
        if case .parameter(let name) = input, let value = context.value(name, observation), value == .text("off") || value == .bool(false) {
            return 0
        }
        let value = try context.number(input, observation, at: index)
        guard curve.range.contains(value) else {
            let range = "\(ModelValue.number(curve.range.lowerBound).plain) to \(ModelValue.number(curve.range.upperBound).plain)"
            throw context.fault(
                at: index,
                "input-parameter",
                expected: "a number from \(range), the range of x",
                found: "the number \(ModelValue.number(value).plain)"
            )
        }
        return curve.value(at: value)
    }
}
