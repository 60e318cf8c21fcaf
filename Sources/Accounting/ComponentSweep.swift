import Energy

/// The sums of one component while the sweep goes over its window.
struct ComponentSweep {
    private let component: Component
    private let meters: [MeterInput]
    private let tracks: [Track]
    private let times: [Timestamp]
    /// Lowers the idle floor where the whole window's energy is below it.
    private let floorScale: Double
    private let isFloorUnknown: Bool
    private let meteredTotal: Int64
    private let meteredLimits: (low: Double, high: Double)
    private let floorRatios: (low: Double, high: Double)

    private var parts: [Part]
    private var quality: Quality?
    private var agent = 0.0
    private var system = 0.0
    private var unknown = 0.0
    /// Dynamic energy of either sign while nothing ran.
    private var idleDynamic = 0.0
    private var floorTotal = 0.0
    private var unmetered = Microseconds.zero
    private var unmeteredMaximum = 0.0

    /// A span's sums, fractional µJ.
    private struct Part {
        var dynamic = 0.0
        var reserved = 0.0
        var busy = 0.0
        var equal = 0.0
        var bounds = SliceBounds()
        var metered = Microseconds.zero
        var unmetered = Microseconds.zero
        /// The worst of the meters that contributed.
        var quality: Quality?
        /// The dearest µs of CPU time seen, µJ.
        var dearest = 0.0
    }

    init(component: Component, meters: [MeterInput], times: [Timestamp], spanCount: Int) {
        self.component = component
        self.meters = meters
        let tracks = meters.map { Track($0.curve, at: times) }
        self.tracks = tracks
        self.times = times
        parts = Array(repeating: Part(), count: spanCount)

        var metered: Int64 = 0
        var energy = 0.0
        var floor = 0.0
        var limits = (low: 0.0, high: 0.0)
        for (meter, track) in zip(meters, tracks) {
            for i in track.isKnown.indices where track.isKnown[i] {
                metered += Int64(saturating: track.values[i + 1].rounded()) - Int64(saturating: track.values[i].rounded())
                energy += track.increase(i)
                limits.low += track.increase(i) * meter.boundRatios.low
                limits.high += track.increase(i) * meter.boundRatios.high
                floor += (meter.idle?.best ?? .zero).microjoules(over: times[i + 1] - times[i])
            }
        }
        meteredTotal = metered
        meteredLimits = limits
        floorScale = floor > energy && floor > 0 ? energy / floor : 1
        isFloorUnknown = meters.contains { $0.idle == nil }

        let best = meters.reduce(0) { $0 + ($1.idle?.best.watts ?? 0) } * floorScale
        let low = meters.reduce(0) { $0 + ($1.idle?.low.watts ?? 0) }
        let high = meters.reduce(0) { $0 + ($1.idle?.high.watts ?? 0) }
        floorRatios = best > 0 ? (min(1, low / best), max(1, high / best)) : (1, 1)
    }

    mutating func add(
        _ i: Int,
        _ duration: Microseconds,
        _ formula: ShareFormula,
        _ running: [RunningShare],
        _ claims: Double,
        _ shares: Double
    ) {
        var energy = 0.0
        var energyLow = 0.0
        var energyHigh = 0.0
        var floor = 0.0
        var missing = 0.0
        var isWhole = true
        var worst: Quality?
        for (meter, track) in zip(meters, tracks) {
            guard track.isKnown[i] else {
                // A meter that was replaced by another, or came after one, is not missing.
                if hasEnded(meter, track, i) && tracks.contains(where: { $0.isKnown[i] }) { continue }
                isWhole = false
                missing += meter.maximumPower.microjoules(over: duration)
                continue
            }
            worst = max(worst ?? meter.quality, meter.quality)
            let increase = track.increase(i)
            energy += increase
            energyLow += increase * meter.boundRatios.low
            energyHigh += increase * meter.boundRatios.high
            floor += (meter.idle?.best ?? .zero).microjoules(over: duration) * floorScale
        }
        if !isWhole {
            unmetered += duration
            unmeteredMaximum += missing
        }
        if let worst { quality = max(quality ?? worst, worst) }
        let dynamic = energy - floor
        agent += dynamic * formula.agent
        system += dynamic * formula.system
        unknown += dynamic * formula.unknown
        idleDynamic += dynamic * formula.idle
        floorTotal += floor

        let count = Double(running.count { $0.takesSlot })
        for one in running {
            var part = parts[one.span]
            if let worst { part.quality = max(part.quality ?? worst, worst) }
            part.dynamic += dynamic * one.share
            part.reserved += floor * one.claim / max(1, claims)
            part.busy += shares > 0 ? floor * one.share / shares : 0
            if one.takesSlot { part.equal += floor / count }
            let cpuTime = formula.busy * Double(duration.count)
            if cpuTime > 0 { part.dearest = max(part.dearest, energyHigh / cpuTime) }
            let (least, most) = one.limits ?? (one.share, one.share)
            // Where the energy is below the floor the extremes change places: who used less then has more.
            let (atLow, atHigh) = dynamic >= 0 ? (least, most) : (most, least)
            part.bounds.drawnLow += atLow * energyLow
            part.bounds.floorLow += atLow * floor
            part.bounds.drawnHigh += atHigh * energyHigh
            part.bounds.floorHigh += atHigh * floor
            part.bounds.unmeteredHigh += missing
            if isWhole { part.metered += duration } else { part.unmetered += duration }
            parts[one.span] = part
        }
    }

