public import Energy

/// A source of one zone's energy on this host.
///
/// What `read` gives is a raw count in µJ. How it continues across a restart of the program or the host is `counting`; turning it
/// into a curve (wraps, resets, gaps) is the caller's work, with `CounterUnwrapping`.
public protocol Meter {
    var place: MeterPlace { get }
    /// The kind of sensor: `powercap`, `model`.
    var sensor: String { get }
    var counting: MeterCounting { get }
    var cadence: MeterCadence { get }
    /// The largest power of the zone.
    var maximumPower: Power { get }
    /// Power at idle with its limits, where it is configured or known from a table.
    var idlePower: UtilisationModel.Point? { get }
    /// The least and the most that the true energy can be of the reading, as ratios; 1 and 1 for a sensor.
    var boundRatios: (low: Double, high: Double) { get }
    /// What the figures rest on, for people.
    var basis: String { get }

    /// Reads now. `time` is the instant of the call, on a clock that goes on while the host is suspended. Allocates nothing and
    /// does not wait: a sensor that takes more than a millisecond is asked on a thread of its own.
    ///
    /// - Throws: `SensorFault`; `isVanished` where the device is gone, and must be found anew should it come back.
    mutating func read(at time: Timestamp) throws(SensorFault) -> MeterReading
}

/// What a raw count means beyond the program that reads it.
public enum MeterCounting: Hashable, Sendable {
    /// A counter of the hardware or the kernel: it counts on while nobody reads it. `modulus` is nil where it cannot wrap.
    case hardware(modulus: Int64?)
    /// Counted by this very program from 0 on: nothing is known of the time in which it did not run.
    case program
}

/// How often a meter is worth reading.
public enum MeterCadence: Hashable, Sendable {
    /// As often as the configured rate says.
    case fast
    /// Once a second and at the edges of spans: its source has no finer resolution, or is dear to read.
    case slow
}
