import Energy
import Glibc
import SwiftProtobuf
import Wire

/// The stream that a batch belongs to: one boot of one spool.
struct StreamID: Hashable, Sendable {
    var bootID: String
    /// 32 lower-case hex digits.
    var incarnation: String

    static func drawIncarnation() -> String {
        let digits = (0..<2).map { _ in UInt64.random(in: 0 ... .max) }
        return digits.map { number in
            let text = String(number, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
    }
}

/// A segment file: batches of one stream with numbers that follow one another.
struct SpoolSegment: Sendable {
    /// Place in the order in which segments are sent; `revision` tells a rewritten segment from those it replaces.
    struct Name: Hashable, Comparable, Sendable {
        var order: UInt64
        var revision: UInt32

        var fileName: String { "segment-\(Self.padded(order, 16))-\(Self.padded(UInt64(revision), 4)).wsp" }

        init(order: UInt64, revision: UInt32) {
            self.order = order
            self.revision = revision
        }

        init?(fileName: String) {
            let parts = fileName.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0] == "segment", parts[2].hasSuffix(".wsp"), let order = UInt64(parts[1]),
                let revision = UInt32(parts[2].dropLast(4))
            else { return nil }
            self.init(order: order, revision: revision)
        }

        static func < (a: Name, b: Name) -> Bool { (a.order, a.revision) < (b.order, b.revision) }

        private static func padded(_ number: UInt64, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
    }

    let name: Name
    let path: String
    let stream: StreamID
    let host: String
    /// The number of the first batch.
    let firstSeq: UInt64
    /// Where each batch's record begins.
    var offsets: [UInt32] = []
    /// Bytes of the file.
    var size: Int
    var begun: Timestamp
    /// Time of the last record.
    var lastSealed: Timestamp
    /// Orders of the segments that this one was rewritten from.
    var replaces: ClosedRange<UInt64>?

    /// The number after the last batch.
    var endSeq: UInt64 { firstSeq + UInt64(offsets.count) }

    /// Counts a batch in that goes on from an older record.
    ///
    /// - Returns: the bytes to be written at the segment's end.
    mutating func append(_ batch: WireReadingsBatch, sealedAs old: SpoolRecord) throws -> [UInt8] {
        let bytes = SpoolRecord(
            kind: .batch,
            seq: batch.seq,
            sealedAt: old.sealedAt,
            body: try batch.serializedBytes(),
            state: old.state
        ).bytes
        offsets.append(UInt32(size))
        size += bytes.count
        return bytes
    }
}
