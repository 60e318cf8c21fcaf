import Energy
import Meters

/// A counter that shows what a trace recorded, as the hardware would: with its modulus, and as late as it was moved.
struct TraceMeter: Meter {
    let series: EnergyTrace.Series
    let modulus: Int64
    let maximumPower: Power
    /// When the trace begins.
    let start: Timestamp
    /// What the counter showed then.
    var offset: Int64 = 0

    var place: MeterPlace { MeterPlace(name: "trace/\(series.name)", zone: series.zone, package: series.package, quality: .measured) }
    var sensor: String { "trace" }
    var counting: MeterCounting { .hardware(modulus: modulus) }
    var cadence: MeterCadence { .fast }
    var idlePower: UtilisationModel.Point? { nil }
    var boundRatios: (low: Double, high: Double) { (1, 1) }
    var basis: String { "recorded counter \(series.name)" }

    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading {
        MeterReading((offset + series.count(at: time - start)) % modulus)
    }
}
