import Carbon
import Energy
import Testing
@testable import CarbonDocuments

/// When a job that waits may begin.
@Suite struct WaitPlanTests {
    typealias Support = ZoneFiguresTests

    private static func zone(_ name: String, _ values: [Double?], kind: Intensity.Kind = .forecast, basis: Intensity.Basis = Support.direct)
        -> ZoneFigures
    {
        ZoneFigures(
            zone: name,
            pieces: values.enumerated().map { index, value in
                let (from, to) = (Int64(index) * 30, Int64(index) * 30 + 30)
                return .init(Support.span(from, to), value.map { Support.figure($0, from, to, kind, basis: basis, zone: name) })
            }
        )
    }

    private static func plan(_ most: Double, hours: Int64 = 0, _ figures: [ZoneFigures], deadline: Int64 = 120) throws -> WaitPlan {
        try WaitPlan(.init(atMost: most, lasting: .seconds(hours * 3_600), until: Support.at(deadline)), in: figures, now: Support.at(0))
    }

    @Test func theFirstZoneThatWillDoIsNamed() throws {
        let (gb, fr) = (Self.zone("GB", [200, 180, 140, 90]), Self.zone("FR", [160, 145, 150, 150]))
        let plan = try Self.plan(150, [gb, fr])
        #expect(plan.start?.zone == "FR" && plan.start?.time == Support.at(30) && !plan.isReached)
        #expect(plan.atOnce == ["GB": 200, "FR": 160])
        #expect(abs((plan.saving(against: 200) ?? 0) - 0.275) < 1e-12)
        #expect(try Self.plan(160, [gb, fr]).isReached)
        #expect(try Self.plan(100, [gb, fr], deadline: 60).start == nil)
        #expect(try Self.plan(115, hours: 1, [gb, fr]).start?.time == Support.at(60))
    }

    @Test func whatIsNotKnownIsWaitedFor() throws {
        let plan = try Self.plan(150, [Self.zone("GB", [nil, nil])])
        #expect(plan.start == nil && !plan.isHopeless && plan.atOnce.isEmpty)
    }

    @Test func waitingForAYearlyFigureToFallIsHopeless() throws {
        #expect(try Self.plan(150, [Self.zone("GB", [200, 200], kind: .yearly)]).isHopeless)
        #expect(try !Self.plan(250, [Self.zone("GB", [200, 200], kind: .yearly)]).isHopeless)
        #expect(try !Self.plan(150, [Self.zone("GB", [200], kind: .yearly), Self.zone("FR", [200])]).isHopeless)
    }

    @Test func averageAndMarginalCannotBeHeldAgainstEachOther() throws {
        #expect(throws: WindowAnswer.MixedBases.self) {
            try Self.plan(150, [Self.zone("GB", [200]), Self.zone("US-X", [100], basis: Support.marginal)])
        }
    }
}
