import Energy

/// Turns the figures of one component into its accounts: clamped, rounded, with limits and errors.
struct ComponentClosing {
    private let host: HostInput
    private let meters: [MeterInput]
    private let sums: ComponentSums
    /// The same with the energy spread otherwise over time; for `rest`, whose course within the window nobody saw.
    private let other: ComponentSums?
    /// The same with the highest floor that those meters can have whose floor nobody knows.
    private let ceiling: ComponentSums?
    private let timeline: Timeline
    /// Whether its slices say how long their spans had the host reserved: one component's of each host do.
    private let bearsReservations: Bool
    /// Asked for each slice before the sums themselves, which are large where they are optional.
    private let hasOther: Bool
    private let hasCeiling: Bool
    private let floorRatios: (low: Double, high: Double)
    private let errorRatios: (meter: Double, floor: Double)

    init(
        _ host: HostInput,
        _ meters: [MeterInput],
        _ sums: ComponentSums,
        other: ComponentSums?,
        ceiling: ComponentSums?,
        _ timeline: Timeline,
        bearsReservations: Bool
    ) {
        self.host = host
        self.meters = meters
        self.sums = sums
        self.other = other
        self.ceiling = ceiling
        self.timeline = timeline
        self.bearsReservations = bearsReservations
        hasOther = other != nil
        hasCeiling = ceiling != nil
        errorRatios = Self.errorRatios(host, meters, isFloorUnknown: ceiling != nil)
        floorRatios = sums.floorRatios(of: meters)
    }

    func accounts(flags: AccountFlags) -> ComponentAccounts {
        var accounts = ComponentAccounts(component: sums.component)
        accounts.metered = sums.metered
        // Nobody read the meters at an hour's ends.
        let ends = meters.reduce(0) { $0 + $1.limitAtEnds(of: host.window) }
        accounts.meteredLow = min(sums.metered, Int64(saturating: max(0, sums.meteredLimits.low - ends).rounded(.down)))
        accounts.meteredHigh = max(sums.metered, Int64(saturating: (sums.meteredLimits.high + ends).rounded(.up)))
        accounts.flags = flags
        if sums.isFloorHigh { accounts.flags.insert(.idleFloorHigh) }
        if meters.contains(where: { $0.idle == nil }) { accounts.flags.insert(.idleFloorUnknown) }

        let cells = Cell.all(of: timeline)
        let count = timeline.pieces.count
        var clamping = Clamping(pieces: count)
        var dynamics = sums.dynamics(of: cells, timeline)
        clampSpans(&dynamics, cells, &clamping)
        var agent = sums.pieces.map(\.agent)[...]
        var system = sums.pieces.map(\.system)[...]
        var unknown = sums.pieces.map(\.unknown)[...]
        clamping.clamp(&agent, fromPiece: 0)
        clamping.clamp(&system, fromPiece: 0)
        clamping.clamp(&unknown, fromPiece: 0)
        clamping.takeIdle(sums.pieces.map(\.idleDynamic))
        if clamping.isNoticeable { accounts.flags.insert(.clamped) }

        var rounding = sums.meteredPieces.map { CumulativeRounding(total: $0) }
        var rounded: [Int64] = []
        rounded.reserveCapacity(cells.count)
        accounts.pieces = timeline.pieces.map { AccountPiece(interval: $0) }
        for i in cells.indices {
            let value = rounding[Int(cells[i].piece)].next(dynamics[i])
            rounded.append(value)
            accounts.pieces[Int(cells[i].piece)].jobDynamic += value
        }
        for p in 0..<count {
            accounts.pieces[p].agent = rounding[p].next(agent[p])
            accounts.pieces[p].system = rounding[p].next(system[p])
            accounts.pieces[p].unknown = rounding[p].next(unknown[p])
            accounts.pieces[p].idle = rounding[p].rest
            accounts.jobDynamic += accounts.pieces[p].jobDynamic
            accounts.agent += accounts.pieces[p].agent
            accounts.system += accounts.pieces[p].system
            accounts.unknown += accounts.pieces[p].unknown
            accounts.idle += accounts.pieces[p].idle
        }
        close(&accounts, cells, rounded, clamping)

        let meterQuality = sums.quality ?? .unknown
        accounts.unmetered = sums.unmetered
        accounts.unmeteredMaximum = Int64(saturating: sums.unmeteredMaximum.rounded(.up))
        accounts.quality = sums.unmetered > .zero ? max(.partial, meterQuality) : meterQuality
        (accounts.meterErrorRatio, accounts.floorErrorRatio) = errorRatios
        return accounts
    }

