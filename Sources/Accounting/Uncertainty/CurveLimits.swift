import Energy

/// Hard limits of what a thinned curve may be off by where its energy is cut off: at a window's ends, at the edges of what is known.
struct CurveLimits {
    let curve: Curve
    let epsilonMicrojoules: Int64
    let samplePeriod: Microseconds
    let maximumPower: Power

    /// µJ either way at an instant: nothing where the meter was read, else its thinning, and at most `P_max * dt / 4` between two readings.
    func limit(at instant: Timestamp) -> Double {
        let between = maximumPower.microjoules(over: samplePeriod) / 4
        guard let knot = curve.knot(at: instant) else { return Double(epsilonMicrojoules) + between }
        // An hour's knot is put on the line between the readings around it; nobody looked.
        return knot.flags.contains(.hour) && !knot.flags.contains(.edge) ? between : 0
    }

    /// µJ either way of all that the curve counts within a window.
    func limit(within window: Interval) -> Double {
        curve.known(within: window).reduce(0) { $0 + limit(at: $1.start) + limit(at: $1.end) }
    }
}

extension MeterInput {
    private var limits: CurveLimits {
        CurveLimits(curve: curve, epsilonMicrojoules: epsilonMicrojoules, samplePeriod: samplePeriod, maximumPower: maximumPower)
    }

    /// Hard limit of what its energy in a window may be off by at the ends, µJ either way.
    func limitAtEnds(of window: Interval) -> Double { limits.limit(within: window) * boundRatios.high }

    /// The same at one instant; nothing where it is not known.
    func limit(at instant: Timestamp) -> Double {
        guard let extent = curve.extent, extent.start < instant, instant < extent.end else { return 0 }
        return limits.limit(at: instant) * boundRatios.high
    }
}
