import Energy

/// A meter that the operator made of a channel: `chip/label=zone` or `chip/label=zone:package`.
struct HwmonExtra: Hashable, Sendable {
    var chip: String
    var label: String
    var zone: Zone
    var package: Int?

    struct Malformed: Error, Hashable {
        var found: String
        var reason: String
    }

    /// Several are separated by commas; labels may hold blanks.
    static func parse(_ text: String) -> Result<[HwmonExtra], Malformed> {
        var extras: [HwmonExtra] = []
        for part in text.split(separator: ",") {
            let entry = HwmonText.trimmed(part)
            guard let equals = entry.lastIndex(of: "="), let slash = entry[..<equals].firstIndex(of: "/") else {
                return .failure(Malformed(found: entry, reason: "expected chip/label=zone or chip/label=zone:package"))
            }
            let place = entry[entry.index(after: equals)...].split(separator: ":", omittingEmptySubsequences: false)
            guard let zone = place.first.flatMap({ Zone(rawValue: HwmonText.trimmed($0)) }) else {
                let zones = Zone.allCases.map(\.rawValue).joined(separator: ", ")
                return .failure(Malformed(found: entry, reason: "expected one of \(zones) after ="))
            }
            var package: Int?
            if place.count > 1 {
                guard place.count == 2, let number = Int(place[1]), number >= 0 else {
                    return .failure(Malformed(found: entry, reason: "expected the package's number after :"))
                }
                package = number
            }
            extras.append(
                HwmonExtra(
                    chip: HwmonText.trimmed(entry[..<slash]),
                    label: HwmonText.trimmed(entry[entry.index(after: slash)..<equals]),
                    zone: zone,
                    package: package
                )
            )
        }
        return .success(extras)
    }
}

enum HwmonText {
    static func trimmed(_ text: some StringProtocol) -> String {
        var rest = text.drop { $0 == " " || $0 == "\t" }
        while let last = rest.last, last == " " || last == "\t" { rest = rest.dropLast() }
        return String(rest)
    }

    /// A label as a part of a meter's name: `Chip 0 Vdd` is `chip-0-vdd`.
    static func slug(_ label: String) -> String {
        var slug = ""
        for character in label.lowercased() {
            if character.isLetter || character.isNumber {
                slug.append(character)
            } else if slug.last != "-", !slug.isEmpty {
                slug.append("-")
            }
        }
        while slug.last == "-" { slug.removeLast() }
        return slug
    }
}