    /// A span's cells lie beside one another.
    private func clampSpans(_ dynamics: inout [Double], _ cells: [Cell], _ clamping: inout Clamping) {
        guard dynamics.contains(where: { $0 < 0 }) else { return }
        var i = 0
        while i < cells.count {
            var j = i + 1
            while j < cells.count, cells[j].span == cells[i].span { j += 1 }
            clamping.clamp(&dynamics[i..<j], fromPiece: Int(cells[i].piece))
            i = j
        }
    }

    /// The slices, and what each policy moves.
    private func close(_ accounts: inout ComponentAccounts, _ cells: [Cell], _ dynamics: [Int64], _ clamping: Clamping) {
        let count = timeline.pieces.count
        let floor = sums.pieces.reduce(0) { $0 + $1.floor }
        let scale = floor > 0 ? max(0, floor - clamping.deficit) / floor : 0
        let scales = (0..<count).map { p in
            let own = sums.pieces[p].floor
            return own > 0 ? min(scale, max(0, own - max(0, clamping.pieceDeficits[p])) / own) : 0
        }
        var reserved = accounts.pieces.map { CumulativeRounding(total: $0.idle) }
        var busy = reserved
        var equal = reserved
        let meterQuality = sums.quality ?? .unknown
        accounts.slices.reserveCapacity(cells.count)
        for i in cells.indices {
            let piece = Int(cells[i].piece)
            let figure = sums.figure(of: cells[i], timeline)
            let idle = IdleMoved(
                reserved: reserved[piece].next(figure.reserved * scales[piece]),
                busy: busy[piece].next(figure.busy * scales[piece]),
                equal: equal[piece].next(figure.equal * scales[piece])
            )
            accounts.idleMoved += idle
            accounts.slices.append(slice(cells[i], figure, dynamic: dynamics[i], idle: idle, meterQuality))
        }
    }

    private func slice(_ cell: Cell, _ figure: SpanFigure, dynamic: Int64, idle: IdleMoved, _ meterQuality: Quality) -> Slice {
        let span = timeline.spans[Int(cell.span)]
        let (first, last) = (timeline.rows[Int(cell.from)], timeline.rows[Int(cell.to)])
        let length = last.time - first.time
        let metered = min(length, Int64(figure.metered))
        let origin = timeline.window.start.microseconds
        let worst = sums.quality(from: first.time, to: last.time)
        let isPartial = figure.isPartial || metered < length
        let isMostlyShared = figure.shared > Double(length) / 2
        var slice = Slice(
            spanID: span.id,
            component: sums.component,
            interval: Interval(Timestamp(microseconds: origin + first.time), Timestamp(microseconds: origin + last.time)),
            dynamic: dynamic,
            idle: idle,
            bounds: SliceBounds(),
            metered: Microseconds(metered),
            meanShare: figure.use / Double(max(1, length)),
            // Equal parts of a cgroup that several own are no measurement of any of them.
            shareMethod: isMostlyShared ? .equal : span.shareMethod,
            quality: isPartial ? max(.partial, worst ?? .unknown) : worst ?? meterQuality
        )
        slice.reservedMicroseconds = bearsReservations ? max(0, figure.reservedTime) : 0
        bound(&slice, cell, figure, span)
        slice.errors.floor = max(0, figure.floor)
        if hasCeiling { slice.errors.floor += unknownFloor(figure, cell) / (1.96 * errorRatios.floor) }
        slice.estimate()
        return slice
    }

