import Energy

/// What a meter around others counted beyond them, as a meter of its own: the component `rest`.
///
/// A slow meter of a whole machine fixes the amount, those inside it the shape. Over the part of the window that all of them know,
/// `R = whole - sum(inner)` is spread evenly in time. That nobody saw its course is one of the hard limits: the other course is in
/// proportion to the inner power.
struct RestMeter {
    let even: MeterInput
    let proportional: MeterInput
    let isBelowInner: Bool

    init(_ whole: WholeMeterInput, _ host: HostInput) {
        let inner = host.meters.filter { whole.inner.contains($0.name) }
        var covered = whole.curve.known(within: host.window)
        for meter in inner { covered = Self.intersection(covered, meter.curve.known(within: host.window)) }
        func increase(_ curve: Curve) -> Double {
            covered.reduce(0) { $0 + curve.exactIncrease(over: $1) }
        }
        let total = increase(whole.curve)
        let inside = inner.reduce(0) { $0 + increase($1.curve) }
        let rest = max(0, total - inside)
        isBelowInner = !covered.isEmpty && total < inside
        let time = covered.reduce(0) { $0 + Double($1.duration.count) }
        let limits =
            [
                CurveLimits(
                    curve: whole.curve,
                    epsilonMicrojoules: whole.epsilonMicrojoules,
                    samplePeriod: whole.samplePeriod,
                    maximumPower: whole.maximumPower
                )
            ]
            + inner.map {
                CurveLimits(
                    curve: $0.curve,
                    epsilonMicrojoules: $0.epsilonMicrojoules,
                    samplePeriod: $0.samplePeriod,
                    maximumPower: $0.maximumPower
                )
            }
        // What each of them may be off by at the ends of what all know is in the amount, however it is spread.
        let doubt = limits.reduce(0.0) { sum, one in covered.reduce(sum) { $0 + one.limit(at: $1.start) + one.limit(at: $1.end) } }
        let ratios = rest > 0 ? (low: max(0, rest - doubt) / rest, high: (rest + doubt) / rest) : (low: 1, high: 1)

        // Of the whole less its parts: each is off by itself. That the parts' own errors are then not in their sum with the rest is
        // not kept, so that sum is said to be more in doubt than the whole meter is.
        var error = total * whole.errorRatio * total * whole.errorRatio
        for meter in inner {
            let own = increase(meter.curve) * meter.errorRatio
            error += own * own
        }
        var meter = MeterInput(
            name: whole.name,
            component: .rest,
            quality: inner.reduce(whole.quality) { max($0, $1.quality) },
            curve: Self.curve(covered) { time > 0 ? rest * $0 / time : 0 },
            // The limits at edges go by the ratio too, and these are not a part of what is left.
            epsilonMicrojoules: Int64(
                saturating: limits.reduce(0.0) {
                    $0 + Double($1.epsilonMicrojoules) + $1.maximumPower.microjoules(over: $1.samplePeriod) / 4
                } / ratios.high
            ),
            maximumPower: whole.maximumPower,
            boundRatios: ratios,
            errorRatio: rest > 0 ? error.squareRoot() / rest : 0
        )
        if let idle = host.restIdle {
            let part = 1 / Double(max(1, host.wholes.count))
            meter.idle = UtilisationModel.Point(
                low: Power(watts: idle.low.watts * part),
                best: Power(watts: idle.best.watts * part),
                high: Power(watts: idle.high.watts * part)
            )
        } else if time > 0 {
            // Fans, disks and supplies run whether or not anything is done.
            let mean = Power(watts: rest / time)
            meter.idle = UtilisationModel.Point(low: .zero, best: mean, high: Power(watts: mean.watts * ratios.high))
        }
        even = meter
        var other = meter
        if inside > 0 { other.curve = Self.curve(covered, inner: inner, scale: rest / inside) }
        proportional = other
    }

    /// A straight line over each of the parts, flat between them.
    private static func curve(_ covered: [Interval], increase: (Double) -> Double) -> Curve {
        var knots: [Knot] = []
        var time = 0.0
        for part in covered {
            knots.append(Knot(time: part.start, value: Int64(rounding: increase(time))))
            time += Double(part.duration.count)
            knots.append(Knot(time: part.end, value: Int64(rounding: increase(time))))
        }
        return Curve(knots: knots, gaps: gaps(covered))
    }

    /// The inner meters' sum over each of the parts, scaled.
    private static func curve(_ covered: [Interval], inner: [MeterInput], scale: Double) -> Curve {
        var knots: [Knot] = []
        var before = 0.0
        for part in covered {
            var times: Set<Timestamp> = [part.start, part.end]
            for meter in inner { CurveCursor.changes(of: meter.curve, within: part) { times.insert($0) } }
            var last = before
            for time in times.sorted() {
                let sum = inner.reduce(0.0) { $0 + $1.curve.exactIncrease(over: Interval(part.start, time)) }
                last = before + sum * scale
                knots.append(Knot(time: time, value: Int64(rounding: last)))
            }
            before = last
        }
        return Curve(knots: knots, gaps: gaps(covered))
    }

    private static func gaps(_ covered: [Interval]) -> [Gap] {
        zip(covered, covered.dropFirst()).map {
            Gap(interval: Interval($0.end, $1.start), low: 0, high: .max, cause: .unreadable)
        }
    }

    private static func intersection(_ a: [Interval], _ b: [Interval]) -> [Interval] {
        var result: [Interval] = []
        var (i, j) = (0, 0)
        while i < a.count, j < b.count {
            if let part = a[i].intersection(b[j]) { result.append(part) }
            if a[i].end < b[j].end { i += 1 } else { j += 1 }
        }
        return result
    }
}
