// One group for each type: by name, by position, and both again for columns that may be NULL.

extension PostgresRow {
    /// An `int8`, `int4`, `int2` or `oid`.
    public func int64(_ column: String) throws(PostgresError) -> Int64 { try require(storage.shape.position(of: column), .int64) }
    /// An `int8`, `int4`, `int2` or `oid`.
    public func int64(_ column: Int) throws(PostgresError) -> Int64 { try require(column, .int64) }
    /// An `int8`, `int4`, `int2` or `oid`. nil for NULL.
    public func int64IfPresent(_ column: String) throws(PostgresError) -> Int64? {
        try decode(storage.shape.position(of: column), .int64)
    }
    /// An `int8`, `int4`, `int2` or `oid`. nil for NULL.
    public func int64IfPresent(_ column: Int) throws(PostgresError) -> Int64? { try decode(column, .int64) }

    /// An `int4` or `int2`.
    public func int32(_ column: String) throws(PostgresError) -> Int32 { try require(storage.shape.position(of: column), .int32) }
    /// An `int4` or `int2`.
    public func int32(_ column: Int) throws(PostgresError) -> Int32 { try require(column, .int32) }
    /// An `int4` or `int2`. nil for NULL.
    public func int32IfPresent(_ column: String) throws(PostgresError) -> Int32? {
        try decode(storage.shape.position(of: column), .int32)
    }
    /// An `int4` or `int2`. nil for NULL.
    public func int32IfPresent(_ column: Int) throws(PostgresError) -> Int32? { try decode(column, .int32) }

    /// An `int2`.
    public func int16(_ column: String) throws(PostgresError) -> Int16 { try require(storage.shape.position(of: column), .int16) }
    /// An `int2`.
    public func int16(_ column: Int) throws(PostgresError) -> Int16 { try require(column, .int16) }
    /// An `int2`. nil for NULL.
    public func int16IfPresent(_ column: String) throws(PostgresError) -> Int16? {
        try decode(storage.shape.position(of: column), .int16)
    }
    /// An `int2`. nil for NULL.
    public func int16IfPresent(_ column: Int) throws(PostgresError) -> Int16? { try decode(column, .int16) }

    /// A `float8` or `float4`.
    public func double(_ column: String) throws(PostgresError) -> Double { try require(storage.shape.position(of: column), .double) }
    /// A `float8` or `float4`.
    public func double(_ column: Int) throws(PostgresError) -> Double { try require(column, .double) }
    /// A `float8` or `float4`. nil for NULL.
    public func doubleIfPresent(_ column: String) throws(PostgresError) -> Double? {
        try decode(storage.shape.position(of: column), .double)
    }
    /// A `float8` or `float4`. nil for NULL.
    public func doubleIfPresent(_ column: Int) throws(PostgresError) -> Double? { try decode(column, .double) }

    /// A `bool`.
    public func bool(_ column: String) throws(PostgresError) -> Bool { try require(storage.shape.position(of: column), .bool) }
    /// A `bool`.
    public func bool(_ column: Int) throws(PostgresError) -> Bool { try require(column, .bool) }
    /// A `bool`. nil for NULL.
    public func boolIfPresent(_ column: String) throws(PostgresError) -> Bool? {
        try decode(storage.shape.position(of: column), .bool)
    }
    /// A `bool`. nil for NULL.
    public func boolIfPresent(_ column: Int) throws(PostgresError) -> Bool? { try decode(column, .bool) }

    /// A `text`, `varchar`, `char`, `name` or `uuid`, or the label of an enum.
    public func string(_ column: String) throws(PostgresError) -> String { try require(storage.shape.position(of: column), .string) }
    /// A `text`, `varchar`, `char`, `name` or `uuid`, or the label of an enum.
    public func string(_ column: Int) throws(PostgresError) -> String { try require(column, .string) }
    /// A `text`, `varchar`, `char`, `name` or `uuid`, or the label of an enum. nil for NULL.
    public func stringIfPresent(_ column: String) throws(PostgresError) -> String? {
        try decode(storage.shape.position(of: column), .string)
    }
    /// A `text`, `varchar`, `char`, `name` or `uuid`, or the label of an enum. nil for NULL.
    public func stringIfPresent(_ column: Int) throws(PostgresError) -> String? { try decode(column, .string) }

