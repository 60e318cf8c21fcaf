/// The natural cubic spline through points: its second derivative is 0 at both ends.
///
/// Source: any textbook of numerical analysis; the slopes at the points solve a tridiagonal system.
public struct CubicSpline: Hashable, Sendable {
    private let x: [Double]
    private let y: [Double]
    /// First derivatives at the points.
    private let slopes: [Double]

    /// Nil unless there are at least two points, as many `y` as `x`, all finite, and `x` grows from each to the next.
    public init?(x: [Double], y: [Double]) {
        guard x.count >= 2, x.count == y.count, (x + y).allSatisfy(\.isFinite), zip(x, x.dropFirst()).allSatisfy({ $0 < $1 }) else {
            return nil
        }
        self.x = x
        self.y = y
        slopes = Self.slopes(x, y)
    }

    /// The value at a place; beyond the first and the last point, their values.
    public func value(at place: Double) -> Double {
        guard let first = x.first, let last = x.last, place > first else { return y[0] }
        guard place < last else { return y[y.count - 1] }
        let right = x.firstIndex { $0 >= place } ?? x.count - 1
        let left = right - 1
        let width = x[right] - x[left]
        let rise = y[right] - y[left]
        let t = (place - x[left]) / width
        let a = slopes[left] * width - rise
        let b = rise - slopes[right] * width
        return (1 - t) * y[left] + t * y[right] + t * (1 - t) * ((1 - t) * a + t * b)
    }

    /// Thomas' algorithm on the rows `lower, diagonal, upper | right-hand side`.
    private static func slopes(_ x: [Double], _ y: [Double]) -> [Double] {
        let count = x.count
        var diagonal = [Double](repeating: 0, count: count)
        var upper = diagonal
        var right = diagonal
        for i in 0..<count {
            var lower = 0.0
            if i > 0 {
                let width = x[i] - x[i - 1]
                lower = 1 / width
                diagonal[i] += 2 / width
                right[i] += 3 * (y[i] - y[i - 1]) / (width * width)
            }
            if i < count - 1 {
                let width = x[i + 1] - x[i]
                upper[i] = 1 / width
                diagonal[i] += 2 / width
                right[i] += 3 * (y[i + 1] - y[i]) / (width * width)
            }
            if i > 0 {
                let factor = lower / diagonal[i - 1]
                diagonal[i] -= factor * upper[i - 1]
                right[i] -= factor * right[i - 1]
            }
        }
        var slopes = right
        for i in stride(from: count - 1, through: 0, by: -1) {
            if i < count - 1 { slopes[i] -= upper[i] * slopes[i + 1] }
            slopes[i] /= diagonal[i]
        }
        return slopes
    }
}
