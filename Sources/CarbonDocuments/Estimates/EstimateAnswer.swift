public import Accounting
import Carbon
public import Documents
import Energy

/// An estimate as JSON: what a collector answers, and what `wattle estimate` prints.
public struct EstimateAnswer: Sendable {
    public let question: EstimateQuestion
    public let estimate: CarbonEstimate
    public let figures: ZoneFigures
    /// Whether figures of several bases cover the time, and none was asked for: these are in no sum.
    public let holdsSeveralBases: Bool
    private let pue: PUEFigure

    /// More than so many draws times pieces of intensity take too long for one answer.
    public static let mostDrawnFigures = 20_000_000

    /// - Parameter figures: of the zone that was asked for over the time that was asked for; nothing for a figure that was stated.
    /// - Throws: `EstimateQuestion.Faults` for more draws than the pieces allow; `IntensityCurve.Fault` never does come of such figures.
    public init(_ question: EstimateQuestion, figures: ZoneFigures? = nil) throws {
        self.question = question
        let zone: String
        switch question.place {
        case .zone(let named): zone = named.key
        case .stated(let intensity): zone = intensity.zone
        }
        let figures = question.statedFigures ?? figures ?? ZoneFigures(zone: zone, pieces: [])
        self.figures = figures
        let bases = figures.bases
        holdsSeveralBases = question.basis == nil && bases.count > 1
        let none = Intensity.Basis(scope: "", signal: "", side: "")
        let curve = try figures.curve(of: holdsSeveralBases ? none : question.basis ?? bases.first ?? none)
        if case .monteCarlo(let draws, _) = question.method, !curve.pieces.isEmpty {
            let pieces = curve.pieces(within: question.asked).count
            guard draws <= Self.mostDrawnFigures / max(1, pieces) else {
                throw EstimateQuestion.Faults(
                    all: [
                        .init(
                            field: "draws",
                            expected: "at most \(Self.mostDrawnFigures / pieces) over a time of \(pieces) values, or a shorter time",
                            found: "\(draws)"
                        )
                    ]
                )
            }
        }
        switch question.pue?.ratio {
        // Who says 1 says that nothing is to be added; who says nothing is told of a wider interval.
        case 1?: pue = PUEFigure(key: .pue("stated"), best: 1, low: 1, high: 1)
        case let ratio: pue = PUEFigure(ratio ?? 1, site: "stated", host: 0)
        }
        estimate = CarbonEstimate(question.amount, over: question.interval, in: curve, pue: pue, method: question.method)
    }

    /// Why there is no CO2e; nil where there is.
    public var missingReason: String? {
        guard estimate.grams == nil else { return nil }
        if holdsSeveralBases { return "several_bases" }
        if !figures.isKnown { return "no_intensity" }
        return estimate.coverage == 0 ? "no_intensity_of_basis" : "intensity_incomplete"
    }

    /// - Parameter showsAll: false for people who may not see values that may not be handed on: CO2e would tell them.
    public func json(showsAll: Bool = true) -> JSONValue {
        var missing: [JSONValue] = []
        func note(_ field: String, _ reason: String) {
            missing.append(.object(["field": .string(field), "reason": .string(reason)]))
        }
        let isHidden = !showsAll && figures.holdsWithheld
        func figure(_ figure: Estimate, _ unit: String, per factor: Double) -> [String: JSONValue] {
            func shown(_ value: Double) -> JSONValue {
                .number(FigureDigits.rounded(value / factor, low: figure.low / factor, high: figure.high / factor))
            }
            return [
                "best\(unit)": shown(figure.best), "low\(unit)": shown(figure.low), "high\(unit)": shown(figure.high),
                // Nothing that somebody only stated has hard limits.
                "bound_low\(unit)": .null, "bound_high\(unit)": .null,
            ]
        }
        var energy = figure(estimate.energy, "_kwh", per: 3.6e12)
        for field in ["energy.bound_low_kwh", "energy.bound_high_kwh"] { note(field, "not_measured") }
        energy["best_kwh"] = .number(FigureDigits.plain(estimate.energy.best / 3.6e12))
        var answer: [String: JSONValue] = [
            "from": .string(RFC3339.format(question.interval.start)), "to": .string(RFC3339.format(question.interval.end)),
            "energy": .object(energy),
            "facility_energy": .object(["best_kwh": .number(FigureDigits.plain(estimate.facilityMicrojoules / 3.6e12))]),
            "pue": .object([
                "best": .number(pue.best), "low": .number(FigureDigits.plain(pue.low)), "high": .number(FigureDigits.plain(pue.high)),
                "stated": .bool(question.pue != nil),
            ]), "coverage": .number(FigureDigits.plain(estimate.coverage)), "intensity": intensity(isHidden: isHidden, note),
        ]
        switch question.method {
        case .analytical: answer["method"] = .object(["name": .string("analytical")])
        case .monteCarlo(let draws, let seed):
            answer["method"] = .object([
                "name": .string("monte_carlo"), "draws": .integer(Int64(draws)), "seed": .integer(Int64(clamping: seed)),
            ])
        }
        if let grams = estimate.grams, !isHidden {
            answer["co2e"] = .object(["location_g": .object(figure(grams, "", per: 1))])
            for field in ["co2e.location_g.bound_low", "co2e.location_g.bound_high"] { note(field, "not_measured") }
        } else {
            answer["co2e"] = .object(["location_g": .null])
            note("co2e.location_g", isHidden ? "not_redistributable" : missingReason ?? "no_intensity")
        }
        answer["missing"] = .array(missing)
        return .object(answer)
    }

    private func intensity(isHidden: Bool, _ note: (String, String) -> Void) -> JSONValue {
        let parts = figures.pieces.compactMap(\.figure)
        guard !parts.isEmpty else {
            note("intensity.g_per_kwh", "no_intensity")
            return .object([
                "zone": .string(figures.zone), "g_per_kwh": .null, "kind": .null, "kinds": .array([]), "basis": .null,
                "bases": .array([]), "providers": .array([]),
            ])
        }
        var providers: [String] = []
        for part in parts where !providers.contains(part.intensity.provider) { providers.append(part.intensity.provider) }
        let value: JSONValue
        if let mean = estimate.gramsPerKilowattHour, !isHidden {
            value = .number(FigureDigits.plain(mean))
        } else {
            value = .null
            note("intensity.g_per_kwh", isHidden ? "not_redistributable" : missingReason ?? "no_intensity")
        }
        return .object([
            "zone": .string(figures.zone), "g_per_kwh": value,
            // The worst kind in it: a mean of forecasts and actual values is a forecast.
            "kind": estimate.kinds.last.map { .string($0.rawValue) } ?? .null,
            "kinds": .array(estimate.kinds.map { .string($0.rawValue) }),
            "basis": estimate.basis.map { .string($0.description) } ?? .null,
            "bases": .array(figures.bases.map { .string($0.description) }), "providers": .array(providers.map { .string($0) }),
        ])
    }
}
