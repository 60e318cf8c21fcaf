public import Energy

/// The intensity of one grid zone on one basis over time: pieces of one value each, in order. What no piece covers is not known.
public struct IntensityCurve: Hashable, Sendable {
    public struct Piece: Hashable, Sendable {
        public var interval: Interval
        public var intensity: Intensity

        public init(_ interval: Interval, _ intensity: Intensity) {
            self.interval = interval
            self.intensity = intensity
        }
    }

    /// Why pieces make no curve.
    public enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        case mixedZones(String, String)
        /// Average and marginal figures, or other bases, are never in one sum.
        case mixedBases(Intensity.Basis, Intensity.Basis)
        case overlap(Interval, Interval)

        public var description: String {
            switch self {
            case .mixedZones(let a, let b): "expected figures of one zone, found \(a) and \(b)"
            case .mixedBases(let a, let b): "expected figures of one basis, found \(a) and \(b)"
            case .overlap(let a, let b):
                "expected one figure for each instant, found two from \(max(a.start, b.start).microseconds) µs on"
            }
        }
    }

    public let pieces: [Piece]

    /// - Parameter pieces: in any order; empty intervals are left out.
    /// - Throws: `Fault` for pieces of several zones or bases, or that overlap.
    public init(_ pieces: [Piece]) throws(Fault) {
        let pieces = pieces.filter { !$0.interval.isEmpty }.sorted { $0.interval.start < $1.interval.start }
        for (a, b) in zip(pieces, pieces.dropFirst()) {
            guard a.intensity.zone == b.intensity.zone else { throw .mixedZones(a.intensity.zone, b.intensity.zone) }
            guard a.intensity.basis == b.intensity.basis else { throw .mixedBases(a.intensity.basis, b.intensity.basis) }
            guard a.interval.end <= b.interval.start else { throw .overlap(a.interval, b.interval) }
        }
        self.pieces = pieces
    }

    public var zone: String? { pieces.first?.intensity.zone }
    public var basis: Intensity.Basis? { pieces.first?.intensity.basis }

    /// What counts at an instant; nil where nothing is known.
    public func intensity(at time: Timestamp) -> Intensity? {
        let index = partition { $0.interval.start > time }
        guard index > 0, pieces[index - 1].interval.contains(time) else { return nil }
        return pieces[index - 1].intensity
    }

    /// The pieces within an interval, cut to it.
    public func pieces(within interval: Interval) -> [Piece] {
        var found: [Piece] = []
        var index = partition { $0.interval.end > interval.start }
        while index < pieces.count, let part = pieces[index].interval.intersection(interval) {
            found.append(Piece(part, pieces[index].intensity))
            index += 1
        }
        return found
    }

    /// What power drawn evenly over an interval meets on average, in g/kWh; nil where a part of it is not known.
    public func mean(over interval: Interval) -> (gramsPerKilowattHour: Double, low: Double, high: Double)? {
        guard !interval.isEmpty else { return nil }
        var sums = (best: 0.0, low: 0.0, high: 0.0)
        var known = Microseconds.zero
        for piece in pieces(within: interval) {
            let length = Double(piece.interval.duration.count)
            known += piece.interval.duration
            sums.best += length * piece.intensity.gramsPerKilowattHour
            sums.low += length * piece.intensity.low
            sums.high += length * piece.intensity.high
        }
        guard known == interval.duration else { return nil }
        let length = Double(interval.duration.count)
        return (sums.best / length, sums.low / length, sums.high / length)
    }

    /// The first index whose piece fulfils a condition that all later ones fulfil, too.
    private func partition(_ isBeyond: (Piece) -> Bool) -> Int {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if isBeyond(pieces[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
