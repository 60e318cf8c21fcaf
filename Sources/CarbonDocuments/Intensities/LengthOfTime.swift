public import Energy

/// A length of time as people write it: `90s`, `30m`, `2h`, `1h30m`, `1d`, or ISO 8601's `PT1H30M` and `P1D`.
public enum LengthOfTime {
    /// Nil for anything else, for zero, and for more than 366 days.
    public static func parse(_ text: String) -> Microseconds? {
        var rest = Substring(text.lowercased())
        let isISO = rest.first == "p"
        if isISO { rest = rest.dropFirst() }
        var seconds: Int64 = 0
        var lastUnit = Int64.max
        var isOfDay = !isISO
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            if isISO, !isOfDay, rest.first == "t" {
                isOfDay = true
                rest = rest.dropFirst()
                guard !rest.isEmpty else { return nil }
                continue
            }
            let digits = rest.prefix { ("0"..."9").contains($0) }
            guard (1...9).contains(digits.count), let number = Int64(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            guard let letter = rest.first, let unit = ["d": 86_400, "h": 3_600, "m": 60, "s": 1][letter] as Int64? else { return nil }
            // Days stand before the T, all else after it; each unit once, from the longest on.
            guard unit < lastUnit, !isISO || (unit == 86_400) != isOfDay else { return nil }
            lastUnit = unit
            rest = rest.dropFirst()
            seconds += number * unit
        }
        guard (1...366 * 86_400).contains(seconds) else { return nil }
        return .seconds(seconds)
    }

    /// `1h30m`; parts of a second are left out.
    public static func text(_ length: Microseconds) -> String {
        var rest = max(0, length.count / 1_000_000)
        var text = ""
        for (unit, letter) in [(Int64(86_400), "d"), (3_600, "h"), (60, "m"), (1, "s")] where rest >= unit {
            text += "\(rest / unit)\(letter)"
            rest %= unit
        }
        return text.isEmpty ? "0s" : text
    }
}
