import Energy
import SwiftProtobuf
import TestSupport
import Testing
import Wire

@Suite struct KnotColumnTests {
    static func knots(seed: UInt64) -> [Knot] {
        var random = RandomSource(seed: seed)
        var time: Int64 = 1_788_253_200_000_000
        var value: Int64 = 0
        return (0..<Int.random(in: 0...200, using: &random)).map { _ in
            time += Int64.random(in: 1...20_000_000, using: &random)
            value += Int64.random(in: 0...5_000_000_000, using: &random)
            return Knot(
                time: Timestamp(microseconds: time),
                value: value,
                flags: random.chance(0.1) ? KnotFlags(rawValue: UInt16.random(in: 0...15, using: &random)) : []
            )
        }
    }

    @Test(arguments: 0..<50) func knotsComeBackAsTheyWentInBothForms(seed: UInt64) throws {
        let knots = Self.knots(seed: seed)
        var batch = WireReadingsBatch()
        batch.knots = [WireKnotColumn(ref: 3, knots: knots)]
        let binary: [UInt8] = try batch.serializedBytes()
        #expect(try WireReadingsBatch(serializedBytes: binary).knots[0].knots() == knots)
        #expect(try WireReadingsBatch(jsonString: batch.jsonString()).knots[0].knots() == knots)
    }

    @Test func aColumnCostsAFewBytesAKnot() throws {
        var door = SwingingDoor(epsilon: 1_000_000)
        var random = RandomSource(seed: 1)
        var value: Int64 = 0
        var knots: [Knot] = []
        for i in 0..<36_000 {
            value += Int64.random(in: 0...20_000_000, using: &random)
            if let knot = door.add(Knot(time: Timestamp(microseconds: 1_788_253_200_000_000 + Int64(i) * 100_000), value: value)) {
                knots.append(knot)
            }
        }
        let bytes: [UInt8] = try WireKnotColumn(ref: 1, knots: knots).serializedBytes()
        #expect(bytes.count <= knots.count * 9)
    }

    @Test(arguments: 0..<300) func noBytesMakeTheReaderTrap(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var batch = WireReadingsBatch()
        batch.knots = [WireKnotColumn(ref: 3, knots: Self.knots(seed: seed))]
        var bytes: [UInt8] = try batch.serializedBytes()
        for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        guard let spoilt = try? WireReadingsBatch(serializedBytes: bytes) else { return }  // Refused: as it should be.
        for column in spoilt.knots {
            do throws(BatchFault) { _ = try column.knots() } catch { #expect(!error.field.isEmpty) }
        }
    }

    @Test func columnsOfDifferentLengthAreRefused() {
        var column = WireKnotColumn()
        column.tDeltaUs = [1, 2]
        column.valueDelta = [1]
        #expect(throws: BatchFault.self) { try column.knots() }
        column.valueDelta = [1, 2]
        column.flags = [1]
        #expect(throws: BatchFault.self) { try column.knots() }
    }
}
