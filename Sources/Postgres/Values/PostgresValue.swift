/// A parameter to bind. NULL is `nil` in `[PostgresValue?]`.
///
/// Values travel in binary where Postgres' binary form is simple, and always apart from the SQL text, so they cannot change its meaning.
/// The server infers each parameter's type from the statement; an integer is then sent in the width that was inferred (checked), and
/// text is taken for any type that the server can parse from text. Every other difference in type is an error before anything is sent.
public struct PostgresValue: Hashable, Sendable {
    enum Storage: Hashable, Sendable {
        case integer(Int64)
        case double(Double)
        case bool(Bool)
        case text(String)
        case bytea([UInt8])
        case timestamptz(Int64)
        case json(String)
        case integers([Int64?])
        case doubles([Double?])
        case bools([Bool?])
        case texts([String?])
        case byteas([[UInt8]?])
        case timestamptzs([Int64?])
    }

    var storage: Storage

    public static func int2(_ value: Int16) -> PostgresValue { PostgresValue(storage: .integer(Int64(value))) }
    public static func int4(_ value: Int32) -> PostgresValue { PostgresValue(storage: .integer(Int64(value))) }
    public static func int8(_ value: Int64) -> PostgresValue { PostgresValue(storage: .integer(value)) }
    public static func float8(_ value: Double) -> PostgresValue { PostgresValue(storage: .double(value)) }
    public static func bool(_ value: Bool) -> PostgresValue { PostgresValue(storage: .bool(value)) }
    /// Text, or the textual form of any other type (`uuid`, `inet`, an enum, `numeric`, `interval`...). Must not contain U+0000.
    public static func text(_ value: String) -> PostgresValue { PostgresValue(storage: .text(value)) }
    public static func bytea(_ value: [UInt8]) -> PostgresValue { PostgresValue(storage: .bytea(value)) }
    /// An instant in microseconds since 1970-01-01T00:00:00Z; `Int64.max` is `infinity`, `Int64.min` is `-infinity`.
    public static func timestamptz(microseconds: Int64) -> PostgresValue { PostgresValue(storage: .timestamptz(microseconds)) }
    /// JSON text for a `jsonb` or `json` parameter.
    public static func jsonb(_ text: String) -> PostgresValue { PostgresValue(storage: .json(text)) }

    public static func int2Array(_ values: [Int16]) -> PostgresValue { PostgresValue(storage: .integers(values.map { Int64($0) })) }
    public static func int4Array(_ values: [Int32]) -> PostgresValue { PostgresValue(storage: .integers(values.map { Int64($0) })) }
    @_disfavoredOverload
    public static func int4Array(_ values: [Int32?]) -> PostgresValue {
        PostgresValue(storage: .integers(values.map { $0.map(Int64.init) }))
    }
    public static func int8Array(_ values: [Int64]) -> PostgresValue { PostgresValue(storage: .integers(values)) }
    @_disfavoredOverload
    public static func int8Array(_ values: [Int64?]) -> PostgresValue { PostgresValue(storage: .integers(values)) }
    public static func float8Array(_ values: [Double]) -> PostgresValue { PostgresValue(storage: .doubles(values)) }
    @_disfavoredOverload
    public static func float8Array(_ values: [Double?]) -> PostgresValue { PostgresValue(storage: .doubles(values)) }
    public static func boolArray(_ values: [Bool]) -> PostgresValue { PostgresValue(storage: .bools(values)) }
    @_disfavoredOverload
    public static func boolArray(_ values: [Bool?]) -> PostgresValue { PostgresValue(storage: .bools(values)) }
    /// Strings, or the textual forms of any other element type.
    public static func textArray(_ values: [String]) -> PostgresValue { PostgresValue(storage: .texts(values)) }
    @_disfavoredOverload
    public static func textArray(_ values: [String?]) -> PostgresValue { PostgresValue(storage: .texts(values)) }
    public static func byteaArray(_ values: [[UInt8]]) -> PostgresValue { PostgresValue(storage: .byteas(values)) }
    @_disfavoredOverload
    public static func byteaArray(_ values: [[UInt8]?]) -> PostgresValue { PostgresValue(storage: .byteas(values)) }
    /// Instants as in `timestamptz(microseconds:)`.
    public static func timestamptzArray(microseconds values: [Int64]) -> PostgresValue { PostgresValue(storage: .timestamptzs(values)) }
    @_disfavoredOverload
    public static func timestamptzArray(microseconds values: [Int64?]) -> PostgresValue { PostgresValue(storage: .timestamptzs(values)) }
}

extension PostgresValue: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByBooleanLiteral {
    public init(integerLiteral value: Int64) { self = .int8(value) }
    public init(floatLiteral value: Double) { self = .float8(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension PostgresValue {
    /// What error messages call this kind of value; never the value itself.
    var kindName: String {
        switch storage {
        case .integer: "an integer"
        case .double: "a float8"
        case .bool: "a bool"
        case .text: "text"
        case .bytea: "a bytea"
        case .timestamptz: "a timestamptz"
        case .json: "JSON"
        case .integers: "an array of integers"
        case .doubles: "an array of float8"
        case .bools: "an array of bool"
        case .texts: "an array of text"
        case .byteas: "an array of bytea"
        case .timestamptzs: "an array of timestamptz"
        }
    }
}
