import Energy
import Postgres
import Store
import SwiftProtobuf
import Testing
import Wire

@testable import Collector

/// A cloned image is noticed, not merged.
@Suite struct StreamRivalTests {
    /// A batch of a machine that was switched on at `boot` s, sealed with its last knot.
    private static func batch(_ reporter: inout Reporter, _ knots: [Knot], bootedAt boot: Double) -> WireReadingsBatch {
        var batch = reporter.batch(energy: knots)
        batch.clockOffsetUs = 0
        batch.wallUs = knots.last?.time.microseconds ?? 0
        batch.boottimeUs = batch.wallUs - at(boot).microseconds
        return batch
    }

    @Test func aMachineThatWasOnWhileAnotherStillReportedIsAnother() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var original = Reporter(host: "bremusa")
            #expect(
                try await farm.commit(Self.batch(&original, [knot(0, 0), knot(600, 9_000)], bootedAt: -100), token: token)
                    == .acknowledged(sequence: 1)
            )
            var clone = Reporter(host: "bremusa", boot: "c10ne")
            let outcome = try await farm.commit(Self.batch(&clone, [knot(610, 9_100)], bootedAt: 300), token: token)
            guard case .otherMachine = outcome else {
                Issue.record("expected the clone to be noticed, found \(outcome)")
                return
            }
            #expect(try await farm.count("knot") == 2)
            let rivals = try await StreamRivals.recent(farm.connection)
            #expect(rivals.map(\.hostName) == ["bremusa"])
            #expect(rivals.map(\.keptBootID) == ["b00t"])
            #expect(rivals.map(\.refusedBootID) == ["c10ne"])
            let finding = try await DoctorTests.finding("clones", farm)
            #expect(finding.severity == .action)
            #expect(finding.examples.first?.contains("c10ne") == true)
            // The original goes on.
            #expect(
                try await farm.commit(Self.batch(&original, [knot(620, 9_400)], bootedAt: -100), token: token) == .acknowledged(sequence: 2)
            )
        }
    }

    @Test func aMachineThatWasSwitchedOnAgainIsTheSame() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var before = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.batch(&before, [knot(0, 0), knot(600, 9_000)], bootedAt: -100), token: token)
            var after = Reporter(host: "bremusa", boot: "b00t2")
            // Clocks of two boots may differ a little.
            #expect(
                try await farm.commit(Self.batch(&after, [knot(700, 9_100)], bootedAt: 570), token: token) == .acknowledged(sequence: 1)
            )
            #expect(try await StreamRivals.recent(farm.connection).isEmpty)
        }
    }

    @Test func anEarlierStreamThatGoesOnAfterALaterOneBeganIsAnotherMachine() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var one = Reporter(host: "bremusa")
            _ = try await farm.commit(one.batch(energy: [knot(0, 0), knot(10, 100)]), token: token)
            var two = Reporter(host: "bremusa", boot: "b00t2")
            #expect(try await farm.commit(two.batch(energy: [knot(20, 200)]), token: token) == .acknowledged(sequence: 1))
            let late = one.batch(energy: [knot(30, 300)])
            guard case .otherMachine = try await farm.commit(late, token: token) else {
                Issue.record("expected two machines to be noticed")
                return
            }
            // What was acknowledged may be asked again.
            #expect(try await farm.count("knot") == 3)
            #expect(try await farm.commit(two.batch(energy: [knot(40, 400)]), token: token) == .acknowledged(sequence: 2))
        }
    }

    @Test func aReplacementMayTakeOverOnceTheOtherIsSilent() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var original = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.batch(&original, [knot(0, 0), knot(600, 9_000)], bootedAt: -100), token: token)
            try await farm.connection.executeScript("UPDATE stream SET acknowledged_at = now() - interval '20 minutes'")
            var copy = Reporter(host: "bremusa", boot: "c10ne")
            #expect(
                try await farm.commit(Self.batch(&copy, [knot(1_610, 9_100)], bootedAt: 300), token: token) == .acknowledged(sequence: 1)
            )
        }
    }
}
