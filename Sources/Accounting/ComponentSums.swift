import Energy

/// The prefix sums of one component's energy: what a unit of each kind of claim had had at each row of the timeline, µJ.
///
/// A span's figure is its claim times the difference of two rows.
struct ComponentSums {
    let component: Component
    /// Lowers the idle floor where the whole window's energy is below it.
    private(set) var floorScale = 1.0
    private(set) var isFloorHigh = false
    let metered: Int64
    /// Per piece.
    let meteredPieces: [Int64]
    let meteredLimits: (low: Double, high: Double)
    private(set) var unmetered = Microseconds.zero
    private(set) var unmeteredMaximum = 0.0
    private(set) var quality: Quality?
    private(set) var pieces: [PieceSums]

    private(set) var rows = PrefixSums<SIMD16<Double>>()
    /// Dynamic energy per unit of weight and per part of an equal one: what all spans are asked for before any is made a slice.
    private(set) var dynamicRows = PrefixSums<SIMD2<Double>>()
    /// Per unit of measured CPU; empty where no span has a cgroup.
    private(set) var measuredRows = PrefixSums<SIMD8<Double>>()
    private(set) var channels: [Channel] = []
    /// What else is known at each row.
    private(set) var marks: [Mark] = []
    /// One for each time between two changes of a meter, and one for each change.
    private var edges: [EdgeRow] = []
    /// From when on the meters that are known have which quality at worst.
    private(set) var qualities: [(time: Int64, quality: Quality?)] = []
    /// µJ that one CPU-µs costs at most, per stretch; empty where nobody asks.
    private(set) var prices = RangeMaximum([])
    /// By how much that price has changed in all, up or down, before each stretch.
    private(set) var priceChanges: [Double] = []
    /// What all that was measured may be off by, at that price, in each stretch; and each change of the price times that, before each. µJ.
    private var openPrices: [Double] = []
    private var openChanges: [Double] = []
    /// What of the dynamic energy is no span's, fractional µJ, of either sign.
    struct PieceSums {
        var agent = 0.0
        var system = 0.0
        var unknown = 0.0
        /// While nothing ran.
        var idleDynamic = 0.0
        var floor = 0.0
        var energy = 0.0
    }

    /// Where a sum stands in a row.
    enum Lane {
        static let drawn = 0, floor = 1, busy = 2, drawnEqual = 3, floorEqual = 4, busyEqual = 5
        static let reserved = 6, reservedEqual = 7, equal = 8
        /// Where all that nobody was measured to use is a span's: where dynamic energy is negative, the least; where not, the most; where
        /// it is either by what the floor is (`OpenPart`), both, and the floor is in the energy then.
        static let low = 9, lowFloor = 10, high = 11, highFloor = 12
        static let missing = 13, metered = 14, energy = 15
    }
    /// Where a sum stands in a row of what is measured: the limits are apart by the sign of dynamic energy.
    enum MeasuredLane {
        static let drawn = 0, floor = 1, busy = 2, lowPlus = 3, lowMinus = 4, highPlus = 5, highMinus = 6, floorPlus = 7
    }
    /// Where a sum stands in a row of a channel.
    enum ChannelLane {
        static let drawn = 0, floor = 1, busy = 2, low = 3, lowFloor = 4, high = 5, highFloor = 6
    }

    /// Shares by something else than the CPU: memory, a GPU's time, its owners, or the spans that run.
    struct Channel {
        enum Rate { case memory, gpuTime(Int), owners(Int), slots }
        var rate: Rate
        fileprivate(set) var rows = PrefixSums<SIMD8<Double>>()
        /// Of the sums, at least.
        fileprivate var magnitude = 0.0

        fileprivate init(rate: Rate) { self.rate = rate }

        fileprivate mutating func keep() { if rows.keep(magnitude: magnitude) { magnitude = 0 } }

