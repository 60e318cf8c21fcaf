import Energy

/// A sum of slices that knows which of their errors are the same.
///
/// Errors are added per key first and squared over keys last, so that parts which share a meter are wrong together, neighbours cancel at
/// the instant between them, and a difference is free of what both sides have in common. Sums can be added to and taken from one another;
/// the figures have the same digits whatever the order.
public struct UncertainSum: Sendable {
    /// What a figure does when the cause of one key is at its 2.5 % and at its 97.5 % point: a sum over all that it touches.
    struct Effect: Hashable, Sendable {
        var energyDown = FixedPointSum()
        var energyUp = FixedPointSum()
        var gramsDown = FixedPointSum()
        var gramsUp = FixedPointSum()

        mutating func add(energy: (down: Double, up: Double), grams: (down: Double, up: Double)) {
            energyDown += energy.down
            energyUp += energy.up
            gramsDown += grams.down
            gramsUp += grams.up
        }

        mutating func add(_ b: Effect, _ sign: Bool) {
            if sign {
                energyDown += b.energyDown
                energyUp += b.energyUp
                gramsDown += b.gramsDown
                gramsUp += b.gramsUp
            } else {
                energyDown -= b.energyDown
                energyUp -= b.energyUp
                gramsDown -= b.gramsDown
                gramsUp -= b.gramsUp
            }
        }
    }

    /// Amounts that one unknown factor multiplies: all that a meter counted, what is estimated in a gap.
    struct Factor: Hashable, Sendable {
        var energy = FixedPointSum()
        /// Standard deviations of the factor's logarithm, each times its amount.
        var energyError = FixedPointSum()
        var gramsError = FixedPointSum()

        mutating func add(_ energy: Double, _ energyError: Double, _ gramsError: Double) {
            self.energy += energy
            self.energyError += energyError
            self.gramsError += gramsError
        }

        mutating func add(_ b: Factor, _ sign: Bool) {
            if sign {
                energy += b.energy
                energyError += b.energyError
                gramsError += b.gramsError
            } else {
                energy -= b.energy
                energyError -= b.energyError
                gramsError -= b.gramsError
            }
        }
    }

    /// What nobody could estimate: anything from nothing to the most that can have flowed.
    struct Range: Hashable, Sendable {
        var most = FixedPointSum()
        var mostGrams = FixedPointSum()
    }

    /// Parts of one host-hour's component.
    struct Part: Hashable, Sendable {
        var energy = FixedPointSum()
        var grams = FixedPointSum()
        var shared = FixedPointSum()
        var sharedGrams = FixedPointSum()
        /// Share errors, each times its shared energy.
        var error = FixedPointSum()
        /// The same for the same parts, whichever order they came in.
        var digest: UInt64 = 0
        var count: Int64 = 0
        var whole: HourFigures

        /// All that was put in was taken out again.
        var isNothing: Bool { count == 0 && shared.isZero && energy.isZero }

        init(whole: HourFigures) { self.whole = whole }

        mutating func add(_ slice: SliceFigures, _ f: Double, _ g: Double, _ digest: UInt64) {
            energy += f * slice.energy
            grams += f * slice.energy * g
            shared += f * slice.shared
            sharedGrams += f * slice.shared * g
            error += f * slice.shared * slice.shareErrorRatio
            self.digest = f > 0 ? self.digest &+ digest : self.digest &- digest
            count += Int64(f)
            join(slice.whole)
        }

        /// The same hour as another sum saw it; whichever came first.
        mutating func join(_ other: HourFigures) {
            if (other.shared, other.metered, other.ceiling ?? 0) > (whole.shared, whole.metered, whole.ceiling ?? 0) { whole = other }
        }
    }

    struct Ceiling: Hashable, Sendable {
        var most = FixedPointSum()
        var mostGrams = FixedPointSum()
        var error = FixedPointSum()
        var errorGrams = FixedPointSum()
    }

    var effects: [ErrorKey: Effect] = [:]
    var factors: [ErrorKey: Factor] = [:]
    var ranges: [ErrorKey: Range] = [:]
    var parts: [ErrorKey: Part] = [:]
    var best = FixedPointSum()
    var emitted = FixedPointSum()
    var estimated = FixedPointSum()
    var estimatedGrams = FixedPointSum()
    var boundLow = FixedPointSum()
    var boundHigh = FixedPointSum()
    var gramsBoundLow = FixedPointSum()
    var gramsBoundHigh = FixedPointSum()
    var embodiedBest = FixedPointSum()
    var embodied: [ErrorKey: Effect] = [:]
    /// Of errors that nobody else has: J² and µg².
    var ownVariance = FixedPointSum()
    var ownVarianceGrams = FixedPointSum()
    /// Of totals: the hosts' limits with the meters' deviations, and how many said none.
    var ceilings: [ErrorKey: Ceiling] = [:]
    var withoutCeiling: Int64 = 0
    var count: Int64 = 0
    var withoutIntensity: Int64 = 0

