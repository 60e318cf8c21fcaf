import Carbon
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
import Wire
@testable import Collector

/// Figures of feeds as they are kept: what is new, what it changes, and which of them count.
@Suite struct IntensityFeedTests {
    static let consumed = Intensity.Basis(scope: "direct", signal: "average", side: "consumption")

    static func row(
        _ from: Double,
        _ to: Double,
        _ grams: Double,
        _ kind: Intensity.Kind = .actual,
        basis: Intensity.Basis = consumed,
        provider: String = "p",
        zone: String = "FR",
        edition: String? = nil
    ) -> IntensityTable.Row {
        IntensityTable.Row(
            interval: Interval(at(from), at(to)),
            value: Intensity(
                zone: zone,
                gramsPerKilowattHour: grams,
                low: grams,
                high: grams,
                kind: kind,
                basis: basis,
                provider: provider,
                year: 2026
            ),
            version: edition
        )
    }

    private static func versions(_ farm: Farm) async throws -> [String] {
        try await farm.connection.query(
            Statement(
                "feed_versions",
                "SELECT g_per_kwh, version FROM intensity WHERE kind <> 'yearly' ORDER BY from_t, kind, version COLLATE \"C\""
            )
        ).map { "\(try $0.double("g_per_kwh")) \(try $0.string("version"))" }
    }

