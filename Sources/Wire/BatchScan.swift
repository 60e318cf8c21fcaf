public import Energy
import SwiftProtobuf

/// A batch on the wire, read once: its knots in the domain's form, and what is left of it for protobuf.
///
/// Knots are nearly all of a batch, and two arrays of deltas for each curve would be made only to be summed. Everything else is little, and
/// how much there can be of it is found out here, before a message is made of a two-byte field.
public struct BatchScan: Sendable {
    /// Knots of each column in order of time, values never falling.
    public private(set) var columns: [(ref: UInt32, knots: [Knot])] = []
    /// The batch without its columns, still as protobuf.
    public private(set) var rest: [UInt8] = []
    public private(set) var knotCount = 0

    private static let columnTag: UInt64 = 10 << 3 | 2
    private static let factsTag: UInt64 = 8 << 3 | 2

    /// - Throws: `BatchScanError`: `malformed` for what is no protobuf, `invalid` for more than a batch may hold or knots that make no
    ///   sense.
    public init(_ bytes: [UInt8]) throws(BatchScanError) {
        let outcome = bytes.withUnsafeBufferPointer { buffer in
            Result { () throws(BatchScanError) in try Self.read(buffer) }
        }
        self = try outcome.get()
    }

    private init() {}

    private static func read(_ buffer: UnsafeBufferPointer<UInt8>) throws(BatchScanError) -> BatchScan {
        var scan = BatchScan()
        var wire = WireCursor(buffer)
        var parts = 0
        var keptFrom = 0
        while !wire.isAtEnd {
            let start = wire.position
            let tag = try wire.varint()
            guard tag >> 3 != 0 else { throw .malformed(atByte: start) }
            guard tag & 7 == 2 else {
                try wire.skip(tag)
                continue
            }
            let field = try wire.bytes()
            parts += 1
            guard parts <= WireLimits.batchParts else {
                throw .invalid(Self.fault("batch", "at most \(WireLimits.batchParts) columns, curves, tails, gaps and workloads", "more"))
            }
            if tag == Self.factsTag { try Self.checkParts(of: field) }
            guard tag == Self.columnTag else { continue }
            scan.rest.append(contentsOf: buffer[keptFrom..<start])
            keptFrom = wire.position
            let column = try KnotColumnScan(field).column(atMost: WireLimits.batchKnots - scan.knotCount)
            scan.knotCount += column.knots.count
            scan.columns.append(column)
        }
        scan.rest.append(contentsOf: buffer[keptFrom...])
        return scan
    }

    /// Names and runners of a host's facts are messages within a message.
    private static func checkParts(of facts: UnsafeBufferPointer<UInt8>) throws(BatchScanError) {
        var wire = WireCursor(facts)
        var parts = 0
        while !wire.isAtEnd {
            try wire.skip(try wire.varint())
            parts += 1
            guard parts <= 4_096 else { throw .invalid(fault("facts", "at most 4096 fields", "more")) }
        }
    }

    static func fault(_ field: String, _ expected: String, _ found: String) -> BatchFault {
        BatchFault(field: field, expected: expected, found: found)
    }
}

/// Why the bytes of a batch cannot be read.
public enum BatchScanError: Error, Equatable {
    case malformed(atByte: Int)
    case invalid(BatchFault)
}

/// The parts of a `KnotColumn` where they lie.
private struct KnotColumnScan {
    private var ref: UInt64 = 0
    private var times: UnsafeBufferPointer<UInt8>?
    private var values: UnsafeBufferPointer<UInt8>?
    private var flags: UnsafeBufferPointer<UInt8>?
    private let whole: UnsafeBufferPointer<UInt8>
    /// Written as every agent does: packed, each field once.
    private var isPlain = true

    init(_ field: UnsafeBufferPointer<UInt8>) throws(BatchScanError) {
        whole = field
        var wire = WireCursor(field)
        while !wire.isAtEnd {
            let tag = try wire.varint()
            switch tag {
            case 1 << 3: ref = try wire.varint()
            case 2 << 3 | 2:
                isPlain = isPlain && times == nil
                times = try wire.bytes()
            case 3 << 3 | 2:
                isPlain = isPlain && values == nil
                values = try wire.bytes()
            case 4 << 3 | 2:
                isPlain = isPlain && flags == nil
                flags = try wire.bytes()
            default:
                isPlain = false
                try wire.skip(tag)
            }
        }
    }

    func column(atMost limit: Int) throws(BatchScanError) -> (ref: UInt32, knots: [Knot]) {
        guard isPlain else { return try throughProtobuf(atMost: limit) }
        let ref = UInt32(truncatingIfNeeded: ref)
        let count = Self.numbers(in: times)
        guard count <= limit else { throw tooMany() }
        let valueCount = Self.numbers(in: values)
        guard valueCount == count else {
            throw .invalid(BatchScan.fault("knots[\(ref)].value_delta", "\(count) values, one a time", "\(valueCount)"))
        }
        let flagCount = Self.numbers(in: flags)
        guard flagCount == 0 || flagCount == count else {
            throw .invalid(BatchScan.fault("knots[\(ref)].flags", "none or \(count)", "\(flagCount)"))
        }
        guard let times, let values, count > 0 else { return (ref, []) }
        return (ref, try Self.knots(ref, count, times, values, flagCount > 0 ? flags : nil))
    }

