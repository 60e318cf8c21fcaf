public import Energy

extension Timestamp {
    /// `2026-09-01T09:00:10.123456Z`; without a fraction where it is zero.
    public var rfc3339: String {
        let (days, micros) = floorDivide(microseconds, by: 86_400_000_000)
        let (year, month, day) = Timestamp.civil(daysSinceEpoch: days)
        let seconds = micros / 1_000_000
        let fraction = micros % 1_000_000
        var text = "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
        text += "\(padded(seconds / 3_600, 2)):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2))"
        if fraction != 0 { text += ".\(padded(fraction, 6))" }
        return text + "Z"
    }

    /// `20260901T090010Z`: for identifiers.
    public var compactUTC: String {
        String(rfc3339.prefix(19).filter { $0 != "-" && $0 != ":" }) + "Z"
    }

    /// Reads `2026-09-01`, `2026-09-01T09:00Z`, `2026-09-01T09:00:10.5Z` and such with an offset; nil for anything else.
    public init?(rfc3339 text: String) {
        var rest = Substring(text)
        func number(_ digits: Int) -> Int64? {
            let part = rest.prefix(digits)
            guard part.utf8.count == digits, part.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
            rest = rest.dropFirst(digits)
            return Int64(part)
        }
        func take(_ character: Character) -> Bool {
            guard rest.first == character else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2), (1...12).contains(month),
            (1...31).contains(day)
        else { return nil }
        let days = Timestamp.days(year: year, month: month, day: day)
        guard Timestamp.civil(daysSinceEpoch: days) == (year, month, day) else { return nil }
        var micros = days * 86_400_000_000
        if rest.isEmpty {
            self.init(microseconds: micros)
            return
        }
        guard take("T") || take("t") || take(" "), let hour = number(2), take(":"), let minute = number(2), hour <= 23, minute <= 59 else {
            return nil
        }
        micros += (hour * 3_600 + minute * 60) * 1_000_000
        if take(":") {
            guard let second = number(2), second <= 60 else { return nil }
            micros += second * 1_000_000
            if take(".") {
                let digits = rest.prefix { ("0"..."9").contains($0) }
                guard (1...9).contains(digits.count), let fraction = Int64((digits + "000000").prefix(6)) else { return nil }
                micros += fraction
                rest = rest.dropFirst(digits.count)
            }
        }
        if take("Z") || take("z") {
            guard rest.isEmpty else { return nil }
        } else {
            let sign: Int64 = take("+") ? 1 : take("-") ? -1 : 0
            guard sign != 0, let hours = number(2), take(":"), let minutes = number(2), rest.isEmpty, hours <= 23, minutes <= 59 else {
                return nil
            }
            micros -= sign * (hours * 3_600 + minutes * 60) * 1_000_000
        }
        self.init(microseconds: micros)
    }

    /// Proleptic Gregorian date of a day number; years in eras of 400, which start in March so that the leap day comes last.
    private static func civil(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floorDivide(daysSinceEpoch + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let (era, yearOfEra) = floorDivide(month <= 2 ? year - 1 : year, by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

private func floorDivide(_ a: Int64, by b: Int64) -> (quotient: Int64, remainder: Int64) {
    let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
    return remainder < 0 ? (quotient - 1, remainder + b) : (quotient, remainder)
}

private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
