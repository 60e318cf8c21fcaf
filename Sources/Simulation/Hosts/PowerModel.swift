/// The true power of a simulated host: idle power and a curve of load, per component.
public struct PowerModel: Hashable, Sendable {
    /// How dynamic power follows load X, both as parts of their full values.
    public enum Shape: Hashable, Sendable {
        case linear
        /// X to a power below 1.
        case concave(exponent: Double)
        /// Slope 1.5 up to half load, 0.5 above: the second thread of a core costs less.
        case hyperthreads

        public func fraction(ofLoad load: Double) -> Double {
            let load = min(1, max(0, load))
            switch self {
            case .linear: return load
            case .concave(let exponent): return RealFunctions.power(load, exponent)
            case .hyperthreads: return load <= 0.5 ? 1.5 * load : 0.75 + 0.5 * (load - 0.5)
            }
        }
    }

    public var shape: Shape
    /// All packages together, W.
    public var idleWatts: Double
    /// At full load beyond idle, W.
    public var dynamicWatts: Double
    public var dramIdleWatts: Double
    public var dramDynamicWatts: Double
    /// Fans, disks and boards, W; 0 where no meter sees them.
    public var restIdleWatts: Double
    /// What the supply loses, as a part of what it gives.
    public var lossRatio: Double

    public init(
        shape: Shape = .linear,
        idleWatts: Double,
        dynamicWatts: Double,
        dramIdleWatts: Double = 0,
        dramDynamicWatts: Double = 0,
        restIdleWatts: Double = 0,
        lossRatio: Double = 0
    ) {
        self.shape = shape
        self.idleWatts = idleWatts
        self.dynamicWatts = dynamicWatts
        self.dramIdleWatts = dramIdleWatts
        self.dramDynamicWatts = dramDynamicWatts
        self.restIdleWatts = restIdleWatts
        self.lossRatio = lossRatio
    }
}
