/// Any JSON value, for documents whose fields we keep without knowing them.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// How deep arrays and objects may lie within one another.
    public static let deepest = 32

    /// What is no JSON: where, and what would have been.
    public struct Malformed: Error, Hashable, CustomStringConvertible {
        /// In bytes from the start.
        public let offset: Int
        public let expected: String

        public var description: String { "byte \(offset): expected \(expected)" }
    }

    /// JSON has no infinity and no NaN.
    public struct NotFinite: Error, Hashable {}

    /// - Throws: `Malformed`, also for what lies deeper than `deepest`.
    public init(parsing bytes: [UInt8]) throws(Malformed) {
        self = try JSONParser.parse(bytes, deepest: Self.deepest)
    }

    /// Whether any text or name in it holds U+0000, which Postgres cannot store.
    public var holdsZero: Bool {
        switch self {
        case .string(let text): text.utf8.contains(0)
        case .array(let values): values.contains { $0.holdsZero }
        case .object(let fields): fields.contains { $0.key.utf8.contains(0) || $0.value.holdsZero }
        default: false
        }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var object: [String: JSONValue]? { if case .object(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    public var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        default: nil
        }
    }

    /// A whole number, also one that is written as a text: those past 2^53 are.
    public var wholeNumber: Int64? { integer ?? string.flatMap { Int64($0) } }

    /// What the value is, for messages: `a string`, `the number 1.7`.
    public var described: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "the number \(value)"
        case .number(let value): "the number \(value)"
        case .string(let value): "the text \"\(value.prefix(60))\""
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// Compact JSON with sorted names.
    public var text: String {
        get throws(NotFinite) { String(decoding: try bytes, as: UTF8.self) }
    }

    /// Compact JSON with sorted names, as UTF-8.
    public var bytes: [UInt8] {
        get throws(NotFinite) {
            var writer = JSONWriter()
            try writer.write(self)
            return writer.bytes
        }
    }
}
