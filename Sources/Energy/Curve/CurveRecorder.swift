/// Makes knots and gaps of the samples of one cumulative quantity.
///
/// Knots come from the swinging door, and are forced at UTC hours, at edges and on both sides of a gap.
public struct CurveRecorder: Sendable {
    private var door: SwingingDoor
    /// Settled and not yet taken, in order of time.
    public private(set) var knots: [Knot] = []
    public private(set) var gaps: [Gap] = []
    private var isResumed = false

    public init(epsilon: Int64) { door = SwingingDoor(epsilon: epsilon) }

    /// Goes on exactly where another recorder stood, as if it were the same one.
    public init(goingOn door: SwingingDoor) { self.door = door }

    /// Where it stands.
    public var standing: SwingingDoor { door }

    /// The latest sample.
    public var tail: Knot? { door.tail }
    /// Whether the latest sample has been given out as a knot.
    public var isTailAKnot: Bool { door.tail != nil && door.tail?.time == door.origin?.time }
    public var epsilon: Int64 { door.epsilon }

    /// A gap of an earlier run that nobody was told of, with the curve's values at its sides.
    public struct UntoldGap: Sendable {
        public var gap: Gap
        public var valueBefore: Int64?
        public var valueAfter: Int64?

        public init(_ gap: Gap, valueBefore: Int64?, valueAfter: Int64?) {
            self.gap = gap
            self.valueBefore = valueBefore
            self.valueAfter = valueAfter
        }
    }

    /// Continues a curve from where an earlier run of the agent left it.
    ///
    /// - Parameter untold: gaps of that run that reached no batch; they are given out again with the knots at their sides.
    public mutating func resume(at tail: Knot, isKnot: Bool, after untold: [UntoldGap] = []) {
        for told in untold {
            let interval = told.gap.interval
            guard !interval.isEmpty, interval.end <= tail.time else { continue }
            gaps.append(told.gap)
            for (time, value) in [(interval.start, told.valueBefore), (interval.end, told.valueAfter)] {
                guard let value, knots.last.map({ $0.time < time }) ?? true else { continue }
                knots.append(Knot(time: time, value: value, flags: .gapEdge))
            }
        }
        let knot = door.add(tail)
        let isGiven = isKnot || knots.last?.time == tail.time
        if !isGiven, let knot { knots.append(knot) }
        isResumed = true
    }

    /// Takes a sample. One that is not later than the last only forces it, where flags ask for that.
    public mutating func add(time: Timestamp, value: Int64, flags: KnotFlags = []) {
        guard let last = door.tail else {
            keep(door.add(Knot(time: time, value: value, flags: flags)))
            return
        }
        guard last.time < time else {
            if !flags.isEmpty { keep(door.force(flags: flags)) }
            return
        }
        // After a restart the stretch since the last sample was not sampled: both ends say so.
        let ends: KnotFlags = isResumed ? .gapEdge : []
        isResumed = false
        forceHours(from: last, to: Knot(time: time, value: value))
        keep(door.add(Knot(time: time, value: value)))
        var flags = flags.union(ends)
        if time == time.hour.start { flags.insert(.hour) }
        if !flags.isEmpty { keep(door.force(flags: flags)) }
    }

    /// Takes a sample after a stretch over which the increase is not known: flat from the last sample to this one.
    public mutating func addAfterGap(time: Timestamp, low: Int64, high: Int64, cause: Gap.Cause, flags: KnotFlags = []) {
        guard let last = door.tail, last.time < time else { return }
        isResumed = false
        keep(door.force(flags: .gapEdge))
        gaps.append(Gap(interval: Interval(last.time, time), low: low, high: high, cause: cause))
        keep(door.add(Knot(time: time, value: last.value)))
        keep(door.force(flags: flags.union(.gapEdge)))
    }

    /// Makes the latest sample a knot.
    public mutating func force(flags: KnotFlags = []) { keep(door.force(flags: flags)) }

    public mutating func take() -> (knots: [Knot], gaps: [Gap]) {
        defer {
            knots = []
            gaps = []
        }
        return (knots, gaps)
    }

    /// Samples from now on may be this far off the line.
    public mutating func setEpsilon(_ epsilon: Int64) {
        guard epsilon != door.epsilon else { return }
        keep(door.force())
        let tail = door.tail
        door = SwingingDoor(epsilon: epsilon)
        // The tail has been given out as a knot already.
        if let tail { _ = door.add(tail) }
    }

    /// A knot at each hour between two samples, on the line between them, so that each hour stands alone.
    private mutating func forceHours(from a: Knot, to b: Knot) {
        var hour = a.time.hour.next
        while hour.start < b.time {
            let part = Int128(b.value - a.value) * Int128((hour.start - a.time).count) / Int128((b.time - a.time).count)
            keep(door.add(Knot(time: hour.start, value: a.value + Int64(part))))
            keep(door.force(flags: .hour))
            hour = hour.next
        }
    }

    private mutating func keep(_ knot: Knot?) {
        if let knot { knots.append(knot) }
    }
}

/// Drops knots of a stretch that waits for room on the disk. Ends, hours and the sides of gaps stay; the rest stays within
/// `epsilon` of the line, and no energy is lost: the values that remain are the same.
public func thinned(_ knots: [Knot], epsilon: Int64) -> [Knot] {
    var door = SwingingDoor(epsilon: epsilon)
    var kept: [Knot] = []
    for knot in knots {
        if let settled = door.add(knot) { kept.append(settled) }
        if !knot.flags.isDisjoint(with: [.hour, .gapEdge]), let forced = door.force() { kept.append(forced) }
    }
    if let last = door.force() { kept.append(last) }
    return kept
}