        @inline(__always)
        fileprivate mutating func add(_ flow: Flow, _ dt: Double, factor: Double, perSpans: Double, least: Double, most: Double) {
            let energy = flow.energy * dt
            let floor = flow.floor * dt
            let (atLow, atHigh) = energy >= floor ? (least, most) : (most, least)
            magnitude += max(factor, least, most) * max(1, perSpans) * (flow.high * dt + floor)
            rows.add(
                SIMD8(
                    factor * energy,
                    factor * floor,
                    factor * perSpans * floor,
                    atLow * flow.low * dt,
                    atLow * floor,
                    atHigh * flow.high * dt,
                    atHigh * floor,
                    0
                )
            )
        }
    }

    /// What is known at a row beside the sums.
    struct Mark {
        /// The component's idle floor up to here, and that of it while some span's share was in doubt, µJ.
        var floors: SIMD2<Double>
        /// How much what a unit of measured CPU gets, and what nobody was measured to use, have changed up to here, each change times what
        /// the curves may be off by there, µJ: without and with the change at this row.
        var bendsBefore: SIMD2<Double>
        var bends: SIMD2<Double>
        fileprivate var edge: Int32
    }

    /// What the curves may be off by at a row, and what flows around it.
    struct EdgeRow {
        /// Hard limit, µJ.
        var limit: Double
        /// Of a standard deviation, µJ².
        var variance: Double
        /// W at most just before and after, and until when that holds.
        var before: Double
        var after: Double
        var since: Int64
        var until: Int64
    }

    /// W of a meter, or of several.
    fileprivate struct Flow {
        var energy = 0.0
        var low = 0.0
        var high = 0.0
        var floor = 0.0

        static func += (a: inout Flow, b: Flow) {
            a.energy += b.energy
            a.low += b.low
            a.high += b.high
            a.floor += b.floor
        }
    }

    init(component: Component, meters: [MeterInput], timeline: Timeline) {
        self.component = component
        var metered: Int64 = 0
        var meteredPieces: [Int64] = []
        var limits = (low: 0.0, high: 0.0)
        var energy = 0.0
        var floor = 0.0
        for piece in timeline.pieces {
            var sum: Int64 = 0
            for meter in meters {
                for part in meter.curve.known(within: piece) {
                    let increase = Int64(
                        saturating: CurveCursor.difference(meter.curve.wholeValue(at: part.end), meter.curve.wholeValue(at: part.start))
                    )
                    sum = sum.addingReportingOverflow(increase).overflow ? .max : sum + increase
                    let exact = meter.curve.exactIncrease(over: part)
                    energy += exact
                    limits.low += exact * meter.boundRatios.low
                    limits.high += exact * meter.boundRatios.high
                    floor += (meter.idle?.best ?? .zero).microjoules(over: part.duration)
                }
            }
            // Whatever counters say, the pieces' sum is one that can be counted.
            let piece = min(max(0, sum), .max - metered)
            meteredPieces.append(piece)
            metered += piece
        }
        self.metered = metered
        self.meteredPieces = meteredPieces
        meteredLimits = limits
        if floor > energy, floor > 0 {
            floorScale = max(0, energy) / floor
            // A floor made of the same energy may be above it by rounding.
            isFloorHigh = floor - energy > 1 + energy * 1e-9
        }
        pieces = timeline.pieces.map { _ in PieceSums() }
        sum(meters, timeline)
    }

