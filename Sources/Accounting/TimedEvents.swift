/// What happens at an instant, by what kind of thing and which of them.
struct TimedEvent {
    enum Kind: UInt64 {
        case knot, cut, start, end, late, early, busy, agent, tracked
    }

    /// µs since the window's start.
    var time: UInt64
    private var payload: UInt64

    init(_ time: Int64, _ kind: Kind, _ index: Int = 0) {
        self.time = UInt64(max(0, time))
        payload = kind.rawValue << 56 | UInt64(truncatingIfNeeded: index)
    }

    var kind: Kind { Kind(rawValue: payload >> 56) ?? .knot }
    var index: Int { Int(truncatingIfNeeded: payload & 0xFF_FFFF_FFFF_FFFF) }

    /// Puts events in order of time. By radix, 11 bits a pass: an hour of µs takes three.
    static func sort(_ events: inout [TimedEvent]) {
        guard events.count > 256 else {
            events.sort { $0.time < $1.time }
            return
        }
        var largest: UInt64 = 0
        var isSorted = true
        var last: UInt64 = 0
        for event in events {
            largest |= event.time
            if event.time < last { isSorted = false }
            last = event.time
        }
        guard !isSorted else { return }
        let count = events.count
        var other = [TimedEvent](unsafeUninitializedCapacity: count) { buffer, initialized in
            buffer.initialize(repeating: TimedEvent(0, .knot))
            initialized = count
        }
        var shift: UInt64 = 0
        while largest >> shift > 0 {
            events.withUnsafeBufferPointer { from in
                other.withUnsafeMutableBufferPointer { to in
                    withUnsafeTemporaryAllocation(of: Int.self, capacity: 2_048) { places in
                        places.initialize(repeating: 0)
                        for i in 0..<count { places[Int(from[i].time >> shift & 2_047)] += 1 }
                        var place = 0
                        for digit in 0..<2_048 {
                            let size = places[digit]
                            places[digit] = place
                            place += size
                        }
                        for i in 0..<count {
                            let digit = Int(from[i].time >> shift & 2_047)
                            to[places[digit]] = from[i]
                            places[digit] += 1
                        }
                    }
                }
            }
            swap(&events, &other)
            shift += 11
            if shift >= 64 { break }
        }
    }
}
