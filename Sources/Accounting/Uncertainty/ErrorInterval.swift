/// Where an error lies in 95 of 100 cases.
struct ErrorInterval: Hashable, Sendable {
    let low: Double
    let high: Double

    /// Between the 2.5 % and the 97.5 % points; where the figure itself lies outside of these (more was used than was metered, if nobody
    /// metered for a while), from the figure on, and what is to be left out is left out at the other end: with 2.5 % there still more than
    /// 95 % would be within.
    ///
    /// - Parameters:
    ///   - even: the part of the variance that one error has which is even between two ends. Such a one lies within 0.95 of them, where a
    ///     normal one of the same variance goes beyond them.
    ///   - figure: what the interval holds whatever the error is.
    init(_ error: ErrorMoments, even: Double = 0, holding figure: Double) {
        let z = ErrorMoments.z95
        let weight = even * even * even * even
        func quantile(_ z: Double) -> Double {
            guard weight > 0 else { return error.quantile(z) }
            let evenly = 12.0.squareRoot() * (NormalDistribution.part(below: z) - 0.5)
            return error.quantile(z + (evenly - z) * weight)
        }
        let (below, above) = (quantile(-z), quantile(z))
        if figure < below {
            let lost = NormalDistribution.part(
                below: NormalDistribution.point(from: -8, to: -z, where: figure, isReachedBy: quantile)
            )
            let end = NormalDistribution.point(from: 1, to: z, where: 0.95 + lost, isReachedBy: NormalDistribution.part)
            (low, high) = (figure, quantile(end))
        } else if figure > above {
            let kept = NormalDistribution.part(
                below: NormalDistribution.point(from: z, to: 8, where: figure, isReachedBy: quantile)
            )
            let end = NormalDistribution.point(from: -z, to: -1, where: kept - 0.95, isReachedBy: NormalDistribution.part)
            (low, high) = (quantile(end), figure)
        } else {
            (low, high) = (below, above)
        }
    }

    /// The same of drawn values in ascending order.
    init(ofSorted values: [Double], holding figure: Double) {
        func quantile(_ p: Double) -> Double {
            let place = min(1, max(0, p)) * Double(values.count - 1)
            let first = Int(place)
            return values[first] + (place - Double(first)) * (values[min(values.count - 1, first + 1)] - values[first])
        }
        func part(below value: Double) -> Double {
            var (first, end) = (0, values.count)
            while first < end {
                let middle = (first + end) / 2
                if values[middle] < value { first = middle + 1 } else { end = middle }
            }
            return Double(first) / Double(values.count)
        }
        let (below, above) = (quantile(0.025), quantile(0.975))
        if figure < below {
            (low, high) = (figure, quantile(0.95 + part(below: figure)))
        } else if figure > above {
            (low, high) = (quantile(part(below: figure) - 0.95), figure)
        } else {
            (low, high) = (below, above)
        }
    }
}
