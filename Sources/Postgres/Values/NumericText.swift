/// Postgres' binary `numeric` as decimal text.
///
/// The wire form is base 10000: number of digits, weight (power of 10000 of the first digit), sign, display scale, then the digits.
enum NumericText {
    private static let negative: UInt16 = 0x4000
    private static let notANumber: UInt16 = 0xC000
    private static let positiveInfinity: UInt16 = 0xD000
    private static let negativeInfinity: UInt16 = 0xF000

    /// The same text that the server's own output has, or nil when `bytes` is not a numeric.
    static func decode(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count >= 8 else { return nil }
        let digitCount = Int(bytes.bigEndian(at: 0, as: Int16.self))
        let weight = Int(bytes.bigEndian(at: 2, as: Int16.self))
        let sign = bytes.bigEndian(at: 4, as: UInt16.self)
        let scale = Int(bytes.bigEndian(at: 6, as: UInt16.self))
        switch sign {
        case notANumber: return "NaN"
        case positiveInfinity: return "Infinity"
        case negativeInfinity: return "-Infinity"
        default: break
        }
        guard sign == 0 || sign == negative, digitCount >= 0, bytes.count == 8 + 2 * digitCount else { return nil }

        func group(_ position: Int) -> Int {
            // Position 0 is the group of units, 1 the one above it, -1 the first after the point. Absent groups are zero.
            let index = weight - position
            return index >= 0 && index < digitCount ? Int(bytes.bigEndian(at: 8 + 2 * index, as: Int16.self)) : 0
        }
        var text = sign == negative ? "-" : ""
        if weight < 0 {
            text += "0"
        } else {
            text += String(group(weight))
            for position in stride(from: weight - 1, through: 0, by: -1) { text += padded(group(position)) }
        }
        if scale > 0 {
            text += "."
            var fraction = ""
            var position = -1
            while fraction.utf8.count < scale {
                fraction += padded(group(position))
                position -= 1
            }
            text += fraction.prefix(scale)
        }
        return text
    }

    private static func padded(_ group: Int) -> String {
        let digits = String(group)
        return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
    }
}