    /// Hard limits, and the errors at real edges.
    private func bound(_ slice: inout Slice, _ cell: Cell, _ figure: SpanFigure, _ span: ActiveSpan) {
        // One for rounding to whole µJ on either side; and what may not be the span's, because it lies inside an edge that is not known well.
        var lower = 1.0
        if span.lateRow >= 0 || span.earlyRow >= 0 {
            lower += lost(cell, span, sums)
            if hasOther { lower = max(lower, 1 + (other.map { lost(cell, span, $0) } ?? 0)) }
        }
        var upper = 1.0
        // Of all that flowed, with the idle of the default policy: an edge that is off moves that too.
        let part = figure.drawn - figure.floor + figure.reserved
        let share = figure.energy > 0 ? min(1, max(0, part / figure.energy)) : 0
        if cell.from == span.startRow, span.hasStart {
            let edge = edge(Int(cell.from), slice.interval.start, isEnd: false, span, cell)
            lower += edge.lower
            upper += edge.upper
            slice.errors.start = share * edge.deviation
        }
        if cell.to == span.endRow, span.hasEnd {
            let edge = edge(Int(cell.to), slice.interval.end, isEnd: true, span, cell)
            lower += edge.lower
            upper += edge.upper
            slice.errors.end = share * edge.deviation
        }
        // Where the window cuts the span nobody read the meters either.
        let whole = host.spans[span.input].interval
        let isCutOff = (
            Int(cell.from) == 0 && whole.start < host.window.start,
            Int(cell.to) == timeline.rows.count - 1 && host.window.end < whole.end
        )
        if isCutOff.0 || isCutOff.1 {
            let cut = meters.reduce(0) {
                $0 + (isCutOff.0 ? $1.limit(at: host.window.start) : 0) + (isCutOff.1 ? $1.limit(at: host.window.end) : 0)
            }
            lower += cut
            upper += cut
        }
        // What accounts below 0 took from the idle energy they would not have taken with a floor that is truly never undercut.
        let scaled = max(
            figure.reserved - Double(slice.idle.reserved),
            figure.busy - Double(slice.idle.busy),
            figure.equal - Double(slice.idle.equal)
        )
        upper += max(0, scaled) * floorRatios.high
        let bends = sums.bends(of: cell, timeline)
        lower += bends.least
        upper += bends.most
        var (low, high) = (figure.low, figure.high)
        if hasOther, let other {
            let alternative = other.figure(of: cell, timeline)
            // Idle moved would be another with another course; the widest of the policies counts for all.
            let moved = [
                0, alternative.reserved - figure.reserved, alternative.busy - figure.busy, alternative.equal - figure.equal,
            ]
            let least = moved.min() ?? 0
            let most = moved.max() ?? 0
            low = min(low, alternative.low - alternative.lowFloor + figure.lowFloor + least)
            high = max(high, alternative.high - alternative.highFloor + figure.highFloor + most)
        }
        if hasCeiling, let ceiling {
            // Any floor up to this is as good: the part of it goes out of the dynamic energy, and a policy's part comes in.
            let most = ceiling.figure(of: cell, timeline)
            lower += max(0, figure.low - figure.lowFloor - (most.low - most.lowFloor))
            let moved = max(0, most.reserved - figure.reserved, most.busy - figure.busy, most.equal - figure.equal)
            upper += max(0, most.high - most.highFloor - (figure.high - figure.highFloor) + moved)
        }
        boundBusy(&slice.bounds, cell, figure, moved: slice.idle.busy)
        if span.tracked < 0 || host.spans[span.input].workload == nil {
            let (first, last) = (timeline.rows[Int(cell.from)].stretch, timeline.rows[Int(cell.to)].stretch - 1)
            if first <= last { upper += sums.open(in: first...last) }
        }
        if span.tracked >= 0, let workload = host.spans[span.input].workload, !sums.priceChanges.isEmpty {
            // Between readings the CPU curve may be off by ε each time the price of CPU time changes.
            let (first, last) = (timeline.rows[Int(cell.from)].stretch, timeline.rows[Int(cell.to)].stretch - 1)
            if first < last {
                let changes = sums.priceChanges[last] - sums.priceChanges[first]
                let error = Double(workload.epsilonMicroseconds) * changes / Double(host.cpus)
                lower += error
                upper += error
            }
        }
        slice.bounds.drawnLow = low - lower
        slice.bounds.drawnHigh = high + upper
        slice.bounds.floorLow = figure.lowFloor
        slice.bounds.floorHigh = figure.highFloor
        slice.bounds.floorRatioLow = floorRatios.low
        slice.bounds.floorRatioHigh = floorRatios.high
        slice.bounds.unmeteredHigh = figure.missing
    }

