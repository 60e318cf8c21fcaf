/// How to read one Swift type out of a binary field.
struct FieldDecoder<Value>: Sendable {
    enum Outcome {
        case value(Value)
        case wrongType
        case malformed
        case nullElement
    }

    /// For errors: "int8, int4 or int2".
    var expected: String
    var hint: String?
    var decode: @Sendable (TypeOID, UnsafeRawBufferPointer) -> Outcome
}

extension FieldDecoder {
    fileprivate func orMalformed(_ value: Value?) -> Outcome { value.map(Outcome.value) ?? .malformed }
}

private func integer<Number: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, as type: Number.Type) -> Int64? {
    bytes.count == MemoryLayout<Number>.size ? Int64(truncatingIfNeeded: bytes.bigEndian(at: 0, as: type)) : nil
}

private func utf8(_ bytes: UnsafeRawBufferPointer) -> String? {
    String(validating: bytes, as: UTF8.self)
}

extension FieldDecoder<Int64> {
    static let int64 = FieldDecoder(
        expected: "int8, int4 or int2",
        hint: "Cast it in the query (sum(bigint) is numeric: sum(x)::int8), or read it as what it is."
    ) { type, bytes in
        let value: Int64?
        switch type {
        case .int8: value = integer(bytes, as: Int64.self)
        case .int4: value = integer(bytes, as: Int32.self)
        case .int2: value = integer(bytes, as: Int16.self)
        case .oid: value = integer(bytes, as: UInt32.self)
        default: return .wrongType
        }
        return value.map(Outcome.value) ?? .malformed
    }

    static let timestampMicroseconds = FieldDecoder(
        expected: "timestamptz",
        hint: "Cast it in the query: x::timestamptz."
    ) { type, bytes in
        guard type == .timestamptz else { return .wrongType }
        guard let count = integer(bytes, as: Int64.self) else { return .malformed }
        return .value(PostgresEpoch.unixMicroseconds(fromServer: count))
    }
}

extension FieldDecoder<Int32> {
    static let int32 = FieldDecoder(expected: "int4 or int2", hint: "Read it with int64, or cast it in the query.") { type, bytes in
        let value: Int64?
        switch type {
        case .int4: value = integer(bytes, as: Int32.self)
        case .int2: value = integer(bytes, as: Int16.self)
        default: return .wrongType
        }
        return value.map { .value(Int32(truncatingIfNeeded: $0)) } ?? .malformed
    }
}

extension FieldDecoder<Int16> {
    static let int16 = FieldDecoder(expected: "int2", hint: "Read it with int32 or int64, or cast it in the query.") { type, bytes in
        guard type == .int2 else { return .wrongType }
        return integer(bytes, as: Int16.self).map { .value(Int16(truncatingIfNeeded: $0)) } ?? .malformed
    }
}

extension FieldDecoder<Double> {
    static let double = FieldDecoder(expected: "float8 or float4", hint: "Cast it in the query: x::float8.") { type, bytes in
        switch type {
        case .float8:
            guard bytes.count == 8 else { return .malformed }
            return .value(Double(bitPattern: bytes.bigEndian(at: 0)))
        case .float4:
            guard bytes.count == 4 else { return .malformed }
            return .value(Double(Float(bitPattern: bytes.bigEndian(at: 0))))
        default: return .wrongType
        }
    }
}

extension FieldDecoder<Bool> {
    static let bool = FieldDecoder(expected: "bool", hint: nil) { type, bytes in
        guard type == .bool else { return .wrongType }
        return bytes.count == 1 ? .value(bytes[0] != 0) : .malformed
    }
}

extension FieldDecoder<[UInt8]> {
    static let bytes = FieldDecoder(expected: "bytea", hint: nil) { type, bytes in
        type == .bytea ? .value([UInt8](bytes)) : .wrongType
    }
}

extension FieldDecoder<String> {
    static let string = FieldDecoder(expected: "text", hint: "Cast it in the query: x::text.") { type, bytes in
        switch type {
        case .text, .varchar, .bpchar, .name, .char, .unknown: break
        case .uuid: return uuidText(bytes).map(Outcome.value) ?? .malformed
        // The binary form of an enum is its label; other user-defined types mostly fail the check of UTF-8 or surprise nobody.
        case let type where type.isUserDefined: break
        default: return .wrongType
        }
        return utf8(bytes).map(Outcome.value) ?? .malformed
    }

