import Energy

/// What callers other than root may learn, and how often: energy at a fine rate tells what others compute (a side channel).
///
/// Each of them sees figures that change at most once a second. A span of a second or more is answered with its own energy, taken from
/// readings at its very edges; a shorter one, or one that ends within a second of the last figures, is only a part of the caller's running
/// total. No energy is lost by that, and nobody can tell one millisecond from the next by starting many spans.
struct PeerAllowance {
    static let period = Microseconds.seconds(1)
    private static let mostCallers = 1_024
    /// Spans that are remembered; of more, the oldest is forgotten.
    let mostSpans: Int
    /// Spans that one user other than the trusted ones may have open at a time.
    static let mostSpansOfOne = 256
    /// Spans that all of them together may have: what is left of the agent's limit stays for root.
    static let mostSpansOfOthers = 3_584
    /// After this a span of theirs that has no cgroup, whose end would end it, is over: the longest that a collector keeps one open.
    static let longestSpan = Microseconds.seconds(7 * 86_400)
    private static let mostOverdue = 64

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
        let hasCgroup: Bool
    }

    /// Users that see everything as it is read: root and the agent's own, which can read the counters anyway.
    let trusted: Set<UInt32>
    private var callers: [UInt32: Caller] = [:]
    private var spans: [String: OpenSpan] = [:]

    init(trusted: Set<UInt32>, mostSpans: Int = 4_096) {
        self.trusted = trusted
        self.mostSpans = mostSpans
    }

    func isOpen(_ key: String) -> Bool { spans[key] != nil }

    /// A span is for whoever started it, and root.
    func check(_ key: String, by uid: UInt32) throws(SpanFault) {
        guard let owner = spans[key]?.uid, owner != uid, !trusted.contains(uid) else { return }
        throw SpanFault(description: "expected user \(owner), who started this span, or root, found user \(uid)")
    }

    /// Whether this user may have one more span open, so that nobody can take all there are.
    ///
    /// - Parameter running: keys of the spans that really run: one whose cgroup has gone has ended without its starter.
    mutating func checkStart(_ key: String, by uid: UInt32, running: () -> Set<String>) throws(SpanFault) {
        guard spans[key] == nil else { return }
        let isFull = spans.count >= mostSpans
        guard isFull || (!trusted.contains(uid) && !isWithinLimits(uid)) else { return }
        let running = running()
        spans = spans.filter { running.contains($0.key) }
        guard !trusted.contains(uid), !isWithinLimits(uid) else { return }
        let own = count(of: uid)
        let limits = "at most \(Self.mostSpansOfOne) open spans of user \(uid) and \(Self.mostSpansOfOthers) of all but root"
        throw SpanFault(description: "expected \(limits), found \(own) and \(countOfOthers); finish some first")
    }

    private func isWithinLimits(_ uid: UInt32) -> Bool { count(of: uid) < Self.mostSpansOfOne && countOfOthers < Self.mostSpansOfOthers }

    private func count(of uid: UInt32) -> Int { spans.values.count { $0.uid == uid } }

    private var countOfOthers: Int { spans.values.count { !trusted.contains($0.uid) } }

    var isSpanOpen: Bool { !spans.isEmpty }

    /// Forgets spans that have been open for too long, a few at a time, and gives their keys: they are to be ended.
    mutating func takeOverdue(at time: Timestamp) -> [String] {
        let overdue = spans.filter {
            !$0.value.hasCgroup && !trusted.contains($0.value.uid) && time - $0.value.start.time > Self.longestSpan
        }
        let keys = Array(overdue.keys.prefix(Self.mostOverdue))
        for key in keys { spans[key] = nil }
        return keys
    }

    mutating func look(_ snapshot: HostSnapshot, by uid: UInt32) -> Answer { answer(snapshot, to: uid, span: nil) }

    mutating func start(_ key: String, hasCgroup: Bool = false, _ snapshot: HostSnapshot, by uid: UInt32) -> Answer {
        if spans.count >= mostSpans, spans[key] == nil, let oldest = spans.min(by: { $0.value.start.time < $1.value.start.time }) {
            spans[oldest.key] = nil
        }
        spans[key] = OpenSpan(uid: uid, start: snapshot, hasCgroup: hasCgroup)
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
