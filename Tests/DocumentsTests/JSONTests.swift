import Documents
import FoundationEssentials
import TestSupport
import Testing

@Suite("JSON")
struct JSONTests {
    /// Any value, as an independent reader sees it.
    private indirect enum Read: Decodable, Equatable {
        case null, bool(Bool), number(Double), string(String), array([Read]), object([String: Read])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {  // Each attempt tells the type.
                self = .bool(value)
            } else if let value = try? container.decode(Double.self) {
                self = .number(value)
            } else if let value = try? container.decode(String.self) {
                self = .string(value)
            } else if let value = try? container.decode([Read].self) {
                self = .array(value)
            } else {
                self = .object(try container.decode([String: Read].self))
            }
        }

        init(_ value: JSONValue) {
            switch value {
            case .null: self = .null
            case .bool(let flag): self = .bool(flag)
            case .integer(let integer): self = .number(Double(integer))
            case .number(let number): self = .number(number)
            case .string(let text): self = .string(text)
            case .array(let values): self = .array(values.map(Read.init))
            case .object(let fields): self = .object(fields.mapValues(Read.init))
            }
        }
    }

    static func random(_ random: inout RandomSource, depth: Int = 0) -> JSONValue {
        switch Int.random(in: 0..<(depth > 3 ? 5 : 7), using: &random) {
        case 0: .null
        case 1: .bool(Bool.random(using: &random))
        case 2: .integer(Int64.random(in: -9_007_199_254_740_992...9_007_199_254_740_992, using: &random))
        case 3: .number(Double.random(in: -1...1, using: &random) * (Bool.random(using: &random) ? 1e-9 : 1e12))
        case 4: .string(text(&random))
        case 5: .array((0..<Int.random(in: 0...4, using: &random)).map { _ in Self.random(&random, depth: depth + 1) })
        default:
            .object(
                Dictionary((0..<Int.random(in: 0...4, using: &random)).map { _ in (text(&random), Self.random(&random, depth: depth + 1)) })
                { $1 }
            )
        }
    }

    static func text(_ random: inout RandomSource) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "\"", "\\", "/", "\n", "\r", "\t", "\u{8}", "\u{1}", "é", "\u{1F600}", "\u{2028}", "{", ",", " ",
        ]
        var scalars = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...8, using: &random) { scalars.append(alphabet.randomElement(using: &random) ?? "a") }
        return String(scalars)
    }

    @Test("what is written reads back the same, here and elsewhere", arguments: 0..<200)
    func whatIsWrittenReadsBackTheSame(seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        let value = Self.random(&random)
        let text = try value.text
        // A number that happens to be whole is read as an integer: the same value, and the same text.
        #expect(try JSONValue(parsing: Array(text.utf8)).text == text)
        #expect(try JSONDecoder().decode(Read.self, from: Data(text.utf8)) == Read(value))
    }

    @Test("one value has one text, however it was written")
    func oneValueHasOneText() throws {
        let texts = [
            #"{"a":1,"b":[1.5,"é/"]}"#, " {\"b\" : [15e-1, \"\\u00e9\\/\"],\r\n\t\"a\":1.0} ",
            "\u{FEFF}{\"a\":9,\"a\":1,\"b\":[1.5,\"é/\"]}",
        ]
        #expect(Set(try texts.map { try JSONValue(parsing: Array($0.utf8)).text }) == [texts[0]])
    }

    @Test(
        "what is no JSON is refused, saying where",
        arguments: [
            "", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", "-", "1e", "tru", "nul", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
            "\"\\ud800\\u0041\"", "\"a", "\"\n\"", "1 2", "{'a':1}", "[1 2]", "1e999", "NaN", "\u{0}",
        ]
    )
    func whatIsNoJSONIsRefused(text: String) {
        #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: Array(text.utf8)) }
    }

    @Test("bytes that are no UTF-8 are refused")
    func noUTF8IsRefused() {
        for bytes: [UInt8] in [[0x22, 0xFF, 0x22], [0x22, 0xC3, 0x22], [0x22, 0x5C, 0x6E, 0xED, 0xA0, 0x80, 0x22]] {
            #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: bytes) }
        }
    }

    @Test("depth is bounded, also of a megabyte of brackets")
    func depthIsBounded() throws {
        func nested(_ depth: Int) -> [UInt8] { [UInt8](repeating: 0x5B, count: depth) + [UInt8](repeating: 0x5D, count: depth) }
        _ = try JSONValue(parsing: nested(32))
        #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: nested(33)) }
        #expect(throws: JSONValue.Malformed.self) { try JSONValue(parsing: [UInt8](repeating: 0x5B, count: 1 << 20)) }
    }

    @Test("damaged bytes are refused or read, and never more than that", arguments: 0..<100)
    func damagedBytes(seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        var bytes = Array(try Self.random(&random).text.utf8)
        for _ in 0..<20 where !bytes.isEmpty {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            do {
                let value = try JSONValue(parsing: bytes)
                #expect(try JSONValue(parsing: try value.bytes) == value)
            } catch is JSONValue.Malformed {}
        }
    }

    @Test("64-bit integers keep every digit")
    func integersKeepEveryDigit() throws {
        for integer in [Int64.min, .max, 51_230_000_001, 9_007_199_254_740_993] {
            #expect(try JSONValue(parsing: Array("\(integer)".utf8)) == .integer(integer))
        }
    }
}