    private func tooMany() -> BatchScanError {
        .invalid(BatchScan.fault("knots", "at most \(WireLimits.batchKnots) knots in a batch", "more"))
    }

    /// Forms that protobuf allows and no agent writes.
    private func throughProtobuf(atMost limit: Int) throws(BatchScanError) -> (ref: UInt32, knots: [Knot]) {
        // A number takes at least a byte: what has fewer bytes has fewer knots.
        guard whole.count <= 2 * WireLimits.batchKnots else { throw tooMany() }
        let column: WireKnotColumn
        do {
            column = try WireKnotColumn(serializedBytes: Array(whole))
        } catch {
            throw .malformed(atByte: 0)
        }
        guard column.tDeltaUs.count <= limit else { throw tooMany() }
        do throws(BatchFault) {
            return (column.ref, try column.knots())
        } catch {
            throw .invalid(error)
        }
    }

    /// Each number ends with its only byte below 128.
    private static func numbers(in bytes: UnsafeBufferPointer<UInt8>?) -> Int {
        guard let bytes else { return 0 }
        var count = 0
        for byte in bytes { count &+= Int(byte >> 7 ^ 1) }
        return count
    }

    private static func knots(
        _ ref: UInt32,
        _ count: Int,
        _ times: UnsafeBufferPointer<UInt8>,
        _ values: UnsafeBufferPointer<UInt8>,
        _ flags: UnsafeBufferPointer<UInt8>?
    ) throws(BatchScanError) -> [Knot] {
        var times = WireCursor(times)
        var values = WireCursor(values)
        var flags = flags.map { WireCursor($0) }
        var knots: [Knot] = []
        knots.reserveCapacity(count)
        var time: Int64 = 0
        var value: Int64 = 0
        for i in 0..<count {
            let timeDelta = zigzag(try times.varint())
            let valueDelta = zigzag(try values.varint())
            if i > 0 {
                guard timeDelta > 0 else {
                    throw .invalid(BatchScan.fault("knots[\(ref)].t_delta_us[\(i)]", "more than 0", "\(timeDelta)"))
                }
                guard valueDelta >= 0 else {
                    throw .invalid(BatchScan.fault("knots[\(ref)].value_delta[\(i)]", "0 or more", "\(valueDelta)"))
                }
            }
            let (nextTime, timeOverflows) = time.addingReportingOverflow(timeDelta)
            let (nextValue, valueOverflows) = value.addingReportingOverflow(valueDelta)
            guard !timeOverflows, WireLimits.times.contains(nextTime) else {
                throw .invalid(BatchScan.fault("knots[\(ref)].t_delta_us[\(i)]", "a time from 1970 to 2200", "\(timeDelta) more"))
            }
            guard !valueOverflows, WireLimits.values.contains(nextValue) else {
                throw .invalid(BatchScan.fault("knots[\(ref)].value_delta[\(i)]", "a value from 0 to 2^62", "\(valueDelta) more"))
            }
            time = nextTime
            value = nextValue
            let flag = try flags?.varint() ?? 0
            knots.append(
                Knot(
                    time: Timestamp(microseconds: time),
                    value: value,
                    flags: KnotFlags(rawValue: UInt16(truncatingIfNeeded: flag & 0x7fff))
                )
            )
        }
        guard times.isAtEnd, values.isAtEnd, flags?.isAtEnd ?? true else { throw .malformed(atByte: 0) }
        return knots
    }

    private static func zigzag(_ raw: UInt64) -> Int64 { Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1) }
}

/// Reads protobuf's own forms; every read is checked against the end.
private struct WireCursor {
    private let buffer: UnsafeBufferPointer<UInt8>
    private(set) var position = 0

    init(_ buffer: UnsafeBufferPointer<UInt8>) { self.buffer = buffer }

    var isAtEnd: Bool { position == buffer.count }

    @inline(__always)
    mutating func varint() throws(BatchScanError) -> UInt64 {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        while position < buffer.count, shift < 70 {
            let byte = buffer[position]
            position += 1
            result |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
        throw .malformed(atByte: position)
    }

    mutating func bytes() throws(BatchScanError) -> UnsafeBufferPointer<UInt8> {
        let count = try varint()
        guard count <= UInt64(buffer.count - position) else { throw .malformed(atByte: position) }
        defer { position += Int(count) }
        return UnsafeBufferPointer(rebasing: buffer[position..<position + Int(count)])
    }

    /// Passes over a field whose tag was read. Groups, which proto3 has not, are refused.
    mutating func skip(_ tag: UInt64) throws(BatchScanError) {
        switch tag & 7 {
        case 0: _ = try varint()
        case 1: try advance(8)
        case 2: _ = try bytes()
        case 5: try advance(4)
        default: throw .malformed(atByte: position)
        }
    }

    private mutating func advance(_ count: Int) throws(BatchScanError) {
        guard count <= buffer.count - position else { throw .malformed(atByte: position) }
        position += count
    }
}
