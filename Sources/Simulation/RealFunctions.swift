/// The few functions that a pure module cannot take from the C library; exact to about 1e-15 of the value.
public enum RealFunctions {
    private static let logarithmOf2 = 0.693_147_180_559_945_309_4

    /// The natural logarithm; -infinity at 0, NaN below.
    public static func logarithm(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x.isFinite else { return x }
        var exponent = Double(x.exponent)
        var mantissa = x.significand
        if mantissa > 1.414_213_562_373_095 {
            mantissa /= 2
            exponent += 1
        }
        // 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172.
        let z = (mantissa - 1) / (mantissa + 1)
        let squared = z * z
        var power = z
        var sum = 0.0
        for n in stride(from: 1.0, through: 25, by: 2) {
            sum += power / n
            power *= squared
        }
        return 2 * sum + exponent * logarithmOf2
    }

    /// e to the power of x.
    public static func exponential(_ x: Double) -> Double {
        guard x < 709.7 else { return x.isNaN ? x : .infinity }
        guard x > -745 else { return 0 }
        let turns = (x / logarithmOf2).rounded()
        let rest = x - turns * logarithmOf2
        var term = 1.0
        var sum = 1.0
        for n in 1...18 {
            term *= rest / Double(n)
            sum += term
        }
        return turns > 1000
            ? sum * Double(sign: .plus, exponent: 1000, significand: 1) * Double(sign: .plus, exponent: Int(turns) - 1000, significand: 1)
            : sum * Double(sign: .plus, exponent: Int(turns), significand: 1)
    }

    /// A power of a number that is not negative.
    public static func power(_ base: Double, _ exponent: Double) -> Double {
        base == 0 ? (exponent == 0 ? 1 : 0) : self.exponential(exponent * logarithm(base))
    }
}
