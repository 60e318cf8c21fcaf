import Energy

/// The figures of `UncertainSum` by drawing every cause many times: slow, and right where products and skewed errors make the analytical
/// form an approximation. The same seed gives the same digits.
public struct MonteCarlo: Sendable {
    public var draws: Int
    public var seed: UInt64

    /// - Parameter draws: at least 200,000 for intervals that repeat to about 0.5 % of their width.
    public init(draws: Int = 200_000, seed: UInt64 = 1) {
        self.draws = max(1_000, draws)
        self.seed = seed
    }

    /// Energy in µJ and CO2e in grams of the slices together, as `UncertainSum` would give them.
    public func estimates(of slices: [SliceFigures]) -> (energy: Estimate, grams: Estimate?) {
        var sum = UncertainSum()
        for slice in slices { sum.add(slice) }
        let model = Model(slices)
        var random = NormalDraws(seed: seed)
        var energies: [Double] = []
        var grams: [Double] = []
        energies.reserveCapacity(draws)
        grams.reserveCapacity(draws)
        var latent = [Double](repeating: 0, count: model.causes)
        for _ in 0..<draws {
            for i in latent.indices { latent[i] = random.next() }
            let (energy, mass) = model.figures(latent)
            energies.append(energy)
            grams.append(mass)
        }
        func interval(_ values: inout [Double], _ estimate: Estimate) -> Estimate {
            values.sort()
            var result = estimate
            let drawn = ErrorInterval(ofSorted: values, holding: estimate.best)
            result.low = max(0, drawn.low)
            result.high = drawn.high
            return result
        }
        let energy = interval(&energies, sum.energy())
        let mass = sum.grams().map { interval(&grams, $0) }
        return (energy, mass)
    }

    /// Slices as sums over independent standard normal causes.
    private struct Model {
        struct Term {
            var linear: [(cause: Int, sigma: Double)] = []
            var energy = 0.0
            var missed = 0.0
            var gap: (cause: Int, logSigma: Double)?
            /// Of the meter, on all that it counted and on what is estimated by it.
            var meter = (cause: 0, sigma: 0.0, isLognormal: true)
            /// Its part of what its hour's set may have too much or too little.
            var share: (set: Int, part: Double)
            var perMicrojoule = 0.0
            var factors: [(cause: Int, error: SkewedError)] = []
        }
        /// The slices of one host-hour's component.
        struct Union {
            var cause: Int
            var share: Double
            var sigma: Double
            var whole: Double
            var mean = 0.0
        }
        var causes = 0
        private var terms: [Term] = []
        private var unions: [Union] = []

