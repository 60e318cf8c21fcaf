/// Thins a stream of samples of a cumulative quantity to the knots that keep every sample within ε of the line.
///
/// The strict form: a sample may extend the segment only if its own slope from the last knot lies inside the cone that *all*
/// earlier samples (each ± ε) have left; else the previous sample becomes a knot. The textbook form tests the doors only and can
/// be off by more than ε.
///
/// The caller owns the *tail*, the latest sample, which is not a knot yet: `tail` is what serves as the last knot in the meantime.
public struct SwingingDoor: Sendable {
    /// Largest distance of a sample from the line, in the curve's unit; 0 keeps every corner.
    public let epsilon: Int64
    /// The last knot that was given out.
    public private(set) var origin: Knot?
    /// The latest sample.
    public private(set) var tail: Knot?
    /// The cone that the samples since the last knot have left, in the curve's unit per µs.
    public private(set) var lowestSlope = -Double.infinity
    public private(set) var highestSlope = Double.infinity

    public init(epsilon: Int64) { self.epsilon = max(0, epsilon) }

    /// Goes on from where another door stood.
    public init(epsilon: Int64, origin: Knot, tail: Knot, lowestSlope: Double, highestSlope: Double) {
        self.epsilon = max(0, epsilon)
        self.origin = origin
        self.tail = tail
        self.lowestSlope = lowestSlope
        self.highestSlope = highestSlope
    }

    /// Takes the next sample; returns the knot that it settles, if any. A sample that is not later than the tail is ignored.
    public mutating func add(_ sample: Knot) -> Knot? {
        guard let origin, let tail else {
            self.origin = sample
            self.tail = sample
            return sample
        }
        guard tail.time < sample.time else { return nil }
        let slope = self.slope(from: origin, to: sample, offset: 0)
        if tail.time == origin.time || (lowestSlope <= slope && slope <= highestSlope) {
            narrow(by: sample, from: origin)
            self.tail = sample
            return nil
        }
        restart(at: tail)
        narrow(by: sample, from: tail)
        self.tail = sample
        return tail
    }

    /// Makes the tail a knot now (a span's edge, an hour, a gap, the end). Nil when it already is one.
    public mutating func force(flags: KnotFlags = []) -> Knot? {
        guard var knot = tail, let origin else { return nil }
        if knot.time == origin.time { return nil }
        knot.flags.formUnion(flags)
        restart(at: knot)
        tail = knot
        return knot
    }

    private mutating func restart(at knot: Knot) {
        origin = knot
        lowestSlope = -.infinity
        highestSlope = .infinity
    }

    private mutating func narrow(by sample: Knot, from origin: Knot) {
        lowestSlope = max(lowestSlope, slope(from: origin, to: sample, offset: -epsilon))
        highestSlope = min(highestSlope, slope(from: origin, to: sample, offset: epsilon))
    }

    private func slope(from origin: Knot, to sample: Knot, offset: Int64) -> Double {
        Double(sample.value - origin.value + offset) / Double((sample.time - origin.time).count)
    }
}
