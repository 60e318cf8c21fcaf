import Energy
import FoundationEssentials
import SwiftProtobuf
import Testing
import Wire

@testable import Agent

struct SpoolTests {
    let host: FixtureHost
    var directory: String { host.root + "/spool" }
    let start = Timestamp(microseconds: 1_767_225_600_000_000)

    init() throws { host = try FixtureHost() }

    private func spool(boot: String = "boot-a", name: String = "h", limits: Spool.Limits = .init()) async throws -> (Spool, AgentState?) {
        let spool = Spool(directory: directory, host: name, bootID: boot, limits: limits)
        return (spool, try await spool.open())
    }

    private func state(_ generation: UInt64) throws -> [UInt8] {
        try AgentState(generation: generation, bootID: "boot-a", wallOffset: 0, nextRef: 3, curves: [], workloads: []).encoded()
    }

    private func announcement(_ ref: UInt32) -> WireCurveAnnouncement {
        var curve = WireCurveAnnouncement()
        curve.ref = ref
        curve.name = "curve-\(ref)"
        return curve
    }

    /// A batch that is told from others by the value of its tail.
    private func batch(_ value: Int64, announcing refs: [UInt32] = []) -> WireReadingsBatch {
        var batch = WireReadingsBatch()
        batch.curves = refs.map(announcement)
        var tail = WireTail()
        tail.ref = 1
        tail.value = value
        batch.tails = [tail]
        return batch
    }

    private func fill(_ spool: Spool, _ values: ClosedRange<Int64>, step: Microseconds = .seconds(10)) async throws {
        for value in values {
            try await spool.append(
                [batch(value, announcing: value == 1 ? [1, 2] : [])],
                live: [announcement(1), announcement(2)],
                state: try state(UInt64(value)),
                at: start + Microseconds(value * step.count)
            )
        }
    }

    /// Everything that would be sent, in order.
    private func drain(_ spool: Spool) async throws -> [WireReadingsBatch] {
        var batches: [WireReadingsBatch] = []
        while let pending = await spool.pending {
            let bytes = try await spool.body(pending.stream, seq: pending.firstUnacknowledged)
            let batch = try WireReadingsBatch(serializedBytes: bytes)
            #expect(batch.seq == pending.firstUnacknowledged)
            #expect(batch.incarnation == pending.stream.incarnation)
            batches.append(batch)
            try await spool.acknowledge(pending.stream, through: pending.firstUnacknowledged, at: start)
        }
        return batches
    }

