import Foundation

/// Numbers with no more digits than their bounds allow.
enum Digits {
    /// `value` rounded to two digits more than half its interval resolves, to three significant ones at least and nine at most: a limit
    /// far below its figure must not become 0.
    static func rounded(_ value: Double, low: Double, high: Double) -> Double {
        guard value.isFinite, value != 0 else { return 0 }
        let half = max(0, (high - low) / 2)
        let finest = abs(value) * 1e-9
        let exponent = Foundation.floor(Foundation.log10(max(min(half / 100, abs(value) / 100), finest)))
        guard exponent.isFinite else { return value }
        // Dividing by a whole power of ten gives the double nearest to the decimal; multiplying by a fraction would not.
        if exponent >= 0 {
            let unit = Foundation.pow(10, exponent)
            return (value / unit).rounded() * unit
        }
        let unit = Foundation.pow(10, -exponent)
        return (value * unit).rounded() / unit
    }

    /// `value` in three significant digits: what people without a token see, and what fits a page.
    static func coarse(_ value: Double) -> Double { rounded(value, low: -abs(value), high: abs(value)) }

    /// Plain decimal text, never in exponent form: spreadsheets and people read it.
    static func plain(_ value: Double) -> String {
        let text = "\(value)"
        guard let e = text.firstIndex(where: { $0 == "e" || $0 == "E" }), let exponent = Int(text[text.index(after: e)...]) else {
            return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
        }
        let isNegative = text.hasPrefix("-")
        let mantissa = text[..<e].drop { $0 == "-" }
        let parts = mantissa.split(separator: ".", omittingEmptySubsequences: false)
        let whole = String(parts[0])
        var fraction = parts.count > 1 ? String(parts[1]) : ""
        if fraction == "0" { fraction = "" }
        let digits = whole + fraction
        let point = whole.count + exponent
        let plain: String
        if point <= 0 {
            plain = "0." + String(repeating: "0", count: -point) + digits
        } else if point >= digits.count {
            plain = digits + String(repeating: "0", count: point - digits.count)
        } else {
            plain = String(digits.prefix(point)) + "." + String(digits.dropFirst(point))
        }
        return (isNegative ? "-" : "") + plain
    }
}
