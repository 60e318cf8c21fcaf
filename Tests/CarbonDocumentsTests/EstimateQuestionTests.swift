import Accounting
import Carbon
import Documents
import Energy
import Testing
@testable import CarbonDocuments

/// What an estimate may be asked, and what it answers.
@Suite struct EstimateQuestionTests {
    private static let now = ZoneFiguresTests.at(30)

    private static func ask(_ text: String) throws -> EstimateQuestion {
        try EstimateQuestion(JSONValue(parsing: Array(text.utf8)), now: now)
    }

    @Test(arguments: [
        (#"{"energy_wh": -1, "zone": "GB"}"#, "energy_wh"), (#"{"energy_wh": "NaN", "zone": "GB"}"#, "energy_wh"),
        (#"{"energy_wh": 1e300, "zone": "GB"}"#, "energy_wh"), (#"{"energy_kwh": 1e10, "zone": "GB"}"#, "energy_kwh"),
        (#"{"zone": "GB"}"#, "energy_wh"), (#"{"energy_wh": 1, "power_w": 1, "zone": "GB"}"#, "power_w"),
        (#"{"power_w": 100, "zone": "GB"}"#, "to"), (#"{"energy_wh": 1}"#, "zone"), (#"{"energy_wh": 1, "zone": "gb"}"#, "zone"),
        (#"{"energy_wh": 1, "zone": "GB", "pue": 0.5}"#, "pue"), (#"{"energy_wh": 1, "zone": "GB", "pue": 40}"#, "pue"),
        (#"{"energy_wh": 1, "zone": "GB", "from": "2026-09-01T10:00:00Z", "to": "2026-09-01T09:00:00Z"}"#, "to"),
        (#"{"energy_wh": 1, "zone": "GB", "to": "2026-09-01T09:00:00Z"}"#, "from"),
        (#"{"energy_wh": 1, "zone": "GB", "from": "1970-01-01T00:00:00Z"}"#, "from"),
        (#"{"energy_wh": 1, "zone": "GB", "from": "yesterday"}"#, "from"),
        (#"{"energy_wh": 1, "zone": "GB", "error": 2}"#, "error"), (#"{"energy_wh": 1, "g_per_kwh": 200}"#, "basis"),
        (#"{"energy_wh": 1, "g_per_kwh": 0, "basis": "direct/average/consumption"}"#, "g_per_kwh"),
        (#"{"energy_wh": 1, "g_per_kwh": -1, "basis": "direct/average/consumption"}"#, "g_per_kwh"),
        (#"{"energy_wh": 1, "g_per_kwh": 200, "basis": "average"}"#, "basis"), (#"{"energy_wh": 1, "zone": "GB", "kwh": 1}"#, "kwh"),
        (#"{"energy_wh": 1, "zone": "GB", "low_g_per_kwh": 1}"#, "g_per_kwh"),
        (#"{"energy_wh": 1, "zone": "GB", "method": "guess"}"#, "method"),
        (#"{"energy_wh": 1, "zone": "GB", "method": "monte_carlo", "draws": 10}"#, "draws"),
        (#"{"energy_wh": 1, "zone": "GB", "seed": -1}"#, "seed"), (#"[1]"#, "estimate"),
    ]) func whatMakesNoSenseIsRefusedByItsField(text: String, field: String) throws {
        let faults = #expect(throws: EstimateQuestion.Faults.self) { try Self.ask(text) }
        #expect(faults?.all.map(\.field) == [field], "\(faults?.description ?? "")")
    }

    @Test func everyFaultIsTold() throws {
        let faults = #expect(throws: EstimateQuestion.Faults.self) { try Self.ask(#"{"energy_wh": -1, "pue": 0, "method": 7}"#) }
        #expect(faults?.all.map(\.field) == ["energy_wh", "zone", "pue", "method"])
    }

    @Test func aFigureOfOnesOwnNeedsNobody() throws {
        let question = try Self.ask(
            #"{"power_w": 100, "from": "2026-09-01T09:00:00Z", "to": "2026-09-01T14:00:00Z", "g_per_kwh": 212, "basis": "direct/average/consumption", "pue": 1.2, "error": 0}"#
        )
        let answer = try EstimateAnswer(question)
        let json = try #require(answer.json().object)
        let grams = try #require(json["co2e"]?.object?["location_g"]?.object)
        #expect(abs((grams["best"]?.double ?? 0) - 0.5 * 1.2 * 212) < 0.01)
        #expect((grams["low"]?.double ?? 0) < 127 && (grams["high"]?.double ?? 0) > 128)
        #expect(json["energy"]?.object?["best_kwh"] == .number(0.5))
        #expect(json["facility_energy"]?.object?["best_kwh"] == .number(0.6))
        #expect(json["intensity"]?.object?["basis"] == .string("direct/average/consumption"))
        // Who states an amount states no limits that hold always.
        #expect(grams["bound_high"] == .null && json["energy"]?.object?["bound_low_kwh"] == .null)
        let missing = json["missing"]?.array?.compactMap { $0.object?["field"]?.string }
        #expect(
            missing == ["energy.bound_low_kwh", "energy.bound_high_kwh", "co2e.location_g.bound_low", "co2e.location_g.bound_high"]
        )
    }

    @Test func whatIsNotKnownIsNullWithItsReason() throws {
        let question = try Self.ask(
            #"{"energy_wh": 500, "zone": "GB", "from": "2026-09-01T09:00:00Z", "to": "2026-09-01T10:00:00Z"}"#
        )
        func answer(_ pieces: [ZoneFigures.Piece]) throws -> EstimateAnswer {
            try EstimateAnswer(question, figures: ZoneFigures(zone: "GB", pieces: pieces))
        }
        let half = ZoneFigures.Piece(ZoneFiguresTests.span(0, 30), ZoneFiguresTests.figure(200, 0, 30))
        #expect(try answer([]).missingReason == "no_intensity")
        #expect(try answer([half]).missingReason == "intensity_incomplete")
        let marginal = ZoneFigures.Piece(
            ZoneFiguresTests.span(30, 60),
            ZoneFiguresTests.figure(700, 30, 60, basis: ZoneFiguresTests.marginal)
        )
        let mixed = try answer([half, marginal])
        #expect(mixed.missingReason == "several_bases" && mixed.estimate.grams == nil)
        #expect(mixed.json().object?["co2e"]?.object?["location_g"] == .null)
        var withheld = ZoneFiguresTests.figure(200, 0, 60)
        withheld.isWithheld = true
        let hidden = try answer([.init(ZoneFiguresTests.span(0, 60), withheld)])
        #expect(hidden.estimate.grams?.best == 100)
        #expect(hidden.json(showsAll: false).object?["co2e"]?.object?["location_g"] == .null)
        #expect(try !hidden.json(showsAll: false).text.contains("200"))
    }

    @Test func drawsAreBoundedByWhatTheyDraw() throws {
        let question = try Self.ask(
            #"{"energy_wh": 500, "zone": "GB", "from": "2026-09-01T09:00:00Z", "to": "2026-09-04T09:00:00Z", "method": "monte_carlo", "draws": 500000}"#
        )
        let pieces = (0..<144).map {
            ZoneFigures.Piece(
                ZoneFiguresTests.span($0 * 30, $0 * 30 + 30),
                ZoneFiguresTests.figure(100 + Double($0), $0 * 30, $0 * 30 + 30)
            )
        }
        let faults = #expect(throws: EstimateQuestion.Faults.self) {
            try EstimateAnswer(question, figures: ZoneFigures(zone: "GB", pieces: pieces))
        }
        #expect(faults?.all.first?.field == "draws")
    }
}
