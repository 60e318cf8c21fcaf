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
        var children: [Int] = []
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
            all[i].children = mine(one.children)
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
        if (raw == nil) != (all[i].raw == nil) { knownCount += raw == nil ? -1 : 1 }
        all[i].raw = raw
        settle(i, row)
        for other in all[i].around + all[i].sharing { settle(other, row) }
        for other in all[i].sharing { for outer in all[other].around { settle(outer, row) } }
    }

    private func owners(_ i: Int) -> Double { all[i].sharing.reduce(1) { $0 + (all[$1].raw == nil ? 0 : 1) } }

    private mutating func settle(_ i: Int, _ row: Int) {
        var rate = 0.0
        if let raw = all[i].raw {
            let below = all[i].children.reduce(0) { $0 + (all[$1].raw ?? 0) / owners($1) }
            rate = max(0, raw - below) / owners(i)
        }
        guard rate != all[i].rate else { return }
        sum.remove(all[i].rate)
        sum.add(rate)
        all[i].rate = rate
        if let last = all[i].log.last, last.row == row { all[i].log.removeLast() }
        all[i].log.append((row, rate))
    }
}
