/// The answer of a BMC to DCMI's "Get Power Reading", whichever way it came.
struct DCMIPowerReading: Hashable, Sendable {
    /// DCMI 1.5, section 6.6.1: a group extension (0x2C), its command, and a body of the group's id and mode 1, system power statistics.
    static let networkFunction: UInt8 = 0x2C
    static let command: UInt8 = 0x02
    static let requestBody: [UInt8] = [0xDC, 0x01, 0x00, 0x00]
    /// Completion code, group id, four powers, time stamp, period, state.
    static let answerSize = 19

    /// Watts now, averaged over the BMC's own period. The BMC knows whole ones only.
    var watts: Int64
    /// When the BMC took the value, on its own clock and in its own words; nil where that clock does not run.
    var stamp: String?
    var isActive: Bool

    /// - Parameters:
    ///   - bytes: the answer from its completion code on.
    ///   - path: what was asked, for the fault.
    /// - Throws: `SensorFault` for a completion code other than 0, and for what is no power reading.
    static func parse(_ bytes: [UInt8], path: String) throws(SensorFault) -> DCMIPowerReading {
        func malformed(_ expected: String, _ found: String) -> SensorFault {
            SensorFault(path: path, kind: .malformed(expected: expected, found: found))
        }
        guard let code = bytes.first else { throw malformed("a DCMI power reading", "an empty answer") }
        guard code == 0 else { throw malformed("a DCMI power reading", completion(code)) }
        guard bytes.count >= answerSize, bytes[1] == 0xDC else {
            throw malformed("a DCMI power reading of \(answerSize) bytes", "\(bytes.count) bytes: \(hex(bytes.prefix(answerSize)))")
        }
        func word(_ at: Int) -> Int64 { Int64(bytes[at]) | Int64(bytes[at + 1]) << 8 }
        let seconds = word(10) | word(12) << 16
        return DCMIPowerReading(
            watts: word(2),
            // Before 1971 it counts from its own start, or stands at 0: no time at all is better than a wrong one.
            stamp: seconds < 31_536_000 || seconds == 0xFFFF_FFFF ? nil : "\(seconds)",
            isActive: bytes[18] & 0x40 != 0
        )
    }

    private static func completion(_ code: UInt8) -> String {
        switch code {
        case 0xC1, 0xCC, 0xCB: "completion code \(hex([code])): this BMC has no DCMI power reading"
        case 0xC0: "completion code C0: the BMC is busy"
        case 0xD4: "completion code D4: the BMC does not allow it"
        default: "completion code \(hex([code]))"
        }
    }

    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: " ")
    }
}
