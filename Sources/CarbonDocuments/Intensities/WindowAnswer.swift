public import Carbon
public import Documents
public import Energy

/// When and where a job would meet the least: one zone or several, of one basis.
public struct WindowAnswer: Sendable {
    /// What is asked of the zones' figures.
    public struct Question: Hashable, Sendable {
        public var duration: Microseconds
        /// The earliest start, and the latest end.
        public var interval: Interval
        /// Nil for what counts in the zones.
        public var basis: Intensity.Basis?

        public init(duration: Microseconds, within interval: Interval, basis: Intensity.Basis? = nil) {
            self.duration = duration
            self.interval = interval
            self.basis = basis
        }
    }

    /// A zone's part of an answer.
    public struct Zone: Hashable, Sendable {
        public let zone: String
        public let best: BestWindow?
        /// What a start at once meets, g/kWh; nil where that is not known.
        public let atOnceGramsPerKilowattHour: Double?
        /// Against a start at once here.
        public let saving: Double?
        public let forecastError: ForecastError?
        public let isForecastErrorWithheld: Bool
        public let isWithheld: Bool
    }

    /// Average and marginal figures, or other bases, cannot be held against each other.
    public struct MixedBases: Error, Hashable, Sendable, CustomStringConvertible {
        public let zones: [String: Intensity.Basis]

        public init(zones: [String: Intensity.Basis]) { self.zones = zones }

        public var description: String {
            let all = zones.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            return "expected zones whose figures count the same, found \(all); ask for one `basis`, or for each zone alone"
        }
    }

    public let question: Question
    public let basis: Intensity.Basis?
    /// In the order in which they were asked for.
    public let zones: [Zone]
    public let best: BestWindow?
    /// Against a start at once in the first zone.
    public let saving: Double?

    /// - Throws: `MixedBases`; `IntensityCurve.Fault` never does come of figures without overlaps.
    public init(_ question: Question, in figures: [ZoneFigures]) throws {
        var bases: [String: Intensity.Basis] = [:]
        if question.basis == nil {
            for zone in figures { bases[zone.zone] = zone.bases.first }
            guard Set(bases.values).count <= 1 else { throw MixedBases(zones: bases) }
        }
        let basis = question.basis ?? bases.values.first
        self.question = question
        self.basis = basis
        guard let basis else {
            zones = figures.map {
                Zone(
                    zone: $0.zone,
                    best: nil,
                    atOnceGramsPerKilowattHour: nil,
                    saving: nil,
                    forecastError: $0.forecastError,
                    isForecastErrorWithheld: $0.isForecastErrorWithheld,
                    isWithheld: $0.holdsWithheld
                )
            }
            best = nil
            saving = nil
            return
        }
        let (from, until) = (question.interval.start, question.interval.end)
        let curves = try figures.map { try $0.curve(of: basis) }
        zones = zip(figures, curves).map { figures, curve in
            let best = BestWindow(in: curve, lasting: question.duration, from: from, until: until)
            return Zone(
                zone: figures.zone,
                best: best,
                atOnceGramsPerKilowattHour: curve.mean(over: Interval(from, from + question.duration))?.gramsPerKilowattHour,
                saving: best.flatMap { $0.saving(against: from, in: curve) },
                forecastError: figures.forecastError,
                isForecastErrorWithheld: figures.isForecastErrorWithheld,
                isWithheld: figures.holdsWithheld
            )
        }
        let best = BestWindow.best(in: curves, lasting: question.duration, from: from, until: until)
        self.best = best
        saving = curves.first.flatMap { first in best.flatMap { $0.saving(against: from, in: first) } }
    }

    /// - Parameter showsAll: false for people who may not see values that may not be handed on. Which window is best of them is told.
    public func json(showsAll: Bool = true) -> JSONValue {
        var missing: [JSONValue] = []
        func note(_ field: String, _ reason: String) {
            missing.append(.object(["field": .string(field), "reason": .string(reason)]))
        }
        let isHidden = !showsAll && zones.contains { $0.isWithheld }
        func value(_ value: Double?, _ field: String, _ reason: String) -> JSONValue {
            guard let value else {
                note(field, reason)
                return .null
            }
            guard !isHidden else {
                note(field, "not_redistributable")
                return .null
            }
            return .number(FigureDigits.plain(value))
        }
        func window(_ best: BestWindow?, _ field: String) -> JSONValue {
            guard let best else {
                note(field, "no_window_known")
                return .null
            }
            return .object([
                "zone": .string(best.zone), "from": .string(RFC3339.format(best.interval.start)),
                "to": .string(RFC3339.format(best.interval.end)),
                "g_per_kwh": value(best.gramsPerKilowattHour, "\(field).g_per_kwh", ""),
                "low_g_per_kwh": value(best.low, "\(field).low_g_per_kwh", ""),
                "high_g_per_kwh": value(best.high, "\(field).high_g_per_kwh", ""),
                "kind": .string(best.kind.rawValue), "basis": .string(best.basis.description),
            ])
        }
        let all = zones.enumerated().map { index, zone in
            let place = "zones[\(index)]"
            return JSONValue.object([
                "zone": .string(zone.zone), "best": window(zone.best, "\(place).best"),
                "now_g_per_kwh": value(zone.atOnceGramsPerKilowattHour, "\(place).now_g_per_kwh", "no_figure"),
                "saving": value(zone.saving, "\(place).saving", "not_comparable"),
                "forecast_error": error(
                    zone.forecastError,
                    isHidden || !showsAll && zone.isForecastErrorWithheld,
                    "\(place).forecast_error",
                    note
                ),
            ])
        }
        var answer: [String: JSONValue] = [
            "duration_s": .integer(question.duration.count / 1_000_000),
            "from": .string(RFC3339.format(question.interval.start)),
            "until": .string(RFC3339.format(question.interval.end)), "basis": basis.map { .string($0.description) } ?? .null,
            "best": window(best, "best"), "saving": value(saving, "saving", "not_comparable"), "zones": .array(all),
        ]
        if basis == nil { note("basis", "no_figure") }
        answer["missing"] = .array(missing)
        return .object(answer)
    }

    private func error(_ error: ForecastError?, _ isHidden: Bool, _ field: String, _ note: (String, String) -> Void) -> JSONValue {
        if let error, !isHidden { return error.json }
        note(field, error == nil ? "no_past_forecast" : "not_redistributable")
        return .null
    }
}
