import Carbon
import Documents
import Energy
import Testing

@testable import GridFeeds

private func at(_ text: String) -> Timestamp { FeedDocument.time(text) ?? Timestamp(microseconds: 0) }
private func from(_ start: String, _ end: String) -> Interval { Interval(at(start), at(end)) }

/// What each provider's documented answer means, and what it is asked.
struct ProviderTests {
    private let now = at("2026-03-14T13:40Z")

    private func zone(_ key: String) throws -> GridZone { try #require(GridZone(key)) }

    private func read(_ provider: some GridProvider, _ file: String, _ key: String, _ span: GridQuestion.Span, topic: String = "") throws
        -> FeedReading
    {
        try provider.read(
            try RecordedProvider.answer(file),
            to: FeedRequest("", topic: topic),
            GridQuestion(span, of: try zone(key), now: now)
        )
    }

    private func urls(_ provider: some GridProvider, _ key: String, _ span: GridQuestion.Span) throws -> [String] {
        try provider.requests(GridQuestion(span, of: try zone(key), now: now)).map(\.url)
    }

    private func line(_ figure: GridFigure) -> String {
        "\(RFC3339.format(figure.interval.start)) \(figure.interval.duration.count / 1_000_000) s "
            + "\(figure.value.gramsPerKilowattHour) \(figure.value.kind) \(figure.value.basis) \(figure.value.zone) \(figure.value.provider)"
    }

    @Test func greatBritainHasAForecastAndAnActualValueOfTheSameHalfHour() throws {
        let reading = try read(GreatBritain(), "gb-national.json", "GB", .latest)
        let tail = "direct/average/consumption GB gb-carbon-intensity"
        #expect(
            reading.figures.map(line) == [
                "2026-03-14T13:00:00Z 1800 s 95.0 forecast \(tail)", "2026-03-14T13:00:00Z 1800 s 89.0 actual \(tail)",
                "2026-03-14T13:30:00Z 1800 s 94.0 forecast \(tail)",
            ]
        )
        #expect(reading.findings.isEmpty)
    }

