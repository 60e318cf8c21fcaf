import Energy
import Wire

/// What has been gathered since the last batch.
struct Sealable {
    struct Column {
        var ref: UInt32
        var knots: [Knot]
    }

    var announcements: [WireCurveAnnouncement] = []
    var columns: [Column] = []
    var gaps: [WireGap] = []
    var workloads: [WireWorkloadChange] = []
    var tails: [WireTail] = []
    /// All curves that are live now, for the head of a new segment.
    var live: [WireCurveAnnouncement] = []
    var state: AgentState

    /// Takes what a curve has gathered since the last batch.
    ///
    /// - Parameters:
    ///   - isClosed: it has ended, and nobody need wait for it.
    ///   - completeUntil: until when the tail's value is known to stand, where that is later than the tail.
    ///   - mustHaveTail: false where the tail of an earlier batch may stand, unless there is something new.
    /// - Returns: whether a tail was taken.
    @discardableResult
    mutating func take(
        _ curve: inout CountedCurve,
        isClosed: Bool = false,
        mustHaveTail: Bool = true,
        completeUntil: Timestamp? = nil
    ) -> Bool {
        guard let tail = curve.tail else { return false }
        let ref = curve.announcement.ref
        let isNew = !curve.isAnnounced
        if isNew {
            curve.isAnnounced = true
            announcements.append(curve.announcement)
        }
        if isClosed { curve.force() } else { live.append(curve.announcement) }
        let (knots, gaps) = curve.take()
        if !knots.isEmpty { columns.append(Column(ref: ref, knots: knots)) }
        for gap in gaps {
            var wire = WireGap()
            wire.ref = ref
            wire.fromUs = gap.interval.start.microseconds
            wire.toUs = gap.interval.end.microseconds
            wire.low = gap.low
            wire.high = gap.high
            wire.cause = gap.cause.rawValue
            self.gaps.append(wire)
        }
        guard mustHaveTail || isClosed || isNew || !knots.isEmpty || !gaps.isEmpty else { return false }
        var wire = Self.tail(ref, time: tail.time.microseconds, value: tail.value, isClosed: isClosed)
        if let completeUntil { wire.completeUntilUs = max(wire.completeUntilUs, completeUntil.microseconds) }
        tails.append(wire)
        return true
    }

    static func tail(_ ref: UInt32, time: Int64, value: Int64, isClosed: Bool) -> WireTail {
        var tail = WireTail()
        tail.ref = ref
        tail.tUs = time
        tail.value = value
        tail.completeUntilUs = time
        tail.closed = isClosed
        return tail
    }

    var knotCount: Int { columns.reduce(0) { $0 + $1.knots.count } }

    /// Adds what was gathered later.
    mutating func append(_ later: Sealable) {
        announcements.removeAll { old in later.announcements.contains { $0.ref == old.ref } }
        announcements += later.announcements
        var places: [UInt32: Int] = [:]
        for (i, column) in columns.enumerated() { places[column.ref] = i }
        for column in later.columns {
            if let i = places[column.ref] { columns[i].knots += column.knots } else { columns.append(column) }
        }
        gaps += later.gaps
        workloads += later.workloads
        let closed = tails.filter { old in old.closed && !later.tails.contains { $0.ref == old.ref } }
        tails = closed + later.tails
        live = later.live
        state = later.state
    }

    /// Drops knots while there is no room on the disk; no energy is lost.
    mutating func thin(energyEpsilon: Int64, cpuEpsilon: Int64, energyRefs: Set<UInt32>) {
        for i in columns.indices {
            columns[i].knots = thinned(columns[i].knots, epsilon: energyRefs.contains(columns[i].ref) ? energyEpsilon : cpuEpsilon)
        }
    }

    /// The batches that carry all this, in order: one, unless a long outage or very many cgroups have gathered more than a batch should
    /// hold, which is at most half of what a collector takes.
    func batches(
        knotsEach: Int = WireLimits.batchKnots / 2,
        bytesEach: Int = WireLimits.batchBytes / 2,
        partsEach: Int = WireLimits.batchParts / 2
    ) -> [WireReadingsBatch] {
        var packing = BatchPacking(knotsEach: knotsEach, bytesEach: bytesEach, partsEach: partsEach)
        // Curves before whatever names them.
        for curve in announcements {
            packing.makeRoom(bytes: 150 + curve.name.utf8.count + curve.basis.utf8.count)
            packing.current.curves.append(curve)
        }
        for workload in workloads {
            let labels = workload.labels.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 8 }
            packing.makeRoom(bytes: 1_000 + workload.cgroup.utf8.count + workload.spanKey.utf8.count + workload.unit.utf8.count + labels)
            packing.current.workloads.append(workload)
        }
        for column in columns {
            var rest = column.knots[...]
            while !rest.isEmpty {
                packing.makeRoom(bytes: 20, knots: 1)
                let part = rest.prefix(packing.knotsLeft)
                packing.take(knots: part.count - 1)
                packing.current.knots.append(WireKnotColumn(ref: column.ref, knots: Array(part)))
                rest = rest.dropFirst(part.count)
            }
        }
        for gap in gaps {
            packing.makeRoom(bytes: 80)
            packing.current.gaps.append(gap)
        }
        for tail in tails {
            packing.makeRoom(bytes: 50)
            packing.current.tails.append(tail)
        }
        return packing.batches + [packing.current]
    }
}

/// Fills one batch after another. Bytes are a little overestimated.
private struct BatchPacking {
    let knotsEach: Int
    let bytesEach: Int
    let partsEach: Int
    private(set) var batches: [WireReadingsBatch] = []
    var current = WireReadingsBatch()
    private var knots = 0
    private var bytes = 0
    private var parts = 0

    /// A knot is two numbers of up to 10 bytes and its flags.
    private static let knotBytes = 22

    init(knotsEach: Int, bytesEach: Int, partsEach: Int) {
        self.knotsEach = knotsEach
        self.bytesEach = bytesEach
        self.partsEach = partsEach
    }

    var knotsLeft: Int { 1 + max(0, min(knotsEach - knots, (bytesEach - bytes) / Self.knotBytes)) }

    /// Begins a new batch where one more part does not fit.
    mutating func makeRoom(bytes more: Int, knots moreKnots: Int = 0) {
        let more = more + moreKnots * Self.knotBytes
        if parts > 0, parts + 1 > partsEach || bytes + more > bytesEach || knots + moreKnots > knotsEach {
            batches.append(current)
            current = WireReadingsBatch()
            (knots, bytes, parts) = (0, 0, 0)
        }
        parts += 1
        bytes += more
        knots += moreKnots
    }

    /// Knots beside the one that room was made for.
    mutating func take(knots more: Int) {
        knots += more
        bytes += more * Self.knotBytes
    }
}