    /// A `bytea`.
    public func bytes(_ column: String) throws(PostgresError) -> [UInt8] { try require(storage.shape.position(of: column), .bytes) }
    /// A `bytea`.
    public func bytes(_ column: Int) throws(PostgresError) -> [UInt8] { try require(column, .bytes) }
    /// A `bytea`. nil for NULL.
    public func bytesIfPresent(_ column: String) throws(PostgresError) -> [UInt8]? {
        try decode(storage.shape.position(of: column), .bytes)
    }
    /// A `bytea`. nil for NULL.
    public func bytesIfPresent(_ column: Int) throws(PostgresError) -> [UInt8]? { try decode(column, .bytes) }

    /// A `timestamptz` in microseconds since 1970-01-01T00:00:00Z; `infinity` is `Int64.max`, `-infinity` is `Int64.min`.
    public func timestampMicroseconds(_ column: String) throws(PostgresError) -> Int64 {
        try require(storage.shape.position(of: column), .timestampMicroseconds)
    }
    /// A `timestamptz` in microseconds since 1970-01-01T00:00:00Z; `infinity` is `Int64.max`, `-infinity` is `Int64.min`.
    public func timestampMicroseconds(_ column: Int) throws(PostgresError) -> Int64 { try require(column, .timestampMicroseconds) }
    /// A `timestamptz` in microseconds since 1970-01-01T00:00:00Z; `infinity` is `Int64.max`, `-infinity` is `Int64.min`. nil for NULL.
    public func timestampMicrosecondsIfPresent(_ column: String) throws(PostgresError) -> Int64? {
        try decode(storage.shape.position(of: column), .timestampMicroseconds)
    }
    /// A `timestamptz` in microseconds since 1970-01-01T00:00:00Z; `infinity` is `Int64.max`, `-infinity` is `Int64.min`. nil for NULL.
    public func timestampMicrosecondsIfPresent(_ column: Int) throws(PostgresError) -> Int64? { try decode(column, .timestampMicroseconds) }

    /// A `jsonb` or `json` as its text.
    public func json(_ column: String) throws(PostgresError) -> String { try require(storage.shape.position(of: column), .json) }
    /// A `jsonb` or `json` as its text.
    public func json(_ column: Int) throws(PostgresError) -> String { try require(column, .json) }
    /// A `jsonb` or `json` as its text. nil for NULL.
    public func jsonIfPresent(_ column: String) throws(PostgresError) -> String? {
        try decode(storage.shape.position(of: column), .json)
    }
    /// A `jsonb` or `json` as its text. nil for NULL.
    public func jsonIfPresent(_ column: Int) throws(PostgresError) -> String? { try decode(column, .json) }

    /// A `numeric` as decimal text, exactly as the server prints it.
    public func numericString(_ column: String) throws(PostgresError) -> String {
        try require(storage.shape.position(of: column), .numeric)
    }
    /// A `numeric` as decimal text, exactly as the server prints it.
    public func numericString(_ column: Int) throws(PostgresError) -> String { try require(column, .numeric) }
    /// A `numeric` as decimal text, exactly as the server prints it. nil for NULL.
    public func numericStringIfPresent(_ column: String) throws(PostgresError) -> String? {
        try decode(storage.shape.position(of: column), .numeric)
    }
    /// A `numeric` as decimal text, exactly as the server prints it. nil for NULL.
    public func numericStringIfPresent(_ column: Int) throws(PostgresError) -> String? { try decode(column, .numeric) }

    /// An `int8[]`, `int4[]` or `int2[]` without NULL in it.
    public func int64Array(_ column: String) throws(PostgresError) -> [Int64] {
        try require(storage.shape.position(of: column), .int64Array)
    }
    /// An `int8[]`, `int4[]` or `int2[]` without NULL in it.
    public func int64Array(_ column: Int) throws(PostgresError) -> [Int64] { try require(column, .int64Array) }
    /// An `int8[]`, `int4[]` or `int2[]` without NULL in it. nil for NULL.
    public func int64ArrayIfPresent(_ column: String) throws(PostgresError) -> [Int64]? {
        try decode(storage.shape.position(of: column), .int64Array)
    }
    /// An `int8[]`, `int4[]` or `int2[]` without NULL in it. nil for NULL.
    public func int64ArrayIfPresent(_ column: Int) throws(PostgresError) -> [Int64]? { try decode(column, .int64Array) }

