/// Numbers of answers without digits that mean nothing.
enum FigureDigits {
    /// `value` with nine significant digits.
    static func plain(_ value: Double) -> Double { rounded(value, toUnitAtMost: abs(value) * 1e-8) }

    /// `value` with two digits more than its limits resolve, three at least and nine at most.
    static func rounded(_ value: Double, low: Double, high: Double) -> Double {
        rounded(value, toUnitAtMost: max(min(max(0, (high - low) / 2) / 100, abs(value) / 100), abs(value) * 1e-8))
    }

    private static func rounded(_ value: Double, toUnitAtMost finest: Double) -> Double {
        guard value.isFinite, value != 0, finest > 0 else { return 0 }
        // Divided by a whole power of ten, a number is the double nearest to its decimal.
        var unit = 1.0
        if finest >= 1 {
            while unit * 10 <= finest, unit < 1e22 { unit *= 10 }
            return (value / unit).rounded() * unit
        }
        while 1 / unit > finest {
            guard unit < 1e22 else { return value }
            unit *= 10
        }
        return (value * unit).rounded() / unit
    }
}
