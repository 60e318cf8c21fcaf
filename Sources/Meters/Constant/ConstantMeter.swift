import Energy

/// A power that somebody knows, counted from the time that passes.
struct ConstantMeter: Meter {
    let place: MeterPlace
    let power: Power
    private var start: Timestamp?
    private var last: Timestamp?

    init(place: MeterPlace, power: Power) {
        self.place = place
        self.power = power
    }

    var sensor: String { ConstantSensor.name }
    var counting: MeterCounting { .program }
    var cadence: MeterCadence { .slow }
    var maximumPower: Power { power }
    /// Nothing is known of what it would draw at idle.
    var idlePower: UtilisationModel.Point? { nil }
    var boundRatios: (low: Double, high: Double) { (1, 1) }
    var basis: String { "const:\(ConstantSensor.text(of: power)), as configured" }

    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        let start = start ?? time
        self.start = start
        // A count never falls, whatever the clock does.
        let now = max(time, last ?? time)
        last = now
        let picojoules = Int128(power.microwatts) * Int128((now - start).count)
        return MeterReading(Int64(clamping: picojoules / 1_000_000))
    }
}