    private mutating func sum(_ meters: [MeterInput], _ timeline: Timeline) {
        let window = timeline.window
        let origin = window.start.microseconds
        var cursors = meters.map { CurveCursor($0.curve, from: window.start) }
        var flows = meters.map { _ in Flow() }
        let floors = meters.map { ($0.idle?.best.watts ?? 0) * floorScale }
        let ratios = floorRatios(of: meters)
        let hasMeasured = !timeline.tracked.isEmpty && timeline.tracked.all.contains { $0.hasCgroup }
        let goesByMemory = component == .dram && timeline.hasMemory
        let goesByGPU = component == .gpu
        if goesByMemory { channels = [Channel(rate: .memory)] }
        if goesByGPU {
            for g in meters.indices { channels += [Channel(rate: .gpuTime(g)), Channel(rate: .owners(g)), Channel(rate: .slots)] }
        }
        let allEdges = Self.edgeErrors(of: meters, cursors, readAt: nil)
        // One that has not begun is missing, unless another ended before it: then it takes that one's place.
        let takesPlace = meters.map { meter in
            meters.contains { other in
                guard other.isClosed, let end = other.curve.extent?.end, let start = meter.curve.extent?.start else { return false }
                return end <= start
            }
        }
        var floorSums = SIMD2<Double>.zero
        var bendSums = SIMD2<Double>.zero
        var shares = SIMD2<Double>(-1, -1)
        var prices = hasMeasured ? [Double](repeating: 0, count: timeline.stretches.count) : []

        rows.reserveCapacity(timeline.rows.count)
        dynamicRows.reserveCapacity(timeline.rows.count)
        marks.reserveCapacity(timeline.rows.count)
        if hasMeasured { measuredRows.reserveCapacity(timeline.rows.count) }
        // Of the sums of both, at least.
        var magnitude = 0.0
        var flow = Flow()
        var missing = 0.0
        var isWhole = true
        var worst: Quality?
        var next = Timestamp(microseconds: .min)
        var since: Int64 = 0
        var before = 0.0
        /// A meter changes at the row that is kept; the edge of those between this change and the next is there.
        var isChange = false
        var hasEdge = false
        var piece = -1
        var part = PieceSums()
        var nextPieceRow = 0

        @inline(__always)
        func keep(_ row: Int32, _ time: Int64) {
            let isLarge = rows.keep(magnitude: magnitude)
            if hasMeasured { measuredRows.keep(magnitude: magnitude) }
            dynamicRows.keep(magnitude: magnitude)
            if isLarge { magnitude = 0 }
            for c in channels.indices { channels[c].keep() }
            if isChange || !hasEdge {
                let errors =
                    isChange ? Self.edgeErrors(of: meters, cursors, readAt: Timestamp(microseconds: origin + time)) : allEdges
                edges.append(
                    EdgeRow(
                        limit: errors.limit,
                        variance: errors.variance,
                        before: before,
                        after: flow.high,
                        since: since,
                        until: next.microseconds == .max ? .max : next.microseconds - origin
                    )
                )
                hasEdge = !isChange
            }
            marks.append(
                Mark(floors: floorSums, bendsBefore: bendSums, bends: bendSums, edge: Int32(truncatingIfNeeded: edges.count - 1))
            )
            if nextPieceRow < timeline.pieceRows.count, Int(row) == timeline.pieceRows[nextPieceRow] {
                nextPieceRow += 1
                if piece >= 0 { pieces[piece] = part }
                piece += 1
                part = PieceSums()
            }
        }
        @inline(__always)
        func refresh(_ t: Timestamp) {
            flow = Flow()
            missing = 0
            isWhole = true
            worst = nil
            next = Timestamp(microseconds: .max)
            var isAnyKnown = false
            for m in cursors.indices {
                if t >= cursors[m].next || t == window.start { cursors[m].advance(to: t) }
                next = min(next, cursors[m].next)
                if cursors[m].isKnown { isAnyKnown = true }
            }
            for m in cursors.indices {
                guard cursors[m].isKnown else {
                    flows[m] = Flow()
                    // A meter that was replaced by another, or came after one, is not missing.
                    let hasEnded =
                        cursors[m].isEmpty || (cursors[m].isBeforeFirst && takesPlace[m]) || (meters[m].isClosed && cursors[m].isAfterLast)
                    if hasEnded && isAnyKnown { continue }
                    isWhole = false
                    missing += meters[m].maximumPower.watts
                    continue
                }
                worst = max(worst ?? meters[m].quality, meters[m].quality)
                flows[m] = Flow(
                    energy: cursors[m].rate,
                    low: cursors[m].rate * meters[m].boundRatios.low,
                    high: cursors[m].rate * meters[m].boundRatios.high,
                    floor: floors[m]
                )
                flow += flows[m]
            }
            if let worst { quality = max(quality ?? worst, worst) }
        }

        let stretches = timeline.stretches
        let factors = timeline.factors
        let length = timeline.length
        for i in stretches.indices {
            let stretch = stretches[i]
            let t = Timestamp(microseconds: origin + stretch.time)
            isChange = false
            if t >= next {
                before = flow.high
                let old = stretch.time
                refresh(t)
                isChange = true
                hasEdge = false
                if stretch.row >= 0 { keep(stretch.row, stretch.time) }
                since = old
                if qualities.last.map({ $0.quality != worst }) ?? true { qualities.append((stretch.time, worst)) }
                before = flow.high
            } else if stretch.row >= 0 {
                keep(stretch.row, stretch.time)
            }
            let f = factors[Int(stretch.factors)]
            if f.perMeasured != shares.x || f.remainder != shares.y {
                let new = SIMD2(f.perMeasured, f.remainder)
                if i > 0 {
                    let errors = isChange ? Self.edgeErrors(of: meters, cursors, readAt: t) : allEdges
                    bendSums += Self.bend(from: shares, to: new) * errors.limit
                    if stretch.row >= 0 { marks[marks.count - 1].bends = bendSums }
                }
                shares = new
            }
            let dt = Double((i + 1 < stretches.count ? stretches[i + 1].time : length) - stretch.time)
            let energy = flow.energy * dt
            let floor = flow.floor * dt
            let dynamic = energy - floor
            part.floor += floor
            part.energy += energy
            if !isWhole {
                unmetered += Microseconds(Int64(dt))
                unmeteredMaximum += missing * dt
            }
            var open = goesByGPU || f.isMeasured ? 0 : floor
            let isByMemory = goesByMemory && timeline.memorySums[Int(stretch.factors)] > 0
            if !isByMemory && !goesByGPU {
                let unseen = OpenPart(least: flow.low * dt, most: flow.high * dt, floor: floor, ratios: ratios)
                let perSpans = f.perSpans * floor
                dynamicRows.add(SIMD2(f.perWeight, f.perEqualWeight) * dynamic)
                magnitude += max(1, f.perWeight, f.perMeasured) * max(1, f.perSpans) * (flow.high * dt + floor)
                rows.add(
                    SIMD16(
                        f.perWeight * energy,
                        f.perWeight * floor,
                        f.perWeight * perSpans,
                        f.perEqualWeight * energy,
                        f.perEqualWeight * floor,
                        f.perEqualWeight * perSpans,
                        f.perClaim * floor,
                        f.perEqualClaim * floor,
                        f.perSlot * floor,
                        f.remainder * unseen.low,
                        f.remainder * unseen.lowFloor,
                        f.remainder * unseen.high,
                        f.remainder * unseen.highFloor,
                        missing * dt,
                        isWhole ? dt : 0,
                        energy
                    )
                )
                if hasMeasured {
                    let perMeasured = f.perMeasured
                    let plus = dynamic < 0 ? 0 : perMeasured * dt
                    let minus = dynamic < 0 ? perMeasured * dt : 0
                    measuredRows.add(
                        SIMD8(
                            perMeasured * energy,
                            perMeasured * floor,
                            perMeasured * perSpans,
                            plus * flow.low,
                            minus * flow.low,
                            plus * flow.high,
                            minus * flow.high,
                            plus * flow.floor
                        )
                    )
                }
            } else {
                rows.add(
                    SIMD16(
                        0,
                        0,
                        0,
                        0,
                        0,
                        0,
                        f.perClaim * floor,
                        f.perEqualClaim * floor,
                        f.perSlot * floor,
                        0,
                        0,
                        0,
                        0,
                        missing * dt,
                        isWhole ? dt : 0,
                        energy
                    )
                )
            }
            if hasMeasured, f.busy > 0 { prices[i] = flow.high / f.busy }
            if isByMemory {
                let factor = timeline.memoryFactors[Int(stretch.factors)]
                // What nobody measured of the CPU may be more or less of what spans have together.
                let least = f.isMeasured ? factor : 0
                let most = f.isMeasured ? factor : max(f.spans, 1 - f.agent) / timeline.memorySums[Int(stretch.factors)]
                channels[0].add(flow, dt, factor: factor, perSpans: f.perSpans, least: least, most: most)
            }
            if goesByGPU {
                for m in meters.indices {
                    let share = timeline.gpuShares[Int(stretch.factors) * timeline.gpuNames.count + m]
                    let dynamic = (flows[m].energy - flows[m].floor) * dt
                    let isExact = share.factor >= 1
                    if !isExact, share.rule != .time { open += flows[m].floor * dt }
                    switch share.rule {
                    case .nobody:
                        if f.busy <= 0 {
                            part.idleDynamic += dynamic
                        } else if f.isBusyKnown {
                            part.system += dynamic
                        } else {
                            part.unknown += dynamic
                        }
                    case .time:
                        channels[3 * m].add(flows[m], dt, factor: share.factor, perSpans: 1, least: share.factor, most: share.factor)
                    case .owners:
                        channels[3 * m + 1].add(flows[m], dt, factor: share.factor, perSpans: 1, least: isExact ? 1 : 0, most: 1)
                    case .equal:
                        channels[3 * m + 2].add(flows[m], dt, factor: share.factor, perSpans: 1, least: isExact ? 1 : 0, most: 1)
                    }
                }
            } else {
                part.agent += dynamic * f.agent
                part.system += dynamic * f.system
                part.unknown += dynamic * f.unknown
                part.idleDynamic += dynamic * f.idle
            }
            floorSums += SIMD2(floor, open)
        }
        // The window's end.
        let end = Timestamp(microseconds: origin + length)
        if end >= next {
            before = flow.high
            let kept = flow
            refresh(end)
            isChange = true
            keep(Int32(truncatingIfNeeded: timeline.rows.count - 1), length)
            flow = kept
        } else {
            isChange = false
            keep(Int32(truncatingIfNeeded: timeline.rows.count - 1), length)
        }
        if hasMeasured {
            var changes = 0.0
            var open = 0.0
            priceChanges.reserveCapacity(prices.count)
            openPrices.reserveCapacity(prices.count)
            openChanges.reserveCapacity(prices.count)
            for i in prices.indices {
                let epsilon = factors[Int(stretches[i].factors)].epsilon
                if i > 0 {
                    let change = (prices[i] - prices[i - 1]).magnitude
                    changes += change
                    open += change * max(epsilon, factors[Int(stretches[i - 1].factors)].epsilon)
                }
                priceChanges.append(changes)
                openPrices.append(epsilon * prices[i])
                openChanges.append(open)
            }
        }
        self.prices = RangeMaximum(prices)
    }

