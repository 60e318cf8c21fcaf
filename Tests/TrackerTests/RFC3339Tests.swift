import Energy
import Testing

@testable import Tracker

@Suite struct RFC3339Tests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0 as Int64), ("2000-02-29T23:59:59Z", 951_868_799_000_000), ("1969-12-31T23:59:59.500000Z", -500_000),
        ("2026-09-01T09:00:10.123456Z", 1_788_253_210_123_456),
    ])
    func `an instant is written and read back`(text: String, microseconds: Int64) {
        #expect(Timestamp(microseconds: microseconds).rfc3339 == text)
        #expect(Timestamp(rfc3339: text)?.microseconds == microseconds)
    }

    @Test func `every day of four centuries survives the round trip`() {
        for day in stride(from: Int64(-80_000), through: 80_000, by: 1) {
            let instant = Timestamp(microseconds: day * 86_400_000_000)
            #expect(Timestamp(rfc3339: instant.rfc3339) == instant)
        }
    }

    @Test func `dates, minutes and offsets are understood, other things are not`() {
        #expect(Timestamp(rfc3339: "2026-09-01") == Timestamp(rfc3339: "2026-09-01T00:00:00Z"))
        #expect(Timestamp(rfc3339: "2026-09-01T09:00+02:00") == Timestamp(rfc3339: "2026-09-01T07:00:00Z"))
        #expect(Timestamp(rfc3339: "2026-09-01T09:00:00.5-01:30") == Timestamp(rfc3339: "2026-09-01T10:30:00.500000Z"))
        for text in [
            "", "yesterday", "2026-02-30", "2026-9-1", "2026-09-01T25:00Z", "2026-09-01T09:00", "2026-09-01T09:00:00Zx",
            "2026-09-01T09:00:00.",
        ] {
            #expect(Timestamp(rfc3339: text) == nil, "\(text)")
        }
    }

    @Test func `an identifier's time has no separators`() {
        #expect(Timestamp(microseconds: 1_788_253_210_123_456).compactUTC == "20260901T090010Z")
    }
}