        init(_ slices: [SliceFigures]) {
            var index: [ErrorKey: Int] = [:]
            func cause(_ key: ErrorKey, _ count: inout Int) -> Int {
                if let known = index[key] { return known }
                index[key] = count
                count += 1
                return count - 1
            }
            func key(_ slice: SliceFigures) -> ErrorKey { .share(host: slice.host, hour: slice.hour, component: slice.component) }
            var sets: [ErrorKey: Int] = [:]
            let byHour = Dictionary(grouping: slices, by: key)
            for slice in slices where sets[key(slice)] == nil {
                let all = byHour[key(slice)] ?? []
                let shared = all.reduce(0) { $0 + $1.shared }
                let error = all.reduce(0) { $0 + $1.shared * $1.shareErrorRatio }
                let whole = all.map(\.whole.shared).max() ?? 0
                var union = Union(
                    cause: cause(key(slice), &causes),
                    share: whole > 0 ? min(1, shared / whole) : 1,
                    sigma: shared > 0 ? error / shared : 0,
                    whole: whole
                )
                // Around its mean, as the analytical form has it.
                let steps = -16...16
                union.mean = steps.reduce(0) {
                    let z = Double($1) / 2
                    return $0 + 0.199_471_140_200_716_35 * ElementaryFunctions.exp(-z * z / 2) * Self.shift(union, z)
                }
                sets[key(slice)] = unions.count
                unions.append(union)
            }
            for slice in slices {
                let set = sets[key(slice)] ?? 0
                let shared = (byHour[key(slice)] ?? []).reduce(0) { $0 + $1.shared }
                var term = Term(share: (set, shared > 0 ? slice.shared / shared : 0))
                term.energy = slice.energy
                term.missed = slice.estimated ?? 0
                func add(_ key: ErrorKey, _ sigma: Double, _ count: inout Int) {
                    if sigma != 0 { term.linear.append((cause(key, &count), sigma)) }
                }
                let (host, component) = (slice.host, slice.component)
                term.meter = (
                    cause(.meter(host: host, component: component), &causes), slice.whole.meterErrorRatio, component != .rest
                )
                add(
                    .floor(host: host, component: component),
                    (slice.idleMoved - slice.errors.floor) * slice.whole.floorErrorRatio,
                    &causes
                )
                add(.edge(host: host, component: component, instant: slice.interval.start), -slice.errors.start, &causes)
                add(.edge(host: host, component: component, instant: slice.interval.end), slice.errors.end, &causes)
                if term.missed > 0 {
                    let logSigma = GapAccuracy.logErrorRatio(deviation: slice.errors.gap, of: term.missed)
                    term.gap = (cause(.gap(host: host, hour: slice.hour, component: component), &causes), logSigma)
                }
                if let intensity = slice.intensity {
                    term.perMicrojoule = slice.pue.best * intensity.best / 3.6e12
                    for (key, best, low, high) in [
                        (slice.pue.key, slice.pue.best, slice.pue.low, slice.pue.high),
                        (intensity.key, intensity.best, intensity.low, intensity.high),
                    ] where low < high && best > 0 {
                        term.factors.append((cause(key, &causes), SkewedError(down: low / best - 1, up: high / best - 1)))
                    }
                }
                terms.append(term)
            }
        }

        /// By how much a part's share grows where its odds grow by `exp(sigma z)`.
        private static func shift(_ union: Union, _ z: Double) -> Double {
            guard union.share > 0, union.share < 1 else { return 0 }
            let odds = union.share * ElementaryFunctions.exp(union.sigma * z)
            return odds / (odds + 1 - union.share) - union.share
        }

        /// A lognormal whose mean is 1.
        private static func lognormal(_ z: Double, _ sigma: Double) -> Double { ElementaryFunctions.exp(sigma * z - sigma * sigma / 2) }

        func figures(_ latent: [Double]) -> (energy: Double, grams: Double) {
            let shifts = unions.map { (Self.shift($0, latent[$0.cause]) - $0.mean) * $0.whole }
            var energy = 0.0
            var grams = 0.0
            for term in terms {
                var own = term.energy + shifts[term.share.set] * term.share.part
                if let gap = term.gap {
                    own += term.missed * Self.lognormal(latent[gap.cause], gap.logSigma)
                }
                // The first order, as errors of energy add up.
                let (z, sigma) = (latent[term.meter.cause], term.meter.sigma)
                own += (term.energy + term.missed) * (term.meter.isLognormal ? Self.lognormal(z, sigma) - 1 : sigma * z)
                for (cause, sigma) in term.linear { own += sigma * latent[cause] }
                energy += own
                var mass = own * term.perMicrojoule
                for (cause, error) in term.factors { mass *= 1 + error.value(latent[cause]) }
                grams += mass
            }
            return (energy, grams)
        }
    }
}

/// Standard normal numbers from a seed: SplitMix64 (Steele et al. 2014) and Marsaglia's polar method.
struct NormalDraws {
    private var state: UInt64
    private var spare: Double?

    init(seed: UInt64) { state = seed }

    private mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 11) / 9_007_199_254_740_992 * 2 - 1
    }

    mutating func next() -> Double {
        if let spare {
            self.spare = nil
            return spare
        }
        while true {
            let x = uniform()
            let y = uniform()
            let square = x * x + y * y
            guard square > 0, square < 1 else { continue }
            let factor = (-2 * ElementaryFunctions.log(square) / square).squareRoot()
            spare = y * factor
            return x * factor
        }
    }
}
