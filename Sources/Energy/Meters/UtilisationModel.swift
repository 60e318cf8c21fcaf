/// Power of a package from its utilisation, linear between published points; for machines without a sensor.
///
/// `idle` is the power at 0 % and `full` the power at 100 % of the CPUs this machine has. Limits are those of the figures that
/// the model was made from.
public struct UtilisationModel: Hashable, Sendable {
    public struct Point: Hashable, Sendable {
        public var low: Power
        public var best: Power
        public var high: Power

        public init(low: Power, best: Power, high: Power) {
            self.low = low
            self.best = best
            self.high = high
        }
    }

    public var idle: Point
    public var full: Point

    public init(idle: Point, full: Point) {
        self.idle = idle
        self.full = full
    }

    /// Energy in fractional µJ over a wall duration in which the CPUs together were busy for `busy` CPU-µs.
    ///
    /// The busy time of the whole host grows by `cpus` µs a µs at 100 %. More busy time than that (tick noise) counts as 100 %.
    public func microjoules(over duration: Microseconds, busy: Microseconds, cpus: Int) -> Double {
        let capacity = Double(duration.count) * Double(max(1, cpus))
        guard capacity > 0 else { return 0 }
        let utilisation = min(1, max(0, Double(busy.count) / capacity))
        let power = idle.best.watts + utilisation * (full.best.watts - idle.best.watts)
        return power * Double(duration.count)
    }

    /// The least and the most that the true energy can be of the modelled one, as ratios: the widest over both points.
    public var boundRatios: (low: Double, high: Double) {
        func ratio(_ a: Power, _ b: Power, none: Double) -> Double { b.watts > 0 ? a.watts / b.watts : none }
        return (
            min(ratio(idle.low, idle.best, none: 0), ratio(full.low, full.best, none: 0)),
            max(ratio(idle.high, idle.best, none: 1), ratio(full.high, full.best, none: 1))
        )
    }
}