    /// Whether a stretch lies before a meter's first knot, or after the last of one that has ended.
    private func hasEnded(_ meter: MeterInput, _ track: Track, _ i: Int) -> Bool {
        guard let extent = meter.curve.extent else { return true }
        return times[i + 1] <= extent.start || (meter.isClosed && times[i] >= extent.end)
    }

    /// Rounds the sums into accounts that add up to the metered energy.
    func close(
        spans: [ActiveSpan],
        cpuTimes: [Double],
        shared: [Microseconds],
        isPartial: [Bool],
        flags: AccountFlags,
        window: Interval
    ) -> ComponentAccounts {
        var accounts = ComponentAccounts(component: component)
        accounts.metered = meteredTotal
        accounts.meteredLow = min(meteredTotal, Int64(saturating: meteredLimits.low.rounded(.down)))
        accounts.meteredHigh = max(meteredTotal, Int64(saturating: meteredLimits.high.rounded(.up)))
        accounts.flags = flags
        if floorScale < 1 { accounts.flags.insert(.idleFloorHigh) }
        if isFloorUnknown { accounts.flags.insert(.idleFloorUnknown) }

        // A negative account is stored as 0; what it lacks is taken from the idle energy, which always suffices.
        let signed = parts.map(\.dynamic) + [agent, system, unknown, idleDynamic]
        let deficit = signed.reduce(0) { $0 + max(0, -$1) }
        if deficit >= 0.5 { accounts.flags.insert(.clamped) }
        let idleScale = floorTotal > 0 ? max(0, floorTotal - deficit) / floorTotal : 0

        var rounding = CumulativeRounding(total: meteredTotal)
        let dynamics = parts.map { rounding.next($0.dynamic) }
        accounts.jobDynamic = dynamics.reduce(0, +)
        accounts.agent = rounding.next(agent)
        accounts.system = rounding.next(system)
        accounts.unknown = rounding.next(unknown)
        accounts.idle = rounding.rest

        var reserved = CumulativeRounding(total: accounts.idle)
        var busy = CumulativeRounding(total: accounts.idle)
        var equal = CumulativeRounding(total: accounts.idle)
        let meterQuality = quality ?? .unknown
        for (index, part) in parts.enumerated() {
            let span = spans[index]
            let idle = IdleMoved(
                reserved: reserved.next(part.reserved * idleScale),
                busy: busy.next(part.busy * idleScale),
                equal: equal.next(part.equal * idleScale)
            )
            accounts.idleMoved += idle
            let length = Double(max(1, span.clipped.duration.count))
            accounts.slices.append(
                Slice(
                    spanID: span.span.id,
                    component: component,
                    interval: span.clipped,
                    dynamic: dynamics[index],
                    idle: idle,
                    bounds: bounds(of: part, span: span),
                    metered: part.metered,
                    meanShare: cpuTimes[index] / length,
                    // Equal parts of a cgroup that several own are no measurement of any of them.
                    shareMethod: Double(shared[index].count) > length / 2 ? .equal : span.span.shareMethod,
                    quality: part.unmetered > .zero || isPartial[index]
                        ? max(.partial, part.quality ?? .unknown) : part.quality ?? meterQuality
                )
            )
        }
        var piece = AccountPiece(interval: window)
        piece.jobDynamic = accounts.jobDynamic
        piece.agent = accounts.agent
        piece.system = accounts.system
        piece.unknown = accounts.unknown
        piece.idle = accounts.idle
        accounts.pieces = [piece]
        accounts.unmetered = unmetered
        accounts.unmeteredMaximum = Int64(saturating: unmeteredMaximum.rounded(.up))
        accounts.quality = unmetered > .zero ? max(.partial, meterQuality) : meterQuality
        return accounts
    }

    private func bounds(of part: Part, span: ActiveSpan) -> SliceBounds {
        var bounds = part.bounds
        bounds.floorRatioLow = floorRatios.low
        bounds.floorRatioHigh = floorRatios.high
        // One for rounding to whole µJ on either side.
        var lower = 1.0
        var upper = 1.0
        for (edge, isReal) in [
            (span.clipped.start, span.clipped.start == span.span.interval.start),
            (span.clipped.end, span.clipped.end == span.span.interval.end),
        ] where isReal {
            let error = edgeError(at: edge)
            lower += error
            upper += error
            if span.span.workload == nil {
                upper += around(edge, within: span.span.edgeResolution, isEnd: edge == span.clipped.end)
            } else if let workload = span.span.workload, workload.curve.knot(at: edge) == nil {
                let error = Double(workload.epsilonMicroseconds) * part.dearest
                lower += error
                upper += error
            }
        }
        bounds.drawnLow = max(0, bounds.drawnLow - lower)
        bounds.drawnHigh += upper
        return bounds
    }

    /// How far the curves may be off at an instant, µJ: nothing where the meters were read at it, else ε at the nearest samples
    /// and at most `P_max * dt / 4` between them.
    private func edgeError(at edge: Timestamp) -> Double {
        meters.reduce(0) { sum, meter in
            guard meter.curve.knot(at: edge) == nil else { return sum }
            let between = meter.maximumPower.microjoules(over: meter.samplePeriod) / 4
            return sum + (Double(meter.epsilonMicrojoules) + between) * meter.boundRatios.high
        }
    }

    /// What the host drew just outside an edge that may be off by `resolution`, µJ.
    private func around(_ edge: Timestamp, within resolution: Microseconds, isEnd: Bool) -> Double {
        guard resolution > .zero else { return 0 }
        let outside = isEnd ? Interval(edge, edge + resolution) : Interval(edge - resolution, edge)
        return meters.reduce(0) { $0 + $1.curve.increase(over: outside) * $1.boundRatios.high }
    }
}
