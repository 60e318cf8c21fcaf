import Energy
import FoundationEssentials
import Glibc
import SwiftProtobuf
import Wire

/// Sealed batches on disk, from sealing until some time after the collector has acknowledged them.
///
/// A directory of append-only segments. Each record carries the batch as it is sent and the agent's state as of that batch, so that
/// both reach the disk together or not at all. Streams are sent in the order in which they were spooled.
actor Spool {
    struct Limits: Hashable, Sendable {
        /// Bytes of batches not yet acknowledged, above which no more are taken.
        var unacknowledged = 256 << 20
        /// Bytes of acknowledged batches that are kept for a rewind.
        var acknowledged = 64 << 20
        /// How long acknowledged batches are kept.
        var acknowledgedAge = Microseconds.hour
        /// A segment is ended at this size or age.
        var segmentSize = 1 << 20
        var segmentAge = Microseconds.seconds(600)
        /// Letters kept.
        var deadLetters = 64
    }

    /// The oldest stream that has batches to send.
    struct Pending: Hashable, Sendable {
        var stream: StreamID
        /// The oldest batch still on disk.
        var firstHeld: UInt64
        var firstUnacknowledged: UInt64
        /// The newest batch.
        var last: UInt64
    }

    /// What opening found, for the log.
    private(set) var findings: [String] = []

    private let directory: String
    private let host: String
    private let bootID: String
    private let limits: Limits
    private var segments: [SpoolSegment] = []
    private var acknowledged: [StreamID: UInt64] = [:]
    private var unacknowledgedBytes = 0
    /// The segment that batches are appended to, open for writing.
    private var descriptor: Int32 = -1
    /// Set where a failed write could not be undone: the next batch begins a new segment.
    private var mustRotate = false
    private var nextOrder: UInt64 = 1
    private var newestState: [UInt8] = []

    private let executor = QueueExecutor(label: "wattle.spool")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Nothing is read before `open`.
    init(directory: String, host: String, bootID: String, limits: Limits = Limits()) {
        self.directory = directory
        self.host = host
        self.bootID = bootID
        self.limits = limits
    }

    isolated deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    // MARK: Opening

    /// Finds what an earlier run left, repairs it, and returns the newest state that it holds.
    ///
    /// - Throws: `DiskFault` where the directory cannot be used at all.
    func open() throws -> AgentState? {
        try Disk.makeDirectory(directory)
        try Disk.makeDirectory("\(directory)/dead-letters")
        var names: [SpoolSegment.Name] = []
        for file in try Disk.names(in: directory) {
            if file.hasSuffix(".tmp") {
                try Disk.remove("\(directory)/\(file)")
            } else if let name = SpoolSegment.Name(fileName: file) {
                names.append(name)
            }
        }
        names.sort()
        var state: AgentState?
        for name in names { segments += try recover(name, &state) }
        segments.sort { $0.name < $1.name }
        try dropReplaced()
        let lastOrder = segments.map { max($0.name.order, $0.replaces?.upperBound ?? 0) }.max() ?? 0
        nextOrder = (lastOrder / Self.orderStep + 1) * Self.orderStep
        for segment in segments where acknowledged[segment.stream] == nil { acknowledged[segment.stream] = segment.firstSeq - 1 }
        countBytes()
        return state
    }

    /// Orders leave room for the part of a segment behind a damage.
    private static let orderStep: UInt64 = 1_024

    /// The segment of a file; two where the file is damaged in between.
    private func recover(_ name: SpoolSegment.Name, _ state: inout AgentState?) throws -> [SpoolSegment] {
        let path = "\(directory)/\(name.fileName)"
        guard let bytes = try Disk.read(path) else { return [] }
        guard case .record(let head, let headSize) = SpoolRecord.read(bytes, at: 0), head.kind == .segment,
            let stream = try? WireReadingsBatch(serializedBytes: head.body)  // a head that is no batch is damage, said below
        else {
            findings.append("\(path): expected a segment's head, found damage; set aside")
            try setAside(path)
            return []
        }
        var segment = SpoolSegment(
            name: name,
            path: path,
            stream: StreamID(bootID: stream.bootID, incarnation: stream.incarnation),
            host: stream.host,
            firstSeq: head.seq,
            size: headSize,
            begun: head.sealedAt,
            lastSealed: head.sealedAt
        )
        segment.replaces = Self.replaces(in: head.state)
        note(Array(head.state.dropFirst(16)), path, &state)
        var offset = headSize
        while case .record(let record, let size) = SpoolRecord.read(bytes, at: offset), record.kind == .batch, record.seq == segment.endSeq
        {
            segment.offsets.append(UInt32(offset))
            segment.lastSealed = record.sealedAt
            note(record.state, path, &state)
            offset += size
        }
        segment.size = offset
        guard offset < bytes.count else { return [segment] }

        var recovered = [segment]
        if let next = Self.soundRecord(in: bytes, after: offset, seq: segment.endSeq) {
            // Not the end of a write: the sound records behind the damage become a segment of their own.
            findings.append("\(path): expected batch \(segment.endSeq) at byte \(offset), found damage; it goes on at byte \(next.offset)")
            try Disk.replace("\(directory)/dead-letters/\(name.fileName).damaged", with: Array(bytes[offset..<next.offset]))
            let rest = SpoolSegment.Name(order: name.order + 1, revision: name.revision)
            let newHead = try Self.head(
                segment.stream,
                host: segment.host,
                firstSeq: next.seq,
                live: stream.curves,
                replaces: nil,
                state: [],
                at: next.sealedAt
            )
            try Disk.replace("\(directory)/\(rest.fileName)", with: newHead + Array(bytes[next.offset...]))
            recovered += try recover(rest, &state)
        } else {
            findings.append("\(path): a write was cut off; its last \(bytes.count - offset) bytes are dropped")
        }
        guard truncate(path, off_t(offset)) == 0 else { throw DiskFault(path: path, doing: "cut off its torn end") }
        return recovered
    }

    private static func soundRecord(in bytes: [UInt8], after start: Int, seq: UInt64) -> (offset: Int, seq: UInt64, sealedAt: Timestamp)? {
        var offset = start + 1
        while offset + SpoolRecord.headerSize <= bytes.count {
            if SpoolRecord.isMagic(bytes, at: offset), case .record(let record, _) = SpoolRecord.read(bytes, at: offset),
                record.kind == .batch,
                record.seq > seq
            {
                return (offset, record.seq, record.sealedAt)
            }
            offset += 1
        }
        return nil
    }

    private func note(_ bytes: [UInt8], _ path: String, _ state: inout AgentState?) {
        guard !bytes.isEmpty else { return }
        do {
            let found = try AgentState(decoding: bytes)
            guard found.generation >= state?.generation ?? 0 else { return }
            state = found
            newestState = bytes
        } catch {
            findings.append("\(path): a state that cannot be read: \(error)")
        }
    }

    private func setAside(_ path: String) throws(DiskFault) {
        let name = path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...]
        guard rename(path, "\(directory)/dead-letters/\(name).damaged") == 0 else { throw DiskFault(path: path, doing: "set it aside") }
    }

    /// Ends a rewriting that was interrupted between its new file and the removal of the old ones.
    private func dropReplaced() throws {
        for segment in segments {
            guard let replaced = segment.replaces else { continue }
            for old in segments where replaced.contains(old.name.order) && old.name.revision < segment.name.revision {
                try Disk.remove(old.path)
            }
            segments.removeAll { replaced.contains($0.name.order) && $0.name.revision < segment.name.revision }
        }
    }

    // MARK: Appending

    /// How full the spool is: 1 and more means that no more is taken.
    var fill: Double { Double(unacknowledgedBytes) / Double(max(1, limits.unacknowledged)) }

    /// Gives batches their stream and number and makes them durable, all or none.
    ///
    /// - Parameters:
    ///   - live: all live curves, for the head of a new segment.
    ///   - state: the agent's state as of the last of the batches.
    /// - Returns: the number of the last batch.
    /// - Throws: `DiskFault`; then nothing was taken, and the caller keeps what it has.
    @discardableResult
    func append(_ batches: [WireReadingsBatch], live: [WireCurveAnnouncement], state: [UInt8], at time: Timestamp) throws -> UInt64 {
        if needsRotation(at: time) { try beginSegment(live: live, at: time) }
        guard var segment = segments.last else { throw DiskFault(path: directory, reason: "expected a segment to append to, found none") }
        var bytes: [UInt8] = []
        var offsets: [UInt32] = []
        for (i, batch) in batches.enumerated() {
            var batch = batch
            batch.host = host
            batch.bootID = segment.stream.bootID
            batch.incarnation = segment.stream.incarnation
            batch.seq = segment.endSeq + UInt64(i)
            let body: [UInt8] = try batch.serializedBytes()
            let record = SpoolRecord(
                kind: .batch,
                seq: batch.seq,
                sealedAt: time,
                body: body,
                state: i == batches.count - 1 ? state : []
            )
            offsets.append(UInt32(segment.size + bytes.count))
            bytes += record.bytes
        }
        do throws(DiskFault) {
            try Disk.write(bytes, to: descriptor, path: segment.path)
            guard fsync(descriptor) == 0 else { throw DiskFault(path: segment.path, doing: "make it durable") }
        } catch {
            // What was written of it must not be taken for a batch; a segment that cannot be cut back is not written to any more.
            if ftruncate(descriptor, off_t(segment.size)) != 0 || lseek(descriptor, off_t(segment.size), SEEK_SET) < 0 { mustRotate = true }
            throw error
        }
        segment.offsets += offsets
        segment.size += bytes.count
        segment.lastSealed = time
        segments[segments.count - 1] = segment
        unacknowledgedBytes += bytes.count
        newestState = state
        try prune(at: time)
        return segment.endSeq - 1
    }

    private func needsRotation(at time: Timestamp) -> Bool {
        guard let last = segments.last, last.stream.bootID == bootID, last.host == host, descriptor >= 0, !mustRotate else { return true }
        let isOld = (time - last.begun) > limits.segmentAge && !last.offsets.isEmpty
        return last.size >= limits.segmentSize || isOld
    }

    private func beginSegment(live: [WireCurveAnnouncement], at time: Timestamp) throws {
        var stream = StreamID(bootID: bootID, incarnation: StreamID.drawIncarnation())
        var firstSeq: UInt64 = 1
        if let last = segments.last, last.stream.bootID == bootID, last.host == host {
            stream = last.stream
            firstSeq = last.endSeq
        }
        let name = SpoolSegment.Name(order: nextOrder, revision: 0)
        let head = try Self.head(stream, host: host, firstSeq: firstSeq, live: live, replaces: nil, state: [], at: time)
        let path = "\(directory)/\(name.fileName)"
        try Disk.replace(path, with: head)
        let opened = Glibc.open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard opened >= 0 else { throw DiskFault(path: path, doing: "open it") }
        if descriptor >= 0 { close(descriptor) }
        descriptor = opened
        mustRotate = false
        nextOrder += Self.orderStep
        segments.append(
            SpoolSegment(
                name: name,
                path: path,
                stream: stream,
                host: host,
                firstSeq: firstSeq,
                size: head.count,
                begun: time,
                lastSealed: time
            )
        )
        if acknowledged[stream] == nil { acknowledged[stream] = firstSeq - 1 }
    }

    private static func head(
        _ stream: StreamID,
        host: String,
        firstSeq: UInt64,
        live: [WireCurveAnnouncement],
        replaces: ClosedRange<UInt64>?,
        state: [UInt8],
        at time: Timestamp
    ) throws -> [UInt8] {
        var head = WireReadingsBatch()
        head.host = host
        head.bootID = stream.bootID
        head.incarnation = stream.incarnation
        head.seq = firstSeq
        head.curves = live
        var range: [UInt8] = []
        for bound in [replaces?.lowerBound ?? 0, replaces?.upperBound ?? 0] {
            withUnsafeBytes(of: bound.littleEndian) { range.append(contentsOf: $0) }
        }
        return SpoolRecord(kind: .segment, seq: firstSeq, sealedAt: time, body: try head.serializedBytes(), state: range + state).bytes
    }

    private static func replaces(in state: [UInt8]) -> ClosedRange<UInt64>? {
        guard state.count >= 16 else { return nil }
        let (low, high) = state.withUnsafeBytes {
            (
                UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        return low > 0 && low <= high ? low...high : nil
    }

    // MARK: Sending

    /// What is to be sent next, if anything is.
    var pending: Pending? {
        for segment in segments {
            let done = acknowledged[segment.stream] ?? segment.firstSeq - 1
            guard segment.endSeq > done + 1 else { continue }
            let own = segments.filter { $0.stream == segment.stream }
            return Pending(
                stream: segment.stream,
                firstHeld: own.first?.firstSeq ?? segment.firstSeq,
                firstUnacknowledged: done + 1,
                last: (own.last?.endSeq ?? segment.endSeq) - 1
            )
        }
        return nil
    }

    /// A batch as it is sent.
    ///
    /// - Throws: `DiskFault` where it is not there or damaged since.
    func body(_ stream: StreamID, seq: UInt64) throws -> [UInt8] { try record(stream, seq: seq).body }

    private func record(_ stream: StreamID, seq: UInt64) throws -> SpoolRecord {
        guard let segment = segments.first(where: { $0.stream == stream && $0.firstSeq <= seq && seq < $0.endSeq }) else {
            throw DiskFault(path: directory, reason: "expected batch \(seq) of \(stream.incarnation), found none")
        }
        let i = Int(seq - segment.firstSeq)
        let start = Int(segment.offsets[i])
        let end = i + 1 < segment.offsets.count ? Int(segment.offsets[i + 1]) : segment.size
        let file = Glibc.open(segment.path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw DiskFault(path: segment.path, doing: "open it") }
        defer { close(file) }
        let bytes = try Disk.read(file, path: segment.path, offset: start, count: end - start)
        guard case .record(let record, _) = SpoolRecord.read(bytes, at: 0) else {
            throw DiskFault(path: segment.path, reason: "expected batch \(seq) at byte \(start), found damage")
        }
        return record
    }

    /// The collector has taken everything of a stream up to a number, or says that it has less than it did.
    func acknowledge(_ stream: StreamID, through seq: UInt64, at time: Timestamp) throws {
        acknowledged[stream] = seq
        countBytes()
        try prune(at: time)
    }

    /// Sends the rest of a stream as a new one, because the collector can take it under the old name no more.
    ///
    /// - Parameters:
    ///   - first: the first batch that is sent again.
    ///   - refused: a batch that was refused for good, and why; it is kept as a dead letter, the queue goes on without it.
    func reseal(_ stream: StreamID, from first: UInt64, refused: (seq: UInt64, reason: String)?, at time: Timestamp) throws {
        if let refused {
            // A batch that cannot even be read is no reason to stop the queue; the letter says so.
            var body: [UInt8] = []
            var reason = refused.reason
            do { body = try self.body(stream, seq: refused.seq) } catch { reason += "; the batch itself cannot be read: \(error)" }
            let letter = SpoolRecord(kind: .deadLetter, seq: refused.seq, sealedAt: time, body: body, state: Array(reason.utf8))
            try Disk.replace("\(directory)/dead-letters/\(time.microseconds)-\(refused.seq).wsp", with: letter.bytes)
            let letters = try Disk.names(in: "\(directory)/dead-letters")
            for old in letters.dropLast(limits.deadLetters) { try Disk.remove("\(directory)/dead-letters/\(old)") }
        }
        try rewrite(stream, from: first, without: refused?.seq)
        countBytes()
    }

    private func rewrite(_ stream: StreamID, from first: UInt64, without refused: UInt64?) throws {
        let affected = segments.filter { $0.stream == stream && $0.endSeq > first }
        // A refused batch may be the only one: the newest segment then says which stream goes on.
        let old = affected.isEmpty ? Array(segments.filter { $0.stream == stream }.suffix(1)) : affected
        guard let head = old.first, let tail = old.last else { return }
        let fresh = StreamID(bootID: stream.bootID, incarnation: StreamID.drawIncarnation())

        // What the first batch must announce: what the head did, and the batches that are not sent again.
        var announced: [UInt32: WireCurveAnnouncement] = [:]
        for curve in try announcements(atHeadOf: head) { announced[curve.ref] = curve }
        for segment in old {
            for seq in segment.firstSeq..<segment.endSeq where seq < first || seq == refused {
                // A batch that cannot be read announces nothing; the agent announces everything again after a new start of a stream.
                guard let record = readable(stream, seq: seq), let batch = try? WireReadingsBatch(serializedBytes: record.body) else {
                    continue
                }
                for curve in batch.curves { announced[curve.ref] = curve }
            }
        }
        let curves = announced.values.sorted { $0.ref < $1.ref }
        let name = SpoolSegment.Name(order: head.name.order, revision: (old.map(\.name.revision).max() ?? 0) + 1)
        let replaced = min(head.name.order, head.replaces?.lowerBound ?? .max)...max(tail.name.order, tail.replaces?.upperBound ?? 0)
        var segment = SpoolSegment(
            name: name,
            path: "\(directory)/\(name.fileName)",
            stream: fresh,
            host: tail.host,
            firstSeq: 1,
            size: 0,
            begun: head.begun,
            lastSealed: tail.lastSealed,
            replaces: replaced
        )

        try Disk.replace(segment.path) { (write: ([UInt8]) throws -> Void) in
            let headBytes = try Self.head(
                fresh,
                host: tail.host,
                firstSeq: 1,
                live: curves,
                replaces: replaced,
                state: newestState,
                at: tail.lastSealed
            )
            try write(headBytes)
            segment.size = headBytes.count
            for part in old {
                for seq in max(first, part.firstSeq)..<max(first, part.endSeq) where seq != refused {
                    guard let record = readable(stream, seq: seq) else { continue }
                    var batch = try WireReadingsBatch(serializedBytes: record.body)
                    batch.incarnation = fresh.incarnation
                    batch.seq = segment.endSeq
                    if batch.seq == 1 {
                        let own = Set(batch.curves.map(\.ref))
                        let parts = try Self.parts(of: curves.filter { !own.contains($0.ref) })
                        for part in parts.dropLast() {
                            var announcing = WireReadingsBatch()
                            announcing.host = batch.host
                            announcing.bootID = batch.bootID
                            announcing.incarnation = fresh.incarnation
                            announcing.seq = segment.endSeq
                            announcing.wallUs = batch.wallUs
                            announcing.boottimeUs = batch.boottimeUs
                            announcing.curves = part
                            try write(segment.append(announcing, sealedAs: record))
                        }
                        batch.seq = segment.endSeq
                        batch.curves = (parts.last ?? []) + batch.curves
                    }
                    try write(segment.append(batch, sealedAs: record))
                }
            }
        }
        for part in old { try Disk.remove(part.path) }
        guard let place = segments.firstIndex(where: { $0.name == head.name }) else { return }
        let gone = Set(old.map(\.name))
        segments.removeAll { gone.contains($0.name) }
        segments.insert(segment, at: place)
        acknowledged[fresh] = 0
        // What is appended next goes into a new segment, of the new stream where this one was the current.
        mustRotate = true
    }

    /// Announcements in parts, each of which fits beside what a batch holds.
    private static func parts(of curves: [WireCurveAnnouncement]) throws -> [[WireCurveAnnouncement]] {
        var parts: [[WireCurveAnnouncement]] = [[]]
        var bytes = 0
        for curve in curves {
            let size = (try curve.serializedBytes() as [UInt8]).count
            if bytes + size > announcedBytes || parts[parts.count - 1].count == announcedCurves {
                parts.append([])
                bytes = 0
            }
            parts[parts.count - 1].append(curve)
            bytes += size
        }
        return parts
    }

    /// An agent fills a batch to the half: there is room for this much.
    private static let announcedBytes = WireLimits.batchBytes / 4
    private static let announcedCurves = WireLimits.batchParts / 4

    private func readable(_ stream: StreamID, seq: UInt64) -> SpoolRecord? {
        do {
            return try record(stream, seq: seq)
        } catch {
            findings.append("\(error); left out")
            return nil
        }
    }

    private func announcements(atHeadOf segment: SpoolSegment) throws -> [WireCurveAnnouncement] {
        let file = Glibc.open(segment.path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw DiskFault(path: segment.path, doing: "open it") }
        defer { close(file) }
        let end = segment.offsets.first.map(Int.init) ?? segment.size
        guard case .record(let head, _) = SpoolRecord.read(try Disk.read(file, path: segment.path, offset: 0, count: end), at: 0) else {
            throw DiskFault(path: segment.path, reason: "expected a segment's head, found damage")
        }
        return try WireReadingsBatch(serializedBytes: head.body).curves
    }

    // MARK: Keeping within bounds

    private func isAcknowledged(_ segment: SpoolSegment) -> Bool { segment.endSeq <= (acknowledged[segment.stream] ?? 0) + 1 }

    private func countBytes() {
        unacknowledgedBytes = segments.reduce(0) { sum, segment in
            let done = acknowledged[segment.stream] ?? 0
            guard segment.endSeq > done + 1 else { return sum }
            guard done >= segment.firstSeq else { return sum + segment.size }
            return sum + segment.size - Int(segment.offsets[Int(done + 1 - segment.firstSeq)])
        }
    }

    /// Removes acknowledged segments that are too old or too many. The newest stays: it says which stream goes on, and holds the state.
    private func prune(at time: Timestamp) throws {
        var kept = segments.dropLast().filter(isAcknowledged).reduce(0) { $0 + $1.size }
        while let i = segments.dropLast().firstIndex(where: isAcknowledged) {
            let segment = segments[i]
            guard (time - segment.lastSealed) > limits.acknowledgedAge || kept > limits.acknowledged else { return }
            try Disk.remove(segment.path)
            kept -= segment.size
            segments.remove(at: i)
            if !segments.contains(where: { $0.stream == segment.stream }) { acknowledged[segment.stream] = nil }
        }
    }
}
