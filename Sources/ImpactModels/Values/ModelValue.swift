/// A value of a manifest. Unlike `JSONValue` a map keeps the order of its keys, so that what is written looks like what was read.
public enum ModelValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case list([ModelValue])
    case map(ModelMap)

    public var text: String? { if case .text(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var list: [ModelValue]? { if case .list(let value) = self { value } else { nil } }
    public var map: ModelMap? { if case .map(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    public var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// 1 and 1.0 are the same value.
    public static func == (a: ModelValue, b: ModelValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.text(let a), .text(let b)): a == b
        case (.list(let a), .list(let b)): a == b
        case (.map(let a), .map(let b)): a == b
        default: if let a = a.number, let b = b.number { a == b } else { false }
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .integer, .number: hasher.combine(number)
        case .text(let value): hasher.combine(value)
        case .list(let value): hasher.combine(value)
        case .map(let value): hasher.combine(value)
        }
    }

    /// What the value is, for messages.
    public var described: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer, .number: "the number \(plain)"
        case .text(let value): value.count > 60 ? "the text \"\(value.prefix(60))...\"" : "the text \"\(value)\""
        case .list(let values): "a list of \(values.count)"
        case .map(let map): map.isEmpty ? "an empty mapping" : "a mapping with \(map.keys.prefix(5).joined(separator: ", "))"
        }
    }

    /// A scalar without quotes: a whole number without a fraction, every other one with the fewest digits that give it back. Empty for the
    /// rest.
    public var plain: String {
        switch self {
        case .null, .list, .map: return ""
        case .bool(let value): return "\(value)"
        case .integer(let value): return "\(value)"
        case .number(let value):
            let text = "\(value)"
            return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
        case .text(let value): return value
        }
    }
}

/// Keys in the order in which they came, each once. Two maps are equal whatever their order.
public struct ModelMap: Sendable, Hashable {
    public private(set) var keys: [String] = []
    private var values: [String: ModelValue] = [:]

    public init() {}

    /// Of a key that comes twice the last value counts, at the place of the first.
    public init(_ pairs: [(String, ModelValue)]) {
        for (key, value) in pairs { self[key] = value }
    }

    public var isEmpty: Bool { keys.isEmpty }
    public var count: Int { keys.count }
    public var pairs: [(key: String, value: ModelValue)] { keys.map { ($0, values[$0] ?? .null) } }

    /// A new key comes last; nil removes one.
    public subscript(key: String) -> ModelValue? {
        get { values[key] }
        set {
            switch (values[key] != nil, newValue) {
            case (false, .some): keys.append(key)
            case (true, .none): keys.removeAll { $0 == key }
            default: break
            }
            values[key] = newValue
        }
    }

    public func contains(_ key: String) -> Bool { values[key] != nil }

    public static func == (a: ModelMap, b: ModelMap) -> Bool { a.values == b.values }
    public func hash(into hasher: inout Hasher) { hasher.combine(values) }
}
