public import Carbon
public import Energy

/// What a host-hour's component gave in all: against it a slice is a part.
public struct HourFigures: Hashable, Sendable {
    /// Standard deviation of the meters' own error as a part of what they count.
    public var meterErrorRatio: Double
    /// Standard deviation of the idle floor as a part of it.
    public var floorErrorRatio: Double
    /// All energy that is shared out by use, µJ: the dynamic energy of all accounts (jobs, system, agent, unknown), and under the policy
    /// `busy` the idle that it moves.
    public var shared: Double
    /// All metered energy, µJ.
    public var metered: Double
    /// The most that the meters can have counted and missed together, µJ: a part is never more than the whole. Nil where nobody knows.
    public var ceiling: Double?

    /// - Parameters:
    ///   - meterErrorRatio: nil where it is not known, which counts as the largest default.
    ///   - floorErrorRatio: as above.
    public init(meterErrorRatio: Double?, floorErrorRatio: Double?, shared: Double, metered: Double, ceiling: Double? = nil) {
        self.meterErrorRatio = meterErrorRatio ?? MeterAccuracy.unknown
        self.floorErrorRatio = floorErrorRatio ?? MeterAccuracy.unknownFloor
        self.shared = shared
        self.metered = metered
        self.ceiling = ceiling
    }

    /// As the engine gave it, or the ledger kept it. A ratio of 0 was never found, since no meter is perfect.
    public init(_ accounts: ComponentAccounts, policy: Policy) {
        self.init(
            meterErrorRatio: accounts.meterErrorRatio > 0 ? accounts.meterErrorRatio : nil,
            floorErrorRatio: accounts.floorErrorRatio > 0 ? accounts.floorErrorRatio : nil,
            shared: Double(accounts.jobDynamic + accounts.system + accounts.agent + accounts.unknown)
                + (policy == .busy ? Double(accounts.idleMoved.busy) : 0),
            metered: Double(accounts.metered),
            ceiling: Double(accounts.meteredHigh) + Double(accounts.unmeteredMaximum)
        )
    }
}

/// What a building draws for each unit that its machines draw.
public struct PUEFigure: Hashable, Sendable {
    public var key: ErrorKey
    public var best: Double
    /// Its 95 % interval.
    public var low: Double
    public var high: Double

    public init(key: ErrorKey, best: Double, low: Double, high: Double) {
        self.key = key
        self.best = best
        self.low = min(best, low)
        self.high = max(best, high)
    }

    /// With the default error: a tenth of the overhead either way where the operator said it. Where nobody did, 1 is what the machines
    /// draw themselves, and the high end allows for the overhead of an average building.
    ///
    /// - Parameters:
    ///   - site: the building; `host` where it is not known.
    public init(_ value: Double, site: String?, host: Int32) {
        let key = ErrorKey.pue(site.map { "site \($0)" } ?? "host \(host)")
        if value > 1 {
            let error = ErrorMoments.z95 * PUEAccuracy.overheadErrorRatio * (value - 1)
            self.init(key: key, best: value, low: max(1, value - error), high: value + error)
        } else {
            self.init(key: key, best: value, low: value, high: max(value, PUEAccuracy.average))
        }
    }
}

/// Grams per kWh with the series they are from.
public struct IntensityFigure: Hashable, Sendable {
    public var key: ErrorKey
    /// gCO2e/kWh, with the 95 % interval.
    public var best: Double
    public var low: Double
    public var high: Double

    public init(key: ErrorKey, best: Double, low: Double, high: Double) {
        self.key = key
        self.best = best
        self.low = max(0, min(best, low))
        self.high = max(best, high)
    }

    /// With the limits of its source, else the default of its kind.
    public init(_ intensity: Intensity) {
        let key = ErrorKey.intensity(zone: intensity.zone, provider: intensity.provider, kind: intensity.kind.rawValue)
        let best = intensity.gramsPerKilowattHour
        if intensity.low < best || best < intensity.high {
            self.init(key: key, best: best, low: intensity.low, high: intensity.high)
        } else {
            let factor = ElementaryFunctions.exp(ErrorMoments.z95 * intensity.kind.errorRatio)
            self.init(key: key, best: best, low: best / factor, high: best * factor)
        }
    }
}