    private func segments() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".wsp") }.sorted().map { "\(directory)/\($0)" }
    }

    @Test func theChecksumIsTheStandardOne() { #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926) }

    @Test func aRestartGoesOnInTheSameStreamWithTheNewestState() async throws {
        let (first, none) = try await spool()
        #expect(none == nil)
        try await fill(first, 1...3)
        let stream = try #require(await first.pending).stream
        #expect(stream.incarnation.count == 32)
        let (second, state) = try await spool()
        #expect(state?.generation == 3)
        try await fill(second, 4...5)
        let batches = try await drain(second)
        #expect(batches.map(\.seq) == [1, 2, 3, 4, 5])
        #expect(batches.map { $0.tails[0].value } == [1, 2, 3, 4, 5])
        #expect(Set(batches.map(\.incarnation)) == [stream.incarnation])
    }

    @Test func aSentBodyIsTheSameBytesEachTime() async throws {
        let (first, _) = try await spool()
        try await fill(first, 1...1)
        let stream = try #require(await first.pending).stream
        let body = try await first.body(stream, seq: 1)
        let (second, _) = try await spool()
        #expect(try await second.body(stream, seq: 1) == body)
    }

    @Test(arguments: [1, 39, 41, 60])
    func aTornEndIsCutOffAndTheNextBatchFollowsTheLastWholeOne(cut: Int) async throws {
        let (first, _) = try await spool()
        try await fill(first, 1...3)
        let path = try #require(try segments().first)
        let bytes = try #require(try Disk.read(path))
        try Disk.replace(path, with: Array(bytes.dropLast(cut)))
        let (second, state) = try await spool()
        #expect(state?.generation == 2)
        #expect(await second.findings.count == 1)
        try await fill(second, 4...4)
        let batches = try await drain(second)
        #expect(batches.map(\.seq) == [1, 2, 3])
        #expect(batches.map { $0.tails[0].value } == [1, 2, 4])
    }

    @Test func aFlippedBitCostsItsBatchOnly() async throws {
        let (first, _) = try await spool()
        try await fill(first, 1...6)
        let path = try #require(try segments().first)
        let bytes = try #require(try Disk.read(path))
        // Somewhere within the third batch, header or content.
        var offsets: [Int] = []
        var offset = 0
        while case .record(_, let size) = SpoolRecord.read(bytes, at: offset) {
            offsets.append(offset)
            offset += size
        }
        for place in [offsets[3] + 5, offsets[3] + SpoolRecord.headerSize + 3] {
            var damaged = bytes
            damaged[place] ^= 4
            for other in try segments() where other != path { try Disk.remove(other) }
            try Disk.replace(path, with: damaged)
            let (second, state) = try await spool()
            #expect(state?.generation == 6)
            var machine = UplinkMachine()
            var values: [Int64] = []
            // As the uplink does: what cannot be read is left out, and the rest goes on as a new stream.
            while let pending = await second.pending {
                let seq = pending.firstUnacknowledged
                do {
                    values.append(try WireReadingsBatch(serializedBytes: try await second.body(pending.stream, seq: seq)).tails[0].value)
                    try await second.acknowledge(pending.stream, through: seq, at: start)
                } catch {
                    guard case .reseal(let stream, let from, _, _) = machine.unreadable(pending.stream, seq: seq) else { break }
                    try await second.reseal(stream, from: from, refused: nil, at: start)
                    #expect(await second.pending?.firstUnacknowledged == 1)
                }
            }
            #expect(values == [1, 2, 4, 5, 6])
        }
    }

    @Test func aNewBootOpensANewStreamAndTheOldOneIsSentFirst() async throws {
        let (first, _) = try await spool()
        try await fill(first, 1...2)
        let (second, _) = try await spool(boot: "boot-b")
        try await fill(second, 3...4)
        let batches = try await drain(second)
        #expect(batches.map(\.bootID) == ["boot-a", "boot-a", "boot-b", "boot-b"])
        #expect(batches.map(\.seq) == [1, 2, 1, 2])
        #expect(Set(batches.map(\.incarnation)).count == 2)
    }

    @Test func aBatchRefusedForGoodBecomesADeadLetterAndTheQueueGoesOnWithoutHoles() async throws {
        let (first, _) = try await spool(limits: Spool.Limits(segmentSize: 600))
        try await fill(first, 1...6)
        #expect(try segments().count > 1)
        let old = try #require(await first.pending).stream
        try await first.acknowledge(old, through: 2, at: start)
        try await first.reseal(old, from: 3, refused: (3, "422 no such curve"), at: start)
        try await fill(first, 7...7)
        // Nothing of it depends on memory.
        let (second, state) = try await spool()
        #expect(state?.generation == 7)
        var batches = try await drain(second)
        // After a restart the old stream is offered again; the collector's expected number settles it.
        batches.removeAll { $0.incarnation == old.incarnation }
        #expect(batches.map(\.seq) == [1, 2, 3, 4])
        #expect(batches.map { $0.tails[0].value } == [4, 5, 6, 7])
        #expect(batches[0].curves.map(\.ref) == [1, 2])
        let letters = try FileManager.default.contentsOfDirectory(atPath: directory + "/dead-letters").filter { $0.hasSuffix("-3.wsp") }
        let name = try #require(letters.first)
        let letter = try #require(try Disk.read("\(directory)/dead-letters/\(name)"))
        guard case .record(let record, _) = SpoolRecord.read(letter, at: 0) else { throw Unexpected() }
        #expect(record.kind == .deadLetter)
        #expect(String(decoding: record.state, as: UTF8.self) == "422 no such curve")
        #expect(try WireReadingsBatch(serializedBytes: record.body).tails[0].value == 3)
    }

    @Test func moreAnnouncementsThanABatchHoldsGoAheadInBatchesOfTheirOwn() async throws {
        let (first, _) = try await spool(limits: Spool.Limits(segmentSize: 64 << 20))
        let refs = (0..<8).map { Array(($0 * 10_000 + 1)...($0 * 10_000 + 10_000)).map(UInt32.init) }
        for (number, refs) in refs.enumerated() {
            _ = try await first.append(
                [batch(Int64(number + 1), announcing: refs)],
                live: [],
                state: try state(UInt64(number + 1)),
                at: start + .seconds(Int64(number))
            )
        }
        let old = try #require(await first.pending).stream
        try await first.acknowledge(old, through: 7, at: start)
        try await first.reseal(old, from: 8, refused: nil, at: start)
        let batches = try await drain(first)
        #expect(batches.map(\.seq) == (1...UInt64(batches.count)).map { $0 })
        #expect(batches.count > 1)
        #expect(batches.allSatisfy { $0.bootID == "boot-a" && $0.host == "h" && $0.curves.count < WireLimits.batchParts / 2 })
        let longest = try batches.map { (try $0.serializedBytes() as [UInt8]).count }.max() ?? 0
        #expect(longest < WireLimits.batchBytes / 2)
        let areAll = batches.flatMap { $0.curves.map(\.ref) } == refs.flatMap { $0 }
        #expect(areAll)
        #expect(batches.map { $0.tails.first?.value } == Array(repeating: nil, count: batches.count - 1) + [8])
    }

    @Test func theOnlyBatchRefusedLeavesItsStateBehind() async throws {
        let (first, _) = try await spool()
        try await fill(first, 1...1)
        let old = try #require(await first.pending).stream
        try await first.reseal(old, from: 1, refused: (1, "400"), at: start)
        #expect(await first.pending == nil)
        let (second, state) = try await spool()
        #expect(state?.generation == 1)
        try await fill(second, 2...2)
        let batches = try await drain(second)
        #expect(batches.map(\.seq) == [1])
        #expect(batches[0].incarnation != old.incarnation)
    }

    @Test func anInterruptedRewritingIsEndedAtTheNextStart() async throws {
        let (first, _) = try await spool(limits: Spool.Limits(segmentSize: 600))
        try await fill(first, 1...6)
        let before = try segments().map { ($0, try Disk.read($0) ?? []) }
        let old = try #require(await first.pending).stream
        try await first.reseal(old, from: 1, refused: nil, at: start)
        // As if the removal of the old files had not happened.
        for (path, bytes) in before { try Disk.replace(path, with: bytes) }
        let (second, _) = try await spool()
        let batches = try await drain(second)
        #expect(batches.map { $0.tails[0].value } == [1, 2, 3, 4, 5, 6])
        #expect(Set(batches.map(\.incarnation)).count == 1)
    }

    @Test func acknowledgedBatchesAreKeptForAnHourAndNoLonger() async throws {
        let limits = Spool.Limits(segmentSize: 600)
        let (spool, _) = try await spool(limits: limits)
        try await fill(spool, 1...20)
        let stream = try #require(await spool.pending).stream
        try await spool.acknowledge(stream, through: 20, at: start + .seconds(300))
        try await spool.acknowledge(stream, through: 4, at: start + .seconds(300))
        #expect(await spool.pending?.firstHeld == 1)
        try await spool.acknowledge(stream, through: 20, at: start + .seconds(3_700))
        #expect(try segments().count < 20)
        try await spool.acknowledge(stream, through: 20, at: start + .seconds(8_000))
        // The newest stays: it says which stream goes on.
        #expect(try segments().count == 1)
        try await fill(spool, 21...21)
        #expect(await spool.pending?.firstUnacknowledged == 21)
    }

    @Test func aFullSpoolSaysSoAndIsEmptiedByAcknowledging() async throws {
        let (spool, _) = try await spool(limits: Spool.Limits(unacknowledged: 3_000))
        #expect(await spool.fill == 0)
        try await fill(spool, 1...20)
        #expect(await spool.fill >= 1)
        let pressure = SealingPace.Pressure(fill: await spool.fill)
        #expect(pressure.isFull && pressure.coarseness == 64)
        let stream = try #require(await spool.pending).stream
        try await spool.acknowledge(stream, through: 20, at: start)
        #expect(await spool.fill == 0)
    }

    @Test func aChangedHostNameIsANewStream() async throws {
        let (first, _) = try await spool(name: "one")
        try await fill(first, 1...1)
        let (second, _) = try await spool(name: "two")
        try await fill(second, 2...2)
        let batches = try await drain(second)
        #expect(batches.map(\.host) == ["one", "two"])
        #expect(batches.map(\.seq) == [1, 1])
    }

    private struct Unexpected: Error {}
}
