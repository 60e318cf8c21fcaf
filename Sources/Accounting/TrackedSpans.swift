import Energy

/// The spans whose part changes while they run: those with a cgroup, and those that run within one another.
///
/// A change of one is carried to those it concerns and to nobody else: the cgroups around it, whoever shares it, and its own tree.
struct TrackedSpans {
    struct One {
        let span: Int
        /// What it is while nobody measures it.
        let declared: SpanState
        let hasCgroup: Bool
        /// Of its CPU time; empty where it has no cgroup.
        var cursor: CurveCursor
        let isClosed: Bool
        let partialSince: Timestamp
        /// As in its state.
        let epsilon: Double
        /// Those whose cgroups lie directly below, those whose cgroup this one lies directly below, and those that own the same one.
        var children: [Int] = []
        var around: [Int] = []
        var sharedBy: [Int] = []
        /// The one that it runs within, where no cgroups tell it; -1 for none.
        var parent = -1
        /// Those that run within it now.
        var kids: [Int] = []
        var allKids: [Int] = []

        var isRunning = false
        var isPartial = false
        /// CPU of its cgroup and those below, as a part of the host's; nil where nobody measures.
        var all: Double?
        /// Those that share its cgroup know of it.
        var isCounted = false
        var owners = 1.0
        /// What of `all` is its own and its children's, and the sum of that over the children.
        var charged = 0.0
        var chargedBelow = ExactSum()
        /// Those of its children that may have lost CPU time to it.
        var robbers: [Int] = []
        /// Of the cgroup, less the children's.
        var value = 0.0
        /// By itself; less what runs within it; and as it was last told.
        var base = SpanState()
        var settled = SpanState()
        var state = SpanState()
        /// What it has was measured, of its own cgroup or of that of the span it runs within.
        var isMeasured = false
        /// The last settlement of its tree, and in which those that may have lost something to it were looked at.
        var stamp = 0
        var robbedStamp = 0
        /// Of the outermost of a tree: between which equal parts its settlement holds.
        var leastPart = 0.0
        var mostPart = Double.infinity
        var isConditional = false
        var log: [SpanSegment] = []

        var counts: Bool { isRunning && all != nil }
        var isInTree: Bool { parent >= 0 || !allKids.isEmpty }
    }

    private(set) var all: [One] = []
    private let cpus: Double
    /// Spans that lie within themselves were found: they count as standing beside one another.
    private(set) var hasCycle = false
    private(set) var wasShared = false
    /// A span was not divided among those within it: too many ran at once.
    private(set) var wasUndivided = false
    private(set) var wasPartial = false

    /// What a span that declared nothing has: `1 / max(slots, spans running)`; and between which of these all trees hold.
    private var part: Double
    private var leastPart = 0.0
    private var mostPart = Double.infinity
    /// The outermost of trees whose division is another with another equal part.
    private var conditional: [Int] = []

    private var stamp = 0
    private var dirty: [Int] = []
    private var isDirty: [Bool] = []

    var isEmpty: Bool { all.isEmpty }

    /// Finds them among the active spans, which are told their index here.
    init(_ spans: inout [ActiveSpan], host: HostInput) {
        cpus = Double(host.cpus)
        part = 1 / max(1, host.slots ?? 0)
        let inputs = host.spans
        guard spans.contains(where: \.mayBeTracked) else { return }

        var byID: [Int64: Int] = [:]
        byID.reserveCapacity(spans.count)
        for i in spans.indices where byID[spans[i].id] == nil { byID[spans[i].id] = i }
        for i in spans.indices {
            guard spans[i].mayBeTracked else { continue }
            track(i, &spans, host)
            if let parent = inputs[spans[i].input].parentID, let p = byID[parent] { track(p, &spans, host) }
        }
        isDirty = Array(repeating: false, count: all.count)
        for i in all.indices {
            let input = inputs[spans[all[i].span].input]
            for id in input.workload?.childSpanIDs ?? [] {
                guard let child = byID[id].map({ spans[$0].tracked }), child >= 0 else { continue }
                all[i].children.append(child)
                all[child].around.append(i)
            }
            for id in input.workload?.sharingSpanIDs ?? [] {
                guard let other = byID[id].map({ spans[$0].tracked }), other >= 0 else { continue }
                all[other].sharedBy.append(i)
            }
        }
        findTrees(byID, spans, inputs)
    }

