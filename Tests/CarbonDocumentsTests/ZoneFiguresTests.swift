import Carbon
import Documents
import Energy
import Testing
@testable import CarbonDocuments

/// Which of several figures counts, and what is told of it.
@Suite struct ZoneFiguresTests {
    static let direct = Intensity.Basis(scope: "direct", signal: "average", side: "consumption")
    static let marginal = Intensity.Basis(scope: "direct", signal: "marginal", side: "consumption")
    /// 2026-09-01T09:00:00Z.
    static let start = Timestamp(microseconds: 1_788_253_200_000_000)

    static func at(_ minutes: Int64) -> Timestamp { start + .seconds(minutes * 60) }
    static func span(_ from: Int64, _ to: Int64) -> Interval { Interval(at(from), at(to)) }

    static func figure(
        _ grams: Double,
        _ from: Int64,
        _ to: Int64,
        _ kind: Intensity.Kind = .actual,
        basis: Intensity.Basis = direct,
        zone: String = "GB",
        edition: String? = nil
    ) -> SourcedIntensity {
        var figure = SourcedIntensity(
            Intensity(
                zone: zone,
                gramsPerKilowattHour: grams,
                low: grams * 0.9,
                high: grams * 1.1,
                kind: kind,
                basis: basis,
                provider: "test",
                year: 2026
            ),
            of: span(from, to)
        )
        figure.edition = edition
        return figure
    }

    private static func values(_ figures: ZoneFigures) -> [Double?] { figures.pieces.map { $0.figure?.intensity.gramsPerKilowattHour } }

    @Test func theBestKindCountsAndAmongThemTheLastEdition() {
        let figures = ZoneFigures(
            zone: "GB",
            choosingFrom: [
                Self.figure(200, 0, 60, .forecast), Self.figure(180, 0, 30, .actual, edition: "1"),
                Self.figure(170, 0, 30, .actual, edition: "2"), Self.figure(999, 0, 60, zone: "FR"),
                Self.figure(500, 0, 90, .actual, basis: Self.marginal),
            ],
            over: Self.span(0, 90)
        )
        #expect(Self.values(figures) == [170, 200, nil])
        #expect(figures.pieces.map(\.interval) == [Self.span(0, 30), Self.span(30, 60), Self.span(60, 90)])
    }

    @Test func aCurveOfOneBasisKnowsNothingOfAnother() throws {
        let figures = ZoneFigures(
            zone: "GB",
            pieces: [
                .init(Self.span(0, 30), Self.figure(100, 0, 30)),
                .init(Self.span(30, 60), Self.figure(700, 30, 60, basis: Self.marginal)),
            ]
        )
        #expect(figures.bases.count == 2)
        let curve = try figures.curve(of: Self.direct)
        #expect(curve.mean(over: Self.span(0, 60)) == nil)
        #expect(curve.mean(over: Self.span(0, 30))?.gramsPerKilowattHour == 100)
    }

    @Test func everyNullHasAReason() throws {
        var withheld = Self.figure(140, 30, 60)
        withheld.isWithheld = true
        withheld.id = 7
        let figures = ZoneFigures(
            zone: "GB",
            pieces: [
                .init(Self.span(0, 30), nil), .init(Self.span(30, 60), withheld),
            ]
        )
        let answer = IntensityAnswer(figures, over: Self.span(0, 60), now: Self.at(45))
        let pieces = (answer.json(showsAll: false).object?["pieces"]?.array ?? []).map { $0.object ?? [:] }
        try #require(pieces.count == 2)
        #expect(pieces[0]["g_per_kwh"] == .null && pieces[0]["reason"] == .string("no_figure"))
        #expect(pieces[1]["g_per_kwh"] == .null && pieces[1]["reason"] == .string("not_redistributable"))
        #expect(pieces[1]["id"] == .integer(7) && pieces[1]["provider"] == .string("test"))
        let missing = answer.json(showsAll: false).object?["missing"]?.array?.compactMap { $0.object?["field"]?.string }
        #expect(missing == ["pieces[0].g_per_kwh", "pieces[1].g_per_kwh", "now.g_per_kwh", "latest", "forecast_error"])
        #expect(answer.json().object?["now"]?.object?["g_per_kwh"] == .number(140))
    }

