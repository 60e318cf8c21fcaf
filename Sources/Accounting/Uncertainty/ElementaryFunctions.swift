/// Exponential and logarithm in plain arithmetic: the same digits on every machine, which a statement's digest needs, and without the
/// C library, which pure modules do without. Exact to about 1e-15 of the value.
public enum ElementaryFunctions {
    static let logarithmOf2 = 0.693_147_180_559_945_309_4

    /// The natural logarithm; -infinity at 0, NaN below.
    public static func log(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x.isFinite else { return x }
        var exponent = Double(x.exponent)
        var mantissa = x.significand
        if mantissa > 1.414_213_562_373_095 {
            mantissa /= 2
            exponent += 1
        }
        // 2 artanh((m - 1)/(m + 1)); the argument is below 0.172.
        let z = (mantissa - 1) / (mantissa + 1)
        let square = z * z
        var power = z
        var sum = 0.0
        for n in stride(from: 1.0, through: 21, by: 2) {
            sum += power / n
            power *= square
        }
        return 2 * sum + exponent * logarithmOf2
    }

    /// e to the power of x.
    public static func exp(_ x: Double) -> Double {
        guard x < 709 else { return x.isNaN ? x : .infinity }
        guard x > -708 else { return 0 }
        let turns = (x / logarithmOf2).rounded()
        let rest = x - turns * logarithmOf2
        var sum = 1.0
        for n in stride(from: 14.0, through: 1, by: -1) { sum = 1 + sum * rest / n }
        return sum * Double(sign: .plus, exponent: Int(turns), significand: 1)
    }

    /// The power x^y of a number above 0.
    static func pow(_ x: Double, _ y: Double) -> Double { x > 0 ? exp(y * log(x)) : 0 }
}
