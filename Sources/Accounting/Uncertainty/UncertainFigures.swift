import Energy

/// Sums with factors: `1` for a total, `1` and `-1` for a difference.
struct WeightedSums {
    var terms: [(sum: UncertainSum, weight: Double)]

    enum Figure {
        case energy, grams
    }

    /// The moments of the error of the figure, apart by what it is an error of: the energy, the buildings, the grids.
    private struct Groups {
        var energy: [ErrorMoments] = []
        var pue: [ErrorMoments] = []
        var intensity: [ErrorMoments] = []
    }

    /// The share of each key in the error, as a variance in the unit's square.
    func moments(of figure: Figure) -> [(key: ErrorKey, moments: ErrorMoments)] {
        var result: [(key: ErrorKey, moments: ErrorMoments)] = []
        for key in keys(\.effects) {
            var down = 0.0
            var up = 0.0
            for (sum, weight) in terms {
                guard let effect = sum.effects[key] else { continue }
                down += weight * (figure == .energy ? effect.energyDown : effect.gramsDown).value
                up += weight * (figure == .energy ? effect.energyUp : effect.gramsUp).value
            }
            result.append((key, ErrorMoments(down: down, up: up)))
        }
        for key in keys(\.factors) {
            var error = 0.0
            var gross = (energy: 0.0, error: 0.0)
            for (sum, weight) in terms {
                guard let factor = sum.factors[key] else { continue }
                error += weight * (figure == .energy ? factor.energyError : factor.gramsError).value
                gross.energy += abs(factor.energy.value)
                gross.error += abs(factor.energyError.value)
            }
            guard gross.energy > 0, gross.error > 0 else { continue }
            // What is left of a whole once its parts are taken away is off by what they are off by, either way, however little it is.
            if case .meter(_, .rest) = key {
                result.append((key, ErrorMoments(variance: error * error)))
                continue
            }
            let sigma = gross.error / gross.energy
            result.append((key, ErrorMoments(lognormalAround: error / sigma, logSigma: sigma)))
        }
        for key in keys(\.ranges) { result.append((key, rangeMoments(key, figure))) }
        for key in keys(\.parts) { result.append((key, shareMoments(key, figure))) }
        return result
    }

    /// Evenly from nothing to the most.
    private func rangeMoments(_ key: ErrorKey, _ figure: Figure) -> ErrorMoments {
        var most = 0.0
        for (sum, weight) in terms {
            guard let range = sum.ranges[key] else { continue }
            let all = range.most.value
            // Each part may have had everything, but not all of them.
            let part = all > 0 ? min(1, (sum.mostMissed(key) ?? all) / all) : 0
            most += weight * part * (figure == .energy ? range.most : range.mostGrams).value
        }
        return ErrorMoments(mean: most / 2, variance: most * most / 12)
    }

    private func keys<Value>(_ values: (UncertainSum) -> [ErrorKey: Value]) -> Set<ErrorKey> {
        terms.dropFirst().reduce(into: Set(terms.first.map { values($0.sum).keys.map { $0 } } ?? [])) { $0.formUnion(values($1.sum).keys) }
    }

    /// `sigma * s * (1 - s) * D` for the part s that the set has of what an hour shared out; for a difference the like of it, where some
    /// count as 1 and others as -1: the variance of those over the whole, by their range.
    private func shareMoments(_ key: ErrorKey, _ figure: Figure) -> ErrorMoments {
        struct Group {
            var weight: Double
            var share: Double
            var part: UncertainSum.Part
        }
        var groups: [Group] = []
        var whole = 0.0
        for (sum, weight) in terms {
            guard let part = sum.parts[key], part.shared.value > 0 else { continue }
            whole = max(whole, part.whole.shared)
            if let same = groups.firstIndex(where: { $0.part.digest == part.digest && $0.part.shared == part.shared }) {
                groups[same].weight += weight
            } else {
                groups.append(Group(weight: weight, share: 0, part: part))
            }
        }
        groups.removeAll { $0.weight == 0 }
        guard !groups.isEmpty, whole > 0 else { return ErrorMoments() }
        for i in groups.indices { groups[i].share = groups[i].part.shared.value / whole }
        func sigma(_ part: UncertainSum.Part) -> Double { max(0, part.error.value / part.shared.value) }
        func perMicrojoule(_ part: UncertainSum.Part) -> Double { figure == .energy ? 1 : part.sharedGrams.value / part.shared.value }
        if groups.count == 1 {
            let only = groups[0]
            return ErrorMoments(ofShare: only.share, logSigma: sigma(only.part))
                .scaled(by: only.weight * whole * perMicrojoule(only.part))
        }
        // Sets that overlap are taken for apart, which is the wider.
        let all = max(1, groups.reduce(0) { $0 + $1.share })
        var mean = 0.0
        var square = 0.0
        var low = 0.0
        var high = 0.0
        var error = 0.0
        for group in groups {
            let value = group.weight * perMicrojoule(group.part)
            let share = group.share / all
            mean += share * value
            square += share * value * value
            low = min(low, value)
            high = max(high, value)
            error = max(error, sigma(group.part))
        }
        guard high > low else { return ErrorMoments() }
        let deviation = error * whole * max(0, square - mean * mean) / (high - low)
        return ErrorMoments(variance: deviation * deviation)
    }