    private mutating func track(_ i: Int, _ spans: inout [ActiveSpan], _ host: HostInput) {
        guard spans[i].tracked < 0 else { return }
        spans[i].tracked = all.count
        let workload = host.spans[spans[i].input].workload
        all.append(
            One(
                span: i,
                declared: spans[i].declared,
                hasCgroup: workload != nil,
                cursor: CurveCursor(
                    workload?.curve ?? Curve(knots: []),
                    from: Timestamp(microseconds: host.window.start.microseconds + spans[i].start)
                ),
                isClosed: workload?.isClosed ?? false,
                partialSince: workload?.partialSince ?? Timestamp(microseconds: .max),
                epsilon: Double(workload?.epsilonMicroseconds ?? 0) / cpus
            )
        )
    }

    /// Where both have a cgroup these tell what lies in what.
    private mutating func findTrees(_ byID: [Int64: Int], _ spans: [ActiveSpan], _ inputs: [SpanInput]) {
        for i in all.indices {
            guard let id = inputs[spans[all[i].span].input].parentID, let parent = byID[id].map({ spans[$0].tracked }), parent >= 0
            else { continue }
            all[i].parent = parent
        }
        // Whoever is reached twice on one way up lies within itself.
        var seen = [Int](repeating: -1, count: all.count)
        for start in all.indices {
            var i = start
            while i >= 0, seen[i] < 0 {
                seen[i] = start
                i = all[i].parent
            }
            guard i >= 0, seen[i] == start else { continue }
            hasCycle = true
            while all[i].parent >= 0 {
                let next = all[i].parent
                all[i].parent = -1
                i = next
            }
        }
        for i in all.indices where all[i].parent >= 0 { all[all[i].parent].allKids.append(i) }
    }

    /// Whether a curve's change of this one is still to be looked at.
    private mutating func touch(_ i: Int) {
        guard !isDirty[i] else { return }
        isDirty[i] = true
        dirty.append(i)
    }

    mutating func start(_ i: Int) {
        all[i].isRunning = true
        let parent = all[i].parent
        if parent >= 0, all[parent].isRunning { all[parent].kids.append(i) }
        all[i].kids = all[i].allKids.filter { all[$0].isRunning }
        for kid in all[i].kids { touch(kid) }
        touch(i)
    }

    mutating func end(_ i: Int) {
        all[i].isRunning = false
        let parent = all[i].parent
        if parent >= 0 {
            all[parent].kids.removeAll { $0 == i }
            touch(parent)
        }
        for kid in all[i].kids { touch(kid) }
        all[i].kids = []
        touch(i)
    }

    /// A curve of it, or what is known of it, changes now.
    mutating func change(_ i: Int) { if all[i].isRunning { touch(i) } }

    /// Settles everything that was touched, and tells each whose part is another now, with what it was and is.
    mutating func settle(at t: Timestamp, row: Int, _ changed: (_ old: SpanState, _ new: SpanState) -> Void) {
        guard !dirty.isEmpty else { return }
        measure(at: t)
        stamp += 1
        var next = 0
        while next < dirty.count {
            let i = dirty[next]
            next += 1
            let value = all[i].counts ? max(0, (all[i].all ?? 0) - all[i].chargedBelow.value) / all[i].owners : 0
            guard value != all[i].value else { continue }
            all[i].value = value
            touchRobbers(of: i)
        }
        for i in dirty {
            all[i].base = base(of: i)
            all[i].settled = all[i].base
        }
        var changes: [Int] = []
        for i in dirty {
            if all[i].isInTree, all[i].isRunning { settleTree(around: i, &changes) } else { changes.append(i) }
        }
        for i in changes {
            let new = all[i].isRunning ? all[i].settled : SpanState()
            guard new != all[i].state || (all[i].isRunning && all[i].log.isEmpty) else { continue }
            changed(all[i].state, new)
            all[i].state = new
            if new.isShared { wasShared = true }
            if new.isPartial { wasPartial = true }
            if all[i].isRunning { all[i].log.append(SpanSegment(row: row, state: new)) }
        }
        for i in dirty { isDirty[i] = false }
        dirty.removeAll(keepingCapacity: true)
    }

    /// What those below lost may be in this one's count, and further down in that of whoever is between: their limits go by it.
    private mutating func touchRobbers(of i: Int) {
        guard !all[i].robbers.isEmpty else { return }
        var open = [i]
        while let outer = open.popLast() {
            guard all[outer].robbedStamp != stamp else { continue }
            all[outer].robbedStamp = stamp
            for robber in all[outer].robbers {
                touch(robber)
                open.append(robber)
            }
        }
    }

    /// What a span that declared nothing has from now on. True where trees are to be settled anew: what steps declare or were measured
    /// to use is more than their job's equal part now, or no longer is.
    mutating func setEqualPart(_ part: Double) -> Bool {
        self.part = part
        guard part <= leastPart || mostPart < part else { return false }
        leastPart = 0
        mostPart = .infinity
        var kept: [Int] = []
        for top in conditional {
            guard all[top].isRunning, all[top].leastPart > 0 || all[top].mostPart < .infinity else {
                all[top].isConditional = false
                continue
            }
            kept.append(top)
            if part <= all[top].leastPart || all[top].mostPart < part {
                touch(top)
            } else {
                leastPart = max(leastPart, all[top].leastPart)
                mostPart = min(mostPart, all[top].mostPart)
            }
        }
        conditional = kept
        return !dirty.isEmpty
    }

