import Energy
import Wire

extension Sealable {
    /// Takes what a curve has gathered.
    ///
    /// - Parameters:
    ///   - isClosed: it has ended, and nothing more will come.
    ///   - mustHaveTail: false where the tail of an earlier batch may stand, unless there is something new.
    /// - Returns: whether a tail was taken.
    @discardableResult
    mutating func take(_ curve: inout CountedCurve, isClosed: Bool, mustHaveTail: Bool = true) -> Bool {
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
        var wire = WireTail()
        wire.ref = ref
        wire.tUs = tail.time.microseconds
        wire.value = tail.value
        wire.completeUntilUs = tail.time.microseconds
        wire.closed = isClosed
        tails.append(wire)
        return true
    }
}
