public import Energy

/// Energy that machines take, in fractional kWh, as a model computes it: before what the building adds.
public struct ITEnergy: Hashable, Comparable, Sendable {
    public var kilowattHours: Double

    public init(kilowattHours: Double) { self.kilowattHours = kilowattHours }

    public static let zero = ITEnergy(kilowattHours: 0)

    /// Whole microjoules.
    public var energy: Energy { Energy(rounding: kilowattHours * 3.6e12) }

    public static func < (a: ITEnergy, b: ITEnergy) -> Bool { a.kilowattHours < b.kilowattHours }
    public static func + (a: ITEnergy, b: ITEnergy) -> ITEnergy { ITEnergy(kilowattHours: a.kilowattHours + b.kilowattHours) }
}

/// Energy that a building takes for its machines, in fractional kWh: PUE is in it.
///
/// A type of its own, and no way to make one but `PUE.facility(of:)`, so that PUE is applied once and is not forgotten.
public struct FacilityEnergy: Hashable, Comparable, Sendable {
    public let kilowattHours: Double

    init(kilowattHours: Double) { self.kilowattHours = kilowattHours }

    public static let zero = FacilityEnergy(kilowattHours: 0)

    /// Whole microjoules.
    public var energy: Energy { Energy(rounding: kilowattHours * 3.6e12) }

    /// What its generation emits, at an intensity in gCO2e/kWh.
    public func emissions(gramsPerKilowattHour: Double) -> CO2e { CO2e(grams: kilowattHours * gramsPerKilowattHour) }

    public static func < (a: FacilityEnergy, b: FacilityEnergy) -> Bool { a.kilowattHours < b.kilowattHours }
    public static func + (a: FacilityEnergy, b: FacilityEnergy) -> FacilityEnergy {
        FacilityEnergy(kilowattHours: a.kilowattHours + b.kilowattHours)
    }
}

/// Power usage effectiveness: a building's energy by that of its machines, 1 or more (ISO/IEC 30134-2).
public struct PUE: Hashable, Comparable, Sendable {
    public let ratio: Double

    /// Nil below 1, above 4, and for NaN: no building is like that.
    public init?(_ ratio: Double) {
        guard (1...4).contains(ratio) else { return nil }
        self.ratio = ratio
    }

    private init(unchecked ratio: Double) { self.ratio = ratio }

    /// A building that takes nothing of its own: IT energy is all.
    public static let none = PUE(unchecked: 1)

    public func facility(of energy: ITEnergy) -> FacilityEnergy { FacilityEnergy(kilowattHours: energy.kilowattHours * ratio) }

    public static func < (a: PUE, b: PUE) -> Bool { a.ratio < b.ratio }
}