    static let json = FieldDecoder(expected: "jsonb or json", hint: nil) { type, bytes in
        switch type {
        case .json: return utf8(bytes).map(Outcome.value) ?? .malformed
        case .jsonb:
            guard bytes.first == 1 else { return .malformed }
            return utf8(UnsafeRawBufferPointer(rebasing: bytes[1...])).map(Outcome.value) ?? .malformed
        default: return .wrongType
        }
    }

    static let numeric = FieldDecoder(expected: "numeric", hint: "Integers are read with int64, floats with double.") { type, bytes in
        guard type == .numeric else { return .wrongType }
        return NumericText.decode(bytes).map(Outcome.value) ?? .malformed
    }

    private static func uuidText(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count == 16 else { return nil }
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if index == 4 || index == 6 || index == 8 || index == 10 { text.append(UInt8(ascii: "-")) }
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension FieldDecoder {
    /// A one-dimensional array, each element by `element`. Arrays of arrays are refused.
    private static func elements<Element>(
        _ bytes: UnsafeRawBufferPointer,
        _ element: FieldDecoder<Element>
    ) -> FieldDecoder<[Element?]>.Outcome {
        guard bytes.count >= 12 else { return .malformed }
        let dimensions = bytes.bigEndian(at: 0, as: Int32.self)
        if dimensions == 0 { return .value([]) }
        guard dimensions == 1, bytes.count >= 20 else { return .malformed }
        let type = TypeOID(rawValue: bytes.bigEndian(at: 8))
        let count = Int(bytes.bigEndian(at: 12, as: Int32.self))
        // Each element has at least its length, so a wrong count cannot make this reserve much.
        guard count >= 0, count <= (bytes.count - 20) / 4 else { return .malformed }
        var values: [Element?] = []
        values.reserveCapacity(count)
        var position = 20
        for _ in 0..<count {
            guard position + 4 <= bytes.count else { return .malformed }
            let length = Int(bytes.bigEndian(at: position, as: Int32.self))
            position += 4
            if length < 0 {
                values.append(nil)
                continue
            }
            guard position + length <= bytes.count else { return .malformed }
            switch element.decode(type, UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])) {
            case .value(let value): values.append(value)
            case .wrongType: return .wrongType
            case .malformed, .nullElement: return .malformed
            }
            position += length
        }
        return position == bytes.count ? .value(values) : .malformed
    }

    /// Arrays that may hold NULL.
    static func optionalArray<Element>(
        of element: FieldDecoder<Element>,
        types: Set<TypeOID>,
        _ expected: String
    ) -> FieldDecoder<[Element?]> where Value == [Element?] {
        FieldDecoder<[Element?]>(expected: expected, hint: nil) { type, bytes in
            types.contains(type) ? elements(bytes, element) : .wrongType
        }
    }

    /// Arrays that must not hold NULL.
    static func array<Element>(
        of element: FieldDecoder<Element>,
        types: Set<TypeOID>,
        _ expected: String
    ) -> FieldDecoder<[Element]> where Value == [Element] {
        FieldDecoder<[Element]>(expected: expected, hint: "Keep NULL out of the array, or read it as an array of optionals.") {
            type,
            bytes in
            guard types.contains(type) else { return .wrongType }
            switch elements(bytes, element) {
            case .value(let values):
                let present = values.compactMap { $0 }
                return present.count == values.count ? .value(present) : .nullElement
            case .wrongType: return .wrongType
            case .malformed: return .malformed
            case .nullElement: return .nullElement
            }
        }
    }
}

extension FieldDecoder<[Int64]> {
    private static let integerArrays: Set<TypeOID> = [.int8Array, .int4Array, .int2Array]
    static let int64Array = array(of: .int64, types: integerArrays, "int8[], int4[] or int2[]")
    static let timestampMicrosecondsArray = array(of: .timestampMicroseconds, types: [.timestamptzArray], "timestamptz[]")
}

extension FieldDecoder<[Int64?]> {
    static let int64OptionalArray = optionalArray(
        of: .int64,
        types: [.int8Array, .int4Array, .int2Array],
        "int8[], int4[] or int2[]"
    )
}

extension FieldDecoder<[Double]> {
    static let doubleArray = array(of: .double, types: [.float8Array, .float4Array], "float8[] or float4[]")
}

extension FieldDecoder<[String]> {
    static let stringArray = array(of: .string, types: [.textArray, .varcharArray, .nameArray], "text[]")
}
