import Carbon
import Energy
import TestSupport
import Testing

/// The first moment at which a job may begin: never too early, never a step too late.
@Suite struct FirstWindowTests {
    private static func curve(_ values: [Double?], step: Int64 = 60) throws -> IntensityCurve {
        try IntensityCurve(
            values.enumerated().compactMap { index, value in
                value.map {
                    let from = Timestamp(microseconds: Int64(index) * step * 1_000_000)
                    let intensity = Intensity(
                        zone: "GB",
                        gramsPerKilowattHour: $0,
                        low: $0,
                        high: $0,
                        kind: .forecast,
                        basis: Intensity.Basis(scope: "direct", signal: "average", side: "consumption"),
                        provider: "test",
                        year: 2026
                    )
                    return .init(Interval(from, from + .seconds(step)), intensity)
                }
            }
        )
    }

    private static func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }

    @Test func aWindowBeginsWhereItsMeanHasFallenToTheLimit() throws {
        // 300 for a minute, then 100: half a minute of each is 200.
        let curve = try Self.curve([300, 100, 100])
        #expect(curve.first(atMost: 200, lasting: .seconds(60), from: Self.at(0), until: Self.at(120)) == Self.at(30))
        #expect(curve.first(atMost: 300, lasting: .seconds(60), from: Self.at(0), until: Self.at(120)) == Self.at(0))
        #expect(curve.first(atMost: 99, lasting: .seconds(60), from: Self.at(0), until: Self.at(120)) == nil)
        #expect(curve.first(atMost: 200, lasting: .zero, from: Self.at(0), until: Self.at(120)) == Self.at(60))
    }

    @Test func whatIsNotKnownIsNeverLow() throws {
        let curve = try Self.curve([300, nil, 100, 100])
        #expect(curve.first(atMost: 150, lasting: .seconds(60), from: Self.at(0), until: Self.at(180)) == Self.at(120))
        #expect(try Self.curve([]).first(atMost: 150, lasting: .seconds(60), from: Self.at(0), until: Self.at(180)) == nil)
    }

    @Test func itIsTheFirstOfAllSecondsThatWouldDo() throws {
        var random = RandomSource(seed: 17)
        for _ in 0..<LongRun.rounds(short: 200, long: 20_000) {
            let values = (0..<8).map { _ in
                Int.random(in: 0..<8, using: &random) == 0 ? nil : Double(Int.random(in: 50...400, using: &random))
            }
            let curve = try Self.curve(values)
            let length = Int64.random(in: 1...200, using: &random)
            let most = Double(Int.random(in: 50...400, using: &random))
            let earliest = Int64.random(in: 0...100, using: &random)
            let found = curve.first(atMost: most, lasting: .seconds(length), from: Self.at(earliest), until: Self.at(480))
            // Second by second; the exact one lies at most a second before.
            let brute = (earliest...480).first { second in
                let mean = curve.mean(over: Interval(Self.at(second), Self.at(second + length)))
                return mean.map { $0.gramsPerKilowattHour <= most * (1 + 1e-12) } ?? false
            }
            switch (found, brute) {
            case (nil, nil): break
            case (let found?, let brute?):
                #expect(found <= Self.at(brute) && Self.at(brute) - found < .seconds(1), "\(values) \(length) \(most)")
                let mean = try #require(curve.mean(over: Interval(found, found + .seconds(length))))
                #expect(mean.gramsPerKilowattHour <= most * (1 + 1e-9))
            case (let found?, nil):
                // Between two seconds only.
                #expect(found.microseconds % 1_000_000 != 0)
            case (nil, let brute?): Issue.record("second \(brute) would do: \(values) \(length) \(most) \(earliest)")
            }
        }
    }
}
