/// Turns raw readings of a counter that wraps into a count that only grows.
///
/// One per zone, before any summing: sums of wrapping counters wrap at no modulus at all.
public struct CounterUnwrapping: Sendable {
    /// The number of distinct values of the counter, in its unit; nil for one that cannot wrap in practice (64 bits).
    public let modulus: Int64?
    /// The largest rate the counter can grow at, in its unit per µs (W for energy in µJ).
    public let maximumRate: Double
    /// Whether an increase far beyond what the rate allows is a gap: a driver was loaded anew and the fall of its count looks like a
    /// wrap, or the hardware has said nonsense. Counts of CPU time have no such bound: processors are plugged in.
    public let isRateBinding: Bool

    public private(set) var lastRaw: Int64?
    public private(set) var lastTime: Timestamp?

    public enum Increase: Hashable, Sendable {
        /// The first reading: nothing to compare with.
        case first
        case exactly(Int64)
        /// The increase lies between the two, both included.
        case between(low: Int64, high: Int64, cause: Gap.Cause)
    }

    public init(
        modulus: Int64?,
        maximumRate: Double,
        isRateBinding: Bool = true,
        lastRaw: Int64? = nil,
        lastTime: Timestamp? = nil
    ) {
        self.modulus = modulus
        self.maximumRate = maximumRate
        self.isRateBinding = isRateBinding
        self.lastRaw = lastRaw
        self.lastTime = lastTime
    }

    /// The modulus of a powercap zone from its `max_energy_range_uj`.
    ///
    /// Powercap reports the largest value, not the modulus: the register has 32 bits of a unit of `range / (2^32 - 1)` µJ, so the
    /// modulus is one unit more.
    public static func powercapModulus(maxEnergyRangeMicrojoules range: Int64) -> Int64 {
        let unit = Double(range) / 4_294_967_295
        return range + Int64(saturating: unit.rounded())
    }

    /// Goes on from another reading, whatever was counted before.
    public mutating func goOn(from raw: Int64, at time: Timestamp) {
        lastRaw = raw
        lastTime = time
    }

    /// Takes a reading at a monotonic time. `isSameBoot` is false when the host was booted since the last one.
    ///
    /// Where the time since the last reading suffices for a whole turn of the counter, the increase is ambiguous whichever way
    /// the counter moved, and its limits are returned instead of a guess. So are they where the counter cannot have moved so far.
    public mutating func read(raw: Int64, at time: Timestamp, isSameBoot: Bool = true) -> Increase {
        defer {
            lastRaw = raw
            lastTime = time
        }
        guard let lastRaw, let lastTime else { return .first }
        let elapsed = max(0, Double((time - lastTime).count))
        let most = maximumRate * elapsed
        guard isSameBoot else { return .between(low: 0, high: Int64(saturating: most), cause: .reboot) }
        let (difference, overflow) = raw.subtractingReportingOverflow(lastRaw)
        let reset = Increase.between(low: 0, high: Int64(saturating: most), cause: .reset)
        guard let modulus, !overflow else {
            return difference >= 0 && !overflow && !isBeyondReach(difference, within: elapsed, isFall: false) ? .exactly(difference) : reset
        }
        let delta = (difference % modulus + modulus) % modulus
        let turns = (most / Double(modulus)).rounded(.down)
        guard turns >= 1 else { return isBeyondReach(delta, within: elapsed, isFall: raw < lastRaw) ? reset : .exactly(delta) }
        return .between(low: delta, high: Int64(saturating: Double(delta) + turns * Double(modulus)), cause: .wrap)
    }

    /// Twice the largest rate, because limits that firmware publishes are at times exceeded. Longer by a second where the count
    /// fell, because counters are refreshed and read a little early or late; by ten where it rose, because the reader itself may have
    /// stood still between its look at the clock and the reading.
    private func isBeyondReach(_ increase: Int64, within elapsed: Double, isFall: Bool) -> Bool {
        let slack = isFall ? Microseconds.seconds(1) : .seconds(10)
        return isRateBinding && Double(increase) > 2 * maximumRate * (elapsed + Double(slack.count))
    }
}
