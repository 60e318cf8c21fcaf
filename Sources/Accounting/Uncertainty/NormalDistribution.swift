/// The standard normal distribution.
enum NormalDistribution {
    /// The part of it below a point, to about 1e-7 (Hastings 1955, as in Abramowitz and Stegun 26.2.17).
    static func part(below z: Double) -> Double {
        let t = 1 / (1 + 0.231_641_9 * abs(z))
        let series = t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))))
        let above = 0.398_942_280_401_432_7 * ElementaryFunctions.exp(-z * z / 2) * series
        return z >= 0 ? 1 - above : above
    }

    /// The least point of a range at which something that grows is not below a value, to about 1e-9; the range's end where it is nowhere.
    static func point(from low: Double, to high: Double, where value: Double, isReachedBy growing: (Double) -> Double) -> Double {
        var (low, high) = (low, high)
        for _ in 0..<34 {
            let middle = (low + high) / 2
            if growing(middle) < value { low = middle } else { high = middle }
        }
        return high
    }
}
