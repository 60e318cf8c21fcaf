public import Energy

/// Slices of one host's component that somebody has summed (a database, over hours), with their errors summed by what they are of.
public struct TotalFigures: Sendable {
    public var host: Int32
    public var component: Component
    /// µJ.
    public var energy = 0.0
    public var boundLow = 0.0
    public var boundHigh = 0.0
    /// What was used while not metered, µJ, and the most of what nobody could estimate.
    public var estimated = 0.0
    public var unestimatedHigh = 0.0
    /// Sums of energy times the meters' error ratio, and of `idle moved - floor` times the floor's, µJ.
    public var meterError = 0.0
    public var floorError = 0.0
    /// The sum of the variances of errors that nothing outside has: of shares by host-hour, of gaps, of edges by instant. µJ².
    public var ownVariance = 0.0

    /// The most that the host's meters can have counted and missed in the hours, µJ, and the meters' own standard deviation over all that
    /// they counted: the total is never more. Nil where it is not known.
    public var ceiling: Double?
    public var hostMeterError = 0.0

    public var hasIntensity = false
    public var grams = 0.0
    public var gramsBoundLow = 0.0
    public var gramsBoundHigh = 0.0
    public var meterErrorGrams = 0.0
    public var floorErrorGrams = 0.0
    public var ownVarianceGrams = 0.0
    /// The buildings' and the grids' factors: `grams` as it would be at the low and the high end of each.
    public var factors: [(key: ErrorKey, low: Double, high: Double)] = []

    public init(host: Int32, component: Component) {
        self.host = host
        self.component = component
    }

    var gramsPerMicrojoule: Double { energy > 0 ? grams / energy : 0 }
}
