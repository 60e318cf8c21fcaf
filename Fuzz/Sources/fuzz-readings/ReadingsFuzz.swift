import Energy
import LibFuzzer
import Store
import SwiftProtobuf
import Wire

/// An agent's batch, in protobuf and JSON: a record that is within its limits, or a problem that says what was expected; never a trap.
@main
enum ReadingsFuzz {
    static func main() {
        LibFuzzer.run { start, count in
            let bytes = Array(UnsafeBufferPointer(start: start, count: count))
            do {
                let isJSON = bytes.first == UInt8(ascii: "{")
                let record = isJSON ? try ReadingsDecoding.decode(json: bytes) : try ReadingsDecoding.decode(bytes)
                ReadingsFuzz.checkLimits(record)
                if !isJSON { ReadingsFuzz.checkAgainstProtobuf(record, bytes) }
            } catch let problem as Problem {
                precondition([400, 422].contains(problem.status) && problem.detail.contains("expected "))
            } catch {
                preconditionFailure("expected a problem, found \(error)")
            }
            return 0
        }
    }

    /// What the tables and the arithmetic behind the decoder count on.
    private static func checkLimits(_ record: ReadingsRecord) {
        precondition(record.knotCount <= WireLimits.batchKnots && record.sequence >= 1 && !record.hostName.isEmpty)
        for (ref, knots) in record.columns {
            precondition(ref >= 1)
            precondition(zip(knots, knots.dropFirst()).allSatisfy { $0.time < $1.time && $0.value <= $1.value })
            for end in [knots.first, knots.last].compactMap(\.self) {
                precondition(WireLimits.times.contains(end.time.microseconds) && WireLimits.values.contains(end.value))
            }
        }
        for tail in record.tails {
            precondition(WireLimits.times.contains(tail.knot.time.microseconds) && WireLimits.values.contains(tail.knot.value))
            precondition(WireLimits.times.contains(tail.completeUntil.microseconds))
        }
        for (_, gap) in record.gaps { precondition(gap.interval.start < gap.interval.end && 0 <= gap.low && gap.low <= gap.high) }
        if let offset = record.clockOffset { precondition(offset.count.magnitude <= WireLimits.times.upperBound.magnitude) }
    }

    /// Columns are read by a reader of their own: a general one must find the same knots in the same bytes.
    private static func checkAgainstProtobuf(_ record: ReadingsRecord, _ bytes: [UInt8]) {
        do {
            let batch = try WireReadingsBatch(serializedBytes: bytes)
            precondition(batch.knots.count == record.columns.count)
            for (wire, column) in zip(batch.knots, record.columns) {
                precondition(Int32(exactly: wire.ref) == column.ref)
                let knots = try wire.knots()
                precondition(knots == column.knots)
            }
        } catch {
            preconditionFailure("protobuf refuses what the scan reads: \(error)")
        }
    }
}
