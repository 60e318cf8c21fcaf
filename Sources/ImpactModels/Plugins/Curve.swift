/// A curve through points: straight lines, a natural cubic spline, or the one polynomial through all.
struct Curve: Sendable {
    enum Method: String, Sendable, CaseIterable { case linear, spline, polynomial }

    let method: Method
    /// Rising.
    let x: [Double]
    let y: [Double]
    private let bends: [Double]

    /// - Precondition: at least two points, as many in `x` as in `y`.
    /// - Parameter sortsApart: as upstream, which sorts `x` and `y` each by itself.
    init(_ method: Method, x: [Double], y: [Double], sortsApart: Bool = false) {
        let order = x.indices.sorted { x[$0] < x[$1] }
        self.method = method
        self.x = order.map { x[$0] }
        self.y = sortsApart ? y.sorted() : order.map { y[$0] }
        bends = method == .spline ? Self.bends(self.x, self.y) : []
    }

    var range: ClosedRange<Double> { x[0]...x[x.count - 1] }

    /// Within `range`.
    func value(at value: Double) -> Double {
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
