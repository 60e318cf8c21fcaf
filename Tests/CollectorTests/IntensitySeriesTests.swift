import Carbon
import Energy
import Testing
import TestSupport
@testable import Store

/// What counts in a zone, of many figures that say something of it, against a search in steps of five minutes.
@Suite struct IntensitySeriesTests {
    private static let slot = Microseconds.seconds(300)
    private static let bases = ["direct/average/consumption", "direct/marginal/production", "lifecycle/average/production"]
        .compactMap { Intensity.Basis($0) }
    private static let providers = ["a", "b", "c"]

    /// 2026-03-28T00:00:00Z and 2026-10-24T00:00:00Z: on the next day clocks in Europe go forward and back.
    private static let spring = Timestamp(microseconds: 1_774_656_000_000_000)
    private static let autumn = Timestamp(microseconds: 1_792_800_000_000_000)

    /// Days as people in London, Kolkata and Lord Howe have them, and an odd stretch.
    private static let windows: [Interval] = [
        // 23 and 25 hours.
        Interval(spring + .day, spring + .day + .seconds(23 * 3_600)),
        Interval(autumn + .seconds(23 * 3_600), autumn + .day + .day),
        // From half past, and of 24 and a half hours.
        Interval(spring + .seconds(66_600), spring + .seconds(66_600 + 86_400)),
        Interval(autumn + .seconds(48_600), autumn + .seconds(48_600 + 88_200)),
        Interval(spring + .seconds(4_500), spring + .seconds(9_300)),
    ]

    private static func candidates(_ window: Interval, _ random: inout RandomSource) -> [IntensitySeries.Candidate] {
        var all: [IntensitySeries.Candidate] = []
        func add(
            _ interval: Interval,
            _ kind: Intensity.Kind,
            _ basis: Intensity.Basis,
            _ provider: String,
            _ version: String,
            _ grams: Int
        ) {
            let value = Intensity(
                zone: "XX",
                gramsPerKilowattHour: Double(grams),
                low: Double(grams) * 0.9,
                high: Double(grams) * 1.1,
                kind: kind,
                basis: basis,
                provider: provider,
                year: 2026
            )
            let stored = StoredIntensity(id: Int64(all.count + 1), value: value, interval: interval, version: version)
            all.append(IntensitySeries.Candidate(stored: stored, interval: interval))
        }
        let always = Interval(Timestamp(microseconds: .min / 2), Timestamp(microseconds: .max / 2))
        for basis in bases where random.chance(0.5) {
            add(always, .yearly, basis, "table", "2024 x", Int.random(in: 1...900, using: &random))
        }
        for basis in bases where random.chance(0.8) {
            for provider in providers where random.chance(0.6) {
                let step = Microseconds.seconds([300, 900, 1_800, 3_600].randomElement(using: &random) ?? 300)
                let (holes, revisions) = (Double.random(in: 0...0.4, using: &random), Double.random(in: 0...0.4, using: &random))
                var at = (window.start - .hour).hour.start
                while at < window.end {
                    let interval = Interval(at, at + step)
                    at = at + step
                    if random.chance(holes) { continue }
                    let kinds = Intensity.Kind.allCases.dropLast()
                    let kind = kinds.randomElement(using: &random) ?? .actual
                    for version in 0..<(random.chance(revisions) ? 3 : 1) {
                        add(interval, kind, basis, provider, "2026-\(10 + version)", Int.random(in: 1...900, using: &random))
                    }
                }
            }
        }
        all.shuffle(using: &random)
        return all
    }

    /// Which of several counts in a slot: the kind first, then the chain, then the edition.
    private static func best(
        _ candidates: [IntensitySeries.Candidate],
        _ basis: Intensity.Basis,
        _ order: [String],
        at time: Timestamp
    ) -> StoredIntensity? {
        let there = candidates.map(\.stored).filter { $0.value.basis == basis && $0.interval.contains(time) }
        for kind in Intensity.Kind.allCases {
            let ofKind = there.filter { $0.value.kind == kind }
            if ofKind.isEmpty { continue }
            for provider in order {
                let ofProvider = ofKind.filter { $0.value.provider == provider }
                if let last = ofProvider.max(by: { ($0.version, $0.id) < ($1.version, $1.id) }) { return last }
            }
            return ofKind.max { ($0.version, $0.value.provider, $0.id) < ($1.version, $1.value.provider, $1.id) }
        }
        return nil
    }

