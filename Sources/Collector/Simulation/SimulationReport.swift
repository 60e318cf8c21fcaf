public import Documents
import Energy
public import Simulation

/// What the collector answered against what was true.
public struct SimulationReport: Sendable {
    /// One family's jobs.
    public struct Family: Sendable {
        public var jobs = 0
        public var errors = ErrorSample()
        /// Jobs whose answer is final.
        public var final = 0
        /// Jobs whose answer says that it is simulated.
        public var flagged = 0
        /// Answers with an interval, and those in which the truth lies.
        public var intervals = 0
        public var covered = 0
        public var withinBounds = 0
    }

    public let seed: UInt64
    public private(set) var families: [NoiseFamily: Family] = [:]

    init(seed: UInt64) { self.seed = seed }

    /// - Parameter truth: µJ.
    mutating func add(family: NoiseFamily, truth: Double, footprint: [String: JSONValue]?) {
        var sum = families[family] ?? Family()
        defer { families[family] = sum }
        sum.jobs += 1
        let energy = footprint?["energy"]?.object
        let answer = (energy?["uj"]?.wholeNumber).map { Double($0) + (energy?["estimated_kwh"]?.double ?? 0) * 3.6e12 }
        sum.errors.add(answer: answer, truth: truth)
        if footprint?["state"]?.string == "final" { sum.final += 1 }
        if footprint?["flags"]?.array?.contains(where: { $0.string == "simulated" }) == true { sum.flagged += 1 }
        guard let low = energy?["low_kwh"]?.double, let high = energy?["high_kwh"]?.double else { return }
        sum.intervals += 1
        if low * 3.6e12 <= truth, truth <= high * 3.6e12 { sum.covered += 1 }
        guard let least = energy?["bound_low_kwh"]?.double, let most = energy?["bound_high_kwh"]?.double else { return }
        if least * 3.6e12 <= truth, truth <= most * 3.6e12 { sum.withinBounds += 1 }
    }

    public var all: Family {
        families.values.reduce(into: Family()) { sum, one in
            sum.jobs += one.jobs
            sum.errors += one.errors
            sum.final += one.final
            sum.flagged += one.flagged
            sum.intervals += one.intervals
            sum.covered += one.covered
            sum.withinBounds += one.withinBounds
        }
    }

    public var json: JSONValue {
        .object([
            "simulated": .bool(true), "seed": .string(String(seed)), "all": all.json,
            "families": .object(Dictionary(uniqueKeysWithValues: families.map { ($0.key.rawValue, $0.value.json) })),
        ])
    }

    /// A table for people.
    public var table: String {
        var rows = [["family", "jobs", "final", "median error", "95 %", "worst", "in interval", "in bounds"]]
        for family in NoiseFamily.allCases { if let one = families[family] { rows.append([family.rawValue] + one.cells) } }
        rows.append(["all"] + all.cells)
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { index, cell in
                let fill = String(repeating: " ", count: widths[index] - cell.count)
                return index == 0 ? cell + fill : fill + cell
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

extension SimulationReport.Family {
    fileprivate var json: JSONValue {
        func error(_ part: Double) -> JSONValue { errors.errors.isEmpty ? .null : .number(errors.quantile(part)) }
        return .object([
            "jobs": .integer(Int64(jobs)), "final": .integer(Int64(final)), "flagged_simulated": .integer(Int64(flagged)),
            "silent": .integer(Int64(errors.silent)),
            "relative_error": .object(["median": error(0.5), "p95": error(0.95), "worst": error(1)]),
            "interval_coverage": intervals > 0 ? .number(Double(covered) / Double(intervals)) : .null,
            "bound_coverage": intervals > 0 ? .number(Double(withinBounds) / Double(intervals)) : .null,
        ])
    }

    fileprivate var cells: [String] {
        func percent(_ part: Double) -> String { part.isFinite ? "\((part * 1e4).rounded() / 100) %" : "-" }
        let share = { (count: Int) in intervals > 0 ? percent(Double(count) / Double(intervals)) : "-" }
        return [
            "\(jobs)", "\(final)", percent(errors.median), percent(errors.percentile95), percent(errors.quantile(1)), share(covered),
            share(withinBounds),
        ]
    }
}
