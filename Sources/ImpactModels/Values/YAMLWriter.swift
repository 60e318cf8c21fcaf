/// Writes a value as YAML that versions 1.1 and 1.2 read alike: block style, two blanks, what is no plain word in quotes.
public enum YAMLWriter {
    public static func text(_ value: ModelValue) -> String {
        var out = ""
        switch value {
        case .map(let map) where !map.isEmpty: write(map, indent: 0, into: &out)
        case .list(let list) where !list.isEmpty: write(list, indent: 0, into: &out)
        default: out = scalar(value) + "\n"
        }
        return out
    }

    private static func write(_ map: ModelMap, indent: Int, firstLineStands: Bool = false, into out: inout String) {
        for (position, pair) in map.pairs.enumerated() {
            if position > 0 || !firstLineStands { out += String(repeating: " ", count: indent) }
            out += scalar(.text(pair.key)) + ":"
            write(pair.value, indent: indent, into: &out)
        }
    }

    private static func write(_ list: [ModelValue], indent: Int, into out: inout String) {
        for value in list {
            out += String(repeating: " ", count: indent) + "-"
            if case .map(let map) = value, !map.isEmpty {
                out += " "
                write(map, indent: indent + 2, firstLineStands: true, into: &out)
            } else {
                write(value, indent: indent, into: &out)
            }
        }
    }

    /// What comes after a key's colon or a list's dash.
    private static func write(_ value: ModelValue, indent: Int, into out: inout String) {
        switch value {
        case .map(let map) where !map.isEmpty:
            out += "\n"
            write(map, indent: indent + 2, into: &out)
        case .list(let list) where !list.isEmpty:
            out += "\n"
            write(list, indent: indent + 2, into: &out)
        default:
            out += " " + scalar(value) + "\n"
        }
    }

    static func scalar(_ value: ModelValue) -> String {
        switch value {
        case .null: "null"
        case .map: "{}"
        case .list: "[]"
        case .bool, .integer: value.plain
        // A number that JSON could not hold is none of ours, and no reader agrees on its spelling.
        case .number(let number): number.isFinite ? value.plain : "null"
        case .text(let text): isPlain(text) ? text : quoted(text)
        }
    }

    /// Words that some version of YAML takes for something else than a text.
    private static let reserved: Set<String> = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first), text.utf8.last != 0x20, !reserved.contains(text.lowercased()) else {
            return false
        }
        return text.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) || " _-/.@+".utf8.contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }

    static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            case "\r": out += "\\r"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}

/// Writes a value as JSON with its keys in their order.
public enum OrderedJSON {
    public static func text(_ value: ModelValue) -> String {
        var out = ""
        write(value, indent: 0, into: &out)
        return out + "\n"
    }

    private static func write(_ value: ModelValue, indent: Int, into out: inout String) {
        func lines(_ open: String, _ close: String, _ count: Int, _ line: (Int, inout String) -> Void) {
            let blanks = String(repeating: " ", count: indent + 2)
            out += open + "\n"
            for position in 0..<count {
                out += blanks
                line(position, &out)
                out += position + 1 < count ? ",\n" : "\n"
            }
            out += String(repeating: " ", count: indent) + close
        }
        switch value {
        case .map(let map) where !map.isEmpty:
            let pairs = map.pairs
            lines("{", "}", pairs.count) { position, out in
                out += YAMLWriter.quoted(pairs[position].key) + ": "
                write(pairs[position].value, indent: indent + 2, into: &out)
            }
        case .list(let list) where !list.isEmpty:
            lines("[", "]", list.count) { position, out in write(list[position], indent: indent + 2, into: &out) }
        case .text(let text): out += YAMLWriter.quoted(text)
        default: out += YAMLWriter.scalar(value)
        }
    }
}
