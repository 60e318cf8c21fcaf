import Documents
import Energy
import ImpactModels
import Testing

@Suite struct ObservationTimeTests {
    @Test(arguments: [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", false), ("2026-01-02T03:04:05.250+02:00", "2026-01-02T01:04:05.250Z", false),
        ("2026-01-02T03:04Z", "2026-01-02T03:04:00Z", false), ("2026-01-02T03:04+01:00", "2026-01-02T02:04:00Z", false),
        ("2026-01-02T03:04:05+0530", "2026-01-01T21:34:05Z", false), ("2026-01-02T03:04:05-08", "2026-01-02T11:04:05Z", false),
        ("2026-01-02T03:04", "2026-01-02T03:04:00Z", true), ("2026-01-02T03:04:05", "2026-01-02T03:04:05Z", true),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05Z", true), ("2026-01-02T03:04:05.5", "2026-01-02T03:04:05.500Z", true),
        ("2026-01-02", "2026-01-02T00:00:00Z", true),
    ])
    func timesAreReadAsTheyHaveBeenWritten(text: String, instant: String, isZoneless: Bool) throws {
        let read = try #require(ObservationTime.read(.text(text)))
        #expect(RFC3339.format(read.instant) == instant)
        #expect(read.isZoneless == isZoneless)
    }

    @Test func secondsSince1970AreATimeToo() throws {
        let read = try #require(ObservationTime.read(.number(1_717_848_264.366)))
        #expect(RFC3339.format(read.instant) == "2024-06-08T12:04:24.366Z")
    }

    @Test(arguments: [
        "", "now", "2026-13-01", "2026-02-30T00:00", "2026-01-02T25:00", "2026-01-02X03:04", "2026-01-02T03:04:05+99:00", "20260102T0304",
        "2026-01-02T",
        "2026-01-02T03:04:05ZZ", "2026-01-02T03:0é",
    ])
    func whatIsNoTimeIsNone(text: String) { #expect(ObservationTime.read(.text(text)) == nil) }

    @Test func whatIsNoLengthOfTimeIsNone() {
        #expect(ObservationTime.duration(seconds: 0.25) == Microseconds(250_000))
        for seconds in [-1, .nan, .infinity, 1e11] { #expect(ObservationTime.duration(seconds: seconds) == nil) }
        #expect(ObservationTime.read(.number(1e12)) == nil)
        #expect(ObservationTime.read(.null) == nil)
    }
}
