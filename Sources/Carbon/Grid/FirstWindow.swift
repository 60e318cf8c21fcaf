public import Energy

extension IntensityCurve {
    /// The first instant at which a job of a length can begin and meets at most so much on average; nil where there is none, or none is known.
    ///
    /// Between the moments at which either end of the window passes an edge of the curve its mean changes linearly, so the crossing is found
    /// exactly.
    ///
    /// - Parameters:
    ///   - length: zero for an instant.
    ///   - deadline: the latest start.
    public func first(
        atMost gramsPerKilowattHour: Double,
        lasting length: Microseconds,
        from earliest: Timestamp,
        until deadline: Timestamp
    ) -> Timestamp? {
        guard length > .zero else { return first(atMost: gramsPerKilowattHour, from: earliest, until: deadline) }
        guard earliest <= deadline else { return nil }
        var starts: Set<Timestamp> = [earliest, deadline]
        for piece in pieces {
            for edge in [piece.interval.start, piece.interval.end] {
                starts.formUnion([edge, edge - length].filter { earliest <= $0 && $0 <= deadline })
            }
        }
        var before: (start: Timestamp, mean: Double)?
        for start in starts.sorted() {
            guard let mean = mean(over: Interval(start, start + length))?.gramsPerKilowattHour else {
                before = nil
                continue
            }
            if mean <= gramsPerKilowattHour {
                guard let before, before.mean > mean else { return start }
                let part = (before.mean - gramsPerKilowattHour) / (before.mean - mean)
                // Up to the next whole microsecond: before it the mean is higher. What rounding leaves of one is none.
                let exact = part * Double((start - before.start).count)
                return min(start, before.start + Microseconds(Int64((exact - 1e-3).rounded(.up))))
            }
            before = (start, mean)
        }
        return nil
    }
}
