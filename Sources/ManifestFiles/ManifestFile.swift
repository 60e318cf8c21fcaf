public import ImpactModels

/// Reads YAML (and so JSON) of manifests, by the core schema of YAML 1.2, as upstream does: `off` is a text and a time stays as it is written.
public enum ManifestFile {
    /// Values that a document may have beyond its bytes once its aliases are written out: one of a few lines may name billions.
    private static let aliased = 100_000
    private static let deepest = 200

    /// - Throws: `ModelFault` with the line, where it is no YAML, or holds what manifests do not.
    public static func read(_ yaml: String, name: String) throws(ModelFault) -> ModelValue {
        guard let node = try YAMLNode.read(yaml, name: name, deepest: deepest) else {
            throw ModelFault(name, expected: "a manifest", found: "an empty file")
        }
        var left = aliased + yaml.utf8.count
        return try value(node, name, depth: 0, &left)
    }

    private static func value(_ node: YAMLNode, _ name: String, depth: Int, _ left: inout Int) throws(ModelFault) -> ModelValue {
        left -= 1
        guard left >= 0 else {
            throw ModelFault(name, expected: "a document without many aliases of aliases", found: "too many values behind them")
        }
        let place = "\(name), line \(node.line)"
        guard depth <= deepest else { throw ModelFault(place, expected: "at most \(deepest) values within one another", found: "more") }
        switch node {
        case .scalar(let text, let isPlain, _): return try scalar(text, isPlain: isPlain, place)
        case .list(let list, _):
            var values: [ModelValue] = []
            for one in list { values.append(try value(one, name, depth: depth + 1, &left)) }
            return .list(values)
        case .map(let pairs, _):
            var map = ModelMap()
            var merged: [ModelMap] = []
            for (key, one) in pairs {
                guard case .scalar(let text, let isPlain, let line) = key else {
                    throw ModelFault("\(name), line \(key.line)", expected: "a text as key", found: "a list or a mapping")
                }
                let value = try value(one, name, depth: depth + 1, &left)
                if text == "<<", isPlain {
                    merged += value.map.map { [$0] } ?? value.list?.compactMap(\.map) ?? []
                } else {
                    guard !map.contains(text) else {
                        throw ModelFault("\(name), line \(line)", expected: "each key once", found: "\(text) again")
                    }
                    map[text] = value
                }
            }
            for other in merged {
                for (key, value) in other.pairs where !map.contains(key) { map[key] = value }
            }
            return .map(map)
        }
    }

    private static func scalar(_ text: String, isPlain: Bool, _ place: String) throws(ModelFault) -> ModelValue {
        if text.utf8.contains(0) { throw ModelFault(place, expected: "texts without U+0000", found: "one with it") }
        guard isPlain else { return .text(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: return number(text) ?? .text(text)
        }
    }

    /// `[-+]?[0-9]+`, `0o7`, `0xF`, and `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
    private static func number(_ text: String) -> ModelValue? {
        var digits = text[...]
        if digits.hasPrefix("0x") { return Int64(digits.dropFirst(2), radix: 16).map { .integer($0) } }
        if digits.hasPrefix("0o") { return Int64(digits.dropFirst(2), radix: 8).map { .integer($0) } }
        if digits.first == "-" || digits.first == "+" { digits = digits.dropFirst() }
        guard let first = digits.utf8.first, (48...57).contains(first) || first == UInt8(ascii: "."),
            digits.utf8.allSatisfy({ (48...57).contains($0) || "+-.eE".utf8.contains($0) }),
            digits.utf8.contains(where: { (48...57).contains($0) })
        else { return nil }
        if let integer = Int64(text) { return .integer(integer) }
        let full = text.hasSuffix(".") ? text + "0" : text.replacing(".e", with: ".0e").replacing(".E", with: ".0e")
        guard let number = Double(full.first == "+" ? full.dropFirst() : full[...]), number.isFinite else { return nil }
        return .number(number)
    }
}
