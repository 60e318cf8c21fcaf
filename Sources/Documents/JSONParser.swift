/// Reads RFC 8259 JSON into `JSONValue` in one pass: every job that is asked for and every event is read by this.
///
/// Stricter than it must be: UTF-8 only, no lone surrogates, nothing after the value. Of a name that comes twice the last counts.
struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0
    private let deepest: Int

    static func parse(_ bytes: [UInt8], deepest: Int) throws(JSONValue.Malformed) -> JSONValue {
        let result: Result<JSONValue, JSONValue.Malformed> = bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(bytes: buffer, deepest: deepest)
            do throws(JSONValue.Malformed) {
                return .success(try parser.document())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private init(bytes: UnsafeBufferPointer<UInt8>, deepest: Int) {
        self.bytes = bytes
        self.deepest = deepest
    }

    private mutating func document() throws(JSONValue.Malformed) -> JSONValue {
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { index = 3 }
        let value = try value(depth: 0)
        skipSpace()
        guard index == bytes.count else { throw malformed("the end") }
        return value
    }

    private func malformed(_ expected: String) -> JSONValue.Malformed { JSONValue.Malformed(offset: index, expected: expected) }

    private mutating func skipSpace() {
        while index < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[index]) { index += 1 }
    }

    private mutating func value(depth: Int) throws(JSONValue.Malformed) -> JSONValue {
        skipSpace()
        guard index < bytes.count else { throw malformed("a value") }
        switch bytes[index] {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONValue.Malformed) -> JSONValue {
        let length = word.utf8CodeUnitCount
        guard index + length <= bytes.count, (0..<length).allSatisfy({ bytes[index + $0] == word.utf8Start[$0] }) else {
            throw malformed("\(word)")
        }
        index += length
        return value
    }

    private mutating func object(depth: Int) throws(JSONValue.Malformed) -> JSONValue {
        guard depth <= deepest else { throw malformed("at most \(deepest) levels") }
        index += 1
        var fields: [String: JSONValue] = [:]
        skipSpace()
        if take("}") { return .object(fields) }
        while true {
            skipSpace()
            guard index < bytes.count, bytes[index] == UInt8(ascii: "\"") else { throw malformed("a name in quotes") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw malformed("a colon") }
            fields[name] = try value(depth: depth)
            skipSpace()
            if take(",") { continue }
            guard take("}") else { throw malformed("a comma or }") }
            return .object(fields)
        }
    }

    private mutating func array(depth: Int) throws(JSONValue.Malformed) -> JSONValue {
        guard depth <= deepest else { throw malformed("at most \(deepest) levels") }
        index += 1
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(values) }
        while true {
            values.append(try value(depth: depth))
            skipSpace()
            if take(",") { continue }
            guard take("]") else { throw malformed("a comma or ]") }
            return .array(values)
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard index < bytes.count, bytes[index] == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func string() throws(JSONValue.Malformed) -> String {
        index += 1
        let start = index
        while index < bytes.count, bytes[index] != UInt8(ascii: "\""), bytes[index] != UInt8(ascii: "\\"), bytes[index] >= 0x20 {
            index += 1
        }
        guard index < bytes.count else { throw malformed("the end of a text") }
        if bytes[index] == UInt8(ascii: "\"") {
            let text = try valid(UnsafeBufferPointer(rebasing: bytes[start..<index]))
            index += 1
            return text
        }
        var unescaped = Array(bytes[start..<index])
        while true {
            guard index < bytes.count else { throw malformed("the end of a text") }
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") { break }
            guard byte >= 0x20 else { throw malformed("a control character to be escaped") }
            index += 1
            if byte != UInt8(ascii: "\\") {
                unescaped.append(byte)
                continue
            }
            guard index < bytes.count else { throw malformed("an escape") }
            let escape = bytes[index]
            index += 1
            switch escape {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(escape)
            case UInt8(ascii: "b"): unescaped.append(0x08)
            case UInt8(ascii: "f"): unescaped.append(0x0C)
            case UInt8(ascii: "n"): unescaped.append(0x0A)
            case UInt8(ascii: "r"): unescaped.append(0x0D)
            case UInt8(ascii: "t"): unescaped.append(0x09)
            case UInt8(ascii: "u"): unescaped += Array(String(Character(try scalar())).utf8)
            default: throw malformed("an escape that JSON has")
            }
        }
        let text = try unescaped.withUnsafeBufferPointer { buffer throws(JSONValue.Malformed) in try valid(buffer) }
        index += 1
        return text
    }

    private func valid(_ buffer: UnsafeBufferPointer<UInt8>) throws(JSONValue.Malformed) -> String {
        guard let text = String(validating: buffer, as: UTF8.self) else { throw malformed("UTF-8") }
        return text
    }

    /// The scalar of `\uXXXX`, or of a pair of them.
    private mutating func scalar() throws(JSONValue.Malformed) -> Unicode.Scalar {
        var code = try hexadecimal()
        if (0xD800..<0xDC00).contains(code) {
            guard take("\\"), take("u") else { throw malformed("the second half of a surrogate pair") }
            let low = try hexadecimal()
            guard (0xDC00..<0xE000).contains(low) else { throw malformed("the second half of a surrogate pair") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw malformed("a Unicode scalar") }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONValue.Malformed) -> UInt32 {
        guard index + 4 <= bytes.count else { throw malformed("four hexadecimal digits") }
        var code: UInt32 = 0
        for byte in bytes[index..<(index + 4)] {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw malformed("four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
        }
        index += 4
        return code
    }

    private mutating func number() throws(JSONValue.Malformed) -> JSONValue {
        let start = index
        func isDigit(_ i: Int) -> Bool { i < bytes.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[i]) }
        _ = take("-")
        guard isDigit(index) else { throw malformed("a value") }
        // No number starts with a zero that another digit follows.
        if take("0") {
            guard !isDigit(index) else { throw malformed("a number without a leading zero") }
        }
        while isDigit(index) { index += 1 }
        var isWhole = true
        if take(".") {
            isWhole = false
            guard isDigit(index) else { throw malformed("a digit after the point") }
            while isDigit(index) { index += 1 }
        }
        if take("e") || take("E") {
            isWhole = false
            _ = take("+") || take("-")
            guard isDigit(index) else { throw malformed("an exponent") }
            while isDigit(index) { index += 1 }
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<index]), as: UTF8.self)
        if isWhole, let integer = Int64(text) { return .integer(integer) }
        guard let value = Double(text), value.isFinite else { throw malformed("a number that can be held") }
        // 1.0 is 1: one value, one form. Beyond 2^53 a Double's neighbours are further apart than 1.
        if abs(value) < 9_007_199_254_740_992, let integer = Int64(exactly: value) { return .integer(integer) }
        return .number(value)
    }
}