    /// Slot by slot: of each hour the stated basis, or the one whose worst slot is best.
    private static func search(
        _ candidates: [IntensitySeries.Candidate],
        _ stated: [StatedBasis],
        _ window: Interval
    ) -> [(slot: Timestamp, found: StoredIntensity?)] {
        var slots: [(Timestamp, StoredIntensity?)] = []
        for hour in Hour.touching(window) {
            guard let part = hour.interval.intersection(window) else { continue }
            var times: [Timestamp] = []
            var at = part.start
            while at < part.end {
                times.append(at)
                at = at + slot
            }
            let basis: Intensity.Basis?
            let said = stated.filter { $0.from <= hour.start }.max { $0.from < $1.from }
            if let said {
                basis = said.basis
            } else {
                func worst(_ basis: Intensity.Basis) -> Int {
                    times.map { time in
                        best(candidates, basis, [], at: time).flatMap { Intensity.Kind.allCases.firstIndex(of: $0.value.kind) } ?? 4
                    }.max() ?? 4
                }
                let known = bases.filter { basis in
                    candidates.contains { $0.stored.value.basis == basis && $0.interval.intersection(part) != nil }
                }
                basis = known.sorted { $0.description < $1.description }.min { worst($0) < worst($1) }
            }
            slots += times.map { time in (time, basis.flatMap { best(candidates, $0, said?.providers ?? [], at: time) }) }
        }
        return slots
    }

    @Test(arguments: 0..<LongRun.rounds(short: 60, long: 600)) func whatCountsIsWhatASearchInSmallStepsFinds(round: Int) throws {
        var random = RandomSource(seed: UInt64(round) + 71)
        let window = try #require(Self.windows.randomElement(using: &random))
        let candidates = Self.candidates(window, &random)
        var stated: [StatedBasis] = []
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            stated.append(
                StatedBasis(
                    from: window.start - .hour + .seconds(Int64.random(in: 0...72_000, using: &random)),
                    basis: try #require(Self.bases.randomElement(using: &random)),
                    providers: Self.providers.shuffled(using: &random).suffix(Int.random(in: 0...3, using: &random))
                )
            )
        }
        let series = IntensitySeries(candidates, stated: stated, over: window)
        let found = Self.search(candidates, stated, window)
        // No hole between pieces, and none at the ends.
        #expect(series.pieces.first?.interval.start == window.start && series.pieces.last?.interval.end == window.end)
        #expect(zip(series.pieces, series.pieces.dropFirst()).allSatisfy { $0.interval.end == $1.interval.start })
        let wrong = found.first { series.intensity(at: $0.slot) != $0.found }
        #expect(wrong == nil, "found \(wrong.map { "\(String(describing: series.intensity(at: $0.slot)))" } ?? "")")
        // The integral over the day, in whole g/kWh times seconds: exact; and the time of which nothing is known.
        func sum(_ pieces: [(Microseconds, StoredIntensity?)]) -> [Int64] {
            pieces.reduce(into: [0, 0]) { sums, piece in
                let seconds = piece.0.count / 1_000_000
                if let grams = piece.1?.value.gramsPerKilowattHour { sums[0] += Int64(grams) * seconds } else { sums[1] += seconds }
            }
        }
        #expect(sum(series.pieces.map { ($0.interval.duration, $0.intensity) }) == sum(found.map { (Self.slot, $0.found) }))
        // Never two bases in one hour.
        for hour in Hour.touching(window) {
            let bases = Set(series.pieces.filter { $0.interval.intersection(hour.interval) != nil }.compactMap(\.intensity?.value.basis))
            #expect(bases.count <= 1)
        }
    }

    @Test func figuresOfAnotherBasisThanTheStatedOneNeverStandIn() throws {
        let hour = Hour(containing: Self.spring)
        let yearly = Intensity(
            zone: "XX",
            gramsPerKilowattHour: 300,
            low: 300,
            high: 300,
            kind: .yearly,
            basis: Self.bases[2],
            provider: "table",
            year: 2024
        )
        let stored = StoredIntensity(id: 1, value: yearly)
        let candidate = IntensitySeries.Candidate(stored: stored, interval: stored.interval)
        #expect(IntensitySeries([candidate], over: hour.interval).intensity(at: hour.start) == stored)
        let marginal = StatedBasis(from: hour.start, basis: Self.bases[1])
        let series = IntensitySeries([candidate], stated: [marginal], over: Interval(hour.start - .hour, hour.end))
        #expect(series.intensity(at: hour.start - .hour) == stored)
        #expect(series.intensity(at: hour.start) == nil)
    }
}
