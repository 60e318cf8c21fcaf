/// A sum that comes out the same whichever order its parts are added in, and at exactly 0 when they are taken out again: fixed point with
/// 2^-40 of the unit, in 128 bits.
struct FixedPointSum: Hashable, Sendable {
    private var fixed: Int128 = 0
    private static let one = 0x1p40

    init() {}
    init(_ value: Double) { fixed = Self.fixed(value) }

    var value: Double { Double(fixed) / Self.one }
    var isZero: Bool { fixed == 0 }

    static func += (a: inout FixedPointSum, value: Double) { a.fixed &+= fixed(value) }
    static func += (a: inout FixedPointSum, b: FixedPointSum) { a.fixed &+= b.fixed }
    static func -= (a: inout FixedPointSum, b: FixedPointSum) { a.fixed &-= b.fixed }

    /// What is no number counts as nothing; what is too large is the largest that some of can still be added: 9e24 of the unit.
    private static func fixed(_ value: Double) -> Int128 {
        guard !value.isNaN else { return 0 }
        return Int128((min(1e37, max(-1e37, value * one))).rounded())
    }
}
