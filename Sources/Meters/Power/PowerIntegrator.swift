import Energy

/// Makes energy of samples of power, by trapezoid over the time that really passed between them.
///
/// Whole numbers throughout: half picojoules are added up, so that no rounding drifts however many samples there are. What is not a
/// new and possible value is not integrated: the stretch around it is a gap, never a guess and never the last value once more.
struct PowerIntegrator: Sendable {
    /// What a sensor can say, and for how long it can be believed.
    struct Limits: Hashable, Sendable {
        /// A larger value is an error of the sensor.
        var maximum: Power
        /// False where the thing measured always draws something, so that 0 W means that the sensor has no value.
        var isZeroPossible: Bool
        /// Samples further apart than this say nothing of the time between them.
        var longestStep: Microseconds
        /// A value that stays the same to the µW for longer comes from a sensor that stands still; nil where that is no sign.
        var longestRepeat: Microseconds?
    }

    /// What became of a sample.
    enum Verdict: Hashable, Sendable {
        /// The count begins here.
        case first
        /// The time since the sample before is counted.
        case counted
        /// The count goes on from here, without the time since the last good sample.
        case afterGap
        /// Not newer than the sample before: nothing is counted, and nothing is lost either.
        case old
        /// The same value for too long: a sensor that stands still.
        case standsStill
        /// A value that cannot be.
        case impossible
    }

    let limits: Limits
    /// The time of the last good sample.
    private(set) var time: Timestamp?
    /// In halves of a picojoule: (p0 + p1) x dt, in µW and µs, is twice the energy in pJ.
    private var halfPicojoules: Int128 = 0
    private var lastPower: Int64 = 0
    private var lastCount: Int64?
    private var sameSince: Timestamp?
    private var isBroken = false

    init(_ limits: Limits) { self.limits = limits }

    /// What was counted so far, in whole µJ, rounded down.
    var microjoules: Int64 { Int64(clamping: halfPicojoules / 2_000_000) }

    /// Takes the power at an instant.
    mutating func take(microwatts power: Int64, at time: Timestamp) -> Verdict {
        guard power >= 0, power <= limits.maximum.microwatts, power > 0 || limits.isZeroPossible else {
            isBroken = true
            return .impossible
        }
        guard let last = self.time else {
            begin(power, at: time)
            return .first
        }
        guard time > last else { return .old }
        if power == lastPower, lastCount == nil, let limit = limits.longestRepeat, let sameSince, time - sameSince > limit {
            isBroken = true
            return .standsStill
        }
        let step = time - last
        let isCounted = !isBroken && lastCount == nil && step <= limits.longestStep
        if isCounted { halfPicojoules += (Int128(lastPower) + Int128(power)) * Int128(step.count) }
        let since = power == lastPower && isCounted ? sameSince : nil
        begin(power, at: time)
        if let since { sameSince = since }
        return isCounted ? .counted : .afterGap
    }

    /// Takes the count of a counter of µJ at an instant. A counter knows of any time, however long; one that fell began anew.
    mutating func take(microjoules count: Int64, at time: Timestamp) -> Verdict {
        guard count >= 0 else {
            isBroken = true
            return .impossible
        }
        guard let last = self.time else {
            begin(0, at: time, count: count)
            return .first
        }
        guard time > last else { return .old }
        guard let lastCount, !isBroken, count >= lastCount else {
            begin(0, at: time, count: count)
            return .afterGap
        }
        // A second more: a counter that is refreshed now and then brings the energy of a little before the last reading.
        let most = limits.maximum.microjoules(over: time - last + .seconds(1))
        guard Double(count - lastCount) <= most else {
            begin(0, at: time, count: count)
            return .afterGap
        }
        halfPicojoules += Int128(count - lastCount) * 2_000_000
        begin(0, at: time, count: count)
        return .counted
    }

    /// The sensor was asked and had no value: the time around this is a gap.
    mutating func miss() { isBroken = true }

    private mutating func begin(_ power: Int64, at time: Timestamp, count: Int64? = nil) {
        self.time = time
        lastPower = power
        lastCount = count
        sameSince = time
        isBroken = false
    }
}
