import Energy

/// One record of a segment: a fixed header with its own checksum, then a body and the agent's state, under another.
///
/// Little-endian, 40 bytes: magic, kind, sequence number, time of sealing, lengths of body and state, checksum of both, checksum
/// of the header.
struct SpoolRecord: Hashable, Sendable {
    enum Kind: UInt8, Sendable {
        /// The first of a segment: which stream it belongs to, and the curves that were live when it began.
        case segment = 1
        /// A sealed batch, as it is sent.
        case batch = 2
        /// A batch that the collector refused for good; the state part is the reason.
        case deadLetter = 3
    }

    static let headerSize = 40
    private static let magic: UInt32 = 0x314C_5457
    /// Longer ones are damage.
    static let largestPart = 64 << 20

    var kind: Kind
    var seq: UInt64
    var sealedAt: Timestamp
    var body: [UInt8]
    var state: [UInt8]

    var bytes: [UInt8] {
        var header: [UInt8] = []
        header.reserveCapacity(Self.headerSize + body.count + state.count)
        func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { header.append(contentsOf: $0) } }
        put(Self.magic)
        put(UInt32(kind.rawValue))
        put(seq)
        put(sealedAt.microseconds)
        put(UInt32(body.count))
        put(UInt32(state.count))
        put(CRC32.checksum(body, state))
        put(CRC32.checksum(header))
        return header + body + state
    }

    /// What a header says.
    struct Header: Hashable, Sendable {
        var kind: Kind
        var seq: UInt64
        var sealedAt: Timestamp
        var bodyCount: Int
        var stateCount: Int
        var checksum: UInt32

        var recordSize: Int { SpoolRecord.headerSize + bodyCount + stateCount }

        /// Nil where the bytes are no header, or a damaged one.
        init?(_ bytes: ArraySlice<UInt8>) {
            guard bytes.count >= SpoolRecord.headerSize else { return nil }
            let bytes = Array(bytes.prefix(SpoolRecord.headerSize))
            func get<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T {
                bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
            }
            guard get(UInt32.self, at: 0) == SpoolRecord.magic, get(UInt32.self, at: 36) == CRC32.checksum(Array(bytes.prefix(36))),
                let kind = UInt8(exactly: get(UInt32.self, at: 4)).flatMap(Kind.init(rawValue:))
            else { return nil }
            self.kind = kind
            seq = get(UInt64.self, at: 8)
            sealedAt = Timestamp(microseconds: get(Int64.self, at: 16))
            bodyCount = Int(get(UInt32.self, at: 24))
            stateCount = Int(get(UInt32.self, at: 28))
            checksum = get(UInt32.self, at: 32)
            guard bodyCount <= SpoolRecord.largestPart, stateCount <= SpoolRecord.largestPart else { return nil }
        }
    }

    init(kind: Kind, seq: UInt64, sealedAt: Timestamp, body: [UInt8], state: [UInt8]) {
        self.kind = kind
        self.seq = seq
        self.sealedAt = sealedAt
        self.body = body
        self.state = state
    }

    /// Whether a record may begin at an offset, told from its first bytes.
    static func isMagic(_ bytes: [UInt8], at offset: Int) -> Bool {
        bytes[offset] == UInt8(truncatingIfNeeded: magic) && bytes[offset + 1] == UInt8(truncatingIfNeeded: magic >> 8)
            && bytes[offset + 2] == UInt8(truncatingIfNeeded: magic >> 16) && bytes[offset + 3] == UInt8(truncatingIfNeeded: magic >> 24)
    }

    enum Reading: Hashable, Sendable {
        case record(SpoolRecord, size: Int)
        /// Not a sound record, or the bytes end within it.
        case damaged
    }

    /// Reads the record at an offset.
    static func read(_ bytes: [UInt8], at offset: Int) -> Reading {
        guard offset <= bytes.count, let header = Header(bytes[offset...]), offset + header.recordSize <= bytes.count else {
            return .damaged
        }
        let bodyStart = offset + headerSize
        let stateStart = bodyStart + header.bodyCount
        let body = Array(bytes[bodyStart..<stateStart])
        let state = Array(bytes[stateStart..<stateStart + header.stateCount])
        guard CRC32.checksum(body, state) == header.checksum else { return .damaged }
        return .record(
            SpoolRecord(kind: header.kind, seq: header.seq, sealedAt: header.sealedAt, body: body, state: state),
            size: header.recordSize
        )
    }
}