/// A slice's energy under a policy with everything that its errors need. Also any other part of a host-hour (an account, a whole), which
/// is a slice with a share of its own.
public struct SliceFigures: Sendable {
    public var host: Int32
    public var hour: Hour
    public var component: Component
    public var interval: Interval
    /// Tells parts of an hour from one another: the span.
    public var member: Int64
    /// Under the policy, µJ.
    public var energy: Double
    /// The part of `energy` that was shared out by use, µJ.
    public var shared: Double
    /// Idle that the policy moved to it, µJ.
    public var idleMoved: Double
    public var errors: SliceErrors
    /// What it used while it was not metered, µJ, beside `energy`; nil where nobody can say.
    public var estimated: Double?
    /// The most that it can have used while it was not metered, µJ.
    public var unmeteredHigh: Double
    /// Hard limits of `energy` and what was not metered, µJ.
    public var boundLow: Double
    public var boundHigh: Double
    /// Standard deviation of the logarithm of its odds against the rest of the hour.
    public var shareErrorRatio: Double
    public var whole: HourFigures
    public var pue: PUEFigure
    public var intensity: IntensityFigure?

    public init(
        _ slice: Slice,
        host: Int32,
        hour: Hour,
        policy: Policy,
        whole: HourFigures,
        pue: PUEFigure,
        intensity: IntensityFigure?
    ) {
        self.host = host
        self.hour = hour
        component = slice.component
        interval = slice.interval
        member = slice.spanID
        let moved = slice.idle[policy]
        energy = Double(slice.dynamic + moved)
        shared = Double(slice.dynamic) + (policy == .busy ? Double(moved) : 0)
        idleMoved = Double(moved)
        errors = slice.errors
        estimated = slice.estimated(under: policy).map(Double.init)
        // As it was kept it is of the default policy's.
        if let kept = slice.estimated, kept > 0, let estimated { errors.gap *= estimated / Double(kept) }
        unmeteredHigh = slice.bounds.unmeteredHigh
        let limits = slice.bounds.limits(policy: policy, idle: slice.idle)
        boundLow = min(energy, limits.low)
        boundHigh = max(energy, limits.high)
        shareErrorRatio = slice.shareMethod.errorRatio
        self.whole = whole
        self.pue = pue
        self.intensity = intensity
    }

    /// An account of a host-hour's component: `system`, `idle`, all of it.
    ///
    /// - Parameters:
    ///   - shared: the part of it that was shared out by use, µJ: nothing for `idle`, the dynamic energy for the whole.
    ///   - member: tells accounts from one another and from spans; below 0.
    public init(
        account energy: Double,
        shared: Double,
        of accounts: ComponentAccounts,
        member: Int64,
        host: Int32,
        hour: Hour,
        whole: HourFigures,
        pue: PUEFigure,
        intensity: IntensityFigure?
    ) {
        self.host = host
        self.hour = hour
        component = accounts.component
        interval = hour.interval
        self.member = member
        self.energy = energy
        self.shared = shared
        idleMoved = max(0, energy - shared)
        errors = SliceErrors()
        // All of the floor is in the idle account; what is shared out by use lacks its part of it.
        let part = whole.shared > 0 ? shared / whole.shared : 0
        errors.floor = part * Double(accounts.idle)
        let missed = Double(accounts.unmeteredMaximum) * (whole.metered > 0 ? energy / whole.metered : 1)
        // At the mean power of the rest of the hour, where that is most of it.
        let gone = accounts.unmetered.count
        let length = Microseconds.hour.count
        estimated = missed > 0 ? gone * 2 <= length ? energy * Double(gone) / Double(length - gone) : nil : 0
        unmeteredHigh = missed
        boundLow = whole.metered > 0 ? energy * Double(accounts.meteredLow) / whole.metered : 0
        boundHigh = (whole.metered > 0 ? energy * Double(accounts.meteredHigh) / whole.metered : 0) + missed
        shareErrorRatio = ShareMethod.measured.errorRatio
        self.whole = whole
        self.pue = pue
        self.intensity = intensity
    }
}
