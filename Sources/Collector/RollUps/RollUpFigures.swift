import Accounting
import Carbon
import Energy
import Store

/// What one group's jobs cost in one bucket, with the errors that they share with others.
struct RollUpFigures: Sendable {
    var dynamic: Int128 = 0
    var idle: Int128 = 0
    /// Time of slices, and of it what was metered, by component.
    var time: [Component: (whole: Int64, metered: Int64)] = [:]
    /// Dynamic and idle together.
    var byMethod: [ShareMethod: Int128] = [:]
    var modelled: Int128 = 0
    var estimated: Int128 = 0
    var quality = Quality.measured
    var isSimulated = false
    /// Part of it is of hours that may still move.
    var isOpen = false
    /// By the grid of each place. Its grams count where all of them are of one basis.
    var uncertain = UncertainSum()
    /// The same for each basis: figures of two are never in one sum.
    var byBasis: [String: UncertainSum] = [:]
    var sources: Set<Source> = []
    /// By what the sites have bought; never in one sum with the other. Nil where that of a part is not known.
    var market: UncertainSum? = UncertainSum()
    /// Of the machines' energy; nil where that of a part is not known.
    var waterLitres: Double? = 0
    /// Of making the machines, for the time they were reserved; nil where that of a part is not known.
    var embodied: CO2eRange? = .zero
    var jobs: RollUpJobs?
    /// Made in this time: by unit.
    var units: [String: Double] = [:]

    /// Where intensities are from.
    struct Source: Hashable, Sendable {
        var zone: String
        var provider: String
        var kind: String
        var basis: String
    }

    /// By the grid of each place; nil where that of a part is not known, or they are of several bases.
    var locationGrams: Estimate? { byBasis.count > 1 ? nil : uncertain.grams() }

    var energy: Int128 { dynamic + idle }
    var hasEnergy: Bool { !time.isEmpty }

    /// Metered part of the jobs' time, 0...1, of the component with the least; nil where there is none.
    var coverage: Double? {
        let unmetered = jobs?.unmetered.count ?? 0
        let parts = time.values.filter { $0.whole > 0 }.map { Double($0.metered) / Double($0.whole + unmetered) }
        return parts.min().map { min(1, $0) } ?? (unmetered > 0 ? 0 : nil)
    }

    /// - Parameter site: of the host.
    mutating func add(_ part: RollUpPart, stretch: RollUpStretch, policy: Policy, site: String?) {
        dynamic += part.dynamic
        idle += part.idle
        time[part.component, default: (0, 0)].whole += part.time.count
        time[part.component, default: (0, 0)].metered += part.metered.count
        for (method, energy) in zip(ShareMethod.allCases, part.byMethod) where energy != 0 { byMethod[method, default: 0] += energy }
        modelled += part.modelled
        estimated += part.estimated
        quality = max(quality, part.quality)
        isSimulated = isSimulated || part.isSimulated
        Self.add(part, part.intensities, stretch, policy, site, to: &uncertain)
        if let own = part.intensities, part.energy > 0 {
            sources.insert(Source(zone: own.zone, provider: own.provider, kind: own.kind, basis: own.basis))
            Self.add(part, own, stretch, policy, site, to: &byBasis[own.basis, default: UncertainSum()])
        }
        if part.energy > 0 {
            if part.market == nil { market = nil }
            waterLitres = waterLitres.flatMap { sum in part.waterLitres.map { sum + $0 } }
        }
        if var sum = market.take() {
            Self.add(part, part.market, stretch, policy, site, to: &sum)
            market = sum
        }
        embodied = embodied.flatMap { sum in part.embodied.map { sum + $0 } }
    }

    private static func add(
        _ part: RollUpPart,
        _ intensities: RollUpPart.Intensities?,
        _ stretch: RollUpStretch,
        _ policy: Policy,
        _ site: String?,
        to sum: inout UncertainSum
    ) {
        let pue = PUEFigure(intensities?.pue ?? 1, site: site, host: part.hostID)
        if stretch == .hour { addHour(part, intensities, pue, policy, to: &sum) } else { addStretch(part, intensities, pue, to: &sum) }
    }

