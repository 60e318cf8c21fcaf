/// Mean, variance and third central moment of an error: they add up over independent errors, so a sum's are exact whatever each part's
/// distribution is.
struct ErrorMoments: Hashable, Sendable {
    var mean = 0.0
    var variance = 0.0
    var third = 0.0

    /// 97.5 % of the standard normal distribution lie below.
    static let z95 = 1.959_963_984_540_054

    static func + (a: ErrorMoments, b: ErrorMoments) -> ErrorMoments {
        ErrorMoments(mean: a.mean + b.mean, variance: a.variance + b.variance, third: a.third + b.third)
    }

    func scaled(by factor: Double) -> ErrorMoments {
        ErrorMoments(mean: mean * factor, variance: variance * factor * factor, third: third * factor * factor * factor)
    }

    init(mean: Double = 0, variance: Double = 0, third: Double = 0) {
        self.mean = mean
        self.variance = variance
        self.third = third
    }

    /// Of an error whose 2.5 % and 97.5 % points are given.
    init(down: Double, up: Double) {
        switch SkewedError(down: down, up: up).shape {
        case .normal(let sigma): self.init(variance: sigma * sigma)
        case .even(let low, let high): self.init(mean: (low + high) / 2, variance: (high - low) * (high - low) / 12)
        case .lognormal(let s, let a) where abs(s) < 1e-3:
            let sigma = a * s
            self.init(mean: sigma * s / 2, variance: sigma * sigma, third: 3 * s * sigma * sigma * sigma)
        case .lognormal(let s, let a):
            let w = ElementaryFunctions.exp(s * s)
            self.init(
                mean: a * (w.squareRoot() - 1),
                variance: a * a * w * (w - 1),
                third: a * a * a * w * w.squareRoot() * (w - 1) * (w - 1) * (w + 2)
            )
        }
    }

    /// Of `amount * (exp(s z - s²/2) - 1)`: a lognormal whose mean is the amount.
    init(lognormalAround amount: Double, logSigma s: Double) {
        let w = ElementaryFunctions.exp(min(4, s * s))
        self.init(variance: amount * amount * (w - 1), third: amount * amount * amount * (w - 1) * (w - 1) * (w + 2))
    }

    /// Of a part `share` of one whole whose odds against the rest are off by a factor `exp(sigma z)`; around its mean, since parts are
    /// wrong in either direction and add up to the whole. To first order the standard deviation is `sigma * s * (1 - s)`.
    init(ofShare share: Double, logSigma sigma: Double) {
        let s = min(1, max(0, share))
        let p = s * (1 - s)
        guard p > 0, sigma > 0 else {
            self.init()
            return
        }
        if sigma <= 0.2 {
            let a = sigma * p
            let b = sigma * sigma * p * (1 - 2 * s) / 2
            self.init(variance: a * a + 2 * b * b, third: 6 * a * a * b + 8 * b * b * b)
            return
        }
        // Trapezoids of the normal density: exact to many digits for a function as smooth as this.
        var sums = (one: 0.0, two: 0.0, three: 0.0)
        for step in -12...12 {
            let z = Double(step) / 2
            let weight = 0.5 * 0.398_942_280_401_432_7 * ElementaryFunctions.exp(-z * z / 2)
            let odds = s * ElementaryFunctions.exp(sigma * z)
            let x = odds / (odds + 1 - s) - s
            sums.one += weight * x
            sums.two += weight * x * x
            sums.three += weight * x * x * x
        }
        let mean = sums.one
        self.init(
            variance: max(0, sums.two - mean * mean),
            third: sums.three - 3 * mean * sums.two + 2 * mean * mean * mean
        )
    }

    /// A quantile, by the shifted lognormal with these moments (normal where the third is 0): exact for one normal or one lognormal error,
    /// and for any sum of normal ones.
    ///
    /// - Parameter z: the same quantile of the standard normal distribution.
    func quantile(_ z: Double) -> Double {
        guard variance > 0, variance.isFinite else { return mean }
        let sigma = variance.squareRoot()
        let skewness = third / (variance * sigma)
        let size = abs(skewness)
        if !(size > 1e-4) || !size.isFinite { return mean + sigma * z }
        // (w + 2)² (w - 1) = skewness²
        let root = 1 + size * size / 2 + size * (1 + size * size / 4).squareRoot()
        let cube = ElementaryFunctions.pow(root, 1 / 3.0)
        let w = cube + 1 / cube - 1
        guard w > 1 + 1e-9 else { return mean + sigma * (z + skewness * (z * z - 1) / 6) }
        let s = ElementaryFunctions.log(w).squareRoot()
        let a = sigma / (w * (w - 1)).squareRoot()
        let side = skewness > 0 ? z : -z
        let distance = a * (ElementaryFunctions.exp(s * side) - w.squareRoot())
        return mean + (skewness > 0 ? distance : -distance)
    }
}

/// An error of which the 2.5 % and the 97.5 % points are known (in either order, as a negative part turns them round), and that 0 is
/// between them: normal where they lie evenly around 0, else a shifted lognormal with the median 0, `scale * (exp(s z) - 1)`, which three
/// such points define. Where 0 is all but an end (an overhead that nobody stated is more than nothing), anything between them is as likely.
struct SkewedError: Hashable, Sendable {
    enum Shape: Hashable, Sendable {
        case normal(sigma: Double)
        case lognormal(s: Double, scale: Double)
        case even(low: Double, high: Double)
    }

    var shape = Shape.normal(sigma: 0)

    init(down: Double, up: Double) {
        let low = min(down, up)
        let high = max(down, up)
        guard high > low, (high - low).isFinite else { return }
        let ratio = low < 0 ? max(0, high) / -low : .infinity
        if ratio > 4 || ratio < 0.25 {
            shape = .even(low: low, high: high)
        } else if abs(ratio - 1) < 1e-6 {
            shape = .normal(sigma: (high - low) / (2 * ErrorMoments.z95))
        } else {
            shape = .lognormal(s: ElementaryFunctions.log(ratio) / ErrorMoments.z95, scale: high / (ratio - 1))
        }
    }

    func value(_ z: Double) -> Double {
        switch shape {
        case .normal(let sigma): sigma * z
        case .lognormal(let s, let scale): scale * (ElementaryFunctions.exp(s * z) - 1)
        case .even(let low, let high): low + (high - low) * NormalDistribution.part(below: z)
        }
    }
}
