import Documents

/// One thing that a look at the collector found.
public struct Finding: Sendable, Hashable {
    public enum Severity: String, Sendable, Hashable, CaseIterable {
        /// Something is wrong and somebody must act.
        case action
        /// Worth knowing; figures are wider or something is about to happen.
        case note
        case ok
    }

    /// Stable: programs may wait for one to go.
    public let id: String
    public let severity: Severity
    public let what: String
    public let count: Int
    /// A few of them, each with what is known.
    public let examples: [String]
    /// Commands that fix it, in the order in which to try them; database options are left out.
    public let commands: [String]

    public init(_ id: String, _ severity: Severity, _ what: String, count: Int = 0, examples: [String] = [], commands: [String] = []) {
        self.id = id
        self.severity = severity
        self.what = what
        self.count = count
        self.examples = examples
        self.commands = commands
    }

    var json: JSONValue {
        .object([
            "id": .string(id), "severity": .string(severity.rawValue), "what": .string(what), "count": .integer(Int64(count)),
            "examples": .array(examples.map { .string($0) }), "commands": .array(commands.map { .string($0) }),
        ])
    }
}

/// A word of a command as a shell takes it.
enum ShellWord {
    static func quoted(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || Array("-._/:@+,=".utf8).contains(byte)
            }
        if isPlain { return text }
        guard text.unicodeScalars.contains(where: isControl) else { return "'" + text.replacing("'", with: "'\\''") + "'" }
        // Control characters would speak to the terminal: written as the shell's escapes.
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\", "'": escaped += "\\\(scalar)"
            case "\n": escaped += "\\n"
            case "\t": escaped += "\\t"
            case _ where isControl(scalar):
                for byte in String(scalar).utf8 { escaped += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return "$'" + escaped + "'"
    }

    /// For people: without what speaks to a terminal.
    static func shown(_ text: String, most: Int = 160) -> String {
        var shown = ""
        for scalar in text.unicodeScalars.prefix(most) { shown.unicodeScalars.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return text.unicodeScalars.count > most ? shown + "..." : shown
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 32 || (0x7F...0x9F).contains(scalar.value) || (0x202A...0x202E).contains(scalar.value)
            || (0x2066...0x2069).contains(scalar.value)
    }
}
