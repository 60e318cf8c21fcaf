public import Energy

/// A meter's curve, fed by series of another exporter: it can be put down after any sample and gone on with by anyone.
///
/// Wraps, resets, the swinging door, hours and gaps are the agent's own code (`CounterUnwrapping`, `PowerIntegrator`, `CurveRecorder`).
/// What is added is what foreign series need: a sample that was seen before changes nothing, one source of several counts at a time,
/// and the parts of a sum may come one after the other.
public struct MeterCurve: Sendable {
    /// One series of the meter, as it was last read.
    public struct Part: Sendable, Hashable {
        public var key: String
        /// µJ, µW or µs.
        public var raw: Int64
        public var time: Timestamp
        public var startedAt: Timestamp?

        public init(key: String, raw: Int64, time: Timestamp, startedAt: Timestamp?) {
            self.key = key
            self.raw = raw
            self.time = time
            self.startedAt = startedAt
        }
    }

    /// Everything there is to keep between two samples.
    public struct State: Sendable {
        /// Whose samples count: the way they come, and the replica.
        public var source: String
        /// The latest sample of that source, whatever came of it.
        public var sourceTime: Timestamp
        /// Between the last two instants of that source; 0 before the second.
        public var step: Microseconds
        /// The sum up to `instant`, in the curve's unit.
        public var value: Int64
        /// The latest instant: parts of a sum may still add to it.
        public var instant: Timestamp
        /// Whether the door has the instant.
        public var isPlaced: Bool
        /// A gap that ends at the instant and is not placed yet.
        public var pendingGap: PendingGap?
        public var door: SwingingDoor
        public var parts: [Part]
        /// Of a meter whose power is read.
        public var power: PowerIntegrator.Standing?

        public struct PendingGap: Sendable, Hashable {
            public var low: Int64
            public var high: Int64
            public var cause: Gap.Cause

            public init(low: Int64, high: Int64, cause: Gap.Cause) {
                self.low = low
                self.high = high
                self.cause = cause
            }
        }

        public init(
            source: String,
            sourceTime: Timestamp,
            step: Microseconds,
            value: Int64,
            instant: Timestamp,
            isPlaced: Bool,
            pendingGap: PendingGap?,
            door: SwingingDoor,
            parts: [Part],
            power: PowerIntegrator.Standing?
        ) {
            self.source = source
            self.sourceTime = sourceTime
            self.step = step
            self.value = value
            self.instant = instant
            self.isPlaced = isPlaced
            self.pendingGap = pendingGap
            self.door = door
            self.parts = parts
            self.power = power
        }
    }

    /// What became of the samples.
    public struct Tally: Sendable, Hashable {
        /// They count, or were seen before.
        public var taken = 0
        /// Not later than what was read of the same series: a repetition, or out of order. No energy is lost by it: counts are cumulative.
        public var old = 0
        /// Of another source than the one that counts now.
        public var spare = 0
        /// No number that a meter can have.
        public var impossible = 0
        /// Later than now, or before 2020: a clock that was never set.
        public var untimely = 0
        /// Increases since so long ago that they are only where the count begins; taken.
        public var longSince = 0

        public init() {}

        public static func += (a: inout Tally, b: Tally) {
            a.taken += b.taken
            a.old += b.old
            a.spare += b.spare
            a.impossible += b.impossible
            a.untimely += b.untimely
            a.longSince += b.longSince
        }
    }

    public let meter: TelemetryMeter
    /// In the curve's unit per µs.
    private let maximumRate: Double
    private let bridge: Microseconds
    private var state: State?
    private var recorder: CurveRecorder
    private var parts: [String: Part] = [:]