    /// An hour: its shares, gaps and edges keep their keys.
    private static func addHour(
        _ part: RollUpPart,
        _ intensities: RollUpPart.Intensities?,
        _ pue: PUEFigure,
        _ policy: Policy,
        to sum: inout UncertainSum
    ) {
        let energy = Double(part.energy)
        let shared = Double(part.dynamic) + (policy == .busy ? Double(part.idle) : 0)
        let total = energy + Double(part.estimated)
        let intensity = intensities.map(IntensityFigure.init)
        var figures = SliceFigures(
            Slice(nothingOf: part.component, at: part.start),
            host: part.hostID,
            hour: part.start.hour,
            policy: policy,
            // The floor's error is given as it is; a sum has no one ratio.
            whole: HourFigures(
                meterErrorRatio: total > 0 ? part.meterError / total : 0,
                floorErrorRatio: 1,
                shared: part.wholeShared,
                metered: part.wholeMetered,
                ceiling: part.ceiling
            ),
            pue: pue,
            intensity: intensity
        )
        figures.energy = energy
        figures.shared = shared
        figures.shareErrorRatio = shared > 0 ? part.shareWeight / shared : 0
        figures.errors.floor = -part.floorError
        figures.errors.gap = part.gapError
        figures.estimated = Double(part.estimated)
        sum.add(figures)

        // The limits, with intensities of their own: those of each piece of the hour went with that piece's.
        figures.energy = 0
        figures.shared = 0
        figures.errors = SliceErrors()
        figures.estimated = part.unestimatedHigh > 0 ? nil : 0
        figures.unmeteredHigh = part.unestimatedHigh
        figures.boundLow = part.boundLow
        figures.boundHigh = part.boundHigh
        if let intensities, var own = intensity {
            let grams = intensities.boundGrams(own)
            func perKilowattHour(_ grams: Double, _ bound: Double) -> Double { bound > 0 ? grams / bound * 3.6e12 / pue.best : 0 }
            own.low = perKilowattHour(grams.low, part.boundLow)
            own.high = perKilowattHour(grams.high, part.boundHigh)
            figures.intensity = own
        }
        sum.add(figures)
    }

    /// A day or a month: what is a single hour's own is one variance.
    private static func addStretch(
        _ part: RollUpPart,
        _ intensities: RollUpPart.Intensities?,
        _ pue: PUEFigure,
        to sum: inout UncertainSum
    ) {
        var total = TotalFigures(host: part.hostID, component: part.component)
        total.energy = Double(part.energy)
        total.boundLow = part.boundLow
        total.boundHigh = part.boundHigh
        total.estimated = Double(part.estimated)
        total.unestimatedHigh = part.unestimatedHigh
        total.meterError = part.meterError
        total.floorError = part.floorError
        total.ownVariance = part.shareVariance + part.gapError * part.gapError
        total.ceiling = part.ceiling
        total.hostMeterError = part.wholeMeterError
        if let intensities {
            let intensity = IntensityFigure(intensities)
            let unit = pue.best * intensity.best / 3.6e12
            let limits = intensities.boundGrams(intensity)
            total.hasIntensity = true
            total.grams = total.energy * unit
            total.gramsBoundLow = limits.low
            total.gramsBoundHigh = limits.high
            total.meterErrorGrams = total.meterError * unit
            total.floorErrorGrams = total.floorError * unit
            total.ownVarianceGrams = total.ownVariance * unit * unit
            total.factors = [(pue.key, total.grams * pue.low / pue.best, total.grams * pue.high / pue.best)]
            if intensity.best > 0 {
                total.factors.append(
                    (intensity.key, total.grams * intensity.low / intensity.best, total.grams * intensity.high / intensity.best)
                )
            }
        }
        sum.add(total)
    }

    mutating func add(_ edge: RollUpEdge, policy: Policy) {
        Self.add(edge, grams: edge.grams, policy, to: &uncertain)
        if let basis = edge.basis, var sum = byBasis.removeValue(forKey: basis) {
            Self.add(edge, grams: edge.grams, policy, to: &sum)
            byBasis[basis] = sum
        }
        if var sum = market.take() {
            Self.add(edge, grams: edge.marketGrams, policy, to: &sum)
            market = sum
        }
    }