    @Test func whatNamesNoEditionIsKeptWhereItDiffersFromTheLatestAndRepetitionsAddNothing() async throws {
        try await Farm.with { farm in
            func add(_ grams: Double, after seconds: Double, _ edition: String? = nil) async throws -> Int {
                try await IntensityTable.add([Self.row(0, 1_800, grams, edition: edition)], now: at(seconds + 0.5), farm.connection)
            }
            #expect(try await add(200, after: 4_000) == 1)
            #expect(try await add(200, after: 4_100) == 0)
            #expect(try await add(210, after: 4_200) == 1)
            // Back to what it was: the latest differs.
            #expect(try await add(200, after: 4_300) == 1)
            #expect(
                try await Self.versions(farm) == [
                    "200.0 2026-09-01T10:06:40Z", "210.0 2026-09-01T10:10:00Z", "200.0 2026-09-01T10:11:40Z",
                ]
            )
            let found = try await IntensityTable.find(zone: "FR", at: at(60), farm.connection)
            // An hour of which half is known has the yearly figure, as no basis is stated.
            #expect(found?.value.kind == .yearly)
        }
    }

    @Test func anEditionThatIsToldWithAnotherValueIsLaterThanItsFirstTelling() async throws {
        try await Farm.with { (farm) async throws in
            func add(_ grams: Double, _ edition: String, after seconds: Double) async throws -> Int {
                try await IntensityTable.add([Self.row(0, 3_600, grams, edition: edition)], now: at(seconds), farm.connection)
            }
            #expect(try await add(200, "2026-03", after: 4_000) == 1)
            #expect(try await add(200, "2026-04", after: 4_100) == 0)
            #expect(try await add(220, "2026-03", after: 4_200) == 1)
            #expect(try await IntensityTable.find(zone: "FR", at: at(60), farm.connection)?.value.gramsPerKilowattHour == 220)
            #expect(try await add(230, "2026-05", after: 4_300) == 1)
            // An older edition that comes late is kept, and does not count.
            #expect(try await add(240, "2026-02", after: 4_400) == 1)
            #expect(try await IntensityTable.find(zone: "FR", at: at(60), farm.connection)?.value.gramsPerKilowattHour == 230)
            #expect(
                try await Self.versions(farm) == [
                    "240.0 2026-02", "200.0 2026-03", "220.0 2026-03 2026-09-01T10:10:00Z", "230.0 2026-05",
                ]
            )
        }
    }

    @Test func theStatedBasisCountsFromItsHourOnAndNothingStandsInForIt() async throws {
        try await Farm.with { farm in
            try await IntensityTable.add(
                [Self.row(0, 1_800, 100), Self.row(3_600, 5_400, 110), Self.row(3_600, 5_400, 120, provider: "q")],
                now: at(9_000),
                farm.connection
            )
            // Said in the middle of the first hour: it begins with that hour.
            let before = try await ZoneBasisTable.state(
                Self.consumed,
                providers: ["q", "p"],
                zone: "FR",
                from: at(1_200),
                first: at(0),
                now: at(9_000),
                farm.connection
            )
            #expect(before == nil)
            let series = try await IntensityTable.series(zone: "FR", Interval(at(-3_600), at(10_800)), farm.connection)
            #expect(series.intensity(at: at(-60))?.value.kind == .yearly)
            #expect(series.intensity(at: at(60))?.value.gramsPerKilowattHour == 100)
            #expect(series.intensity(at: at(2_000)) == nil)
            // Of two providers the chain's first.
            #expect(series.intensity(at: at(3_700))?.value.gramsPerKilowattHour == 120)
            #expect(series.intensity(at: at(9_000)) == nil)
            // Without a date another basis counts from now on; what was keeps its meaning.
            let produced = Intensity.Basis(scope: "lifecycle", signal: "average", side: "production")
            func state(_ basis: Intensity.Basis, from: Timestamp? = nil) async throws -> Intensity.Basis? {
                try await ZoneBasisTable.state(
                    basis,
                    providers: ["q", "p"],
                    zone: "FR",
                    from: from,
                    first: at(0),
                    now: at(9_000),
                    farm.connection
                )
            }
            #expect(try await state(produced) == Self.consumed)
            #expect(try await state(produced) == nil)
            let said = try await ZoneBasisTable.read(zone: "FR", farm.connection)
            #expect(said.map(\.from) == [at(0), at(7_200)])
            #expect(said.map(\.basis) == [Self.consumed, produced])
            // With a date it counts from then on, whatever was said of later times.
            #expect(try await state(Self.consumed, from: at(3_600)) == produced)
            #expect(try await ZoneBasisTable.read(zone: "FR", farm.connection).map(\.from) == [at(0), at(3_600)])
            #expect(try await state(Self.consumed, from: at(3_600)) == nil)
        }
    }

    @Test func aFigureMarksTheHoursOfHostsThatASiteRecordPutsIntoTheZone() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            farm.clock.now = at(7_300)
            try await farm.account()
            try await farm.connection.executeScript(
                """
                INSERT INTO site_record VALUES ('paris', '2026-01-01Z', '{"grid_zone": "DE"}');
                INSERT INTO host_record (host_id, valid_from, record) VALUES (1, '2026-01-01Z', '{"site": "Paris"}');
                """
            )
            try await farm.account()
            func marks(_ row: IntensityTable.Row) async throws -> Int64 {
                try await IntensityTable.add([row], now: farm.clock.now, farm.connection)
                defer { farm.clock.now = farm.clock.now + .seconds(60) }
                let marks = try await farm.count("dirty")
                try await farm.account()
                return marks
            }
            // Its agent says FR; the site's record counts.
            #expect(try await marks(Self.row(0, 1_800, 50)) == 0)
            #expect(try await marks(Self.row(0, 1_800, 300, zone: "DE")) == 1)
            #expect(try await marks(Self.row(0, 1_800, 300, zone: "DE")) == 0)
            #expect(try await marks(Self.row(0, 1_800, 310, zone: "DE")) == 1)
            // A day on which it was not accounted.
            #expect(try await marks(Self.row(-86_400, -84_600, 300, zone: "DE")) == 0)
        }
    }

    @Test func anActualFigureInPlaceOfAForecastChangesTheJobAndItsStatementAndTheOldVersionIsKept() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            let job = try await farm.post(AccountsTests.job)
            farm.clock.now = at(7_300)
            try await ZoneBasisTable.state(
                Self.consumed,
                providers: ["p"],
                zone: "FR",
                from: at(0),
                first: at(0),
                now: farm.clock.now,
                farm.connection
            )
            try await farm.account()
            // Not the yearly figure: another basis was asked for.
            let unknown = try #require(try await farm.footprint(job.jobID))
            #expect(unknown.locationGrams == nil)
            #expect(unknown.missing.contains { $0.reason == "no_intensity" })
            try await IntensityTable.add(
                [Self.row(0, 1_800, 200, .forecast), Self.row(1_800, 3_600, 220, .forecast)],
                now: farm.clock.now,
                farm.connection
            )
            try await farm.account()
            let forecast = try #require(try await farm.footprint(job.jobID))
            // 24 kJ and 3 kJ at 200 g/kWh.
            #expect(abs((forecast.locationGrams?.best ?? 0) - 1.5) < 1e-9)
            try await IntensityTable.add([Self.row(0, 1_800, 150)], now: farm.clock.now + .hour, farm.connection)
            try await farm.account()
            let actual = try #require(try await farm.footprint(job.jobID))
            #expect(abs((actual.locationGrams?.best ?? 0) - 1.125) < 1e-9)
            #expect(actual.statement != nil && actual.statement?.digest != forecast.statement?.digest)
            #expect(actual.energy?.total == forecast.energy?.total)
            // Each of the three states of the hour is there by its digest.
            let kept = try await farm.connection.query(
                Statement(
                    "kept_versions",
                    """
                    SELECT version, inputs_sha256 FROM accounted_version WHERE host_id = 1 AND hour = '2026-09-01T09:00:00Z' UNION
                    SELECT version, inputs_sha256 FROM accounted_hour WHERE host_id = 1 AND hour = '2026-09-01T09:00:00Z' ORDER BY version
                    """
                )
            )
            #expect(Set(try kept.map { try $0.bytes("inputs_sha256") }).count >= 3)
        }
    }

    @Test func forecastsStandBesideWhatCame() async throws {
        try await Farm.with { farm in
            try await IntensityTable.add([Self.row(7_200, 9_000, 200, .forecast)], now: at(0), farm.connection)
            try await IntensityTable.add(
                [
                    Self.row(7_200, 9_000, 190, .forecast), Self.row(9_000, 10_800, 180, .forecast, edition: "model 7"),
                    // Of another provider, and of another basis.
                    Self.row(7_200, 9_000, 100, .forecast, provider: "q"),
                    Self.row(7_200, 9_000, 900, .forecast, basis: Intensity.Basis(scope: "direct", signal: "marginal", side: "production")),
                ],
                now: at(3_600),
                farm.connection
            )
            try await IntensityTable.add([Self.row(7_200, 9_000, 150), Self.row(9_000, 10_800, 185)], now: at(12_000), farm.connection)
            try await IntensityTable.add([Self.row(7_200, 9_000, 160)], now: at(14_000), farm.connection)
            let pairs = try await IntensityTable.forecastPairs(zone: "FR", basis: Self.consumed, since: at(0), farm.connection)
            #expect(pairs.map(\.madeAt) == [at(0), at(3_600), at(3_600)])
            #expect(pairs.map(\.forecastGramsPerKilowattHour) == [200, 190, 180])
            #expect(pairs.map(\.actualGramsPerKilowattHour) == [160, 160, 185])
            #expect(ForecastError(pairs)?.meanAbsoluteGramsPerKilowattHour == 25)
            #expect(try await IntensityTable.forecastPairs(zone: "FR", basis: Self.consumed, since: at(8_000), farm.connection).count == 1)
        }
    }

    @Test func thePartsOfCountriesHaveYearlyFiguresOfTheirOwnBasisAndEveryProviderItsTerms() async throws {
        try await Farm.with { farm in
            let texas = try #require(try await IntensityTable.find(zone: "US-TX", at: at(0), farm.connection))
            #expect(texas.value.gramsPerKilowattHour == 349.801)
            #expect(texas.value.basis.description == "direct/average/production" && texas.value.provider == "epa.gov")
            let france = try #require(try await IntensityTable.find(zone: "FR", at: at(0), farm.connection))
            #expect(france.value.basis.description == "lifecycle/average/production")
            #expect(try await IntensityTable.find(zone: "US-XX", at: at(0), farm.connection) == nil)
            #expect(try await GridProviderTable.withheld(farm.connection) == [])
            try await GridProviderTable.put(
                [.init(provider: "w", source: "W", licence: "their terms", mayBeRedistributed: false)],
                farm.connection
            )
            #expect(try await GridProviderTable.withheld(farm.connection) == ["w"])
            let all = try await GridProviderTable.all(farm.connection)
            let used = try await farm.connection.query(Statement("used_providers", "SELECT DISTINCT provider FROM intensity"))
            #expect(Set(try used.map { try $0.string("provider") }).isSubset(of: all.map(\.provider)))
            #expect(all.first { $0.provider == "epa.gov" }?.licence == "public domain (US)")
        }
    }
}
