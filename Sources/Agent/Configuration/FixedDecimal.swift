import Energy

/// Numbers with a fixed count of decimals, without full Foundation.
enum FixedDecimal {
    /// `12.340`; the sign is kept, what is not finite is `-`.
    static func text(_ value: Double, digits: Int) -> String {
        guard value.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64(saturating: (abs(value) * scale).rounded())
        let whole = scaled / Int64(scale)
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(whole)" }
        let part = String(scaled % Int64(scale))
        return "\(sign)\(whole).\(String(repeating: "0", count: digits - part.count))\(part)"
    }
}