    private func total(_ value: (UncertainSum) -> FixedPointSum) -> Double { terms.reduce(0) { $0 + $1.weight * value($1.sum).value } }

    var isDifference: Bool { terms.contains { $0.weight < 0 } }

    func estimate(_ figure: Figure) -> Estimate {
        let isEnergy = figure == .energy
        let best = total { isEnergy ? $0.best : $0.emitted }
        let missed = total { isEnergy ? $0.estimated : $0.estimatedGrams }
        var groups = Groups()
        let ranges = keys(\.ranges).map { rangeMoments($0, figure) }
        for (key, moments) in moments(of: figure) {
            switch key {
            case .pue: groups.pue.append(moments)
            case .intensity: groups.intensity.append(moments)
            default: groups.energy.append(moments)
            }
        }
        // A difference has the errors of both sides.
        for (sum, weight) in terms {
            let own = isEnergy ? sum.ownVariance.value * 1e12 : sum.ownVarianceGrams.value / 1e12
            groups.energy.append(ErrorMoments(variance: weight * weight * max(0, own)))
        }
        var energy = Self.sum(groups.energy)
        var pue = Self.sum(groups.pue)
        var intensity = Self.sum(groups.intensity)
        if !isDifference, best + missed > 0 {
            // A factor whose mean is not its best figure makes all that it multiplies larger.
            let pues = 1 + pue.mean / (best + missed)
            let intensities = 1 + intensity.mean / (best + missed)
            energy = energy.scaled(by: max(0, pues * intensities))
            pue = pue.scaled(by: max(0, intensities))
            intensity.variance *= pues * pues
            intensity.third *= pues * pues * pues
        }
        var error = energy + pue + intensity
        // Factors multiply: what two of them do together is small, but not nothing where both are wide.
        let gross = terms.reduce(0) { $0 + abs($1.weight * (isEnergy ? $1.sum.best : $1.sum.emitted).value) } + abs(missed)
        if gross > 0 {
            let pairs =
                energy.variance * pue.variance + energy.variance * intensity.variance + pue.variance * intensity.variance
            error.variance += pairs / (gross * gross)
            error.third += 6 * pairs / (gross * gross) * (best + missed)
        }
        let widest = ranges.map(\.variance).max() ?? 0
        let interval = ErrorInterval(error, even: error.variance > 0 ? widest / error.variance : 0, holding: -missed)
        var low = best + missed + interval.low
        var high = best + missed + interval.high
        var bounds = (low: 0.0, high: 0.0)
        for (sum, weight) in terms {
            let a = weight * (isEnergy ? sum.boundLow : sum.gramsBoundLow).value
            let b = weight * (isEnergy ? sum.boundHigh : sum.gramsBoundHigh).value
            bounds.low += min(a, b)
            bounds.high += max(a, b)
        }
        if !isDifference {
            low = max(0, low)
            if let ceiling = ceiling(figure) { high = min(high, ceiling) }
        }
        return Estimate(
            best: best,
            low: min(best, low),
            high: max(best, high),
            boundLow: min(best, bounds.low),
            boundHigh: max(best, bounds.high)
        )
    }

    /// The high end of all that the hosts used in the hours: no part of it can be more. Nil where one of them is not known.
    private func ceiling(_ figure: Figure) -> Double? {
        guard terms.count == 1, let (sum, weight) = terms.first, sum.withoutCeiling == 0 else { return nil }
        var limits: [Double] = []
        var meters: [ErrorKey: [Double]] = [:]
        for (key, part) in sum.parts {
            guard case .share(let host, _, let component) = key, let ceiling = part.whole.ceiling else { return nil }
            let energy = part.energy.value
            // Grams by the mean of the part's own hour.
            let unit = figure == .energy ? 1 : energy > 0 ? part.grams.value / energy : 0
            limits.append(ceiling * unit)
            meters[.meter(host: host, component: component), default: []].append(part.whole.metered * part.whole.meterErrorRatio * unit)
        }
        for (key, ceiling) in sum.ceilings {
            limits.append((figure == .energy ? ceiling.most : ceiling.mostGrams).value)
            meters[key, default: []].append((figure == .energy ? ceiling.error : ceiling.errorGrams).value)
        }
        guard !limits.isEmpty else { return nil }
        let deviations = meters.values.map { Self.sum($0) }
        let meter = Self.sum(deviations.map { $0 * $0 }).squareRoot()
        let most = Self.sum(limits)
        guard figure == .grams else { return weight * (most + ErrorMoments.z95 * meter) }
        // The factors' part in grams of the sum, carried over to the whole.
        let own = sum.emitted.value
        guard own > 0 else { return nil }
        var factors: [ErrorMoments] = []
        for (key, effect) in sum.effects {
            switch key {
            case .pue, .intensity:
                factors.append(ErrorMoments(down: effect.gramsDown.value, up: effect.gramsUp.value).scaled(by: most / own))
            default: continue
            }
        }
        var all = Self.sum(factors)
        all.variance += meter * meter
        return weight * (most + max(0, all.quantile(ErrorMoments.z95)))
    }

