public import Carbon
public import Energy

/// What an amount of energy emits that somebody says was used, or will be, over a stretch of time: no meter of ours saw it.
///
/// The power is taken as even. Errors go by what they belong to, as everywhere: the energy has one, the building one, and each kind of figure
/// of a zone one, so that the same hour in four pieces is as uncertain as in one.
public struct CarbonEstimate: Hashable, Sendable {
    public enum Method: Hashable, Sendable {
        /// To the second order, at once.
        case analytical
        /// Quantiles of so many draws. The same seed gives the same digits.
        case monteCarlo(draws: Int, seed: UInt64)
    }

    /// Energy that is not measured here.
    public struct Amount: Hashable, Sendable {
        /// Of the machines, without the building: µJ.
        public var microjoules: Double
        /// Standard deviation as a part of it; nil where nobody knows, which counts as the largest default.
        public var errorRatio: Double?

        public init(microjoules: Double, errorRatio: Double? = nil) {
            self.microjoules = microjoules
            self.errorRatio = errorRatio
        }
    }

    /// Of the machines, µJ.
    public let energy: Estimate
    /// Of machines and building, µJ.
    public let facilityMicrojoules: Double
    /// CO2e in grams; nil where the intensity of a part of the time is not known: that is not 0.
    public let grams: Estimate?
    /// What the power meets on average, g/kWh; nil as above.
    public let gramsPerKilowattHour: Double?
    /// How much of the time has an intensity, 0 to 1.
    public let coverage: Double
    public let basis: Intensity.Basis?
    /// From the best on, those that count in it.
    public let kinds: [Intensity.Kind]

    /// - Parameters:
    ///   - amount: 0 or more.
    ///   - interval: an empty one is an instant: what counts there counts for all.
    ///   - pue: of the building.
    public init(_ amount: Amount, over interval: Interval, in curve: IntensityCurve, pue: PUEFigure, method: Method = .analytical) {
        let microjoules = max(0, amount.microjoules)
        let whole = interval.isEmpty ? Interval(interval.start, interval.start + Microseconds(1)) : interval
        let pieces = curve.pieces(within: whole)
        let known = pieces.reduce(0) { $0 + $1.interval.duration.count }
        coverage = Double(known) / Double(whole.duration.count)
        let isKnown = known == whole.duration.count
        let parts = isKnown ? pieces.map { ($0.interval, Optional($0.intensity)) } : [(whole, nil)]
        let slices = parts.enumerated().map { index, part in
            SliceFigures(
                stated: microjoules * Double(part.0.duration.count) / Double(whole.duration.count),
                of: microjoules,
                errorRatio: amount.errorRatio,
                over: part.0,
                member: Int64(index),
                pue: pue,
                intensity: part.1.map { IntensityFigure($0) }
            )
        }
        switch method {
        case .analytical:
            var sum = UncertainSum()
            for slice in slices { sum.add(slice) }
            energy = sum.energy()
            grams = isKnown ? sum.grams() : nil
        case .monteCarlo(let draws, let seed):
            let drawn = MonteCarlo(draws: draws, seed: seed).estimates(of: slices)
            energy = drawn.energy
            grams = isKnown ? drawn.grams : nil
        }
        facilityMicrojoules = microjoules * pue.best
        gramsPerKilowattHour = isKnown ? curve.mean(over: whole)?.gramsPerKilowattHour : nil
        basis = curve.basis
        kinds = Intensity.Kind.allCases.filter { kind in pieces.contains { $0.intensity.kind == kind } }
    }
}

extension SliceFigures {
    /// A part of an amount of energy that somebody stated.
    ///
    /// - Parameters:
    ///   - energy: µJ.
    ///   - whole: the amount that it is a part of, µJ.
    ///   - errorRatio: standard deviation of the amount as a part of it.
    fileprivate init(
        stated energy: Double,
        of whole: Double,
        errorRatio: Double?,
        over interval: Interval,
        member: Int64,
        pue: PUEFigure,
        intensity: IntensityFigure?
    ) {
        host = 0
        hour = interval.start.hour
        component = .cpu
        self.interval = interval
        self.member = member
        self.energy = energy
        shared = 0
        idleMoved = 0
        errors = SliceErrors()
        estimated = 0
        unmeteredHigh = 0
        boundLow = 0
        boundHigh = energy
        shareErrorRatio = 0
        self.whole = HourFigures(meterErrorRatio: errorRatio, floorErrorRatio: 0, shared: 0, metered: whole)
        self.pue = pue
        self.intensity = intensity
    }
}