    /// Clocks of two machines are together to this; a sample later than now by more is of no use.
    public static let tolerance = Microseconds.seconds(300)
    /// 2020-01-01: a clock that says less was never set.
    public static let earliest = Timestamp(microseconds: 1_577_836_800_000_000)
    /// A count that fell by less than it rises in this time was read by another reader a little earlier.
    static let skew = Microseconds.seconds(2)
    /// A count that was not read for longer has a gap, so that nobody draws a line through months.
    public static let longestBridge = Microseconds(31 * Microseconds.day.count)
    /// A first increase since longer ago is only where the count begins: nobody knows when in all that time it flowed.
    static let longestFirstIncrease = Microseconds.hour
    /// CPUs times kinds of busy time, with room; more parts than that are no machine's.
    static let mostParts = 16_384

    /// - Parameters:
    ///   - cpus: of the host; bounds its busy time.
    ///   - state: nil for a meter that was never read.
    ///   - bridge: a count that was not read for longer has a gap. A line has a knot each hour, so whoever sends instants far apart makes many.
    public init(_ meter: TelemetryMeter, cpus: Int = 1, state: State? = nil, bridge: Microseconds = longestBridge) {
        self.meter = meter
        self.bridge = min(bridge, Self.longestBridge)
        self.state = state
        switch meter.kind {
        case .energy: maximumRate = meter.maximumPower.watts
        // The parts of a sum are one CPU's each.
        case .hostBusy: maximumRate = meter.isSum ? 1 : Double(max(1, cpus))
        }
        recorder = state.map { CurveRecorder(goingOn: $0.door) } ?? CurveRecorder(epsilon: meter.epsilon)
        if recorder.epsilon != meter.epsilon { recorder.setEpsilon(meter.epsilon) }
        for part in state?.parts ?? [] { parts[part.key] = part }
    }

    /// What to keep; nil before the first sample.
    public var kept: State? {
        guard var state else { return nil }
        state.door = recorder.standing
        state.parts = parts.values.sorted { $0.key < $1.key }
        return state
    }

    /// The latest sample that is placed: what stands for the last knot until there is one.
    public var tail: Knot? { recorder.tail }

    /// Knots and gaps that are settled since the last call.
    public mutating func take() -> (knots: [Knot], gaps: [Gap]) { recorder.take() }

    // MARK: Reading

    /// Takes the readings of one series.
    ///
    /// - Parameter source: the way by which they came, with the replica.
    public mutating func read(_ series: MappedSeries, from source: String, now: Timestamp) -> Tally {
        var tally = Tally()
        for reading in series.readings {
            guard reading.time <= now + Self.tolerance, reading.time >= Self.earliest else {
                tally.untimely += 1
                continue
            }
            guard isCounted(source, reading.time) else {
                tally.spare += 1
                continue
            }
            if reading.isStale {
                // A counter that comes back tells what flowed; of a power nothing is known.
                if meter.reading == .power, reading.time >= state?.sourceTime ?? reading.time { state?.power?.isBroken = true }
                tally.taken += 1
                continue
            }
            guard let value = reading.value else {
                if meter.reading == .power { state?.power?.isBroken = true }
                tally.impossible += 1
                continue
            }
            var known = reading
            // A count that began after it was read did not.
            known.startedAt = reading.startedAt?.asStart.flatMap { $0 <= reading.time ? $0 : nil }
            read(value, known, part: series.part, isDelta: series.isDelta, from: source, &tally)
        }
        return tally
    }

    /// One source at a time: with two, each would see the other's clock in the count. Another one takes over where this one is silent.
    private func isCounted(_ source: String, _ time: Timestamp) -> Bool {
        guard let state, state.source != source else { return true }
        return time.time(since: state.sourceTime) > max(.seconds(30), Microseconds(state.step.count.adding(state.step.count)))
    }

    private mutating func read(
        _ value: Int64,
        _ reading: MappedSeries.Reading,
        part key: String,
        isDelta: Bool,
        from source: String,
        _ tally: inout Tally
    ) {
        let time = reading.time
        if let part = parts[key], time <= part.time {
            tally.old += 1
            return
        }
        guard parts.count < Self.mostParts || parts[key] != nil else {
            tally.impossible += 1
            return
        }
        begin(time, source)
        if meter.reading == .power {
            readPower(value, at: time, &tally)
        } else {
            readCount(value, reading, key, isDelta: isDelta, &tally)
        }
        if !meter.isSum { place() }
    }

