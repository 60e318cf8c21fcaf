/// Software Carbon Intensity, ISO/IEC 21031:2024: `SCI = (O + M) / R`, gCO2e per functional unit.
///
/// It is a rate and not a total: it is compared between versions of the same software with the same unit and boundary, and never added
/// up over different units.
public struct SCI: Hashable, Sendable {
    /// `O`: what the energy of the software emitted; `E * I`, facility energy times the grid's intensity.
    public var operational: CO2e
    /// `M`: the software's part of making its hardware.
    public var embodied: CO2e
    /// `R`: how many units the software served: jobs, requests, users, releases.
    public var functionalUnits: Double

    public init(operational: CO2e, embodied: CO2e, functionalUnits: Double) {
        self.operational = operational
        self.embodied = embodied
        self.functionalUnits = functionalUnits
    }

    /// In gCO2e per unit; nil where no unit was served: nothing is the intensity of no work.
    public var gramsPerUnit: Double? {
        guard functionalUnits > 0, functionalUnits.isFinite else { return nil }
        return (operational + embodied).grams / functionalUnits
    }

    /// `M = TE * TS * RS`: the hardware's embodied mass, the part of its lifetime for which it is reserved, and the part of its resources
    /// that is.
    ///
    /// - Parameters:
    ///   - total: of making, moving and disposing of the hardware.
    ///   - reservedSeconds: for how long the software has the hardware to itself, 0 or more.
    ///   - lifetimeSeconds: from its making to its disposal.
    ///   - resourceShare: of its resources, 0...1; see `reservedShare`.
    /// - Returns: Nil for a lifetime that is not above 0, a share outside 0...1, or a negative time.
    public static func embodied(total: CO2e, reservedSeconds: Double, lifetimeSeconds: Double, resourceShare: Double) -> CO2e? {
        guard reservedSeconds >= 0, lifetimeSeconds > 0, (0...1).contains(resourceShare) else { return nil }
        return total * (reservedSeconds / lifetimeSeconds) * resourceShare
    }

    /// The share of one among all that reserve at the same time: `rho / max(1, sum of rho)`, so that the shares of a host that has promised
    /// more than it has sum to 1. What nobody reserved is idle.
    ///
    /// - Parameter sum: of all reservations at that time, this one among them.
    public static func reservedShare(_ reservation: Double, of sum: Double) -> Double {
        guard reservation > 0 else { return 0 }
        return reservation / max(1, max(sum, reservation))
    }
}
