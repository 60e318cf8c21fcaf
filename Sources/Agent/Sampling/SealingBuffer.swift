import Energy
import Wire

/// What was gathered and is not on the disk as a batch yet: while the next batch is not due, the spool is full or the disk fails.
///
/// An agent that is killed loses it. Knots carry no energy that later ones do not carry too, but a gap that nobody is told of would
/// pass for a time without use: so the state that is kept meanwhile holds the gaps.
struct SealingBuffer {
    private(set) var waiting: Sealable?
    private var lastSpooled: Timestamp?

    /// Adds what was gathered since the last call.
    mutating func add(_ fresh: Sealable) {
        guard waiting != nil else {
            waiting = fresh
            return
        }
        waiting?.append(fresh)
    }

    /// Whether a batch is due: always, unless a filling spool asks for rarer ones. The state is kept at the usual pace all the same,
    /// because a count that is not read for long cannot be continued.
    func isDue(at time: Timestamp, every interval: Microseconds) -> Bool {
        guard let lastSpooled else { return true }
        // Half a second before, lest a wait that ends a little early puts it off by a whole interval.
        return time - lastSpooled + Microseconds(500_000) >= interval
    }

    mutating func thin(energyEpsilon: Int64, cpuEpsilon: Int64, energyRefs: Set<UInt32>) {
        waiting?.thin(energyEpsilon: energyEpsilon, cpuEpsilon: cpuEpsilon, energyRefs: energyRefs)
    }

    /// What waits has reached the disk.
    mutating func spooled(at time: Timestamp) {
        waiting = nil
        lastSpooled = time
    }

    /// The state to keep beside the spool, with the gaps that are in no batch yet.
    var state: AgentState? {
        guard let waiting else { return nil }
        var state = waiting.state
        func hold(_ curve: inout AgentState.Curve) {
            let gaps = waiting.gaps.filter { $0.ref == curve.ref }
            guard !gaps.isEmpty else { return }
            let knots = waiting.columns.first { $0.ref == curve.ref }?.knots ?? []
            curve.gaps = gaps.map { gap in
                AgentState.Gap(
                    from: gap.fromUs,
                    to: gap.toUs,
                    low: gap.low,
                    high: gap.high,
                    cause: gap.cause,
                    valueBefore: knots.first { $0.time.microseconds == gap.fromUs }?.value,
                    valueAfter: knots.first { $0.time.microseconds == gap.toUs }?.value
                )
            }
        }
        for i in state.curves.indices { hold(&state.curves[i]) }
        for i in state.workloads.indices { hold(&state.workloads[i].curve) }
        return state
    }
}
