public import Energy

/// A figure with its limits as text: a fitting unit, and no more digits than the limits allow.
public struct BoundedFigure: Sendable, Hashable {
    /// `0.41`
    public let best: String
    /// Rounded down, so that the limit still holds.
    public let low: String
    /// Rounded up.
    public let high: String
    /// `Wh`
    public let unit: String

    /// `0.41 Wh  [0.25 .. 0.66]`; without the limits where they are the figure itself.
    public var text: String { low == best && high == best ? "\(best) \(unit)" : "\(best) \(unit)  [\(low) .. \(high)]" }

    /// A part of the figure, in its unit and with as many decimals.
    ///
    /// - Parameter value: in what the figure was made from: µJ for an energy.
    public func part(_ value: Double) -> String { "\(DecimalText.fixed(value / unitSize, decimals)) \(unit)" }

    private let unitSize: Double
    private let decimals: Int

    /// Energy in kWh, Wh, mWh or µWh.
    public static func energy(_ energy: Footprint.Bounded) -> BoundedFigure {
        self.energy(best: energy.best, low: energy.low, high: energy.high)
    }

    public static func energy(best: Energy, low: Energy, high: Energy) -> BoundedFigure {
        BoundedFigure(
            best: Double(best.microjoules),
            low: Double(low.microjoules),
            high: Double(high.microjoules),
            units: [("kWh", 3.6e12), ("Wh", 3.6e9), ("mWh", 3.6e6), ("µWh", 3.6e3)]
        )
    }

    /// Energy in kWh as a number, as collectors give it.
    public static func energy(bestKilowattHours best: Double, low: Double, high: Double) -> BoundedFigure {
        BoundedFigure(best: best, low: low, high: high, units: [("kWh", 1), ("Wh", 1e-3), ("mWh", 1e-6), ("µWh", 1e-9)])
    }

    /// Emissions in kg, g, mg or µg from grams.
    public static func emissions(bestGrams best: Double, low: Double, high: Double) -> BoundedFigure {
        BoundedFigure(best: best, low: low, high: high, units: [("kg", 1e3), ("g", 1), ("mg", 1e-3), ("µg", 1e-6)])
    }

    private init(best: Double, low: Double, high: Double, units: [(name: String, size: Double)]) {
        // The largest unit in which the figure is at least 1; a figure of nothing goes by its upper limit.
        let magnitude = abs(best) > 0 ? abs(best) : abs(high)
        let chosen = units.first { magnitude >= $0.size * 0.9995 } ?? units[units.count - 1]
        let best = best / chosen.size
        let low = low / chosen.size
        let high = high / chosen.size
        let decimals = BoundedFigure.decimals(best: best, width: max(high - best, best - low))
        self.best = DecimalText.fixed(best, decimals)
        self.low = low == best ? self.best : BoundedFigure.lower(low, decimals)
        self.high = high == best ? self.best : DecimalText.fixed(high, decimals, .up)
        unit = chosen.name
        unitSize = chosen.size
        self.decimals = decimals
    }

    /// A lower limit far below its figure keeps one digit: 0 would say that there may have been nothing.
    private static func lower(_ low: Double, _ decimals: Int) -> String {
        let text = DecimalText.fixed(low, decimals, .down)
        guard low > 0, !text.contains(where: { ("1"..."9").contains($0) }) else { return text }
        return DecimalText.fixed(low, min(9, -DecimalText.exponent(low)), .down)
    }

    /// Decimals that show one digit of the width, two where it begins with 1 or 2, and two to four significant ones of the figure.
    private static func decimals(best: Double, width: Double) -> Int {
        let whole = DecimalText.exponent(max(abs(best), width))
        let byFigure = (least: 1 - whole, most: 3 - whole)
        let widthExponent = DecimalText.exponent(width)
        let beginsSmall = width / DecimalText.power(of: widthExponent) < 3
        let byWidth = width > 0 ? (beginsSmall ? 1 : 0) - widthExponent : byFigure.most
        return min(9, max(0, min(byFigure.most, max(byFigure.least, byWidth))))
    }
}

/// Numbers as decimal text, by hand: full Foundation would cost more than the rest of the program.
public enum DecimalText {
    public enum Direction: Sendable {
        case nearest, down, up
    }

    /// With exactly so many decimals.
    public static func fixed(_ value: Double, _ decimals: Int, _ direction: Direction = .nearest) -> String {
        guard value.isFinite else { return value.isNaN ? "?" : value < 0 ? "-inf" : "inf" }
        let scale = power(of: max(0, decimals))
        let scaled = value * scale
        // A product such as 0.29 * 100 is a hair off the decimal that was meant: rounding must not jump a whole step for it.
        let nearest = scaled.rounded()
        let isWhole = abs(scaled - nearest) < 1e-9 * max(1, abs(scaled))
        let rounded: Double =
            switch direction {
            case .nearest: nearest
            case .down: isWhole ? nearest : scaled.rounded(.down)
            case .up: isWhole ? nearest : scaled.rounded(.up)
            }
        let units = Int64(saturating: rounded)
        let magnitude = String(units.magnitude)
        let sign = units < 0 ? "-" : ""
        guard decimals > 0 else { return sign + magnitude }
        let digits = String(repeating: "0", count: max(0, decimals + 1 - magnitude.count)) + magnitude
        return sign + digits.dropLast(decimals) + "." + digits.suffix(decimals)
    }

    /// With so many significant digits, in plain notation.
    public static func significant(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, value != 0 else { return fixed(value, 0) }
        return fixed(value, min(9, max(0, digits - 1 - exponent(value))))
    }

    /// The power of ten of the first digit: 0 for 1 up to 10. 0 for zero.
    static func exponent(_ value: Double) -> Int {
        var magnitude = abs(value)
        guard magnitude > 0, magnitude.isFinite else { return 0 }
        var exponent = 0
        while magnitude >= 10 {
            magnitude /= 10
            exponent += 1
        }
        while magnitude < 1, exponent > -12 {
            magnitude *= 10
            exponent -= 1
        }
        return exponent
    }

    /// Ten to a small power of either sign.
    static func power(of exponent: Int) -> Double {
        let magnitude = (0..<abs(exponent)).reduce(1.0) { result, _ in result * 10 }
        return exponent < 0 ? 1 / magnitude : magnitude
    }
}
