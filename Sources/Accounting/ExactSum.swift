/// A sum of fractions from which each can be taken again without a trace, in whatever order.
///
/// What runs changes thousands of times in an hour. A sum in floating point would be left with a remainder when everything has ended,
/// and a remainder of 1e-17 CPUs on an idle machine would own all its energy. So the sum is kept in whole units of 2^-80.
struct ExactSum {
    private var units: Int128 = 0

    /// Larger ones count as this: 2^30 whole machines.
    private static let largest = 0x1p30

    /// A fraction of either sign in units of 2^-80; what is not a number is 0.
    @inline(__always)
    private static func units(_ fraction: Double) -> Int128 {
        guard fraction < 0 || fraction > 0 else { return 0 }
        let scaled = min(fraction.magnitude, largest) * 0x1p32
        let high = Int64(scaled)
        let units = (Int128(high) &<< 48) &+ Int128(Int64((scaled - Double(high)) * 0x1p48))
        return fraction < 0 ? -units : units
    }

    @inline(__always)
    mutating func add(_ fraction: Double) { units &+= Self.units(fraction) }
    @inline(__always)
    mutating func remove(_ fraction: Double) { units &-= Self.units(fraction) }

    @inline(__always)
    var value: Double {
        guard units != 0 else { return 0 }
        let high = Int64(truncatingIfNeeded: units &>> 48)
        let low = Int64(truncatingIfNeeded: units & 0xFFFF_FFFF_FFFF)
        return Double(high) * 0x1p-32 + Double(low) * 0x1p-80
    }
}
