public import Energy

/// When a job of a known length would meet the least intensity.
public struct BestWindow: Hashable, Sendable {
    public let zone: String
    public let interval: Interval
    public let gramsPerKilowattHour: Double
    public let low: Double
    public let high: Double
    /// The worst kind of figure in it: a window of forecasts and actual values is a forecast.
    public let kind: Intensity.Kind
    public let basis: Intensity.Basis

    /// The best window of a curve that begins no sooner than `earliest` and ends no later than `deadline`; the first of several as good.
    ///
    /// The mean over a window that moves changes linearly between the moments at which either of its ends passes an edge of the curve, so the
    /// best begins or ends at one, or at the limits.
    ///
    /// - Returns: nil where no window of that length is known all through.
    public init?(in curve: IntensityCurve, lasting length: Microseconds, from earliest: Timestamp, until deadline: Timestamp) {
        guard length > .zero, let zone = curve.zone, let basis = curve.basis else { return nil }
        let latest = deadline - length
        guard earliest <= latest else { return nil }
        var starts: Set<Timestamp> = [earliest, latest]
        for piece in curve.pieces {
            starts.formUnion([piece.interval.start, piece.interval.start - length, piece.interval.end, piece.interval.end - length])
        }
        var best: (start: Timestamp, mean: (gramsPerKilowattHour: Double, low: Double, high: Double))?
        for start in starts.sorted() where earliest <= start && start <= latest {
            guard let mean = curve.mean(over: Interval(start, start + length)) else { continue }
            // Sums of the same pieces differ in their last digits: that is no reason to wait.
            if let best, mean.gramsPerKilowattHour >= best.mean.gramsPerKilowattHour * (1 - 1e-12) { continue }
            best = (start, mean)
        }
        guard let best else { return nil }
        self.zone = zone
        self.basis = basis
        interval = Interval(best.start, best.start + length)
        gramsPerKilowattHour = best.mean.gramsPerKilowattHour
        low = best.mean.low
        high = best.mean.high
        kind = IntensityCurve.worst(curve.pieces(within: interval))
    }

    /// The best window of several zones, nil where none is known.
    ///
    /// - Precondition: curves of one basis: others cannot be compared, and are left out if they differ from the first.
    public static func best(
        in curves: [IntensityCurve],
        lasting length: Microseconds,
        from earliest: Timestamp,
        until deadline: Timestamp
    ) -> BestWindow? {
        let windows = curves.compactMap { BestWindow(in: $0, lasting: length, from: earliest, until: deadline) }
        return windows.filter { $0.basis == windows.first?.basis }.min {
            ($0.gramsPerKilowattHour, $0.interval.start, $0.zone) < ($1.gramsPerKilowattHour, $1.interval.start, $1.zone)
        }
    }

    /// What waiting saves against a start at an instant, as a part of what it would be then: 0.25 is a quarter less. Nil where that is not
    /// known, or another basis.
    public func saving(against start: Timestamp, in curve: IntensityCurve) -> Double? {
        guard curve.basis == basis, let now = curve.mean(over: Interval(start, start + interval.duration)), now.gramsPerKilowattHour > 0
        else { return nil }
        return 1 - gramsPerKilowattHour / now.gramsPerKilowattHour
    }
}

extension IntensityCurve {
    static func worst(_ pieces: [Piece]) -> Intensity.Kind {
        let kinds = Intensity.Kind.allCases
        return kinds.last { kind in pieces.contains { $0.intensity.kind == kind } } ?? .yearly
    }

    /// The first instant from `earliest` to `deadline` at which the intensity is known and at most so high; nil for none.
    public func first(atMost gramsPerKilowattHour: Double, from earliest: Timestamp, until deadline: Timestamp) -> Timestamp? {
        if intensity(at: earliest).map({ $0.gramsPerKilowattHour <= gramsPerKilowattHour }) == true { return earliest }
        return pieces.first {
            earliest < $0.interval.start && $0.interval.start <= deadline && $0.intensity.gramsPerKilowattHour <= gramsPerKilowattHour
        }?.interval.start
    }
}
