/// The energy that one count of a RAPL register stands for: a power of two of a joule, or of a microjoule on some Atoms.
///
/// Registers have 32 bits. A count becomes whole µJ by one exact rounding down of the whole register, never of a difference, so that
/// roundings do not add up; and 2^32 counts are a whole number of µJ, so that a wrap costs nothing.
struct EnergyUnit: Hashable, Sendable {
    private enum Scale: Hashable, Sendable {
        /// 1 J / 2^n.
        case joules(dividedByTwoTo: Int)
        /// 1 µJ x 2^n.
        case microjoules(timesTwoTo: Int)
    }

    private let scale: Scale

    /// 1 J / 2^n. Nil where n is not one that five bits can say.
    init?(jouleDividedByTwoTo n: Int) {
        guard (0...31).contains(n) else { return nil }
        scale = .joules(dividedByTwoTo: n)
    }

    /// 1 µJ x 2^n. Nil where the modulus would not fit into 62 bits.
    init?(microjouleTimesTwoTo n: Int) {
        guard (0...29).contains(n) else { return nil }
        scale = .microjoules(timesTwoTo: n)
    }

    /// Whole µJ of a register's value, rounded down.
    func microjoules(_ raw: UInt32) -> Int64 {
        switch scale {
        // At most 2^32 x 10^6, which is less than 2^52.
        case .joules(let n): (Int64(raw) * 1_000_000) >> Int64(n)
        case .microjoules(let n): Int64(raw) << Int64(n)
        }
    }

    /// The µJ of 2^32 counts, exactly.
    var modulusMicrojoules: Int64 {
        switch scale {
        case .joules(let n): 1_000_000 << Int64(32 - n)
        case .microjoules(let n): 1 << Int64(32 + n)
        }
    }

    /// `61.0 µJ`, for people.
    var text: String {
        switch scale {
        case .microjoules(let n): return "\(1 << n) µJ"
        case .joules(let n) where n == 0: return "1 J"
        case .joules(let n):
            let tenths = (10_000_000 + (Int64(1) << Int64(n)) / 2) >> Int64(n)
            return "\(tenths / 10).\(tenths % 10) µJ"
        }
    }
}
