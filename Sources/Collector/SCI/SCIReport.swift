import Accounting
import Carbon
import Documents
import Energy
import Store

/// What `R` of an SCI is: the piece of work that figures are told per.
enum SCIUnit: String, Sendable, CaseIterable {
    case job, run, commit, release, test, unit

    /// How it is counted, for those who read the report.
    func counting(_ unit: String?) -> String {
        switch self {
        case .job: "finished jobs"
        case .run: "distinct runs of pipelines: source, repository and run_id, else pipeline"
        case .commit: "distinct commits by repository"
        case .release: "distinct purls of releases"
        case .test: "jobs whose release has the relation test"
        case .unit: "the sum of units that jobs and services reported\(unit.map { ", of \($0)" } ?? "")"
        }
    }
}

/// A score after ISO/IEC 21031 with all that the standard wants told beside it; pure.
struct SCIReport: Sendable {
    static let standard = "ISO/IEC 21031:2024"

    /// A figure with the 95 % interval, or the limits, of what it is made from.
    struct Figure: Sendable {
        var best: Double
        var low: Double
        var high: Double

        func scaled(by factor: Double) -> Figure { Figure(best: best * factor, low: low * factor, high: high * factor) }

        static func + (a: Figure, b: Figure) -> Figure { Figure(best: a.best + b.best, low: a.low + b.low, high: a.high + b.high) }
    }

    let per: SCIUnit
    /// Of `per=unit`: which one.
    let unit: String?
    let figures: RollUpFigures
    let counted: FunctionalUnits
    let answer: RollUpAnswer
    /// As they were asked for.
    let filters: [(name: String, value: String)]
    /// Providers whose figures may not be handed on.
    var withheld: Set<String> = []

    /// `O`, g: the machines' energy, their building's, and the grid's intensity at the place.
    var operational: Figure? { figures.hasEnergy ? figures.locationGrams.map(Self.figure) : nil }

    /// `M`, g.
    var embodied: Figure? {
        guard figures.hasEnergy, let mass = figures.embodied else { return nil }
        return Figure(best: mass.best.grams, low: mass.low.grams, high: mass.high.grams)
    }

    /// `R`; nil where it is not said which units are meant.
    var functionalUnits: Double? {
        switch per {
        case .job: return Double(counted.jobs)
        case .run: return Double(counted.runs)
        case .commit: return Double(counted.commits)
        case .release: return Double(counted.releases)
        case .test: return Double(counted.tests)
        case .unit:
            if let unit { return figures.units[unit] ?? 0 }
            return figures.units.count <= 1 ? figures.units.values.first ?? 0 : nil
        }
    }

    /// The name of one, for `gCO2e per ...`.
    var unitName: String { per == .unit ? unit ?? (figures.units.count == 1 ? figures.units.keys.first : nil) ?? "unit" : per.rawValue }

    /// `(O + M) / R`; nil where one of them is not known, or nothing was made.
    var score: Figure? {
        guard let operational, let embodied, let units = functionalUnits else { return nil }
        func score(_ o: Double, _ m: Double) -> Double? {
            SCI(operational: CO2e(grams: o), embodied: CO2e(grams: m), functionalUnits: units).gramsPerUnit
        }
        guard let best = score(operational.best, embodied.best), let low = score(operational.low, embodied.low),
            let high = score(operational.high, embodied.high)
        else { return nil }
        return Figure(best: best, low: low, high: high)
    }

    private static func figure(_ e: Estimate) -> Figure { Figure(best: e.best, low: e.low, high: e.high) }

    /// Jobs that are in `O` and `M` and are none of the units: they make the score higher.
    private var jobsWithoutUnit: Int64 {
        switch per {
        case .run: counted.jobsWithoutRun
        case .commit: counted.jobsWithoutCommit
        case .release: counted.jobsWithoutRelease
        case .job, .test, .unit: 0
        }
    }

    // MARK: As it is answered