    @Test func howFarForecastsWereOffIsNotToldWhereWhatCameMayNotBe() throws {
        let figures = [false, true].map { isWithheld in
            var figures = ZoneFigures(zone: "GB", pieces: [.init(Self.span(0, 60), Self.figure(140, 0, 60))])
            figures.forecastError = ForecastError([
                .init(madeAt: Self.at(-60), interval: Self.span(0, 30), forecastGramsPerKilowattHour: 110, actualGramsPerKilowattHour: 100)
            ])
            figures.isForecastErrorWithheld = isWithheld
            return figures
        }
        func missing(_ json: JSONValue) -> [JSONValue] { json.object?["missing"]?.array ?? [] }
        func reason(_ field: String) -> JSONValue {
            .object(["field": .string(field), "reason": .string("not_redistributable")])
        }
        let question = WindowAnswer.Question(duration: .seconds(600), within: Self.span(0, 60))
        for (zone, isHidden) in zip(figures, [false, true]) {
            let intensity = IntensityAnswer(zone, over: Self.span(0, 60), now: Self.at(5))
            #expect((intensity.json(showsAll: false).object?["forecast_error"] == .null) == isHidden)
            #expect(missing(intensity.json(showsAll: false)).contains(reason("forecast_error")) == isHidden)
            #expect(intensity.json().object?["forecast_error"]?.object?["pairs"] == .integer(1))
            let window = try WindowAnswer(question, in: [zone])
            let place = "zones[0].forecast_error"
            let hidden = window.json(showsAll: false)
            #expect((hidden.object?["zones"]?.array?.first?.object?["forecast_error"] == .null) == isHidden)
            #expect(missing(hidden).contains(reason(place)) == isHidden)
            // The window itself is of figures that may be told.
            #expect(hidden.object?["best"]?.object?["g_per_kwh"] == .number(140))
            #expect(window.json().object?["zones"]?.array?.first?.object?["forecast_error"]?.object?["pairs"] == .integer(1))
        }
    }