    public init() {}

    /// Slices that it holds.
    public var isEmpty: Bool { count == 0 && embodied.isEmpty }

    /// Adds a slice, or takes it out again where the sign is negative.
    public mutating func add(_ slice: SliceFigures, sign: Int = 1) { put(slice, sign >= 0 ? 1 : -1) }

    /// Adds what somebody else has summed.
    public mutating func add(_ total: TotalFigures) {
        let z = ErrorMoments.z95
        count += 1
        if !total.hasIntensity { withoutIntensity += 1 }
        best += total.energy
        emitted += total.grams
        estimated += total.estimated
        estimatedGrams += total.estimated * total.gramsPerMicrojoule
        if total.unestimatedHigh > 0 {
            // Of many hours: one cause for all is the wider.
            addRange(
                .gap(host: total.host, hour: Hour(number: 0), component: total.component),
                total.unestimatedHigh,
                total.unestimatedHigh * total.gramsPerMicrojoule
            )
        }
        boundLow += total.boundLow
        boundHigh += total.boundHigh
        gramsBoundLow += total.gramsBoundLow
        gramsBoundHigh += total.gramsBoundHigh
        factors[.meter(host: total.host, component: total.component), default: Factor()]
            .add(total.energy + total.estimated, total.meterError, total.meterErrorGrams)
        effects[.floor(host: total.host, component: total.component), default: Effect()]
            .add(
                energy: (-z * total.floorError, z * total.floorError),
                grams: (-z * total.floorErrorGrams, z * total.floorErrorGrams)
            )
        for factor in total.factors {
            effects[factor.key, default: Effect()].add(energy: (0, 0), grams: (factor.low - total.grams, factor.high - total.grams))
        }
        if let ceiling = total.ceiling {
            var most = ceilings[.meter(host: total.host, component: total.component)] ?? Ceiling()
            most.most += ceiling
            most.mostGrams += ceiling * total.gramsPerMicrojoule
            most.error += total.hostMeterError
            most.errorGrams += total.hostMeterError * total.gramsPerMicrojoule
            ceilings[.meter(host: total.host, component: total.component)] = most
        } else {
            withoutCeiling += 1
        }
        ownVariance += total.ownVariance / 1e12
        ownVarianceGrams += total.ownVarianceGrams * 1e12
    }

    /// CO2e of making a host, in grams with its 95 % interval, by whatever part of it is charged here.
    public mutating func addEmbodied(host: Int32, best: Double, low: Double, high: Double) {
        embodiedBest += best
        var effect = embodied[.embodied(host: host)] ?? Effect()
        effect.gramsDown += min(0, low - best)
        effect.gramsUp += max(0, high - best)
        embodied[.embodied(host: host)] = effect
    }

    public static func += (a: inout UncertainSum, b: UncertainSum) { a.merge(b, true) }
    public static func + (a: UncertainSum, b: UncertainSum) -> UncertainSum {
        var sum = a
        sum.merge(b, true)
        return sum
    }

