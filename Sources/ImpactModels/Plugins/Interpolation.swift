/// A curve through points: straight lines, a natural cubic spline, or the one polynomial through all.
///
/// The points are sorted as pairs. Upstream sorts `x` and `y` each by itself, so a curve that falls somewhere becomes another one; so does
/// strict mode. A value outside the points is a fault; `off` gives 0.
struct Interpolation: EachObservation {
    enum Method: String, CaseIterable { case linear, spline, polynomial }

    private let method: Method
    private let x: [Double]
    private let y: [Double]
    private let bends: [Double]
    private let input: ParameterTerm
    private let output: String

    init(_ config: PluginConfig) throws(ModelFault) {
        guard !config.values.isEmpty else {
            throw ModelFault(
                config.plugin.place,
                key: "config",
                expected: "method, x, y, input-parameter and output-parameter",
                found: "nothing"
            )
        }
        guard let method = Method(rawValue: try config.optionalText("method") ?? "linear") else {
            throw config.fault("method", "linear, spline or polynomial")
        }
        self.method = method
        let x = try config.numbers("x")
        let y = try config.numbers("y")
        guard x.count == y.count else {
            throw ModelFault(config.plugin.place, key: "config.y", expected: "as many numbers as x has, \(x.count)", found: "\(y.count)")
        }
        guard (2...1_000).contains(x.count) else { throw config.fault("x", "2 to 1000 numbers") }
        let order = x.indices.sorted { x[$0] < x[$1] }
        self.x = order.map { x[$0] }
        self.y = config.isStrict ? y.sorted() : order.map { y[$0] }
        if let twice = zip(self.x, self.x.dropFirst()).first(where: { $0 == $1 }) {
            throw ModelFault(
                config.plugin.place,
                key: "config.x",
                expected: "each number once",
                found: "\(ModelValue.number(twice.0).plain) twice"
            )
        }
        bends = method == .spline ? Self.bends(self.x, self.y) : []
        input = try config.parameter("input-parameter")
        output = try config.output("output-parameter")
    }

    func run(_ observation: inout ModelMap, at index: Int, _ context: inout PluginContext) throws(ModelFault) {
        if case .parameter(let name) = input, let value = context.value(name, observation), value == .text("off") || value == .bool(false) {
            try context.set(output, to: 0, &observation, at: index)
            return
        }
        let value = try context.number(input, observation, at: index)
        guard let first = x.first, let last = x.last, (first...last).contains(value) else {
            let range = "\(ModelValue.number(x.first ?? 0).plain) to \(ModelValue.number(x.last ?? 0).plain)"
            throw context.fault(
                at: index,
                "input-parameter",
                expected: "a number from \(range), the range of x",
                found: "the number \(ModelValue.number(value).plain)"
            )
        }
        try context.set(output, to: curve(value), &observation, at: index)
    }

    private func curve(_ value: Double) -> Double {
        let right = min(max(1, x.firstIndex { $0 >= value } ?? x.count - 1), x.count - 1)
        let left = right - 1
        let width = x[right] - x[left]
        switch method {
        case .linear:
            return y[left] + (y[right] - y[left]) * ((value - x[left]) / width)
        case .spline:
            let a = (x[right] - value) / width
            let b = (value - x[left]) / width
            return a * y[left] + b * y[right]
                + ((a * a * a - a) * bends[left] + (b * b * b - b) * bends[right]) * width * width / 6
        case .polynomial:
            // Lagrange's form.
            return x.indices.reduce(0) { sum, i in
                sum + x.indices.reduce(y[i]) { product, j in i == j ? product : product * (value - x[j]) / (x[i] - x[j]) }
            }
        }
    }

    /// Second derivatives at the points of the natural cubic spline: 0 at both ends, the rest by elimination in a tridiagonal system.
    private static func bends(_ x: [Double], _ y: [Double]) -> [Double] {
        let count = x.count
        var bends = [Double](repeating: 0, count: count)
        guard count > 2 else { return bends }
        var factors = [Double](repeating: 0, count: count)
        var rest = [Double](repeating: 0, count: count)
        for i in 1..<(count - 1) {
            let before = x[i] - x[i - 1]
            let after = x[i + 1] - x[i]
            let slope = 6 * ((y[i + 1] - y[i]) / after - (y[i] - y[i - 1]) / before)
            let pivot = 2 * (before + after) - before * factors[i - 1]
            factors[i] = after / pivot
            rest[i] = (slope - before * rest[i - 1]) / pivot
        }
        for i in stride(from: count - 2, to: 0, by: -1) { bends[i] = rest[i] - factors[i] * bends[i + 1] }
        return bends
    }
}