    @Test func anAnswerThatIsReadSaysTheSameAgain() throws {
        var figures = ZoneFigures(
            zone: "GB",
            pieces: [.init(Self.span(0, 30), Self.figure(123.25, 0, 30, edition: "a")), .init(Self.span(30, 60), nil)]
        )
        figures.latest = Self.figure(99, -30, 0)
        figures.forecastError = ForecastError([
            .init(madeAt: Self.at(-60), interval: Self.span(0, 30), forecastGramsPerKilowattHour: 110, actualGramsPerKilowattHour: 100)
        ])
        let answer = IntensityAnswer(figures, over: Self.span(0, 60), now: Self.at(5))
        #expect(try IntensityAnswer(reading: answer.json()).json() == answer.json())
        #expect(throws: IntensityAnswer.Fault.self) {
            try IntensityAnswer(reading: .object(["zone": .string("GB"), "pieces": .string("x")]))
        }
    }

    @Test func aLatestFigureIsStaleOnceTwoStepsHaveGoneBy() {
        let figure = Self.figure(100, 0, 30)
        #expect(!LatestFigure(figure, now: Self.at(31)).isStale)
        #expect(!LatestFigure(figure, now: Self.at(90)).isStale)
        #expect(LatestFigure(figure, now: Self.at(91)).isStale)
        #expect(LatestFigure(figure, now: Self.at(15)).age == .zero)
    }

    @Test func aBestWindowIsOfOneBasis() throws {
        let gb = ZoneFigures(
            zone: "GB",
            pieces: [.init(Self.span(0, 60), Self.figure(300, 0, 60)), .init(Self.span(60, 120), Self.figure(100, 60, 120, .forecast))]
        )
        let fr = ZoneFigures(zone: "FR", pieces: [.init(Self.span(0, 120), Self.figure(150, 0, 120, zone: "FR"))])
        let question = WindowAnswer.Question(duration: .seconds(3_600), within: Self.span(0, 120))
        let answer = try WindowAnswer(question, in: [gb, fr])
        #expect(answer.best?.zone == "GB" && answer.best?.interval == Self.span(60, 120) && answer.best?.kind == .forecast)
        #expect(abs((answer.saving ?? 0) - 2 / 3.0) < 1e-12)
        // Against a start at once in the first zone that was named.
        #expect(abs((try WindowAnswer(question, in: [fr, gb]).saving ?? 0) - 1 / 3.0) < 1e-12)
        let us = ZoneFigures(
            zone: "US-CAL-CISO",
            pieces: [.init(Self.span(0, 120), Self.figure(10, 0, 120, basis: Self.marginal, zone: "US-CAL-CISO"))]
        )
        #expect(throws: WindowAnswer.MixedBases.self) { try WindowAnswer(question, in: [gb, us]) }
        var asked = question
        asked.basis = Self.direct
        let one = try WindowAnswer(asked, in: [gb, us])
        #expect(one.best?.zone == "GB" && one.zones[1].best == nil)
        #expect(try WindowAnswer(question, in: [ZoneFigures(zone: "XX", pieces: [])]).best == nil)
    }

    @Test(arguments: [
        ("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1h30m", 5_400), ("1d", 86_400), ("PT1H30M", 5_400), ("P1D", 86_400),
        ("P1DT1H", 90_000), ("pt5s", 5),
    ]) func lengthsAreReadAsPeopleWriteThem(text: String, seconds: Int64) {
        #expect(LengthOfTime.parse(text) == .seconds(seconds))
    }

    @Test(arguments: ["", "0", "0s", "5", "h", "1m1h", "1h1h", "-1h", "P", "PT", "P1H", "PT1D", "1.5h", "400d", "9999999999s", "2 h"])
    func whatIsNoLengthIsNone(text: String) {
        #expect(LengthOfTime.parse(text) == nil)
    }

    @Test func theDialectOfTheCarbonAwareSDKHasNoMinusOne() throws {
        let figures = ZoneFigures(
            zone: "GB",
            pieces: [
                .init(Self.span(0, 30), Self.figure(200, 0, 30)), .init(Self.span(30, 60), nil),
                .init(Self.span(60, 90), Self.figure(90, 60, 90, .forecast)),
                .init(Self.span(90, 120), Self.figure(110, 90, 120, .forecast)),
            ]
        )
        let curve = try figures.curve(of: Self.direct)
        let list = CarbonAwareAnswer.emissions(curve, within: Self.span(0, 120), location: "uksouth")
        #expect(list.map(\.rating) == [200, 90, 110])
        #expect(CarbonAwareAnswer.best(list).map(\.interval) == [Self.span(60, 90)])
        let text = try CarbonAwareAnswer.emissions(CarbonAwareAnswer.best(list)).text
        #expect(text == #"[{"duration":"00:30:00","location":"uksouth","rating":90,"time":"2026-09-01T10:00:00+00:00"}]"#)
        let forecast = CarbonAwareAnswer.forecast(
            curve,
            location: "uksouth",
            within: Self.span(0, 120),
            windowSize: .seconds(3_600),
            generatedAt: nil,
            requestedAt: Self.at(0)
        )
        // Windows over the hole are not known.
        #expect(forecast.object?["forecastData"]?.array?.count == 1)
        #expect(forecast.object?["optimalDataPoints"]?.array?.first?.object?["value"] == .number(100))
        #expect(forecast.object?["windowSize"] == .integer(60))
    }
}
