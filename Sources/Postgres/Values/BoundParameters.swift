/// Parameters as libpq wants them: one block of bytes, and for each parameter where it starts, how long it is and in which format.
struct BoundParameters {
    private(set) var bytes: [UInt8] = []
    /// Start of each parameter in `bytes`, -1 for NULL.
    private(set) var offsets: [Int] = []
    private(set) var lengths: [Int32] = []
    /// 0: text (ends with a NUL byte in `bytes`), 1: binary.
    private(set) var formats: [Int32] = []

    /// Encodes `values` for the types that the server inferred.
    init(_ values: [PostgresValue?], types: [TypeOID], statementName: String) throws(PostgresError) {
        guard values.count == types.count else {
            throw PostgresError(
                .usage,
                "the statement has \(types.count) parameters, \(values.count) were given",
                statementName: statementName
            )
        }
        offsets.reserveCapacity(values.count)
        lengths.reserveCapacity(values.count)
        formats.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            guard let value else {
                offsets.append(-1)
                lengths.append(0)
                formats.append(1)
                continue
            }
            let start = bytes.count
            let refusal: Refusal?
            var isText = false
            switch value.storage {
            case .integer(let integer): (refusal, isText) = append(integer, as: types[index])
            case .double(let double): (refusal, isText) = append(double, as: types[index])
            case .bool(let bool):
                refusal = types[index] == .bool ? nil : .type
                bytes.append(bool ? 1 : 0)
            case .text(let text): (refusal, isText) = append(text, as: types[index])
            case .bytea(let blob):
                refusal = types[index] == .bytea ? nil : .type
                bytes.append(contentsOf: blob)
            case .timestamptz(let microseconds):
                refusal = types[index] == .timestamptz ? nil : .type
                bytes.append(bigEndian: PostgresEpoch.serverMicroseconds(fromUnix: microseconds))
            case .json(let text):
                refusal = types[index] == .jsonb || types[index] == .json ? nil : .type
                // jsonb's binary form is a version number, 1, before the text.
                if types[index] == .jsonb { bytes.append(1) }
                bytes.append(contentsOf: text.utf8)
            case .integers, .doubles, .bools, .texts, .byteas, .timestamptzs:
                (refusal, isText) = appendArray(value.storage, as: types[index])
            }
            if let refusal {
                throw refusal.error(parameter: index + 1, value: value, type: types[index], statementName: statementName)
            }
            guard let length = Int32(exactly: bytes.count - start) else {
                throw PostgresError(
                    .usage,
                    "parameter $\(index + 1) is larger than 2 GiB",
                    statementName: statementName
                )
            }
            offsets.append(start)
            lengths.append(length)
            formats.append(isText ? 0 : 1)
            // libpq takes text up to its NUL byte.
            if isText { bytes.append(0) }
        }
    }

    private enum Refusal {
        case type
        case range
        case nulCharacter

        func error(parameter: Int, value: PostgresValue, type: TypeOID, statementName: String) -> PostgresError {
            switch self {
            case .type:
                PostgresError(
                    .usage,
                    "parameter $\(parameter): the server expects \(type.sqlName), \(value.kindName) was given",
                    hint: "Pass a value of that type, or say the type in the SQL: $\(parameter)::int8.",
                    statementName: statementName
                )
            case .range:
                PostgresError(
                    .usage,
                    "parameter $\(parameter): the integer does not fit into \(type.sqlName)",
                    hint: "Widen the column, or say the type in the SQL: $\(parameter)::int8.",
                    statementName: statementName
                )
            case .nulCharacter:
                PostgresError(
                    .usage,
                    "parameter $\(parameter): the text contains U+0000, which Postgres cannot store",
                    hint: "Remove it, or use bytea.",
                    statementName: statementName
                )
            }
        }
    }

    private mutating func append(_ integer: Int64, as type: TypeOID) -> (Refusal?, isText: Bool) {
        switch type {
        case .int8: bytes.append(bigEndian: integer)
        case .int4:
            guard let narrow = Int32(exactly: integer) else { return (.range, false) }
            bytes.append(bigEndian: narrow)
        case .int2:
            guard let narrow = Int16(exactly: integer) else { return (.range, false) }
            bytes.append(bigEndian: narrow)
        case .oid:
            guard let narrow = UInt32(exactly: integer) else { return (.range, false) }
            bytes.append(bigEndian: narrow)
        case .numeric, .float8, .float4:
            bytes.append(contentsOf: String(integer).utf8)
            return (nil, true)
        default: return (.type, false)
        }
        return (nil, false)
    }

    private mutating func append(_ double: Double, as type: TypeOID) -> (Refusal?, isText: Bool) {
        switch type {
        case .float8:
            bytes.append(bigEndian: double.bitPattern)
            return (nil, false)
        case .float4, .numeric:
            bytes.append(contentsOf: double.isNaN ? "NaN".utf8 : double.description.utf8)
            return (nil, true)
        default: return (.type, false)
        }
    }

    private mutating func append(_ text: String, as type: TypeOID) -> (Refusal?, isText: Bool) {
        if text.utf8.contains(0) { return (.nulCharacter, false) }
        bytes.append(contentsOf: text.utf8)
        switch type {
        case .text, .varchar, .bpchar, .name, .unknown: return (nil, false)
        // bytea's textual form would read backslashes in the text as escapes.
        case .bytea: return (.type, false)
        default: return (nil, true)
        }
    }

    private mutating func appendArray(_ storage: PostgresValue.Storage, as type: TypeOID) -> (Refusal?, isText: Bool) {
        switch (storage, type) {
        case (.integers(let values), .int8Array):
            appendArray(values, element: .int8) { $0.append(bigEndian: $1) }
        case (.integers(let values), .int4Array):
            guard values.allSatisfy({ $0.map { Int32(exactly: $0) != nil } ?? true }) else { return (.range, false) }
            appendArray(values, element: .int4) { $0.append(bigEndian: Int32(truncatingIfNeeded: $1)) }
        case (.integers(let values), .int2Array):
            guard values.allSatisfy({ $0.map { Int16(exactly: $0) != nil } ?? true }) else { return (.range, false) }
            appendArray(values, element: .int2) { $0.append(bigEndian: Int16(truncatingIfNeeded: $1)) }
        case (.doubles(let values), .float8Array):
            appendArray(values, element: .float8) { $0.append(bigEndian: $1.bitPattern) }
        case (.bools(let values), .boolArray):
            appendArray(values, element: .bool) { $0.append($1 ? 1 : 0) }
        case (.byteas(let values), .byteaArray):
            appendArray(values, element: .bytea) { $0.append(contentsOf: $1) }
        case (.timestamptzs(let values), .timestamptzArray):
            appendArray(values, element: .timestamptz) { $0.append(bigEndian: PostgresEpoch.serverMicroseconds(fromUnix: $1)) }
        case (.texts(let values), _):
            if values.contains(where: { $0?.utf8.contains(0) ?? false }) { return (.nulCharacter, false) }
            switch type {
            case .textArray: appendArray(values, element: .text) { $0.append(contentsOf: $1.utf8) }
            case .varcharArray: appendArray(values, element: .varchar) { $0.append(contentsOf: $1.utf8) }
            case .byteaArray, .text, .varchar, .bpchar, .name, .bytea: return (.type, false)
            default:
                appendArrayLiteral(values)
                return (nil, true)
            }
        default: return (.type, false)
        }
        return (nil, false)
    }

    /// Binary array: dimensions, has-null flag, element type; for each dimension its length and lower bound; then length and bytes of each
    /// element, length -1 for NULL. An empty array has no dimension.
    private mutating func appendArray<Element>(
        _ values: [Element?],
        element: TypeOID,
        _ appendElement: (inout [UInt8], Element) -> Void
    ) {
        bytes.append(bigEndian: Int32(values.isEmpty ? 0 : 1))
        bytes.append(bigEndian: Int32(values.contains { $0 == nil } ? 1 : 0))
        bytes.append(bigEndian: element.rawValue)
        if values.isEmpty { return }
        bytes.append(bigEndian: Int32(truncatingIfNeeded: values.count))
        bytes.append(bigEndian: Int32(1))
        for value in values {
            guard let value else {
                bytes.append(bigEndian: Int32(-1))
                continue
            }
            let lengthAt = bytes.count
            bytes.append(bigEndian: Int32(0))
            appendElement(&bytes, value)
            bytes.replace(at: lengthAt, bigEndian: Int32(truncatingIfNeeded: bytes.count - lengthAt - 4))
        }
    }

    /// `{"a","b \"quoted\"",NULL}`: every element quoted, so that no element can be read as anything but text.
    private mutating func appendArrayLiteral(_ values: [String?]) {
        bytes.append(UInt8(ascii: "{"))
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            guard let value else {
                bytes.append(contentsOf: "NULL".utf8)
                continue
            }
            bytes.append(UInt8(ascii: "\""))
            for byte in value.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
    }
}
