/// Makes energy of samples of power, by trapezoid over the time that really passed between them.
///
/// Whole numbers throughout: half picojoules are added up, so that no rounding drifts however many samples there are. What is not a
/// new and possible value is not integrated: the stretch around it is a gap, never a guess and never the last value once more.
public struct PowerIntegrator: Sendable {
    /// What a sensor can say, and for how long it can be believed.
    public struct Limits: Hashable, Sendable {
        /// A larger value is an error of the sensor.
        public var maximum: Power
        /// False where the thing measured always draws something, so that 0 W means that the sensor has no value.
        public var isZeroPossible: Bool
        /// Samples further apart than this say nothing of the time between them.
        public var longestStep: Microseconds
        /// A value that stays the same to the µW for longer comes from a sensor that stands still; nil where that is no sign.
        public var longestRepeat: Microseconds?

        public init(maximum: Power, isZeroPossible: Bool, longestStep: Microseconds, longestRepeat: Microseconds? = nil) {
            self.maximum = maximum
            self.isZeroPossible = isZeroPossible
            self.longestStep = longestStep
            self.longestRepeat = longestRepeat
        }
    }

    /// What became of a sample.
    public enum Verdict: Hashable, Sendable {
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

    public let limits: Limits
    /// The time of the last good sample.
    public private(set) var time: Timestamp?
    /// In halves of a picojoule: (p0 + p1) x dt, in µW and µs, is twice the energy in pJ.
    private var halfPicojoules: Int128 = 0
    private var lastPower: Int64 = 0
    private var lastCount: Int64?
    private var sameSince: Timestamp?
    private var isBroken = false

    public init(_ limits: Limits) { self.limits = limits }

    /// Where an integrator of samples of power stands, so that another one can go on.
    public struct Standing: Hashable, Sendable {
        public var time: Timestamp
        /// Of the last good sample.
        public var powerMicrowatts: Int64
        /// Counted and too little for a whole µJ, in halves of a picojoule: 0 ..< 2,000,000.
        public var remainderHalfPicojoules: Int64
        /// Since when the power has been the same.
        public var sameSince: Timestamp
        /// The time since the last good sample is not known.
        public var isBroken: Bool

        public init(
            time: Timestamp,
            powerMicrowatts: Int64,
            remainderHalfPicojoules: Int64,
            sameSince: Timestamp,
            isBroken: Bool
        ) {
            self.time = time
            self.powerMicrowatts = powerMicrowatts
            self.remainderHalfPicojoules = remainderHalfPicojoules
            self.sameSince = sameSince
            self.isBroken = isBroken
        }
    }

    /// Nil before the first good sample, and for one that was fed by a counter.
    public var standing: Standing? {
        guard let time, lastCount == nil else { return nil }
        return Standing(
            time: time,
            powerMicrowatts: lastPower,
            remainderHalfPicojoules: Int64(halfPicojoules % 2_000_000),
            sameSince: sameSince ?? time,
            isBroken: isBroken
        )
    }

    /// Counts on from where another integrator stood; the whole µJ counted before are not in it.
    public init(_ limits: Limits, goingOn standing: Standing) {
        self.limits = limits
        time = standing.time
        lastPower = standing.powerMicrowatts
        halfPicojoules = Int128(standing.remainderHalfPicojoules)
        sameSince = standing.sameSince
        isBroken = standing.isBroken
    }

    /// What was counted so far, in whole µJ, rounded down.
    public var microjoules: Int64 { Int64(clamping: halfPicojoules / 2_000_000) }

    /// Takes the power at an instant.
    public mutating func take(microwatts power: Int64, at time: Timestamp) -> Verdict {
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
    public mutating func take(microjoules count: Int64, at time: Timestamp) -> Verdict {
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
    public mutating func miss() { isBroken = true }

    private mutating func begin(_ power: Int64, at time: Timestamp, count: Int64? = nil) {
        self.time = time
        lastPower = power
        lastCount = count
        sameSince = time
        isBroken = false
    }
}
