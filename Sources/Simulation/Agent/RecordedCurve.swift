import Energy

/// A curve as the agent makes it of readings: unwrapped, thinned by the swinging door, with knots forced at edges, hours and gaps.
struct RecordedCurve {
    private var door: SwingingDoor
    private var unwrapping: CounterUnwrapping?
    private var count: Int64 = 0
    private(set) var knots: [Knot] = []
    private(set) var gaps: [Gap] = []

    init(epsilon: Int64, counter: CounterUnwrapping? = nil) {
        door = SwingingDoor(epsilon: epsilon)
        unwrapping = counter
    }

    var curve: Curve { Curve(knots: knots + (door.tail.map { [$0] } ?? []), gaps: gaps) }

    /// Takes what a register shows.
    mutating func read(register: Int64, at time: Timestamp, isEdge: Bool = false) {
        switch unwrapping?.read(raw: register, at: time) {
        case nil: add(register, at: time, isEdge: isEdge)
        case .first: add(count, at: time, isEdge: isEdge)
        case .exactly(let increase):
            count += increase
            add(count, at: time, isEdge: isEdge)
        case .between(let low, let high, let cause):
            guard let last = door.tail, last.time < time else { return }
            keep(door.force(flags: .gapEdge))
            gaps.append(Gap(interval: Interval(last.time, time), low: low, high: high, cause: cause))
            keep(door.add(Knot(time: time, value: last.value)))
            keep(door.force(flags: .gapEdge))
        }
    }

    /// Takes a count that never turns over.
    mutating func add(_ value: Int64, at time: Timestamp, isEdge: Bool = false) {
        if let last = door.tail {
            guard last.time < time else {
                if isEdge { keep(door.force(flags: .edge)) }
                return
            }
            var hour = last.time.hour.next
            while hour.start < time {
                let part = Double(value - last.value) * Double((hour.start - last.time).count) / Double((time - last.time).count)
                keep(door.add(Knot(time: hour.start, value: last.value + Int64(part))))
                keep(door.force(flags: .hour))
                hour = hour.next
            }
        }
        keep(door.add(Knot(time: time, value: value)))
        if isEdge { keep(door.force(flags: .edge)) }
    }

    private mutating func keep(_ knot: Knot?) {
        if let knot { knots.append(knot) }
    }
}