    /// Reads the curves of those touched, and carries what changed to those whose own part it changes.
    private mutating func measure(at t: Timestamp) {
        var next = 0
        let read = dirty.count
        /// Whether these may have lost something is another now, and what lies below them reaches as far out as they do.
        var touchBelow: [Int] = []
        while next < read {
            let i = dirty[next]
            next += 1
            let counted = all[i].isCounted
            let before = all[i].isPartial
            all[i].all = all[i].isRunning ? cpu(of: i, at: t) : nil
            all[i].isPartial = all[i].isRunning && all[i].partialSince <= t
            if all[i].counts != counted {
                all[i].isCounted = !counted
                for other in all[i].sharedBy {
                    all[other].owners += counted ? -1 : 1
                    touch(other)
                }
            }
            if all[i].isPartial != before {
                for outer in all[i].around {
                    if before {
                        if let place = all[outer].robbers.firstIndex(of: i) { all[outer].robbers.remove(at: place) }
                    } else {
                        all[outer].robbers.append(i)
                    }
                    touch(outer)
                }
                touchBelow.append(i)
            }
        }
        stamp += 1
        for i in touchBelow { touchRobbers(of: i) }
        next = 0
        while next < dirty.count {
            let i = dirty[next]
            next += 1
            // Equal parts to those that share a cgroup: what they get together never exceeds what it used.
            let charged = all[i].counts ? (all[i].all ?? 0) / all[i].owners : 0
            guard charged != all[i].charged else { continue }
            for outer in all[i].around {
                all[outer].chargedBelow.remove(all[i].charged)
                all[outer].chargedBelow.add(charged)
                touch(outer)
            }
            all[i].charged = charged
        }
    }

    /// What the cgroup and those below it use from now on, as a part of the host's CPU; nil where nobody measured.
    private mutating func cpu(of i: Int, at t: Timestamp) -> Double? {
        let (cpus, isClosed) = (cpus, all[i].isClosed)
        func read(_ cursor: inout CurveCursor) -> Double? {
            guard !cursor.isEmpty else { return nil }
            cursor.advance(to: t)
            if cursor.isKnown { return max(0, cursor.rate) / cpus }
            // Before its birth and after its death it used nothing.
            return cursor.isBeforeFirst || (isClosed && cursor.isAfterLast) ? 0 : nil
        }
        return all[i].hasCgroup ? read(&all[i].cursor) : nil
    }

    private func base(of i: Int) -> SpanState {
        var state = all[i].declared
        state.isPartial = all[i].isPartial
        guard all[i].counts else { return state }
        state.weight = 0
        state.equalWeight = 0
        state.remainder = 0
        state.epsilon = all[i].epsilon
        state.measured = all[i].value
        state.leastMeasured = all[i].value
        state.mostMeasured = all[i].value
        if all[i].owners > 1 {
            state.isShared = true
            state.leastMeasured = 0
            state.mostMeasured = all[i].value * all[i].owners
        }
        if all[i].isPartial {
            state.mostMeasured += outer(i)
            state.remainder = 1
        }
        // What a cgroup below lost, this one's count may hold.
        if !all[i].robbers.isEmpty { state.leastMeasured = 0 }
        return state
    }

    /// What those were charged whose counts may hold what a span's cgroup lost: those around it, further out where theirs lost too.
    private func outer(_ i: Int) -> Double {
        var seen: Set<Int> = [i]
        var open = all[i].around
        var sum = 0.0
        while let parent = open.popLast() {
            guard seen.insert(parent).inserted, all[parent].isRunning else { continue }
            sum += all[parent].value
            if all[parent].isPartial { open += all[parent].around }
        }
        return sum
    }

    /// Takes from each span of a tree what runs within it, from the outermost inwards.
    private mutating func settleTree(around i: Int, _ changes: inout [Int]) {
        var top = i
        while all[top].parent >= 0, all[all[top].parent].isRunning { top = all[top].parent }
        guard all[top].stamp != stamp else { return }
        all[top].stamp = stamp
        all[top].settled = all[top].base
        all[top].isMeasured = all[top].counts
        all[top].leastPart = 0
        all[top].mostPart = .infinity
        var open = [top]
        while let node = open.popLast() {
            divide(node, of: top)
            changes.append(node)
            open += all[node].kids
        }
        guard all[top].leastPart > 0 || all[top].mostPart < .infinity else { return }
        leastPart = max(leastPart, all[top].leastPart)
        mostPart = min(mostPart, all[top].mostPart)
        if !all[top].isConditional {
            all[top].isConditional = true
            conditional.append(top)
        }
    }

