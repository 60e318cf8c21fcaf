import Energy

/// How often batches are sealed.
struct SealingPace: Hashable, Sendable {
    /// The longest between two batches.
    var interval: Microseconds
    /// The same while a span runs.
    var intervalInSpan: Microseconds

    init(interval: Microseconds = .seconds(10), intervalInSpan: Microseconds = .seconds(5)) {
        self.interval = interval
        self.intervalInSpan = min(interval, intervalInSpan)
    }

    /// How a filling spool slows the agent down: rarer batches of coarser curves. Energy stays exact.
    struct Pressure: Hashable, Sendable {
        /// Multiplies the time between batches.
        var interval: Int64
        /// Multiplies every ε.
        var coarseness: Int64
        /// No batch is taken at all; knots wait in memory and are thinned there.
        var isFull = false

        static let none = Pressure(interval: 1, coarseness: 1)

        init(interval: Int64, coarseness: Int64, isFull: Bool = false) {
            self.interval = interval
            self.coarseness = coarseness
            self.isFull = isFull
        }

        /// - Parameter fill: 1 is full.
        init(fill: Double) {
            switch fill {
            case ..<0.7: self = .none
            case ..<0.85: self.init(interval: 6, coarseness: 4)
            case ..<0.95: self.init(interval: 60, coarseness: 16)
            case ..<1: self.init(interval: 360, coarseness: 64)
            default: self.init(interval: 360, coarseness: 64, isFull: true)
            }
        }
    }
}
