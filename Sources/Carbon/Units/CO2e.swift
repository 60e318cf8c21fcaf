import Energy

/// A mass of CO2-equivalent in fractional grams, as models compute it.
///
/// What is stored is whole micrograms; see `micrograms`.
public struct CO2e: Hashable, Comparable, Sendable {
    public var grams: Double

    public init(grams: Double) { self.grams = grams }
    public init(kilograms: Double) { self.grams = kilograms * 1_000 }

    public static let zero = CO2e(grams: 0)

    public var kilograms: Double { grams / 1_000 }
    public var tonnes: Double { grams / 1_000_000 }

    /// Whole micrograms, halves away from zero; saturates instead of trapping, and NaN is zero.
    public var micrograms: Int64 { Int64(rounding: grams * 1e6) }

    public static func < (a: CO2e, b: CO2e) -> Bool { a.grams < b.grams }
    public static func + (a: CO2e, b: CO2e) -> CO2e { CO2e(grams: a.grams + b.grams) }
    public static func - (a: CO2e, b: CO2e) -> CO2e { CO2e(grams: a.grams - b.grams) }
    public static func += (a: inout CO2e, b: CO2e) { a = a + b }
    public static func * (mass: CO2e, factor: Double) -> CO2e { CO2e(grams: mass.grams * factor) }
}

/// A mass of CO2-equivalent with the limits within which its source puts it; `low <= best <= high`.
public struct CO2eRange: Hashable, Sendable {
    public var low: CO2e
    public var best: CO2e
    public var high: CO2e

    /// Limits on the wrong side of `best` are moved to it.
    public init(low: CO2e, best: CO2e, high: CO2e) {
        self.low = min(low, best)
        self.best = best
        self.high = max(high, best)
    }

    /// A figure whose source states no limits.
    public init(_ best: CO2e) { self.init(low: best, best: best, high: best) }

    public static let zero = CO2eRange(.zero)

    /// Limits are added as limits: they hold whatever the parts have in common.
    public static func + (a: CO2eRange, b: CO2eRange) -> CO2eRange {
        CO2eRange(low: a.low + b.low, best: a.best + b.best, high: a.high + b.high)
    }

    /// - Precondition: `factor` is 0 or more.
    public static func * (range: CO2eRange, factor: Double) -> CO2eRange {
        CO2eRange(low: range.low * factor, best: range.best * factor, high: range.high * factor)
    }
}
