import FoundationEssentials

/// JSON of this module's own types, which always can be written.
package enum JSONText {
    /// Keys in alphabetical order, slashes unescaped, one line unless `pretty`.
    package static func bytes(_ value: some Encodable, pretty: Bool = false) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        // Only a number that is not finite cannot be written; as text.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do {
            return Array(try encoder.encode(value))
        } catch {
            return Array("null".utf8)
        }
    }

    package static func text(_ value: some Encodable, pretty: Bool = false) -> String {
        String(decoding: bytes(value, pretty: pretty), as: UTF8.self)
    }
}
