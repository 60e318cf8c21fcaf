/// A line of a TOML file or of Buildkite's settings: `key = value`, quoted or not, perhaps with a comment.
enum ConfigurationLine {
    /// Nil for what is not such a line, and for lists and tables.
    static func keyAndValue(_ line: Substring) -> (key: String, value: String)? {
        guard line.first != "#", let equals = line.firstIndex(of: "=") else { return nil }
        let key = trimmed(line[..<equals])
        let rest = trimmed(line[line.index(after: equals)...])
        guard !key.isEmpty, let first = rest.first, !"[{".contains(first) else { return nil }
        guard first == "\"" || first == "'" else {
            return (String(key), String(trimmed(rest.prefix { $0 != "#" })))
        }
        var value = ""
        var isEscaped = false
        for character in rest.dropFirst() {
            if isEscaped {
                value.append(character)
                isEscaped = false
            } else if character == "\\", first == "\"" {
                isEscaped = true
            } else if character == first {
                return (String(key), value)
            } else {
                value.append(character)
            }
        }
        return nil
    }

    static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