    private static func add(_ edge: RollUpEdge, grams: Double, _ policy: Policy, to sum: inout UncertainSum) {
        guard let instant = edge.instant else {
            var total = TotalFigures(host: edge.hostID, component: edge.component)
            total.ownVariance = edge.microjoules * edge.microjoules
            total.ceiling = 0
            total.hasIntensity = true
            total.ownVarianceGrams = grams * grams
            sum.add(total)
            return
        }
        var slice = Slice(nothingOf: edge.component, at: instant)
        slice.errors.end = edge.microjoules
        let key = ErrorKey.edge(host: edge.hostID, component: edge.component, instant: instant)
        let unit = edge.microjoules == 0 ? 0 : grams / edge.microjoules * 3.6e12
        sum.add(
            SliceFigures(
                slice,
                host: edge.hostID,
                hour: edge.start.hour,
                policy: policy,
                whole: HourFigures(meterErrorRatio: nil, floorErrorRatio: nil, shared: 0, metered: 0, ceiling: 0),
                pue: PUEFigure(key: key, best: 1, low: 1, high: 1),
                intensity: IntensityFigure(key: key, best: unit, low: unit, high: unit)
            )
        )
    }

    /// A slice of an hour that was computed just now.
    mutating func add(
        _ row: SliceRow,
        of whole: ComponentAccounts,
        hostID: Int32,
        policy: Policy,
        site: String?,
        terms: HostTerms.Stretch,
        isSimulated: Bool
    ) {
        let slice = row.slice
        let moved = slice.idle[policy]
        dynamic += Int128(slice.dynamic)
        idle += Int128(moved)
        time[slice.component, default: (0, 0)].whole += slice.interval.duration.count
        time[slice.component, default: (0, 0)].metered += slice.metered.count
        byMethod[slice.shareMethod, default: 0] += Int128(slice.dynamic + moved)
        if slice.quality == .modelled { modelled += Int128(slice.dynamic + moved) }
        estimated += Int128(slice.estimated ?? 0)
        quality = max(quality, slice.quality)
        self.isSimulated = self.isSimulated || isSimulated
        isOpen = true
        var figures = SliceFigures(
            slice,
            host: hostID,
            hour: row.hour,
            policy: policy,
            whole: HourFigures(whole, policy: policy),
            pue: PUEFigure(row.pue, site: site, host: hostID),
            intensity: row.intensity.map { IntensityFigure($0.value) }
        )
        uncertain.add(figures)
        if let own = row.intensity?.value, figures.energy > 0 {
            let basis = own.basis.description
            sources.insert(Source(zone: own.zone, provider: own.provider, kind: own.kind.rawValue, basis: basis))
            byBasis[basis, default: UncertainSum()].add(figures)
        }
        if let intensity = terms.marketIntensity {
            figures.intensity = IntensityFigure(intensity)
            market?.add(figures)
        } else if figures.energy > 0 {
            market = nil
        }
        if figures.energy > 0 {
            let energy = ITEnergy(kilowattHours: figures.energy / 3.6e12)
            waterLitres = waterLitres.flatMap { sum in terms.water.map { sum + $0.litres(of: energy) } }
        }
        if slice.reservedMicroseconds == nil { embodied = nil }
        if let reserved = slice.reservedMicroseconds, reserved > 0 {
            let hours = reserved / Double(Microseconds.hour.count)
            embodied = embodied.flatMap { sum in terms.embodiedPerHour.map { sum + $0 * hours } }
        }
    }
}

extension Slice {
    /// A slice without energy: what is known of it is put in afterwards.
    fileprivate init(nothingOf component: Component, at instant: Timestamp) {
        self.init(
            spanID: 0,
            component: component,
            interval: Interval(instant, instant),
            dynamic: 0,
            idle: IdleMoved(),
            bounds: SliceBounds(),
            metered: .zero,
            meanShare: 0,
            shareMethod: .measured,
            quality: .measured
        )
        estimated = 0
    }
}

extension RollUpPart.Intensities {
    /// Whether their source states no limits, but for what rounding leaves.
    fileprivate var isExact: Bool { high - low <= best * 1e-9 }

    /// - Parameter figure: with the limits of its kind where the source states none; in every hour alike.
    fileprivate func boundGrams(_ figure: IntensityFigure) -> (low: Double, high: Double) {
        guard isExact, figure.best > 0 else { return (boundLowGrams, boundHighGrams) }
        return (boundLowGrams * figure.low / figure.best, boundHighGrams * figure.high / figure.best)
    }
}

extension IntensityFigure {
    fileprivate init(_ mean: RollUpPart.Intensities) {
        self.init(
            Intensity(
                zone: mean.zone,
                gramsPerKilowattHour: mean.best,
                low: mean.isExact ? mean.best : mean.low,
                high: mean.isExact ? mean.best : mean.high,
                kind: Intensity.Kind(rawValue: mean.kind) ?? .yearly,
                basis: Intensity.Basis(scope: "", signal: "", side: ""),
                provider: mean.provider,
                year: 0
            )
        )
    }
}
