import Energy

/// What spans use of something beside the CPU: memory, or one GPU. Each is known by its rate.
struct RateTracks {
    struct One {
        let span: Int
        var cursor: CurveCursor
        var isRunning = false
        /// Nil where nobody measures.
        var raw: Double?
        /// Less that of the cgroups below, an equal part of what several own.
        var rate = 0.0
        var owners = 1.0
        /// What of `raw` the cgroups around it leave to it, and the sum of that over those below.
        var charged = 0.0
        var chargedBelow = ExactSum()
        var around: [Int] = []
        var sharing: [Int] = []
        var log: [(row: Int, rate: Double)] = []
    }

    var all: [One] = []
    /// By active span.
    private(set) var byActive: [Int: Int] = [:]
    private(set) var sum = ExactSum()
    /// How many of the running spans are known.
    private(set) var knownCount = 0

    mutating func append(_ span: Int, _ curve: Curve, from start: Timestamp) {
        byActive[span] = all.count
        all.append(One(span: span, cursor: CurveCursor(curve, from: start)))
    }

    /// Cgroups count what those below them use.
    mutating func nest(_ tracked: TrackedSpans) {
        func mine(_ others: [Int]) -> [Int] { others.compactMap { byActive[tracked.all[$0].span] } }
        for one in tracked.all {
            guard let i = byActive[one.span] else { continue }
            all[i].around = mine(one.around)
            all[i].sharing = mine(one.sharedBy)
        }
    }

    mutating func set(_ i: Int, isRunning: Bool, at t: Timestamp, row: Int) {
        all[i].isRunning = isRunning
        change(i, at: t, row: row)
    }

    mutating func change(_ i: Int, at t: Timestamp, row: Int) {
        var raw: Double?
        if all[i].isRunning {
            all[i].cursor.advance(to: t)
            if all[i].cursor.isKnown { raw = max(0, all[i].cursor.rate) }
        }
        let wasKnown = all[i].raw != nil
        all[i].raw = raw
        if wasKnown != (raw != nil) {
            knownCount += wasKnown ? -1 : 1
            for other in all[i].sharing {
                all[other].owners += wasKnown ? -1 : 1
                charge(other, row)
            }
        }
        charge(i, row)
    }

    /// Tells the cgroups around one what it has now; settles it and them.
    private mutating func charge(_ i: Int, _ row: Int) {
        let charged = (all[i].raw ?? 0) / all[i].owners
        if charged != all[i].charged {
            for outer in all[i].around {
                all[outer].chargedBelow.remove(all[i].charged)
                all[outer].chargedBelow.add(charged)
                settle(outer, row)
            }
            all[i].charged = charged
        }
        settle(i, row)
    }

    private mutating func settle(_ i: Int, _ row: Int) {
        let rate = all[i].raw.map { max(0, $0 - all[i].chargedBelow.value) / all[i].owners } ?? 0
        guard rate != all[i].rate else { return }
        sum.remove(all[i].rate)
        sum.add(rate)
        all[i].rate = rate
        if let last = all[i].log.last, last.row == row { all[i].log.removeLast() }
        all[i].log.append((row, rate))
    }
}
