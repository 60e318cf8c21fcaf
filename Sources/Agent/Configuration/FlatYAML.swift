/// The subset of YAML that configuration files use: `key: value` lines, comments, quotes.
///
/// A whole YAML parser would bring full Foundation into the agent, three times its size. What is beyond the subset is refused or,
/// in a file shared with other programs, passed over; it is never misread.
struct FlatYAML: Hashable, Sendable {
    var values: [String: String] = [:]

    struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        let line: Int
        let expected: String
        let found: String

        var description: String { "line \(line): expected \(expected), found \(found)" }
    }

    /// - Parameter isShared: other programs keep their settings there too, so that nested ones are no fault.
    init(parsing text: String, isShared: Bool = false) throws(Fault) {
        for (i, rawLine) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            var line = rawLine
            while let last = line.last, last == " " || last == "\t" { line.removeLast() }
            guard let first = line.first, first != "#", line != "---" else { continue }
            if first == " " || first == "\t" || first == "-" {
                if line.drop(while: { $0 == " " || $0 == "\t" }).first == "#" || isShared { continue }
                throw Fault(line: i + 1, expected: "key: value at the start of the line", found: "'\(line.prefix(40))'")
            }
            guard let colon = line.firstIndex(of: ":"),
                line[..<colon].allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" || $0 == "." }),
                case let rest = line[line.index(after: colon)...], rest.isEmpty || rest.first == " " || rest.first == "\t"
            else {
                if isShared { continue }
                throw Fault(line: i + 1, expected: "key: value", found: "'\(line.prefix(40))'")
            }
            let key = String(line[..<colon])
            guard let value = Self.scalar(rest.drop { $0 == " " || $0 == "\t" }) else {
                if isShared { continue }
                throw Fault(line: i + 1, expected: "a plain or quoted value for \(key)", found: "'\(rest.prefix(40))'")
            }
            guard values[key] == nil else { throw Fault(line: i + 1, expected: "each key once", found: "\(key) again") }
            if !value.isEmpty { values[key] = value }
        }
    }

    /// Nil for lists, maps, blocks, anchors, and quotes that do not end.
    private static func scalar(_ text: Substring) -> String? {
        guard let first = text.first else { return "" }
        if first == "\"" || first == "'" {
            let body = text.dropFirst()
            guard let end = body.firstIndex(of: first) else { return nil }
            let after = body[body.index(after: end)...].drop { $0 == " " || $0 == "\t" }
            guard after.isEmpty || after.first == "#", !(first == "\"" && body[..<end].contains("\\")) else { return nil }
            return String(body[..<end])
        }
        guard !"[{&*|>!%@`".contains(first) else { return nil }
        if first == "#" { return "" }
        var value = text
        for mark in [" #", "\t#"] {
            if let comment = value.firstRange(of: mark) { value = value[..<comment.lowerBound] }
        }
        while let last = value.last, last == " " || last == "\t" { value.removeLast() }
        return value == "~" || value == "null" ? "" : String(value)
    }
}