    private mutating func begin(_ time: Timestamp, _ source: String) {
        guard var state else {
            self.state = State(
                source: source,
                sourceTime: time,
                step: .zero,
                value: 0,
                instant: time,
                isPlaced: false,
                pendingGap: nil,
                door: recorder.standing,
                parts: [],
                power: nil
            )
            return
        }
        if time > state.instant {
            // The instant before has all its parts: what comes late of it counts at the next.
            place()
            state = self.state ?? state
            if state.source == source { state.step = time.time(since: state.instant) }
            state.instant = time
            state.isPlaced = false
        }
        state.source = source
        state.sourceTime = max(state.sourceTime, time)
        self.state = state
    }

    private mutating func readCount(
        _ value: Int64,
        _ reading: MappedSeries.Reading,
        _ key: String,
        isDelta: Bool,
        _ tally: inout Tally
    ) {
        let time = reading.time
        tally.taken += 1
        guard var part = parts[key] else {
            parts[key] = Part(key: key, raw: value, time: time, startedAt: reading.startedAt)
            // A count begins with its first value; an increase is known from its own start on.
            guard recorder.tail == nil else { return }
            if isDelta, !meter.isSum, let start = reading.startedAt, start < time {
                if start >= Self.earliest, time.time(since: start) <= Self.longestFirstIncrease {
                    recorder.add(time: start, value: 0)
                    add(value)
                } else {
                    tally.longSince += 1
                    place()
                }
            } else {
                // No part can have added to the first instant: a sum has its beginning at once.
                place()
            }
            return
        }
        let elapsed = time.time(since: part.time)
        let most = Int64(saturating: maximumRate * Double(elapsed.count))
        if isDelta {
            readDelta(value, reading, part, most: most, &tally)
            part = Part(key: key, raw: value, time: time, startedAt: reading.startedAt)
            parts[key] = part
            return
        }
        if let start = reading.startedAt, let before = part.startedAt, start.time(since: before) > .seconds(1) {
            // The count began anew: what flowed since then is in it, what flowed before that is not known.
            gap(low: min(value, most), high: most, cause: .reset)
            parts[key] = Part(key: key, raw: value, time: time, startedAt: start)
            return
        }
        let slack = Int64(saturating: maximumRate * Double(Self.skew.count))
        if value < part.raw, part.raw - value <= slack, value > part.raw / 2, elapsed <= .seconds(5) {
            // Neither a wrap nor a reset comes down so little: another reader, whose clock is a little ahead, came first.
            tally.taken -= 1
            tally.old += 1
            return
        }
        var counter = CounterUnwrapping(
            modulus: meter.counterRange.map { CounterUnwrapping.powercapModulus(maxEnergyRangeMicrojoules: $0) },
            maximumRate: maximumRate,
            isRateBinding: meter.kind != .hostBusy,
            lastRaw: part.raw,
            lastTime: part.time
        )
        switch counter.read(raw: value, at: time) {
        case .first: break
        case .exactly(let increase):
            if meter.counterRange == nil, let least = meter.leastCounterRange, most >= least {
                // It may have wrapped, nobody knows where.
                gap(low: increase, high: max(increase, most), cause: .wrap)
            } else if elapsed > bridge {
                gap(low: increase, high: max(increase, most), cause: .absence)
            } else {
                add(increase)
            }
        case .between(let low, let high, let cause): gap(low: low, high: high, cause: cause)
        }
        parts[key] = Part(key: key, raw: value, time: time, startedAt: reading.startedAt ?? part.startedAt)
    }