    /// - Parameter isPublic: for people without a token: three digits.
    func json(isPublic: Bool) -> JSONValue {
        var missing: [(field: String, reason: String)] = []
        func number(_ value: Double, _ figure: Figure) -> JSONValue {
            .number(isPublic ? Digits.coarse(value) : Digits.rounded(value, low: figure.low, high: figure.high))
        }
        func value(_ name: String, _ figure: Figure?, _ reason: @autoclosure () -> String) -> JSONValue {
            guard let figure else {
                missing.append((name, reason()))
                return .null
            }
            return .object([
                "best": number(figure.best, figure), "low": number(figure.low, figure), "high": number(figure.high, figure),
            ])
        }
        let jobs = figures.jobs ?? RollUpJobs(group: [], bucket: nil)
        let unknown = jobs.jobs == 0 ? "no_jobs" : counted.jobs == 0 ? "no_meter" : "not_accounted"
        let noOperational = figures.hasEnergy ? "no_intensity" : unknown
        let noEmbodied = figures.hasEnergy ? "no_embodied_figure" : unknown
        let units = functionalUnits
        let noUnits = units == nil ? "unit_not_named" : "no_units"
        let energy = figures.hasEnergy ? Self.figure(figures.uncertain.energy()).scaled(by: 1 / 3.6e12) : nil
        let operational = operational
        var document: [String: JSONValue] = [
            "standard": .string(Self.standard), "unit": .string("gCO2e per \(unitName)"),
            "policy": .string(answer.question.policy.rawValue),
            "window": answer.window, "settled": .bool(!figures.isOpen), "simulated": .bool(figures.isSimulated),
            "filters": .object(Dictionary(filters.map { ($0.name, .string($0.value)) }) { $1 }),
        ]
        document["sci"] = value(
            "sci",
            score,
            (units ?? 0) <= 0 ? noUnits : operational == nil ? noOperational : noEmbodied
        )
        document["r"] = .object([
            "per": .string(per.rawValue), "name": .string(unitName),
            "count": units.map { .number(isPublic ? Digits.coarse($0) : $0) } ?? .null,
            "counted": .string(per.counting(unit)),
        ])
        if units == nil { missing.append(("r.count", noUnits)) }
        document["o_g"] = value("o_g", operational, noOperational)
        document["e_kwh"] = value("e_kwh", energy, unknown)
        // I is the grid's figure with the building's: of some providers it is not ours to show.
        let hidesIntensity = isPublic && figures.sources.contains { withheld.contains($0.provider) }
        if let operational, let energy, energy.best > 0, !hidesIntensity {
            document["i_g_per_kwh"] = number(operational.best / energy.best, operational.scaled(by: 1 / energy.best))
        } else {
            missing.append(("i_g_per_kwh", hidesIntensity ? "not_redistributable" : noOperational))
            document["i_g_per_kwh"] = .null
        }
        document["m_g"] = value("m_g", embodied, noEmbodied)
        let market = figures.hasEnergy ? figures.market?.grams().map(Self.figure) : nil
        document["market_based"] = .object([
            "o_g": value("market_based.o_g", market, figures.hasEnergy ? MarketMix.Missing.noContract.rawValue : unknown),
            "in_sci": .bool(false),
        ])
        document["boundary"] = Self.boundary(answer.question.policy)
        document["quality"] = figures.hasEnergy ? .string(figures.quality.rawValue) : .null
        if !figures.hasEnergy { missing.append(("quality", unknown)) }
        document["coverage"] = figures.coverage.map { .number(Digits.rounded($0, low: 0, high: 1e-4)) } ?? .null
        if figures.coverage == nil { missing.append(("coverage", "no_time")) }
        document["share_methods"] = .array(
            figures.byMethod.filter { $0.value > 0 }.keys.map(\.rawValue).sorted().map { .string($0) }
        )
        document["exclusions"] = .object([
            "jobs_without_host": .integer(jobs.withoutHost), "jobs_without_meter": .integer(jobs.withoutMeter),
            "jobs_hosted": .integer(jobs.hosted), "jobs_running": .integer(jobs.running),
            "hours_left_out": .integer(Int64(answer.leftOutHours)), "hours_set_aside": .integer(Int64(answer.setAsideHours)),
        ])
        document["jobs_counted"] = .integer(counted.jobs)
        document["jobs_without_unit"] = .integer(jobsWithoutUnit)
        document["missing"] = .array(missing.map { .object(["field": .string($0.field), "reason": .string($0.reason)]) })
        return .object(document)
    }

    /// What the score is of, in words that go with it wherever it goes.
    private static func boundary(_ policy: Policy) -> JSONValue {
        let idle =
            switch policy {
            case .dynamic: "none of the machines' idle energy"
            case .reserved: "the idle energy of what they had reserved"
            case .busy: "idle energy by use"
            case .equal: "idle energy by head"
            }
        return .object([
            "included": .array([
                "metered energy of the machines that the jobs ran on: the jobs' own part",
                .string(idle),
                "the buildings' energy by PUE",
                "making the machines, for the time that the jobs had them reserved",
            ]),
            "excluded": .array([
                "jobs on machines without a meter or of others (see exclusions)",
                "what systems and agents of the machines used",
                "networks, registries and the devices of users",
                "making of buildings, and disposal of machines",
            ]),
            "intensity": "location-based; i_g_per_kwh is per kWh of the machines, PUE in it",
        ])
    }
}