    /// The same digits in any order: the smallest first.
    private static func sum(_ values: [Double]) -> Double { values.sorted().reduce(0, +) }

    private static func sum(_ moments: [ErrorMoments]) -> ErrorMoments {
        ErrorMoments(
            mean: sum(moments.map(\.mean)),
            variance: sum(moments.map(\.variance)),
            third: sum(moments.map(\.third))
        )
    }
}

extension UncertainSum {
    /// The most that flowed while a host-hour's component was not metered, µJ; nil where it is not known.
    fileprivate func mostMissed(_ key: ErrorKey) -> Double? {
        guard case .gap(let host, let hour, let component) = key,
            let whole = parts[.share(host: host, hour: hour, component: component)]?.whole, let ceiling = whole.ceiling
        else { return nil }
        return max(0, ceiling - whole.metered)
    }

    /// The energy of the machines in µJ: `best` is what was metered; the interval and the limits have what was not, too.
    public func energy() -> Estimate { WeightedSums(terms: [(self, 1)]).estimate(.energy) }

    /// CO2e by location in grams; nil where the intensity of a part is not known.
    public func grams() -> Estimate? { withoutIntensity == 0 ? WeightedSums(terms: [(self, 1)]).estimate(.grams) : nil }

    /// CO2e of making the machines in grams; nil where nothing is known of any.
    public func embodiedGrams() -> Estimate? {
        guard !embodied.isEmpty else { return nil }
        let parts = embodied.values.map { ErrorMoments(down: $0.gramsDown.value, up: $0.gramsUp.value) }
        let error = ErrorMoments(
            mean: parts.map(\.mean).sorted().reduce(0, +),
            variance: parts.map(\.variance).sorted().reduce(0, +),
            third: parts.map(\.third).sorted().reduce(0, +)
        )
        let best = embodiedBest.value
        let interval = ErrorInterval(error, holding: 0)
        let low = max(0, best + interval.low)
        let high = best + interval.high
        // Nobody states limits that must hold; from nothing to what the sources say at most is the nearest.
        return Estimate(
            best: best,
            low: low,
            high: high,
            boundLow: min(low, best + embodied.values.reduce(0) { $0 + $1.gramsDown.value }),
            boundHigh: max(high, best + embodied.values.reduce(0) { $0 + $1.gramsUp.value })
        )
    }

    /// The standard deviation of the energy that each cause has, µJ, the largest first: what to mend for a narrower interval.
    public func energyErrors() -> [(key: ErrorKey, microjoules: Double)] {
        WeightedSums(terms: [(self, 1)]).moments(of: .energy)
            .map { ($0.key, max(0, $0.moments.variance).squareRoot()) }
            .filter { $0.1 > 0 }
            .sorted { ($0.1, $0.0.name) > ($1.1, $1.0.name) }
    }
}

/// One sum against another, free of the errors that both have.
public struct UncertainComparison: Sendable {
    /// `a - b`, µJ.
    public var energy: Estimate
    /// `a - b`, grams; nil where an intensity is not known.
    public var grams: Estimate?
    /// `a / b - 1` of the energy, each by its amount of work; nil where b is nothing.
    public var relative: Estimate?

    /// - Parameters:
    ///   - a: what is looked at, with the amount of work that it did.
    ///   - b: what it is held against.
    public init(_ a: UncertainSum, work workOfA: Double = 1, _ b: UncertainSum, work workOfB: Double = 1) {
        let x = workOfA > 0 ? 1 / workOfA : 1
        let y = workOfB > 0 ? 1 / workOfB : 1
        let difference = WeightedSums(terms: [(a, x), (b, -y)])
        energy = difference.estimate(.energy)
        grams = a.withoutIntensity == 0 && b.withoutIntensity == 0 ? difference.estimate(.grams) : nil
        let base = b.best.value * y
        guard base > 0 else {
            relative = nil
            return
        }
        // To first order a factor that both share leaves their ratio alone.
        let ratio = a.best.value * x / base
        let scaled = WeightedSums(terms: [(a, x), (b, -y * ratio)]).estimate(.energy).scaled(by: 1 / base)
        relative = Estimate(
            best: ratio - 1,
            low: max(-1, ratio - 1 + scaled.low),
            high: ratio - 1 + scaled.high,
            boundLow: max(-1, b.boundHigh.value > 0 ? a.boundLow.value * x / (b.boundHigh.value * y) - 1 : -1),
            boundHigh: b.boundLow.value > 0 ? a.boundHigh.value * x / (b.boundLow.value * y) - 1 : .infinity
        )
    }

    /// Whether the two differ by more than their doubt.
    public var isSignificant: Bool { energy.low > 0 || energy.high < 0 }
}

/// `a - b` with the errors that both share taken out.
public func comparison(_ a: UncertainSum, _ b: UncertainSum) -> UncertainComparison { UncertainComparison(a, b) }
