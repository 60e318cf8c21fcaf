/// A figure with what is known of its error, all in the unit of what gave it (µJ for energy, grams for CO2e).
public struct Estimate: Hashable, Sendable {
    public var best: Double
    /// The 95 % interval: the truth lies outside in one case of twenty. Always around `best`.
    public var low: Double
    public var high: Double
    /// Hard limits of the figure that perfect readings of the same meters would have given. A meter that is wrong itself is in the
    /// interval only.
    public var boundLow: Double
    public var boundHigh: Double

    public init(best: Double, low: Double, high: Double, boundLow: Double, boundHigh: Double) {
        self.best = best
        self.low = low
        self.high = high
        self.boundLow = boundLow
        self.boundHigh = boundHigh
    }

    /// A figure of which only the limits are known: they are its interval too.
    public init(best: Double, boundLow: Double, boundHigh: Double) {
        let low = min(best, boundLow)
        let high = max(best, boundHigh)
        self.init(best: best, low: low, high: high, boundLow: low, boundHigh: high)
    }

    /// Half of the interval's width.
    public var halfWidth: Double { (high - low) / 2 }

    /// The figure in another unit, or per unit of work; `factor` is above 0.
    public func scaled(by factor: Double) -> Estimate {
        Estimate(best: best * factor, low: low * factor, high: high * factor, boundLow: boundLow * factor, boundHigh: boundHigh * factor)
    }
}