    /// Limits of the idle that `busy` moves: while the share of some running span is in doubt it may be anything up to the floor then.
    private func boundBusy(_ bounds: inout SliceBounds, _ cell: Cell, _ figure: SpanFigure, moved: Int64) {
        let floors = sums.marks[Int(cell.to)].floors - sums.marks[Int(cell.from)].floors
        let isExact = figure.highFloor - figure.lowFloor <= 1e-6 * floors[0] + 1
        let doubt = isExact ? floors[1] : floors[0]
        bounds.busyIdleLow = min(Double(moved), max(0, figure.busy - doubt))
        bounds.busyIdleHigh = max(Double(moved), min(floors[0], figure.busy + doubt))
    }

    /// How far the figure goes down if the floors that nobody knows are as high as they can be, under the policy that makes it most; below
    /// 0 where it goes up. µJ.
    private func unknownFloor(_ figure: SpanFigure, _ cell: Cell) -> Double {
        guard let most = ceiling?.figure(of: cell, timeline) else { return 0 }
        let lost = most.floor - figure.floor
        return Policy.allCases.map { policy in
            switch policy {
            case .dynamic: lost
            case .reserved: lost - (most.reserved - figure.reserved)
            case .busy: lost - (most.busy - figure.busy)
            case .equal: lost - (most.equal - figure.equal)
            }
        }.max { $0.magnitude < $1.magnitude } ?? 0
    }

    /// What the span has of a cell in which it may not have run yet, or no longer, with the idle that a policy moves for it at most, µJ.
    private func lost(_ cell: Cell, _ span: ActiveSpan, _ sums: ComponentSums) -> Double {
        func part(_ from: Int, _ to: Int) -> Double {
            guard from < to else { return 0 }
            let figure = sums.figure(of: Int(cell.span), from: from, to: to, timeline)
            return max(0, figure.low) + max(figure.reserved, figure.busy, figure.equal) * floorRatios.high
        }
        let (from, to) = (Int(cell.from), Int(cell.to))
        let late = min(to, max(from, Int(span.lateRow)))
        let early = span.earlyRow < 0 ? to : max(from, min(to, Int(span.earlyRow)))
        return part(from, late) + part(max(late, early), to)
    }

    /// What an edge of a span may be off by, µJ: hard limits of the slice, and a standard deviation of the host's energy.
    private func edge(
        _ row: Int,
        _ time: Timestamp,
        isEnd: Bool,
        _ active: ActiveSpan,
        _ cell: Cell
    ) -> (lower: Double, upper: Double, deviation: Double) {
        let errors = sums.edge(at: row)
        var lower = errors.limit
        var upper = errors.limit
        var variance = errors.variance
        if active.tracked >= 0, let workload = host.spans[active.input].workload, workload.curve.knot(at: time) == nil {
            let dearest = sums.prices(timeline.rows[Int(cell.from)].stretch..<timeline.rows[Int(cell.to)].stretch)
            let error = Double(workload.epsilonMicroseconds) * dearest / Double(host.cpus)
            lower += error
            upper += error
        }
        let resolution = isEnd ? active.endError : active.startError
        if resolution > .zero {
            upper += around(row, time, resolution, isEnd: isEnd)
            // Evenly within its limits, at the mean of the power on either side.
            let error = Double(resolution.count) * (errors.before + errors.after) / 2
            variance += error * error / 3
        }
        return (lower, upper, variance > 0 ? variance.squareRoot() : 0)
    }

