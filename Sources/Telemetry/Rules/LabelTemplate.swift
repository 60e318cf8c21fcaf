/// A text with labels of a series in braces: `rapl/package-{index}`. `{a|b}` is the first of them that the series has.
public struct LabelTemplate: Sendable, Hashable {
    private enum Part: Sendable, Hashable {
        case text(String)
        case label([String])
    }

    private let parts: [Part]

    /// - Throws: `MeterRules.Fault` for braces that do not match.
    public init(_ text: String) throws(MeterRules.Fault) {
        var parts: [Part] = []
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}"), close > rest.index(after: open) else {
                throw MeterRules.Fault("expected {label} in \(text), found a brace without its other one")
            }
            if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
            parts.append(.label(rest[rest.index(after: open)..<close].split(separator: "|").map(String.init)))
            rest = rest[rest.index(after: close)...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        self.parts = parts
    }

    /// Nil where a label is missing or empty.
    public func filled(by labels: [String: String]) -> String? {
        var text = ""
        for part in parts {
            switch part {
            case .text(let word): text += word
            case .label(let names):
                guard let value = names.lazy.compactMap({ labels[$0] }).first(where: { !$0.isEmpty }) else { return nil }
                text += value
            }
        }
        return text
    }
}