    /// An increase since its own start. One that overlaps what is there is a repetition.
    private mutating func readDelta(
        _ value: Int64,
        _ reading: MappedSeries.Reading,
        _ part: Part,
        most: Int64,
        _ tally: inout Tally
    ) {
        let start = reading.startedAt ?? part.time
        let behind = start.time(since: part.time)
        if behind < .seconds(-1) {
            tally.taken -= 1
            tally.old += 1
            gap(low: 0, high: most, cause: .unreadable)
        } else if behind > .seconds(1) || value > most.adding(Int64(saturating: maximumRate * 2e6)) {
            // What came in between was lost on its way.
            gap(low: min(value, most), high: most, cause: .unreadable)
        } else if reading.time.time(since: part.time) > bridge {
            gap(low: min(value, most), high: most, cause: .absence)
        } else {
            add(value)
        }
    }

    private mutating func readPower(_ value: Int64, at time: Timestamp, _ tally: inout Tally) {
        guard var state else { return }
        let limits = PowerIntegrator.Limits(
            maximum: meter.maximumPower,
            isZeroPossible: isZeroPossible,
            longestStep: meter.longestStep,
            longestRepeat: meter.longestRepeat
        )
        var integrator = state.power.map { PowerIntegrator(limits, goingOn: $0) } ?? PowerIntegrator(limits)
        let verdict = integrator.take(microwatts: value, at: time)
        let previous = parts[""]?.time
        switch verdict {
        case .first, .counted, .afterGap:
            tally.taken += 1
            parts[""] = Part(key: "", raw: value, time: time, startedAt: nil)
        case .old: tally.old += 1
        case .standsStill, .impossible: tally.impossible += 1
        }
        state.power = integrator.standing ?? state.power
        if integrator.standing == nil || verdict == .impossible || verdict == .standsStill { state.power?.isBroken = true }
        self.state = state
        switch verdict {
        case .counted: add(integrator.microjoules)
        case .afterGap:
            let most = previous.map { Int64(saturating: maximumRate * Double(time.time(since: $0).count)) } ?? 0
            gap(low: 0, high: most, cause: .unreadable)
        case .first: break
        // There is nothing to say of this instant: the curve waits for the next value.
        case .old, .standsStill, .impossible:
            self.state?.instant = previous ?? time
            self.state?.isPlaced = previous != nil
        }
    }

    /// A machine as a whole always draws something: 0 W is a controller without a value.
    private var isZeroPossible: Bool {
        if case .energy(let place) = meter.kind { return place.zone != .node }
        return true
    }

    private mutating func add(_ increase: Int64) {
        guard var state else { return }
        if var gap = state.pendingGap {
            gap.low = gap.low.adding(increase)
            gap.high = gap.high.adding(increase)
            state.pendingGap = gap
        } else {
            let (sum, overflow) = state.value.addingReportingOverflow(increase)
            // 2^62: beyond what the database's rows may hold of a curve.
            state.value = overflow || sum > 1 << 62 ? state.value : sum
        }
        self.state = state
    }

    private mutating func gap(low: Int64, high: Int64, cause: Gap.Cause) {
        guard var state else { return }
        let known = max(0, state.value - (recorder.tail?.value ?? state.value))
        if var gap = state.pendingGap {
            gap.low = gap.low.adding(low)
            gap.high = gap.high.adding(high)
            state.pendingGap = gap
        } else {
            // What other parts added at this instant lies in the same gap.
            state.pendingGap = State.PendingGap(low: low.adding(known), high: Int64(saturating: Double(high) + Double(known)), cause: cause)
            state.value -= known
        }
        self.state = state
    }

    /// Gives the instant to the door: no part adds to it any more.
    private mutating func place() {
        guard var state, !state.isPlaced else { return }
        if let gap = state.pendingGap {
            recorder.addAfterGap(time: state.instant, low: gap.low, high: max(gap.low, gap.high), cause: gap.cause)
        } else {
            recorder.add(time: state.instant, value: state.value)
        }
        state.pendingGap = nil
        state.isPlaced = true
        self.state = state
    }
}
