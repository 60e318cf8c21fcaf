import Accounting
import Energy
import HTTPTypes
import Postgres
import Store
import SwiftProtobuf
import Testing
import Wire

@testable import Collector

@Suite struct IngestTests {
    @Test func aBatchIsTakenOnceAndAcknowledgedAgain() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let first = reporter.batch(energy: [knot(0, 0), knot(10, 500)])
            #expect(try await farm.commit(first, token: token) == .acknowledged(sequence: 1))
            #expect(try await farm.commit(first, token: token) == .acknowledged(sequence: 1))
            #expect(try await farm.count("knot") == 2)
            #expect(try await farm.count("host") == 1)
        }
    }

    @Test func aMissingBatchIsAskedForAndAnotherSpoolOfTheSameNameIsNoticed() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let first = reporter.batch(energy: [knot(0, 0)])
            let second = reporter.batch(energy: [knot(10, 500)])
            let third = reporter.batch(energy: [knot(20, 900)])
            #expect(try await farm.commit(second, token: token) == .expected(sequence: 1))
            #expect(try await farm.count("host") == 0)
            #expect(try await farm.commit(first, token: token) == .acknowledged(sequence: 1))
            #expect(try await farm.commit(third, token: token) == .expected(sequence: 2))
            #expect(try await farm.commit(second, token: token) == .acknowledged(sequence: 2))
            // A cloned spool sends another second batch.
            var clone = Reporter(host: "bremusa")
            _ = clone.batch(energy: [])
            #expect(try await farm.commit(clone.batch(energy: [knot(11, 501)]), token: token) == .conflict)
            #expect(try await farm.commit(first, token: token) == .conflict)
            #expect(
                try await StreamTable.expectedSequence(
                    tokenID: token,
                    bootID: reporter.boot,
                    incarnation: reporter.incarnation,
                    farm.connection
                )
                    == 3
            )
        }
    }

    @Test func aCurveOfMoreThan2147JoulesOutlivesItsAgentsRestart() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var before = Reporter(host: "bremusa")
            _ = try await farm.commit(before.batch(energy: [knot(0, 0), knot(100, 500_000)]), token: token)
            var after = Reporter(host: "bremusa", boot: "b00t2", incarnation: String(repeating: "f", count: 32), origin: 8)
            #expect(try await farm.commit(after.batch(energy: [knot(170, 0), knot(180, 300)]), token: token) == .acknowledged(sequence: 1))
        }
    }

    @Test func aCountThatBeganAnewGoesOnFromTheCurvesLastValueAcrossAGap() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var before = Reporter(host: "bremusa")
            _ = try await farm.commit(before.batch(energy: [knot(0, 0), knot(10, 500)]), token: token)
            var after = Reporter(host: "bremusa", boot: "b00t2", incarnation: String(repeating: "f", count: 32), origin: 8)
            #expect(try await farm.commit(after.batch(energy: [knot(70, 0), knot(80, 300)]), token: token) == .acknowledged(sequence: 1))
            let curve = try await CurveReading.read(hostID: 1, curveIDs: [1], around: Interval(at(0), at(80)), farm.connection)[1]!.curve
            #expect(curve.knots.map(\.value) == [0, 500_000_000, 500_000_000, 800_000_000])
            #expect(curve.gaps == [Gap(interval: Interval(at(10), at(70)), low: 0, high: 12_000_000_000, cause: .absence)])
        }
    }

    @Test func theSameCountFromANewIncarnationGoesOnWithoutAGap() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var before = Reporter(host: "bremusa")
            _ = try await farm.commit(before.batch(energy: [knot(0, 0), knot(10, 500)]), token: token)
            var after = Reporter(host: "bremusa", incarnation: String(repeating: "f", count: 32))
            _ = try await farm.commit(after.batch(energy: [knot(70, 900)]), token: token)
            #expect(try await farm.count("gap") == 0)
            #expect(try await farm.count("curve") == 1)
        }
    }

    @Test func contentThatContradictsTheCurveIsRefusedAndLeavesNothing() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0), knot(10, 500)]), token: token)
            let falling = reporter.batch(energy: [knot(20, 400)])
            await #expect(throws: ReadingsFault.self) { try await farm.commit(falling, token: token) }
            #expect(try await farm.count("knot") == 2)
            var unknown = reporter.batch(energy: [])
            unknown.seq = 2
            unknown.knots = [WireKnotColumn(ref: 9, knots: [knot(20, 600)])]
            await #expect(throws: ReadingsFault.self) { try await farm.commit(unknown, token: token) }
            // Knots that come again by way of another stream are left out, not counted twice.
            var again = Reporter(host: "bremusa", incarnation: String(repeating: "e", count: 32))
            _ = try await farm.commit(again.batch(energy: [knot(5, 250), knot(10, 500), knot(30, 700)]), token: token)
            #expect(try await farm.count("knot") == 3)
        }
    }

    static let spoilers: [(field: String, spoil: @Sendable (inout WireReadingsBatch) -> Void)] = [
        ("incarnation", { $0.incarnation = "XYZ" }),
        ("host", { $0.host = "" }),
        ("seq", { $0.seq = 0 }),
        ("t_delta_us", { $0.knots[0].tDeltaUs[1] = 0 }),
        ("value_delta", { $0.knots[0].valueDelta[1] = -5 }),
        ("value_delta", { $0.knots[0].valueDelta[1] = .max }),
        ("t_delta_us", { $0.knots[0].tDeltaUs[0] = .min }),
        ("zone", { $0.curves[0].zone = "attic" }),
        ("quality", { $0.curves[0].quality = "splendid" }),
        ("tails", { $0.tails[0].value = -1 }),
    ]

    /// 1 MW, and ten seconds of it for times that are a little off.
    @Test func moreThanAnyMachineDrawsIsRefusedNamingTheFieldAndWhatFitsIsTaken() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0), knot(10, 20_000_000)]), token: token)
            let sequence = reporter.sequence
            for energy in [[knot(20, 20_000_000 + 20_000_001)], [knot(20, 20_000_010), Knot(time: at(30), value: 1 << 62)]] {
                reporter.sequence = sequence
                do {
                    _ = try await farm.commit(reporter.batch(energy: energy), token: token)
                    Issue.record("expected a refusal")
                } catch let fault as ReadingsFault {
                    #expect(fault.field == "knots[1].value_delta" && fault.expected.contains("1 MW"), "\(fault)")
                }
            }
            reporter.sequence = sequence
            _ = try await farm.commit(reporter.batch(energy: [knot(20, 40_000_000)]), token: token)
        }
    }

    @Test(arguments: spoilers.indices)
    func aSenselessBatchIsRefusedNamingTheField(index: Int) throws {
        let (field, spoil) = Self.spoilers[index]
        var reporter = Reporter(host: "bremusa")
        var batch = reporter.batch(energy: [knot(0, 0), knot(10, 500)])
        spoil(&batch)
        let bytes: [UInt8] = try batch.serializedBytes()
        do {
            _ = try ReadingsDecoding.decode(bytes)
            Issue.record("expected a refusal")
        } catch let problem as Problem {
            #expect(problem.status == .unprocessableContent)
            #expect(problem.detail.contains(field))
        }
    }

    @Test func bytesThatAreNoBatchAreABadRequest() {
        #expect(throws: Problem.self) { try ReadingsDecoding.decode([0xff, 0xff, 0xff, 1, 2, 3]) }
    }

    @Test func bothFormsOfABatchReadTheSame() throws {
        var reporter = Reporter(host: "bremusa")
        let batch = reporter.batch(energy: [knot(0, 0), knot(10, 500)], busy: [knot(0, 0)])
        let binary: [UInt8] = try batch.serializedBytes()
        let fromJSON = try ReadingsDecoding.decode(json: Array(try batch.jsonString().utf8))
        let fromBinary = try ReadingsDecoding.decode(binary)
        #expect(fromJSON.columns.map { $0.knots } == fromBinary.columns.map { $0.knots })
        #expect(fromJSON.announcements.map { $0.name } == fromBinary.announcements.map { $0.name })
    }

    @Test func aCurveAnnouncedTwiceIsRefusedAndNotTriedForEver() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var batch = reporter.batch(energy: [knot(0, 0)])
            batch.curves.append(Reporter.meter(ref: 9, idleWatts: nil, origin: 1))
            await #expect(throws: ReadingsFault.self) { try await farm.commit(batch, token: token) }
            #expect(try await farm.count("host") == 0)
        }
    }

    @Test func aClockThatIsYearsOffMovesTheCurvesToWhereTheyBelong() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(100)
            let years = 5 * 365 * 86_400.0
            for (name, off) in [("future", years), ("past", -years)] {
                let token = try await farm.token(name, host: name)
                var reporter = Reporter(host: name)
                var first = reporter.batch(energy: [knot(off, 0), knot(off + 10, 500)])
                first.clockOffsetUs = Int64(-off * 1e6)
                #expect(try await farm.commit(first, token: token) == .acknowledged(sequence: 1))
                // The offset is better known by now; the stream's times still move as its first batch did.
                var second = reporter.batch(energy: [knot(off + 20, 900)])
                second.clockOffsetUs = Int64(-off * 1e6) + 3_000
                #expect(try await farm.commit(second, token: token) == .acknowledged(sequence: 2))
                let host = try #require(try await HostTable.find(name: name, farm.connection))
                let curve = try await CurveReading.read(hostID: host.id, curveIDs: [1], around: Interval(at(0), at(20)), farm.connection)[
                    1
                ]!.curve
                #expect(curve.knots.map(\.time) == [at(0), at(10), at(20)])
            }
            // A later batch that runs away is refused: it would put the curve's head out of reach.
            let token = try await farm.token("c", host: "runaway")
            var reporter = Reporter(host: "runaway")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0)]), token: token)
            await #expect(throws: ReadingsFault.self) { try await farm.commit(reporter.batch(energy: [knot(1e9, 5)]), token: token) }
        }
    }

    @Test func aBootIn1970ThatKnowsNoOffsetIsMovedToWhenItsFirstBatchCame() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(100)
            func in1970(_ seconds: Double) -> Knot {
                Knot(time: Timestamp(microseconds: Int64(seconds * 1e6)), value: Int64(seconds * 10))
            }
            // Sealed when the boot was 30 s old, or by an agent that does not say when.
            for (name, sealed, start) in [("sealed", 30.0, 70.0), ("unsaid", 0, 80)] {
                let token = try await farm.token(name, host: name)
                var reporter = Reporter(host: name)
                var first = reporter.batch(energy: [in1970(10), in1970(20)])
                first.wallUs = Int64(sealed * 1e6)
                #expect(try await farm.commit(first, token: token) == .acknowledged(sequence: 1))
                // The whole boot moves by as much, whatever is known later.
                var second = reporter.batch(energy: [in1970(40)])
                second.clockOffsetUs = farm.clock.now.microseconds
                #expect(try await farm.commit(second, token: token) == .acknowledged(sequence: 2))
                let host = try #require(try await HostTable.find(name: name, farm.connection))
                let around = Interval(at(start), at(start + 40))
                let curve = try await CurveReading.read(hostID: host.id, curveIDs: [1], around: around, farm.connection)[1]
                #expect(curve?.curve.knots.map(\.time) == [at(start + 10), at(start + 20), at(start + 40)], "\(name)")
            }
        }
    }

    /// Three hours in the spool of a machine that came up in 1970 without a network.
    @Test func aBootIn1970ThatMeasuredForHoursUnheardLosesNoEnergy() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(20_000)
            func in1970(_ seconds: Double) -> Knot {
                Knot(time: Timestamp(microseconds: Int64(seconds * 1e6)), value: Int64(seconds * 1e6))
            }
            let token = try await farm.token("board", host: "board")
            var reporter = Reporter(host: "board")
            for part in 0..<12 {
                let from = Double(part) * 900
                var batch = reporter.batch(energy: stride(from: from + 1, through: from + 900, by: 30).map(in1970) + [in1970(from + 900)])
                batch.wallUs = Int64((from + 900) * 1e6)
                #expect(try await farm.commit(batch, token: token) == .acknowledged(sequence: Int64(reporter.sequence)))
            }
            // What was put too late, by the guess that the first batch was fresh, is passed by before long.
            farm.clock.now = at(29_200)
            let last = reporter.batch(energy: [in1970(20_000)])
            let delivery = ReadingsDelivery(record: try ReadingsDecoding.decode(try last.serializedBytes()), tokenID: token)
            let now = farm.clock.now
            let results = try await farm.connection.transaction { tx in try await ReadingsGroup.commit([delivery], now: now, tx) }
            guard case .done(.acknowledged(13)) = results.first else {
                Issue.record("\(results)")
                return
            }
            let host = try #require(try await HostTable.find(name: "board", farm.connection))
            let around = Interval(at(0), now + .hour)
            let curve = try await CurveReading.read(hostID: host.id, curveIDs: [1], around: around, farm.connection)[1]
            let end = try #require(curve?.curve.knots.last)
            #expect(end.value == 20_000_000_000)
            #expect(end.time > at(20_000) && end.time <= now + .hour)
        }
    }

    @Test func aMeterThatIsAnnouncedNoMoreHasEnded() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var before = Reporter(host: "bremusa")
            _ = try await farm.commit(before.batch(energy: [knot(0, 0), knot(10, 500)]), token: token)
            var after = Reporter(host: "bremusa", incarnation: String(repeating: "f", count: 32))
            var batch = after.batch(energy: [knot(10, 0), knot(30, 700)])
            batch.curves[0].name = "model/cpu"
            _ = try await farm.commit(batch, token: token)
            #expect(try await CurveReading.coverCompleteUntil(hostIDs: [1], farm.connection)[1] == at(30))
            let inputs = try await HourInputs.read(
                host: try #require(try await HostTable.find(id: 1, farm.connection)),
                hour: at(0).hour,
                now: at(30),
                farm.connection
            )
            #expect(inputs.input.meters.count(where: \.isClosed) == 1)
        }
    }
}
