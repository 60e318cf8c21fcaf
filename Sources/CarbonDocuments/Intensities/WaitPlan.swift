public import Carbon
public import Energy

/// Whether a job that wants at most so much intensity may begin, or when it is expected to.
public struct WaitPlan: Hashable, Sendable {
    public struct Start: Hashable, Sendable {
        public let zone: String
        public let time: Timestamp
        /// What it meets, on average over its length.
        public let gramsPerKilowattHour: Double
        public let kind: Intensity.Kind
    }

    /// What is asked of the zones.
    public struct Question: Hashable, Sendable {
        public var mostGramsPerKilowattHour: Double
        /// Zero for the instant at which it begins.
        public var duration: Microseconds
        /// The latest start.
        public var deadline: Timestamp
        /// Nil for what counts in the zones.
        public var basis: Intensity.Basis?

        public init(atMost grams: Double, lasting duration: Microseconds, until deadline: Timestamp, basis: Intensity.Basis? = nil) {
            mostGramsPerKilowattHour = grams
            self.duration = duration
            self.deadline = deadline
            self.basis = basis
        }
    }

    public let question: Question
    public let now: Timestamp
    public let basis: Intensity.Basis?
    /// The first moment that will do by the deadline, and where; nil for none that is known.
    public let start: Start?
    /// What a start at once meets in each zone; nil where it is not known.
    public let atOnce: [String: Double]
    /// No zone has other than yearly figures: waiting changes nothing.
    public let isHopeless: Bool

    /// - Throws: `WindowAnswer.MixedBases`; `IntensityCurve.Fault` never does come of figures without overlaps.
    public init(_ question: Question, in figures: [ZoneFigures], now: Timestamp) throws {
        var bases: [String: Intensity.Basis] = [:]
        if question.basis == nil {
            for zone in figures { bases[zone.zone] = zone.bases.first }
            guard Set(bases.values).count <= 1 else { throw WindowAnswer.MixedBases(zones: bases) }
        }
        self.question = question
        self.now = now
        basis = question.basis ?? bases.values.first
        var starts: [Start] = []
        var atOnce: [String: Double] = [:]
        if let basis {
            for zone in figures {
                let curve = try zone.curve(of: basis)
                func mean(at time: Timestamp) -> Double? {
                    guard question.duration > .zero else { return curve.intensity(at: time)?.gramsPerKilowattHour }
                    return curve.mean(over: Interval(time, time + question.duration))?.gramsPerKilowattHour
                }
                atOnce[zone.zone] = mean(at: now)
                guard
                    let time = curve.first(
                        atMost: question.mostGramsPerKilowattHour,
                        lasting: question.duration,
                        from: now,
                        until: question.deadline
                    ), let grams = mean(at: time), let kind = Self.kind(curve, from: time, lasting: question.duration)
                else { continue }
                starts.append(Start(zone: zone.zone, time: time, gramsPerKilowattHour: grams, kind: kind))
            }
        }
        start = starts.min { ($0.time, $0.gramsPerKilowattHour, $0.zone) < ($1.time, $1.gramsPerKilowattHour, $1.zone) }
        self.atOnce = atOnce
        isHopeless = start == nil && figures.contains { $0.isYearlyOnly } && figures.allSatisfy { $0.isYearlyOnly || !$0.isKnown }
    }

    private static func kind(_ curve: IntensityCurve, from time: Timestamp, lasting duration: Microseconds) -> Intensity.Kind? {
        let pieces = curve.pieces(within: Interval(time, time + max(duration, Microseconds(1))))
        return Intensity.Kind.allCases.last { kind in pieces.contains { $0.intensity.kind == kind } }
    }

    /// Whether it may begin now.
    public var isReached: Bool { start.map { $0.time <= now } ?? false }

    /// What a start saves against another intensity: 0.25 is a quarter less. Nil where that is not known.
    public func saving(against grams: Double?) -> Double? {
        guard let grams, grams > 0, let start else { return nil }
        return 1 - start.gramsPerKilowattHour / grams
    }
}
