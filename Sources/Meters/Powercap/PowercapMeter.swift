public import Energy

/// One RAPL zone of the powercap interface: `energy_uj`, a counter in µJ that wraps.
public struct PowercapMeter: Meter {
    public let place: MeterPlace
    public let modulus: Int64
    public let maximumPower: Power
    public let idlePower: UtilisationModel.Point?
    public let basis: String
    private let energy: SensorFile

    public var sensor: String { "powercap" }
    public var counting: MeterCounting { .hardware(modulus: modulus) }
    public var cadence: MeterCadence { .fast }
    public var boundRatios: (low: Double, high: Double) { (1, 1) }

    init(place: MeterPlace, modulus: Int64, maximumPower: Power, idlePower: UtilisationModel.Point?, basis: String, energy: SensorFile) {
        self.place = place
        self.modulus = modulus
        self.maximumPower = maximumPower
        self.idlePower = idlePower
        self.basis = basis
        self.energy = energy
    }

    public mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        let raw = try energy.number()
        guard raw < modulus else {
            throw SensorFault(path: energy.path, kind: .malformed(expected: "less than the modulus \(modulus)", found: "\(raw)"))
        }
        return MeterReading(raw)
    }
}
