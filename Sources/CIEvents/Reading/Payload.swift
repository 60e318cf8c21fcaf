import Documents

/// A JSON document of somebody else's: any field may be absent, null or of another type.
extension JSONValue {
    /// The longest text that is kept, in bytes of UTF-8; the rest is cut off.
    static let longestText = 2_000
    /// The longest identifier, in bytes; a longer one is none.
    static let longestIdentifier = 512

    /// A field, null where there is none.
    subscript(_ name: String) -> JSONValue { object?[name] ?? .null }

    /// A text with something in it. U+0000, which a database cannot hold, becomes U+FFFD.
    var legible: String? {
        guard var text = string, !text.isEmpty else { return nil }
        if text.utf8.contains(0) { text = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value == 0 ? "\u{FFFD}" : $0 })) }
        if text.utf8.count > Self.longestText {
            // Not by characters: a single one may be as long as it likes.
            var bytes = 0
            text = String(
                String.UnicodeScalarView(
                    text.unicodeScalars.prefix { scalar in
                        bytes += UTF8.width(scalar)
                        return bytes <= Self.longestText
                    }
                )
            )
        }
        return text
    }

    /// A number or text that names something, as a text; 0 names nothing. Digits past 2^53 that came as a fraction are lost, so they
    /// are none.
    var identifier: String? {
        switch self {
        case .integer(let value): value == 0 ? nil : String(value)
        case .number(let value): Int64(exactly: value).flatMap { $0 != 0 && $0.magnitude < 1 << 53 ? String($0) : nil }
        case .string(let value): value.isEmpty || value.utf8.count > Self.longestIdentifier || value.utf8.contains(0) ? nil : value
        default: nil
        }
    }

    /// The texts of a list, at most 100.
    var texts: [String] { array?.prefix(100).compactMap { $0.legible } ?? [] }
}

extension UTF8 {
    fileprivate static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0..<0x80: 1
        case 0x80..<0x800: 2
        case 0x800..<0x1_0000: 3
        default: 4
        }
    }
}

extension Delivery {
    /// - Throws: with what was found instead of JSON.
    func json() throws(UnreadableDelivery) -> JSONValue {
        do {
            return try JSONValue(parsing: body)
        } catch {
            let type = headers["content-type"].map { " of type \($0.prefix(100))" } ?? ""
            throw UnreadableDelivery(
                "expected a JSON body, found \(body.isEmpty ? "none" : "\(body.count) bytes\(type) that are none (\(error))")"
            )
        }
    }

    /// Where only a field more or less hangs on it: null for a body that is no JSON.
    var jsonOrNull: JSONValue {
        do { return try json() } catch { return .null }
    }
}