    /// - Parameter f: 1 or -1.
    private mutating func put(_ slice: SliceFigures, _ f: Double) {
        let z = ErrorMoments.z95 * f
        let host = slice.host
        let component = slice.component
        let missed = slice.estimated ?? 0
        // Grams per µJ.
        let g = slice.intensity.map { slice.pue.best * $0.best / 3.6e12 } ?? 0
        count += Int64(f)
        if slice.intensity == nil { withoutIntensity += Int64(f) }

        best += f * slice.energy
        emitted += f * slice.energy * g
        estimated += f * missed
        estimatedGrams += f * missed * g
        if slice.estimated == nil, slice.unmeteredHigh > 0 {
            addRange(
                .gap(host: host, hour: slice.hour, component: component),
                f * slice.unmeteredHigh,
                f * slice.unmeteredHigh * g
            )
        }
        boundLow += f * slice.boundLow
        boundHigh += f * slice.boundHigh
        if let intensity = slice.intensity {
            gramsBoundLow += f * slice.boundLow * slice.pue.best * intensity.low / 3.6e12
            gramsBoundHigh += f * slice.boundHigh * slice.pue.best * intensity.high / 3.6e12
        }

        func even(_ key: ErrorKey, _ sigma: Double) {
            guard sigma != 0 else { return }
            effects[key, default: Effect()].add(energy: (-z * sigma, z * sigma), grams: (-z * sigma * g, z * sigma * g))
        }
        // What a factor multiplies; of what nobody could estimate the half.
        let likely =
            slice.estimated ?? min(slice.unmeteredHigh, slice.whole.ceiling.map { max(0, $0 - slice.whole.metered) } ?? .infinity) / 2
        let energy = slice.energy + likely
        let counted = f * (slice.energy + missed)
        let meter = counted * slice.whole.meterErrorRatio
        factors[.meter(host: host, component: component), default: Factor()].add(counted, meter, meter * g)
        even(.floor(host: host, component: component), (slice.idleMoved - slice.errors.floor) * slice.whole.floorErrorRatio)
        even(.edge(host: host, component: component, instant: slice.interval.start), -slice.errors.start)
        even(.edge(host: host, component: component, instant: slice.interval.end), slice.errors.end)
        if let intensity = slice.intensity {
            func scale(_ key: ErrorKey, _ best: Double, _ low: Double, _ high: Double) {
                guard best > 0, low < high else { return }
                let grams = f * energy * g
                effects[key, default: Effect()].add(energy: (0, 0), grams: (grams * (low / best - 1), grams * (high / best - 1)))
            }
            scale(slice.pue.key, slice.pue.best, slice.pue.low, slice.pue.high)
            scale(intensity.key, intensity.best, intensity.low, intensity.high)
        }
        if missed > 0 {
            let error = missed * GapAccuracy.logErrorRatio(deviation: slice.errors.gap, of: missed)
            factors[.gap(host: host, hour: slice.hour, component: component), default: Factor()].add(f * missed, f * error, f * error * g)
        }
        let key = ErrorKey.share(host: host, hour: slice.hour, component: component)
        let digest = Self.digest(slice.member, slice.interval)
        parts[key, default: Part(whole: slice.whole)].add(slice, f, g, digest)
        if parts[key]?.isNothing == true { parts[key] = nil }
    }

    private mutating func addRange(_ key: ErrorKey, _ most: Double, _ grams: Double) {
        var range = ranges[key] ?? Range()
        range.most += most
        range.mostGrams += grams
        ranges[key] = range
    }

    /// Adds all of another sum, or takes it out.
    private mutating func merge(_ b: UncertainSum, _ sign: Bool) {
        func add(_ x: inout FixedPointSum, _ y: FixedPointSum) { if sign { x += y } else { x -= y } }
        for (key, effect) in b.effects { effects[key, default: Effect()].add(effect, sign) }
        for (key, effect) in b.embodied { embodied[key, default: Effect()].add(effect, sign) }
        for (key, factor) in b.factors { factors[key, default: Factor()].add(factor, sign) }
        for (key, range) in b.ranges {
            var sum = ranges[key] ?? Range()
            add(&sum.most, range.most)
            add(&sum.mostGrams, range.mostGrams)
            ranges[key] = sum
        }
        for (key, part) in b.parts {
            var sum = parts[key] ?? Part(whole: part.whole)
            add(&sum.energy, part.energy)
            add(&sum.grams, part.grams)
            add(&sum.shared, part.shared)
            add(&sum.sharedGrams, part.sharedGrams)
            add(&sum.error, part.error)
            sum.digest = sign ? sum.digest &+ part.digest : sum.digest &- part.digest
            sum.count += sign ? part.count : -part.count
            sum.join(part.whole)
            parts[key] = sum.isNothing ? nil : sum
        }
        add(&best, b.best)
        add(&emitted, b.emitted)
        add(&estimated, b.estimated)
        add(&estimatedGrams, b.estimatedGrams)
        add(&boundLow, b.boundLow)
        add(&boundHigh, b.boundHigh)
        add(&gramsBoundLow, b.gramsBoundLow)
        add(&gramsBoundHigh, b.gramsBoundHigh)
        add(&embodiedBest, b.embodiedBest)
        for (key, ceiling) in b.ceilings {
            var sum = ceilings[key] ?? Ceiling()
            add(&sum.most, ceiling.most)
            add(&sum.mostGrams, ceiling.mostGrams)
            add(&sum.error, ceiling.error)
            add(&sum.errorGrams, ceiling.errorGrams)
            ceilings[key] = sum
        }
        withoutCeiling += sign ? b.withoutCeiling : -b.withoutCeiling
        add(&ownVariance, b.ownVariance)
        add(&ownVarianceGrams, b.ownVarianceGrams)
        count += sign ? b.count : -b.count
        withoutIntensity += sign ? b.withoutIntensity : -b.withoutIntensity
    }

    private static func digest(_ member: Int64, _ interval: Interval) -> UInt64 {
        var z = UInt64(bitPattern: member) &* 0x9E37_79B9_7F4A_7C15
        for part in [interval.start.microseconds, interval.end.microseconds] {
            z = (z ^ UInt64(bitPattern: part)) &* 0xBF58_476D_1CE4_E5B9
            z ^= z >> 29
        }
        return z
    }
}
