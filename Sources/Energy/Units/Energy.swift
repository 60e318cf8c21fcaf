/// An amount of energy in whole microjoules.
///
/// A `Int64` of µJ holds 9.2 TJ (2.5 GWh), more than a host will ever use; sums over a farm are made in `Int128` or in the
/// database's `numeric`.
public struct Energy: Hashable, Comparable, Sendable {
    public var microjoules: Int64

    public init(microjoules: Int64) { self.microjoules = microjoules }

    public static let zero = Energy(microjoules: 0)

    /// Whole microjoules nearest to `joules`, half away from zero; saturates instead of trapping.
    public static func joules(_ joules: Double) -> Energy { Energy(rounding: joules * 1e6) }

    /// Whole microjoules nearest to a fractional number of them; saturates instead of trapping, and NaN is zero.
    public init(rounding microjoules: Double) { self.microjoules = Int64(saturating: microjoules.rounded()) }

    public var joules: Double { Double(microjoules) / 1e6 }

    /// 1 kWh = 3.6 MJ = 3.6e12 µJ, exactly.
    public var kilowattHours: Double { Double(microjoules) / 3.6e12 }

    public static func < (a: Energy, b: Energy) -> Bool { a.microjoules < b.microjoules }
    public static func + (a: Energy, b: Energy) -> Energy { Energy(microjoules: a.microjoules + b.microjoules) }
    public static func - (a: Energy, b: Energy) -> Energy { Energy(microjoules: a.microjoules - b.microjoules) }
    public static func += (a: inout Energy, b: Energy) { a = a + b }
}

/// Power in watts (1 W = 1 µJ/µs).
public struct Power: Hashable, Comparable, Sendable {
    public var watts: Double

    public init(watts: Double) { self.watts = watts }
    public init(microwatts: Int64) { self.watts = Double(microwatts) / 1e6 }

    public static let zero = Power(watts: 0)

    public var microwatts: Int64 { Int64(saturating: (watts * 1e6).rounded()) }

    public static func < (a: Power, b: Power) -> Bool { a.watts < b.watts }
    public static func + (a: Power, b: Power) -> Power { Power(watts: a.watts + b.watts) }

    /// Energy of this power held for a duration, in fractional µJ: W x µs = µJ.
    public func microjoules(over duration: Microseconds) -> Double { watts * Double(duration.count) }
}

extension Int64 {
    /// The nearest representable integer; NaN is 0. Conversions of computed values must not trap on bad input.
    @inlinable
    public init(saturating value: Double) {
        if value.isNaN {
            self = 0
        } else if value >= 9.2233720368547748e18 {
            self = .max
        } else if value <= -9.2233720368547758e18 {
            self = .min
        } else {
            self = Int64(value)
        }
    }

    /// The nearest integer, halves away from 0; else as `init(saturating:)`. A call of the C library for each part of each slice takes long.
    @inlinable
    public init(rounding value: Double) {
        // Beyond 2^52 there are no fractions.
        guard value.magnitude < 0x1p52 else {
            self.init(saturating: value)
            return
        }
        let whole = Int64(value)
        let rest = value - Double(whole)
        self = rest >= 0.5 ? whole + 1 : rest <= -0.5 ? whole - 1 : whole
    }
}