    /// Limits of the idle floor as ratios of the one used.
    func floorRatios(of meters: [MeterInput]) -> (low: Double, high: Double) {
        let best = meters.reduce(0) { $0 + ($1.idle?.best.watts ?? 0) } * floorScale
        let low = meters.reduce(0) { $0 + ($1.idle?.low.watts ?? 0) }
        let high = meters.reduce(0) { $0 + ($1.idle?.high.watts ?? 0) }
        return best > 0 ? (min(1, low / best), max(1, high / best)) : (1, 1)
    }

    /// How much more of what nobody was measured to use there may have been in some stretches, µJ: each curve of CPU time may say too much
    /// at the first and at the last of them, and wherever its price changes.
    func open(in stretches: ClosedRange<Int>) -> Double {
        guard !openPrices.isEmpty else { return 0 }
        let (first, last) = (stretches.lowerBound, stretches.upperBound)
        return openPrices[first] + openPrices[last] + openChanges[last] - openChanges[first]
    }

    func edge(at row: Int) -> EdgeRow { edges[Int(marks[row].edge)] }

    /// How far the curves may be off at an instant, µJ: nothing where a meter was read at it, else ε at the nearest samples and at most
    /// `P_max * dt / 4` between them, each of them evenly within its limits.
    private static func edgeErrors(
        of meters: [MeterInput],
        _ cursors: [CurveCursor],
        readAt time: Timestamp?
    ) -> (limit: Double, variance: Double) {
        var limit = 0.0
        var variance = 0.0
        for m in meters.indices where time == nil || cursors[m].lastKnot != time {
            let between = meters[m].maximumPower.microjoules(over: meters[m].samplePeriod) / 4
            let epsilon = Double(meters[m].epsilonMicrojoules)
            limit += (epsilon + between) * meters[m].boundRatios.high
            variance += (epsilon * epsilon + between * between) / 3
        }
        return (limit, variance)
    }
}
