import Energy
import SwiftProtobuf
import TestSupport
import Testing
import Wire

@Suite struct BatchScanTests {
    /// What protobuf makes of the same bytes.
    private struct Reading: Equatable {
        var refs: [UInt32] = []
        var knots: [[Knot]] = []
        var rest = WireReadingsBatch()

        init(byProtobuf bytes: [UInt8]) throws {
            var batch = try WireReadingsBatch(serializedBytes: bytes)
            for column in batch.knots {
                refs.append(column.ref)
                knots.append(try column.knots())
            }
            batch.knots = []
            rest = batch
        }

        init(byScan bytes: [UInt8]) throws {
            let scan = try BatchScan(bytes)
            refs = scan.columns.map(\.ref)
            knots = scan.columns.map(\.knots)
            rest = try WireReadingsBatch(serializedBytes: scan.rest)
        }
    }

    private static func batch(seed: UInt64) -> WireReadingsBatch {
        var random = RandomSource(seed: seed)
        var batch = WireReadingsBatch()
        batch.host = "bremusa"
        batch.seq = UInt64.random(in: 1...1_000, using: &random)
        for ref in 0..<UInt32.random(in: 0...4, using: &random) {
            batch.knots.append(WireKnotColumn(ref: ref + 1, knots: KnotColumnTests.knots(seed: random.next())))
            var tail = WireTail()
            tail.ref = ref + 1
            tail.value = Int64.random(in: 0...1_000_000, using: &random)
            batch.tails.append(tail)
        }
        if random.chance(0.3) { batch.facts.names = ["a", "b"] }
        return batch
    }

    @Test(arguments: 0..<100) func aScanReadsWhatProtobufReads(seed: UInt64) throws {
        let bytes: [UInt8] = try Self.batch(seed: seed).serializedBytes()
        #expect(try Reading(byScan: bytes) == Reading(byProtobuf: bytes))
        #expect(try BatchScan(bytes).knotCount == Reading(byProtobuf: bytes).knots.reduce(0) { $0 + $1.count })
    }

    @Test func otherFormsOfTheSameColumnAreReadToo() throws {
        let knots = [Knot(time: Timestamp(microseconds: 5), value: 1), Knot(time: Timestamp(microseconds: 9), value: 3)]
        // Not packed, the ref last and twice, an unknown field between: 5, 1, 4, 2 as zigzag numbers.
        let unpacked: [UInt8] = [16, 10, 24, 2, 120, 7, 16, 8, 24, 4, 8, 9, 8, 3]
        // Packed in two pieces.
        let pieces: [UInt8] = [8, 3, 18, 1, 10, 18, 1, 8, 26, 2, 2, 4]
        for column in [unpacked, pieces] {
            let bytes: [UInt8] = [82, UInt8(column.count)] + column
            let scan = try BatchScan(bytes)
            #expect(scan.columns.map(\.ref) == [3])
            #expect(scan.columns.map(\.knots) == [knots])
            #expect(try Reading(byProtobuf: bytes).knots == [knots])
        }
    }

    /// Cut short or with bits turned: whatever the scan takes, protobuf takes, and reads the same; what it refuses for its content, it
    /// refuses too.
    @Test(arguments: 0..<LongRun.rounds(short: 400, long: 20_000)) func damageIsSeenAsProtobufSeesIt(seed: Int) throws {
        var random = RandomSource(seed: UInt64(seed))
        var bytes: [UInt8] = try Self.batch(seed: UInt64(seed % 20)).serializedBytes()
        if random.chance(0.3) { bytes.removeLast(Int.random(in: 0...min(40, bytes.count), using: &random)) }
        for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
            bytes[Int.random(in: bytes.indices, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
        }
        let reference = Result { try Reading(byProtobuf: bytes) }
        switch (Result { try Reading(byScan: bytes) }, reference) {
        case (.success(let scan), .success(let reference)): #expect(scan == reference)
        case (.success, .failure(let error)): Issue.record("protobuf refuses what the scan takes: \(error)")
        case (.failure(let error as BatchScanError), .success):
            // Groups, which proto3 has not.
            if case .invalid(let fault) = error { Issue.record("the scan alone finds \(fault)") }
        case (.failure, _): break
        }
    }

    @Test func whatWouldTakeMoreMemoryThanABatchMayIsRefusedBeforeItIsMade() throws {
        func fault(_ bytes: [UInt8]) -> BatchFault? {
            do throws(BatchScanError) {
                _ = try BatchScan(bytes)
            } catch {
                if case .invalid(let fault) = error { return fault }
            }
            return nil
        }
        // Two bytes make a message: empty columns, curves, tails, gaps, workloads.
        for field in UInt8(9)...13 {
            let many = [[UInt8]](repeating: [field << 3 | 2, 0], count: WireLimits.batchParts + 1).flatMap { $0 }
            #expect(fault(many)?.field == "batch")
        }
        // Names and runners within the facts.
        var facts = [[UInt8]](repeating: [74, 0], count: 5_000).flatMap { $0 }
        facts = [66] + [UInt8(facts.count & 0x7f | 0x80), UInt8(facts.count >> 7)] + facts
        #expect(fault(facts)?.field == "facts")
        // A byte a number: a knot more than may be.
        var column = WireKnotColumn()
        column.ref = 1
        column.tDeltaUs = [Int64](repeating: 1, count: WireLimits.batchKnots + 1)
        column.valueDelta = [Int64](repeating: 0, count: WireLimits.batchKnots + 1)
        var batch = WireReadingsBatch()
        batch.knots = [column]
        #expect(fault(try batch.serializedBytes())?.field == "knots")
        column.tDeltaUs.removeLast()
        column.valueDelta.removeLast()
        batch.knots = [column, column]
        #expect(fault(try batch.serializedBytes())?.field == "knots")
        batch.knots = [column]
        #expect(try BatchScan(try batch.serializedBytes()).knotCount == WireLimits.batchKnots)
    }
}
