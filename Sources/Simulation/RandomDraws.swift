/// Random draws from a seed: the same on every machine (SplitMix64, Steele et al. 2014).
public struct RandomDraws: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// A stream of its own for one thing among many: what one draws changes nothing of what another draws.
    public init(seed: UInt64, stream: UInt64) {
        var mixed = RandomDraws(seed: seed &+ stream &* 0xD134_2543_DE82_EF95)
        state = mixed.next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0..<1.
    public mutating func unit() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }

    /// Uniform between two limits.
    public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * unit() }

    /// True with a probability.
    public mutating func chance(_ probability: Double) -> Bool { unit() < probability }

    /// Standard normal (Marsaglia's polar method).
    public mutating func normal() -> Double {
        while true {
            let x = uniform(-1, 1)
            let y = uniform(-1, 1)
            let s = x * x + y * y
            if s > 0, s < 1 { return x * (-2 * RealFunctions.logarithm(s) / s).squareRoot() }
        }
    }

    /// Exponential with a mean.
    public mutating func exponential(mean: Double) -> Double { -mean * RealFunctions.logarithm(1 - unit()) }

    /// exp(sigma * normal): its median is 1.
    public mutating func logNormal(sigma: Double) -> Double { RealFunctions.exponential(sigma * normal()) }

    /// Student's t: heavy tails, the heavier the fewer degrees of freedom.
    public mutating func studentT(degreesOfFreedom n: Int) -> Double {
        let z = normal()
        var chiSquared = 0.0
        for _ in 0..<max(1, n) {
            let x = normal()
            chiSquared += x * x
        }
        return z / (chiSquared / Double(max(1, n))).squareRoot()
    }
}
