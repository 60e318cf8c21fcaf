import Energy

/// One energy register of a package or die: 32 bits of `unit`, which wrap.
struct MSRMeter: Meter {
    let place: MeterPlace
    let maximumPower: Power
    let idlePower: UtilisationModel.Point?
    let basis: String
    let file: MSRFile
    let address: Int64
    let unit: EnergyUnit

    var sensor: String { MSRSensor.name }
    var counting: MeterCounting { .hardware(modulus: unit.modulusMicrojoules) }
    var cadence: MeterCadence { .fast }
    var boundRatios: (low: Double, high: Double) { (1, 1) }

    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        // The upper half is reserved on Intel, and counts on on some of AMD's; the kernel takes the lower half as well.
        MeterReading(unit.microjoules(UInt32(truncatingIfNeeded: try file.value(at: address))))
    }
}
