/// The type numbers of Postgres' catalogue (`pg_type.oid`) that this module encodes or decodes. They are fixed for all versions.
struct TypeOID: RawRepresentable, Hashable, Sendable {
    var rawValue: UInt32

    static let bool = TypeOID(rawValue: 16)
    static let bytea = TypeOID(rawValue: 17)
    static let char = TypeOID(rawValue: 18)
    static let name = TypeOID(rawValue: 19)
    static let int8 = TypeOID(rawValue: 20)
    static let int2 = TypeOID(rawValue: 21)
    static let int4 = TypeOID(rawValue: 23)
    static let text = TypeOID(rawValue: 25)
    static let oid = TypeOID(rawValue: 26)
    static let json = TypeOID(rawValue: 114)
    static let float4 = TypeOID(rawValue: 700)
    static let float8 = TypeOID(rawValue: 701)
    static let unknown = TypeOID(rawValue: 705)
    static let bpchar = TypeOID(rawValue: 1042)
    static let varchar = TypeOID(rawValue: 1043)
    static let date = TypeOID(rawValue: 1082)
    static let timestamp = TypeOID(rawValue: 1114)
    static let timestamptz = TypeOID(rawValue: 1184)
    static let interval = TypeOID(rawValue: 1186)
    static let numeric = TypeOID(rawValue: 1700)
    static let uuid = TypeOID(rawValue: 2950)
    static let jsonb = TypeOID(rawValue: 3802)

    static let boolArray = TypeOID(rawValue: 1000)
    static let byteaArray = TypeOID(rawValue: 1001)
    static let int2Array = TypeOID(rawValue: 1005)
    static let int4Array = TypeOID(rawValue: 1007)
    static let textArray = TypeOID(rawValue: 1009)
    static let varcharArray = TypeOID(rawValue: 1015)
    static let int8Array = TypeOID(rawValue: 1016)
    static let float4Array = TypeOID(rawValue: 1021)
    static let float8Array = TypeOID(rawValue: 1022)
    static let timestamptzArray = TypeOID(rawValue: 1185)
    static let nameArray = TypeOID(rawValue: 1003)

    /// Numbers from here on belong to types made by users: enums, composites, extensions.
    var isUserDefined: Bool { rawValue >= 16384 }

    private static let names: [TypeOID: String] = [
        .bool: "bool", .bytea: "bytea", .char: "\"char\"", .name: "name", .int8: "int8", .int2: "int2", .int4: "int4", .text: "text",
        .oid: "oid", .json: "json", .float4: "float4", .float8: "float8", .unknown: "unknown", .bpchar: "char", .varchar: "varchar",
        .date: "date", .timestamp: "timestamp", .timestamptz: "timestamptz", .interval: "interval", .numeric: "numeric", .uuid: "uuid",
        .jsonb: "jsonb", .boolArray: "bool[]", .byteaArray: "bytea[]", .int2Array: "int2[]", .int4Array: "int4[]", .textArray: "text[]",
        .varcharArray: "varchar[]", .int8Array: "int8[]", .float4Array: "float4[]", .float8Array: "float8[]",
        .timestamptzArray: "timestamptz[]", .nameArray: "name[]",
    ]

    /// The SQL name where this module knows the type, else its number.
    var sqlName: String { Self.names[self] ?? "the type with OID \(rawValue)" }
}

/// Postgres counts microseconds from 2000-01-01T00:00:00Z, this module's callers from 1970-01-01T00:00:00Z.
enum PostgresEpoch {
    private static let offsetMicroseconds: Int64 = 946_684_800_000_000

    /// Server's count to Unix microseconds. The server's `infinity` and `-infinity` are `Int64.max` and `Int64.min` and stay so. Of the
    /// instants that Postgres can hold, those of the last 29 years (294247 to 294276) do not fit and become `Int64.max` as well.
    static func unixMicroseconds(fromServer count: Int64) -> Int64 {
        if count == .max || count == .min { return count }
        let (sum, overflow) = count.addingReportingOverflow(offsetMicroseconds)
        return overflow ? .max : sum
    }

    /// Unix microseconds to the server's count. An instant before Postgres' range is left to the server to refuse.
    static func serverMicroseconds(fromUnix count: Int64) -> Int64 {
        if count == .max || count == .min { return count }
        let (difference, overflow) = count.subtractingReportingOverflow(offsetMicroseconds)
        // Just above .min, so that it is refused as out of range instead of being read as -infinity.
        return overflow ? .min + 1 : difference
    }
}
