import Energy

/// An energy counter of a chip: µJ in 64 bits that do not wrap; one that falls began anew.
struct HwmonEnergyMeter: Meter {
    let place: MeterPlace
    let cadence: MeterCadence
    let maximumPower: Power
    let basis: String
    let energy: SensorFile

    var sensor: String { HwmonSensor.name }
    var counting: MeterCounting { .hardware(modulus: nil) }
    var idlePower: UtilisationModel.Point? { nil }
    var boundRatios: (low: Double, high: Double) { (1, 1) }

    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading { MeterReading(try energy.number()) }
}
