/// A settings file: `key: value` a line, as YAML writes a flat mapping. Comments begin with `#`; values may stand in quotes.
struct SettingsFile {
    struct Entry: Equatable {
        var value: String
        var line: Int
    }

    /// Why a file cannot be understood.
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    static let keys = ["url", "token", "zone", "socket"]

    let path: String
    let entries: [String: Entry]

    init(_ text: String, path: String) throws(Fault) {
        var entries: [String: Entry] = [:]
        for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let place = "\(path):\(index + 1)"
            let line = SettingsFile.trimmed(raw)
            if line.isEmpty || line.hasPrefix("#") || line == "---" { continue }
            guard let colon = line.firstIndex(of: ":"), raw.first?.isWhitespace == false else {
                throw Fault(description: "\(place): expected `key: value`, found `\(line)`")
            }
            let key = String(line[..<colon])
            guard SettingsFile.keys.contains(key) else {
                throw Fault(description: "\(place): expected one of \(SettingsFile.keys.joined(separator: ", ")), found `\(key)`")
            }
            guard entries[key] == nil else { throw Fault(description: "\(place): `\(key)` stands here twice") }
            let value = SettingsFile.value(SettingsFile.trimmed(line[line.index(after: colon)...]))
            if !value.isEmpty && value != "~" && value != "null" { entries[key] = Entry(value: value, line: index + 1) }
        }
        self.path = path
        self.entries = entries
    }

    private static func value(_ text: Substring) -> String {
        for quote in ["\"", "'"] where text.hasPrefix(quote) {
            if let end = text.dropFirst().firstIndex(of: Character(quote)) { return String(text[text.index(after: text.startIndex)..<end]) }
        }
        // A comment begins with a blank and a hash; a hash alone may be part of a token.
        var end = text.startIndex
        while end < text.endIndex {
            if text[end] == "#", end > text.startIndex, text[text.index(before: end)].isWhitespace { break }
            end = text.index(after: end)
        }
        return String(trimmed(text[..<end]))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