    /// What the host drew just outside an edge that may be off by `resolution`, µJ.
    private func around(_ row: Int, _ edge: Timestamp, _ resolution: Microseconds, isEnd: Bool) -> Double {
        let errors = sums.edge(at: row)
        let time = timeline.rows[row].time
        if isEnd {
            if time.addingReportingOverflow(resolution.count).partialValue <= errors.until, resolution.count < timeline.length {
                return errors.after * Double(resolution.count)
            }
        } else if resolution.count <= time - errors.since {
            return errors.before * Double(resolution.count)
        }
        let (far, overflow) =
            isEnd
            ? edge.microseconds.addingReportingOverflow(resolution.count)
            : edge.microseconds.subtractingReportingOverflow(resolution.count)
        let other = Timestamp(microseconds: overflow ? isEnd ? .max : .min : far)
        let outside = isEnd ? Interval(edge, other) : Interval(other, edge)
        return meters.reduce(0) {
            $0 + $1.curve.exactIncrease(over: outside) * $1.boundRatios.high
        }
    }

    private static func errorRatios(
        _ host: HostInput,
        _ meters: [MeterInput],
        isFloorUnknown: Bool
    ) -> (meter: Double, floor: Double) {
        var squares = 0.0
        var energy = 0.0
        for meter in meters {
            let own = meter.curve.known(within: host.window).reduce(0.0) {
                $0 + meter.curve.exactIncrease(over: $1)
            }
            energy += own
            squares += own * meter.errorRatio * own * meter.errorRatio
        }
        let best = meters.reduce(0) { $0 + ($1.idle?.best.watts ?? 0) }
        let low = meters.reduce(0) { $0 + ($1.idle?.low.watts ?? 0) }
        let high = meters.reduce(0) { $0 + ($1.idle?.high.watts ?? 0) }
        // Low and high are a 95 % interval, 1.96 standard deviations either way.
        let floor = best > 0 ? max(0, high - low) / (2 * 1.96 * best) : 0
        return (
            energy > 0 ? squares.squareRoot() / energy : 0,
            // Of floors that nobody knows the slices' errors say how far they reach, in 1.96 of these.
            isFloorUnknown && floor == 0 ? 1 / 1.96 : floor
        )
    }
}

extension ComponentSums {
    /// The worst of what was known within a stretch of time; nil of nothing.
    func quality(from: Int64, to: Int64) -> Quality? {
        guard qualities.count > 1 else { return qualities.first?.quality }
        var low = 0
        var high = qualities.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if qualities[middle].time <= from { low = middle } else { high = middle }
        }
        var worst: Quality?
        while low < qualities.count, qualities[low].time < max(to, from + 1) {
            if let quality = qualities[low].quality { worst = max(worst ?? quality, quality) }
            low += 1
        }
        return worst
    }
}

extension Slice {
    /// How far the power in a gap may be from the slice's mean: a lognormal that is within a factor of 2 in 95 % of cases has
    /// `sigma = ln 2 / 1.96`, and a standard deviation of `sqrt(exp(sigma^2) - 1)` times its mean.
    public static let gapDeviation = 0.3649

    /// The slice's mean power, with the idle that a policy moved to it, over the part of its time that was not metered, µJ; nil where under
    /// half was metered. Where one meter of several was missing, what the others counted is in the mean too.
    public func estimated(under policy: Policy) -> Int64? {
        let gap = interval.duration.count - metered.count
        guard gap > 0 else { return 0 }
        guard metered.count >= gap else { return nil }
        return Int64(rounding: Double(dynamic + idle[policy]) / Double(metered.count) * Double(gap))
    }

    /// Under the default policy.
    mutating func estimate() {
        estimated = estimated(under: .reserved)
        errors.gap = Self.gapDeviation * Double(estimated ?? 0)
    }
}