    @Test func aRegionOfGreatBritainHasForecastsOnlyAndANegativeOneIsNoFigure() throws {
        let reading = try read(GreatBritain(), "gb-regional.json", "GB-13", .forecast)
        #expect(
            reading.figures.map(line) == ["2026-03-14T13:00:00Z 1800 s 121.0 forecast direct/average/consumption GB-13 gb-carbon-intensity"]
        )
        #expect(reading.findings == ["data.data[1].intensity.forecast: expected more than 0 and at most 2000 g/kWh, found -5.0"])
        #expect(throws: FeedFault.self) { try read(GreatBritain(), "gb-regional.json", "GB-12", .forecast) }
    }

    @Test func greatBritainIsAskedForAtMostTwoWeeksAtATimeAndNeverForTheFuture() throws {
        let month = try urls(GreatBritain(base: "b"), "GB", .past(from("2026-02-20T00:10Z", "2026-04-01T00:00Z")))
        #expect(month == ["b/intensity/2026-02-20T00:01Z/2026-03-05T00:00Z", "b/intensity/2026-03-05T00:01Z/2026-03-14T14:00Z"])
        #expect(try urls(GreatBritain(base: "b"), "GB-3", .forecast) == ["b/regional/intensity/2026-03-14T13:30Z/fw48h/regionid/3"])
        #expect(try urls(GreatBritain(base: "b"), "GB", .past(from("2026-03-15T00:00Z", "2026-03-16T00:00Z"))).isEmpty)
        #expect(throws: FeedFault.self) { try urls(GreatBritain(), "GB-18", .latest) }
        #expect(throws: FeedFault.self) { try urls(GreatBritain(), "FR", .latest) }
    }

    @Test func franceHasQuartersThatAreEstimatesUntilTheyAreConsolidatedIntoHalfHours() throws {
        let tail = "direct/average/production FR fr-eco2mix"
        let realTime = try read(France(), "fr-real-time.json", "FR", .latest, topic: "eco2mix-national-tr")
        #expect(
            realTime.figures.map(line) == [
                "2026-03-14T12:00:00Z 900 s 15.0 estimated \(tail)", "2026-03-14T12:15:00Z 900 s 16.0 estimated \(tail)",
            ]
        )
        // The hour that the clocks repeat in October is two hours.
        let past = from("2025-10-26T00:00Z", "2025-10-26T03:00Z")
        let consolidated = try read(France(), "fr-consolidated.json", "FR", .past(past), topic: "eco2mix-national-cons-def")
        #expect(
            consolidated.figures.map(line) == [
                "2025-10-26T00:30:00Z 1800 s 21.0 actual \(tail)", "2025-10-26T01:30:00Z 1800 s 22.0 actual \(tail)",
            ]
        )
    }

    @Test func franceIsAskedForBothSetsWhereTheMonthHasBoth() throws {
        let both = try urls(France(), "FR", .past(from("2026-02-20T00:00Z", "2026-03-01T00:00Z")))
        #expect(both.map { $0.contains("-cons-def/") } == [true, false])
        #expect(try urls(France(), "FR", .forecast).isEmpty)
        #expect(try urls(France(), "FR", .past(from("2020-02-20T00:00Z", "2020-03-01T00:00Z"))).count == 1)
    }

    @Test func electricityMapsSaysWhatItEstimatedAndItsNullIsNoFigure() throws {
        let reading = try read(ElectricityMaps(token: "k"), "electricity-maps-history.json", "DE", .latest, topic: "history")
        let tail = "lifecycle/average/consumption DE electricity-maps"
        #expect(
            reading.figures.map(line) == [
                "2026-03-14T09:00:00Z 3600 s 302.0 actual \(tail)", "2026-03-14T10:00:00Z 3600 s 310.5 estimated \(tail)",
            ]
        )
        #expect(reading.figures.map(\.edition) == ["2026-03-14T09:44:16.561Z", "2026-03-14T10:44:16.561Z"])
        #expect(reading.findings.isEmpty)
        let forecast = try read(ElectricityMaps(token: "k"), "electricity-maps-forecast.json", "DE", .forecast, topic: "forecast")
        #expect(forecast.figures.map(\.value.kind) == [.forecast, .forecast])
    }

    @Test func anAnswerForAnotherPlaceOrAnotherBasisIsNotTaken() throws {
        #expect(throws: FeedFault.self) {
            try read(ElectricityMaps(token: "k"), "electricity-maps-history.json", "FR", .latest, topic: "history")
        }
        #expect(throws: FeedFault.self) {
            try read(ElectricityMaps(token: "k", isDirect: true), "electricity-maps-history.json", "DE", .latest, topic: "history")
        }
        #expect(throws: FeedFault.self) { try read(CO2Signal(token: "k"), "co2-signal.json", "FR", .latest) }
        let average = WattTime(user: "u", password: "p", signal: .average, regions: [try zone("US-CAL-CISO"): "CAISO_NORTH"])
        #expect(throws: FeedFault.self) { try read(average, "watttime-historical.json", "US-CAL-CISO", .latest) }
    }

    @Test func aTokenOfElectricityMapsGoesInAHeaderAndTheCallersPlaceIsNeverAnsweredFor() throws {
        let provider = ElectricityMaps(token: "secret")
        for span in [GridQuestion.Span.latest, .forecast, .past(from("2026-01-01T00:00Z", "2026-02-01T00:00Z"))] {
            for url in try urls(provider, "DE", span) {
                #expect(url.contains("shouldUseFallbackCallerLookup=false"))
                #expect(!url.contains("secret"))
            }
        }
        #expect(try urls(provider, "DE", .past(from("2026-01-01T00:00Z", "2026-02-01T00:00Z"))).count == 4)
    }

    @Test func theDialectOfCO2SignalHasALatestFigure() throws {
        let reading = try read(CO2Signal(token: "k"), "co2-signal.json", "GB", .latest)
        #expect(reading.figures.map(line) == ["2026-03-14T09:00:00Z 3600 s 302.25 estimated lifecycle/average/consumption GB co2-signal"])
    }

    @Test func poundsAMegawattHourAreGramsAKilowattHourAndMarginalIsABasisOfItsOwn() throws {
        let provider = WattTime(user: "u", password: "p", signal: .marginal, regions: [try zone("US-CAL-CISO"): "CAISO_NORTH"])
        let reading = try read(provider, "watttime-historical.json", "US-CAL-CISO", .latest)
        #expect(reading.figures.count == 1)
        #expect(abs((reading.figures.first?.value.gramsPerKilowattHour ?? 0) - 394.6253619) < 1e-9)
        #expect(reading.figures.first?.value.basis == Intensity.Basis("direct/marginal/production"))
        #expect(reading.findings.count == 1)
        #expect(throws: FeedFault.self) { try urls(provider, "US", .latest) }
    }

    @Test func aRatingOfMinusOneIsUnknown() throws {
        let terms = FeedTerms(licence: "CC0-1.0", source: "test", mayBeRedistributed: true)
        let basis = try #require(Intensity.Basis("direct/average/production"))
        let provider = CarbonAwareFile(
            name: "file",
            address: "/x",
            basis: basis,
            kind: .actual,
            terms: terms,
            locations: [try zone("US-EAST"): "EastUS"]
        )
        let reading = try read(provider, "carbon-aware.json", "US-EAST", .latest)
        #expect(reading.figures.map(line) == ["2026-03-14T00:00:00Z 28800 s 65.0 actual direct/average/production US-EAST file"])
        #expect(reading.findings.isEmpty)
        #expect(CarbonAwareFile.duration("1.02:03:04.5") == .seconds(93_784))
        for text in ["", "8", "08:00", "24:00:00", "-1:00:00", "00:00:00", "a:b:c"] { #expect(CarbonAwareFile.duration(text) == nil) }
    }

    @Test func aFileOfOnesOwnHasItsLimitsAndKinds() throws {
        let terms = FeedTerms(licence: "CC0-1.0", source: "test", mayBeRedistributed: true)
        let provider = OwnSeries(
            name: "own",
            address: "/x",
            basis: try #require(Intensity.Basis("direct/average/production")),
            terms: terms
        )
        let reading = try read(provider, "own.csv", "XX-LAB", .latest)
        #expect(reading.figures.map(\.value.gramsPerKilowattHour) == [40, 60])
        #expect(reading.figures.map(\.value.low) == [35, 60])
        #expect(reading.figures.map(\.value.high) == [50, 60])
        #expect(reading.figures.map(\.value.kind) == [.actual, .forecast])
        #expect(reading.findings == ["row 4: expected low <= g_per_kwh <= high, found 70.0, 60.0 and 80.0"])
        for text in ["", "zone,from,to\nXX-LAB,2026-03-14T00:00Z,2026-03-14T01:00Z", "zone,from,to,g_per_kwh\nXX-LAB,later,sooner,5"] {
            #expect(throws: FeedFault.self) {
                try provider.read(Array(text.utf8), to: FeedRequest(""), GridQuestion(.latest, of: try zone("XX-LAB"), now: now))
            }
        }
    }

    @Test func aMixOfPlantsIsWeighedOverTheLongestStep() throws {
        let factors = ["B04": EntsoE.FuelFactor(490, low: 410, high: 650), "B14": EntsoE.FuelFactor(12, low: 3.7, high: 110)]
        let provider = EntsoE(
            token: "k",
            domains: [try zone("BE"): "10YBE----------2"],
            factors: factors,
            isLifecycle: true,
            edition: "ar5"
        )
        let reading = try read(provider, "entsoe.xml", "BE", .latest)
        // From 9:00 gas has 100, 100, 300 and 300 MW, 200 on average beside 600 of nuclear; from 10:00 none, since a point left out repeats.
        #expect(
            reading.figures.map(\.interval) == [
                from("2026-03-14T09:00Z", "2026-03-14T10:00Z"), from("2026-03-14T10:00Z", "2026-03-14T11:00Z"),
            ]
        )
        #expect(abs(reading.figures[0].value.gramsPerKilowattHour - (0.25 * 490 + 0.75 * 12)) < 1e-9)
        #expect(abs(reading.figures[0].value.low - (0.25 * 410 + 0.75 * 3.7)) < 1e-9)
        #expect(abs(reading.figures[0].value.high - (0.25 * 650 + 0.75 * 110)) < 1e-9)
        #expect(reading.figures[1].value.gramsPerKilowattHour == 12)
        #expect(reading.figures.allSatisfy { $0.value.basis == Intensity.Basis("lifecycle/average/production") })
        let fewer = EntsoE(token: "k", domains: [:], factors: ["B14": factors["B14"]!], isLifecycle: true, edition: "ar5")
        #expect(throws: FeedFault.self) { try read(fewer, "entsoe.xml", "BE", .latest) }
    }

    @Test(arguments: ["", "{}", "[]", "null", "<a/>", "{\"data\": 5}", "{\"zone\": \"DE\"}", "{\"data\":[{\"from\":\"x\"}]}", "[[[["])
    func whatNoProviderSendsIsAFaultThatSaysWhatWasExpected(body: String) throws {
        let terms = FeedTerms(licence: "", source: "", mayBeRedistributed: true)
        let basis = try #require(Intensity.Basis("direct/average/production"))
        let de = try zone("DE")
        let providers: [(any GridProvider, String)] = [
            (GreatBritain(), "GB"), (ElectricityMaps(token: ""), "DE"), (CO2Signal(token: ""), "GB"),
            (WattTime(user: "", password: "", signal: .marginal, regions: [de: "DE"]), "DE"),
            (CarbonAwareFile(name: "f", address: "/", basis: basis, kind: .actual, terms: terms, locations: [de: "de"]), "DE"),
            (EntsoE(token: "", domains: [de: "x"], factors: [:], isLifecycle: true, edition: ""), "DE"),
        ]
        for (provider, key) in providers {
            #expect(throws: FeedFault.self, "\(provider.name)") {
                try provider.read(Array(body.utf8), to: FeedRequest(""), GridQuestion(.latest, of: try zone(key), now: now))
            }
        }
        if body != "[]" {
            #expect(throws: FeedFault.self) {
                try France().read(
                    Array(body.utf8),
                    to: FeedRequest("", topic: "eco2mix-national-tr"),
                    GridQuestion(.latest, of: try zone("FR"), now: now)
                )
            }
        }
    }
}