    /// What is left of a fixed and an equal part together once something is taken from them, never below 0.
    private mutating func left(_ fixed: Double, _ equal: Double, taken: Double, of top: Int) -> (fixed: Double, equal: Double) {
        guard equal > 0 else { return (max(0, fixed - taken), 0) }
        guard taken > 0 else { return (fixed, equal) }
        // It is 0 up to this equal part, and grows with it from there.
        let limit = (taken - fixed) / equal
        if part > limit {
            all[top].leastPart = max(all[top].leastPart, limit)
            return (fixed - taken, equal)
        }
        all[top].mostPart = min(all[top].mostPart, limit)
        return (0, 0)
    }

    /// Among how many a part is divided that changes whenever one of them starts or ends: each of these then has a figure of its own, so
    /// that time and memory go by their number squared. Where more run at once the span around them keeps it.
    static let mostParts = 256

    /// Gives those that run directly within a span their parts of it: what they declare, and those that declare nothing equal parts of
    /// the rest. While there are such, nothing is left to the span itself.
    private mutating func divide(_ node: Int, of top: Int) {
        let kids = all[node].kids
        guard !kids.isEmpty else { return }
        for kid in kids {
            all[kid].settled = all[kid].base
            all[kid].isMeasured = all[kid].counts
        }
        var own = all[node].settled
        let unmeasured = kids.filter { !all[$0].counts }
        let open = unmeasured.filter { all[$0].base.equalWeight > 0 }
        let said = unmeasured.reduce(0) { $0 + all[$1].base.weight }
        if all[node].isMeasured {
            if unmeasured.count > Self.mostParts {
                wasUndivided = true
                for kid in unmeasured {
                    all[kid].settled.weight = 0
                    all[kid].settled.equalWeight = 0
                    // It may have used all that the span did; the whole machine is more, and does not change.
                    all[kid].settled.mostMeasured = 1
                    all[kid].isMeasured = true
                }
                own.leastMeasured = 0
            } else if !unmeasured.isEmpty {
                // The span's measured CPU time holds theirs: the one formula within it.
                let pot = own.measured
                let scale = said > pot ? pot / said : 1
                let rest = max(0, pot - said)
                for kid in unmeasured {
                    let isOpen = all[kid].base.equalWeight > 0
                    all[kid].settled.measured = isOpen ? rest / Double(open.count) : all[kid].base.weight * scale
                    all[kid].settled.weight = 0
                    all[kid].settled.equalWeight = 0
                    all[kid].settled.leastMeasured = 0
                    all[kid].settled.mostMeasured = own.mostMeasured
                    all[kid].settled.remainder = own.remainder
                    all[kid].isMeasured = true
                }
                own.measured = open.isEmpty ? rest : 0
                own.leastMeasured = 0
            }
        } else {
            let measured = kids.reduce(0) { $0 + (all[$1].counts ? all[$1].base.measured : 0) }
            let rest = left(own.weight, own.equalWeight, taken: said + measured, of: top)
            let parts = parts(open.count)
            for kid in open {
                all[kid].settled.weight = rest.fixed * parts.each
                all[kid].settled.equalWeight = rest.equal * parts.each
            }
            own.weight = rest.fixed * parts.left
            own.equalWeight = rest.equal * parts.left
        }

        let claiming = kids.filter { all[$0].base.equalClaim > 0 }
        let claimed = kids.reduce(0) { $0 + all[$1].base.claim }
        let unclaimed = left(own.claim, own.equalClaim, taken: claimed, of: top)
        let claims = parts(claiming.count)
        for kid in claiming {
            all[kid].settled.claim = unclaimed.fixed * claims.each
            all[kid].settled.equalClaim = unclaimed.equal * claims.each
        }
        own.claim = unclaimed.fixed * claims.left
        own.equalClaim = unclaimed.equal * claims.left

        let counted = kids.filter { all[$0].base.slots > 0 }
        if own.slots > 0 {
            let slots = parts(counted.count)
            for kid in counted { all[kid].settled.slots = own.slots * slots.each }
            own.slots *= slots.left
        }
        all[node].settled = own
    }

    /// What each of some has of what is divided among them, and what is left.
    private mutating func parts(_ count: Int) -> (each: Double, left: Double) {
        guard count > 0 else { return (0, 1) }
        guard count <= Self.mostParts else {
            wasUndivided = true
            return (0, 1)
        }
        return (1 / Double(count), 0)
    }
}
