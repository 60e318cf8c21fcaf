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

    /// The batches that carry all this, in order: one, unless a long outage has gathered more knots than a batch should hold.
    func batches(knotsEach limit: Int = 50_000) -> [WireReadingsBatch] {
        var batches: [WireReadingsBatch] = []
        var current = WireReadingsBatch()
        current.curves = announcements
        current.workloads = workloads
        var count = 0
        for column in columns {
            var rest = column.knots[...]
            while !rest.isEmpty {
                if count == limit {
                    batches.append(current)
                    current = WireReadingsBatch()
                    count = 0
                }
                let part = rest.prefix(limit - count)
                current.knots.append(WireKnotColumn(ref: column.ref, knots: Array(part)))
                count += part.count
                rest = rest.dropFirst(part.count)
            }
        }
        current.gaps = gaps
        current.tails = tails
        batches.append(current)
        return batches
    }
}
