import Energy

/// What callers other than root may learn, and how often: energy at a fine rate tells what others compute (a side channel).
///
/// Each of them sees figures that change at most once a second. A span of a second or more is answered with its own energy, taken from
/// readings at its very edges; a shorter one, or one that ends within a second of the last figures, is only a part of the caller's running
/// total. No energy is lost by that, and nobody can tell one millisecond from the next by starting many spans.
struct PeerAllowance {
    static let period = Microseconds.seconds(1)
    private static let mostCallers = 1_024
    private static let mostSpans = 4_096

    /// What a caller is answered.
    struct Answer {
        /// As read, or with the energy of the last time.
        var figures: HostSnapshot
        /// When the energy was read, where that is earlier than the figures' time.
        var heldSince: Timestamp?
        /// The span's own energy at its end, where it may be told.
        var span: [Component: Int64]?
        /// Of the caller's spans that have ended while this agent ran.
        var running: [Component: Int64]
    }

    private struct Caller {
        var released: HostSnapshot
        var running: [Component: Int64] = [:]
        var shown: [Component: Int64] = [:]
    }

    private struct OpenSpan {
        let uid: UInt32
        let start: HostSnapshot
    }

    /// Users that see everything as it is read: root and the agent's own, which can read the counters anyway.
    let trusted: Set<UInt32>
    private var callers: [UInt32: Caller] = [:]
    private var spans: [String: OpenSpan] = [:]

    init(trusted: Set<UInt32>) { self.trusted = trusted }

    /// A span is for whoever started it, and root.
    func check(_ key: String, by uid: UInt32) throws(SpanFault) {
        guard let owner = spans[key]?.uid, owner != uid, !trusted.contains(uid) else { return }
        throw SpanFault(description: "expected user \(owner), who started this span, or root, found user \(uid)")
    }

    mutating func look(_ snapshot: HostSnapshot, by uid: UInt32) -> Answer { answer(snapshot, to: uid, span: nil) }

    mutating func start(_ key: String, _ snapshot: HostSnapshot, by uid: UInt32) -> Answer {
        if spans.count >= Self.mostSpans, spans[key] == nil, let oldest = spans.min(by: { $0.value.start.time < $1.value.start.time }) {
            spans[oldest.key] = nil
        }
        spans[key] = OpenSpan(uid: uid, start: snapshot)
        return answer(snapshot, to: uid, span: nil)
    }

    mutating func finish(_ key: String, _ snapshot: HostSnapshot, by uid: UInt32) -> Answer {
        // Unknown where the agent was not there at its start.
        guard let open = spans.removeValue(forKey: key) else { return answer(snapshot, to: uid, span: nil) }
        let own = snapshot.components.reduce(into: [Component: Int64]()) {
            $0[$1.key] = max(0, $1.value - (open.start.components[$1.key] ?? $1.value))
        }
        callers[uid, default: Caller(released: open.start)].running.merge(own) { $0 + $1 }
        return answer(snapshot, to: uid, span: (own, snapshot.time - open.start.time))
    }

    private mutating func answer(_ snapshot: HostSnapshot, to uid: UInt32, span: ([Component: Int64], Microseconds)?) -> Answer {
        var caller = callers[uid] ?? Caller(released: snapshot)
        let isNew = callers[uid] == nil
        defer { keep(caller, of: uid) }
        if isNew || trusted.contains(uid) || (snapshot.time - caller.released.time) >= Self.period {
            caller.released = snapshot
            caller.shown = caller.running
            let isTold = trusted.contains(uid) || (span?.1 ?? .zero) >= Self.period
            return Answer(figures: snapshot, span: isTold ? span?.0 : nil, running: caller.shown)
        }
        var figures = snapshot
        figures.meters = caller.released.meters
        figures.cover = caller.released.cover
        figures.components = caller.released.components
        return Answer(figures: figures, heldSince: caller.released.time, running: caller.shown)
    }

    /// Those not heard of for longest are forgotten.
    private mutating func keep(_ caller: Caller, of uid: UInt32) {
        if callers[uid] == nil, callers.count >= Self.mostCallers,
            let oldest = callers.min(by: { $0.value.released.time < $1.value.released.time })
        {
            callers[oldest.key] = nil
        }
        callers[uid] = caller
    }
}
