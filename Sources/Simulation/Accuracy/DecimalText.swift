/// Numbers as text, without the C library.
enum DecimalText {
    /// Rounded to a number of decimals.
    static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        guard scaled < 9e15 else { return "\(value)" }
        let digits = String(Int64(scaled))
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        let sign = value < 0 && scaled > 0 ? "-" : ""
        return sign + (decimals == 0 ? padded : "\(padded.dropLast(decimals)).\(padded.suffix(decimals))")
    }

    /// A part as percent, to three digits: 0.52, 5.2, 52, 520.
    static func percent(_ part: Double) -> String {
        let value = part * 100
        return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0)
    }
}