    /// An `int8[]`, `int4[]` or `int2[]`, NULL elements as nil.
    public func int64OptionalArray(_ column: String) throws(PostgresError) -> [Int64?] {
        try require(storage.shape.position(of: column), .int64OptionalArray)
    }
    /// An `int8[]`, `int4[]` or `int2[]`, NULL elements as nil.
    public func int64OptionalArray(_ column: Int) throws(PostgresError) -> [Int64?] { try require(column, .int64OptionalArray) }
    /// An `int8[]`, `int4[]` or `int2[]`, NULL elements as nil. nil for NULL.
    public func int64OptionalArrayIfPresent(_ column: String) throws(PostgresError) -> [Int64?]? {
        try decode(storage.shape.position(of: column), .int64OptionalArray)
    }
    /// An `int8[]`, `int4[]` or `int2[]`, NULL elements as nil. nil for NULL.
    public func int64OptionalArrayIfPresent(_ column: Int) throws(PostgresError) -> [Int64?]? { try decode(column, .int64OptionalArray) }

    /// A `float8[]` or `float4[]` without NULL in it.
    public func doubleArray(_ column: String) throws(PostgresError) -> [Double] {
        try require(storage.shape.position(of: column), .doubleArray)
    }
    /// A `float8[]` or `float4[]` without NULL in it.
    public func doubleArray(_ column: Int) throws(PostgresError) -> [Double] { try require(column, .doubleArray) }
    /// A `float8[]` or `float4[]` without NULL in it. nil for NULL.
    public func doubleArrayIfPresent(_ column: String) throws(PostgresError) -> [Double]? {
        try decode(storage.shape.position(of: column), .doubleArray)
    }
    /// A `float8[]` or `float4[]` without NULL in it. nil for NULL.
    public func doubleArrayIfPresent(_ column: Int) throws(PostgresError) -> [Double]? { try decode(column, .doubleArray) }

    /// A `text[]` without NULL in it.
    public func stringArray(_ column: String) throws(PostgresError) -> [String] {
        try require(storage.shape.position(of: column), .stringArray)
    }
    /// A `text[]` without NULL in it.
    public func stringArray(_ column: Int) throws(PostgresError) -> [String] { try require(column, .stringArray) }
    /// A `text[]` without NULL in it. nil for NULL.
    public func stringArrayIfPresent(_ column: String) throws(PostgresError) -> [String]? {
        try decode(storage.shape.position(of: column), .stringArray)
    }
    /// A `text[]` without NULL in it. nil for NULL.
    public func stringArrayIfPresent(_ column: Int) throws(PostgresError) -> [String]? { try decode(column, .stringArray) }

    /// A `timestamptz[]` without NULL in it, as in `timestampMicroseconds`.
    public func timestampMicrosecondsArray(_ column: String) throws(PostgresError) -> [Int64] {
        try require(storage.shape.position(of: column), .timestampMicrosecondsArray)
    }
    /// A `timestamptz[]` without NULL in it, as in `timestampMicroseconds`.
    public func timestampMicrosecondsArray(_ column: Int) throws(PostgresError) -> [Int64] {
        try require(column, .timestampMicrosecondsArray)
    }
    /// A `timestamptz[]` without NULL in it, as in `timestampMicroseconds`. nil for NULL.
    public func timestampMicrosecondsArrayIfPresent(_ column: String) throws(PostgresError) -> [Int64]? {
        try decode(storage.shape.position(of: column), .timestampMicrosecondsArray)
    }
    /// A `timestamptz[]` without NULL in it, as in `timestampMicroseconds`. nil for NULL.
    public func timestampMicrosecondsArrayIfPresent(_ column: Int) throws(PostgresError) -> [Int64]? {
        try decode(column, .timestampMicrosecondsArray)
    }
}
