import Foundation
import SwiftProtobuf
import Wire

/// What an agent keeps in its spool of all that it has sealed: the knots and gaps that must be in the database, no more and no fewer.
struct SentReadings {
    struct Knot: Hashable {
        let curve: String
        let timeUs: Int64
        let value: Int64
    }

    struct Gap: Hashable {
        let curve: String
        let fromUs: Int64
        let toUs: Int64
    }

    private(set) var knots: Set<Knot> = []
    private(set) var gaps: Set<Gap> = []
    /// The newest batch of each stream, by incarnation.
    private(set) var lastBatch: [String: UInt64] = [:]
    /// Whether nothing has left the spool since its beginning.
    private(set) var isWhole = true

    /// - Parameters:
    ///   - directory: the agent's folder of segments.
    ///   - cursors: how far each stream has come; what is behind that was not acknowledged. Nil: all of it.
    init(spool directory: String, cursors: [String: Int64]?) throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: directory).filter {
            $0.hasPrefix("segment-") && $0.hasSuffix(".wsp")
        }
        for (number, file) in files.sorted().enumerated() {
            let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/" + file)))
            try read(bytes, isFirst: number == 0, cursors)
        }
    }

    /// Records follow one another: 40 bytes of head (magic, kind, number, time, lengths of body and state, checksums), body, state.
    private mutating func read(_ bytes: [UInt8], isFirst: Bool, _ cursors: [String: Int64]?) throws {
        var offset = 0
        var names: [UInt32: String] = [:]
        func word(_ place: Int) -> UInt32 {
            bytes.withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset + place, as: UInt32.self)) }
        }
        while offset + 40 <= bytes.count {
            let kind = word(4)
            let bodySize = Int(word(24))
            let size = 40 + bodySize + Int(word(28))
            // A write that a kill cut off.
            guard offset + size <= bytes.count else { return }
            let batch = try WireReadingsBatch(serializedBytes: Array(bytes[(offset + 40)..<(offset + 40 + bodySize)]))
            offset += size
            for curve in batch.curves { names[curve.ref] = curve.name }
            if kind == 1 {
                if isFirst, batch.seq != 1 { isWhole = false }
                continue
            }
            lastBatch[batch.incarnation] = max(lastBatch[batch.incarnation] ?? 0, batch.seq)
            if let cursors, Int64(batch.seq) > cursors[batch.incarnation] ?? 0 { continue }
            try note(batch, names)
        }
    }

    private mutating func note(_ batch: WireReadingsBatch, _ names: [UInt32: String]) throws {
        func name(_ ref: UInt32) throws -> String {
            guard let name = names[ref] else { throw Timeout(what: "the announcement of curve \(ref)", log: "batch \(batch.seq)") }
            return name
        }
        for column in batch.knots {
            var time: Int64 = 0
            var value: Int64 = 0
            for (t, v) in zip(column.tDeltaUs, column.valueDelta) {
                time += t
                value += v
                knots.insert(Knot(curve: try name(column.ref), timeUs: time, value: value))
            }
        }
        for gap in batch.gaps { gaps.insert(Gap(curve: try name(gap.ref), fromUs: gap.fromUs, toUs: gap.toUs)) }
    }
}
