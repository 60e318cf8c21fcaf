import ArgumentParser
import Energy
import Tracker

/// What jobs have in common.
protocol RollUpSubject {
    static var command: String { get }
    /// The filter's name in the collector's API.
    static var filter: String { get }
    static var example: String { get }
}

enum ServiceSubject: RollUpSubject {
    static let (command, filter, example) = ("service", "service", "opam-repo-ci")
}

enum ReleaseSubject: RollUpSubject {
    static let (command, filter, example) = ("release", "release", "pkg:opam/dune@3.17.0")
}

enum RepositorySubject: RollUpSubject {
    static let (command, filter, example) = ("repo", "repository", "github.com/ocaml/dune")
}

enum PipelineSubject: RollUpSubject {
    static let (command, filter, example) = ("pipeline", "pipeline", "pr-26001")
}

enum TeamSubject: RollUpSubject {
    static let (command, filter, example) = ("team", "team", "infra")
}

enum PoolSubject: RollUpSubject {
    static let (command, filter, example) = ("pool", "pool", "linux-x86_64")
}

enum ActivitySubject: RollUpSubject {
    static let (command, filter, example) = ("activity", "activity", "release-test")
}

enum RollUpGroup: String, ExpressibleByArgument, CaseIterable {
    case hour, day, month
}

enum RollUpPolicy: String, ExpressibleByArgument, CaseIterable {
    case reserved, dynamic, busy, equal
}

enum RollUpFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json, csv, markdown
}

/// `wattle report service NAME` and its like.
struct ReportRollUp<Subject: RollUpSubject>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: Subject.command,
            abstract: "What the jobs of a \(Subject.command) cost, with a 95 % interval and how much of their time was metered.",
            discussion: """
                Times are UTC and count by whole hours. Without --from: the 31 days before --to.

                EXAMPLES
                  wattle report \(Subject.command) \(Subject.example)
                  wattle report \(Subject.command) \(Subject.example) --from 2026-09-01 --to 2026-10-01 --group day
                  wattle report \(Subject.command) \(Subject.example) --group month --format markdown
                """
        )
    }

    @Argument(help: ArgumentHelp("Which one, as the collector knows it.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("Start of the range, a date or a time in UTC.", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("End of the range. Default: now.", valueName: "time"))
    var to: String?

    @Option(help: ArgumentHelp("A row for each hour, day or month.", valueName: "unit"))
    var group: RollUpGroup?

    @Option(help: ArgumentHelp("How idle energy is shared out: reserved, dynamic, busy or equal.", valueName: "policy"))
    var policy = RollUpPolicy.reserved

    @Option(help: ArgumentHelp("table, json, csv or markdown.", valueName: "format"))
    var format = RollUpFormat.table

    @OptionGroup var collectorOptions: CollectorOptions

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        var query = [(Subject.filter, name), ("policy", policy.rawValue)]
        if let from { query.append(("from", try RollUpRange.time(from, "--from").rfc3339)) }
        if let to { query.append(("to", try RollUpRange.time(to, "--to").rfc3339)) }
        if let group { query.append(("group", group.rawValue)) }
        let collector = try settings.collector()
        let found: (answer: RollUps, json: [UInt8])
        do throws(CollectorError) {
            found = try await collector.rollUps(query.map { (name: $0.0, value: $0.1) })
        } catch {
            throw Failure.failed(error.description)
        }
        switch format {
        case .json: StandardOutput.write(String(decoding: found.json, as: UTF8.self))
        case .csv: StandardOutput.write(RollUpTables.csv(found.answer))
        case .table: StandardOutput.write(RollUpTables.text(found.answer, name: name))
        case .markdown: StandardOutput.write(RollUpTables.markdown(found.answer, name: name))
        }
    }
}

enum RollUpRange {
    static func time(_ text: String, _ flag: String) throws -> Timestamp {
        guard let time = Timestamp(rfc3339: text) else {
            throw Failure.usage("\(flag): expected a time such as 2026-09-01 or 2026-09-01T09:00Z, found \(text)")
        }
        return time
    }

    /// `2026-09-01/2026-09-08` as the collector takes it.
    static func range(_ text: String, _ flag: String) throws -> String {
        let ends = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard ends.count == 2 else { throw Failure.usage("\(flag): expected FROM/TO such as 2026-09-01/2026-09-08, found \(text)") }
        return try ends.map { try time($0, flag).rfc3339 }.joined(separator: "/")
    }
}

/// Roll-ups as rows.
enum RollUpTables {
    static func energy(_ group: RollUps.Group) -> String {
        guard let energy = group.energy else { return group.missing.first { $0.field == "energy" }?.reason ?? "-" }
        return BoundedFigure.energy(
            bestKilowattHours: energy.bestKilowattHours,
            low: energy.lowKilowattHours,
            high: energy.highKilowattHours
        ).text
    }

    static func emissions(_ group: RollUps.Group) -> String {
        guard let grams = group.emissions.location else { return group.missing.first { $0.field == "co2e.location_g" }?.reason ?? "-" }
        return BoundedFigure.emissions(bestGrams: grams.best, low: grams.low, high: grams.high).text
    }

    private static func coverage(_ group: RollUps.Group) -> String {
        group.energy?.coverage.map { "\(DecimalText.fixed($0 * 100, 1)) %" } ?? "-"
    }

    /// The method that most of the energy rests on.
    private static func method(_ group: RollUps.Group) -> String {
        guard let most = group.energy?.byMethod.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }), most.value > 0 else { return "-" }
        return most.key
    }

    private static func row(_ name: String, _ group: RollUps.Group) -> [String] {
        [
            name, "\(group.jobs.count)", "\(group.jobs.succeeded)", energy(group), emissions(group), coverage(group), method(group),
            group.energy?.quality ?? "-",
        ]
    }

    private static let columns: [TextTable.Column] = [
        .left("from"), .right("jobs"), .right("succeeded"), .right("energy"), .right("CO2e"), .right("metered"), .left("share"),
        .left("quality"),
    ]

    private static func rows(_ answer: RollUps) -> (rows: [[String]], hasTotal: Bool) {
        let buckets = answer.groups.filter { $0.from != nil }
        var rows = buckets.map { row($0.from ?? "", $0) }
        guard let total = answer.total ?? answer.groups.first else { return (rows, false) }
        rows.append(row("total", total))
        return (rows, !buckets.isEmpty)
    }

    private static func notes(_ answer: RollUps) -> String {
        var lines: [String] = []
        let total = answer.total ?? answer.groups.first
        for unit in total?.units ?? [] {
            guard let energy = unit.kilowattHoursPerUnit else { continue }
            let text = BoundedFigure.energy(bestKilowattHours: energy.best, low: energy.low, high: energy.high).text
            let grams = unit.gramsPerUnit.map { BoundedFigure.emissions(bestGrams: $0.best, low: $0.low, high: $0.high).text }
            lines.append("\(DecimalText.significant(unit.count, 6)) x \(unit.unit): \(text)\(grams.map { ", \($0)" } ?? "") each")
        }
        if let jobs = total?.jobs, jobs.withoutHost > 0 {
            lines.append("\(jobs.withoutHost) jobs ran nobody knows where and have no energy")
        }
        if let open = answer.openHours, open > 0 {
            lines.append("\(open) host-hours are still open" + (answer.leftOutHours > 0 ? ", \(answer.leftOutHours) of them left out" : ""))
        }
        if let aside = answer.setAsideHours, aside > 0 {
            lines.append("\(aside) host-hours could not be accounted and were set aside: `wattle-collector doctor` says why")
        }
        if total?.isSimulated == true { lines.append("simulated: made up, in part or whole") }
        return lines.map { $0 + "\n" }.joined()
    }

    private static func head(_ answer: RollUps, _ name: String) -> String {
        "\(name), \(answer.window.from) to \(answer.window.to), policy \(answer.policy)\n"
    }

    static func text(_ answer: RollUps, name: String) -> String {
        let (rows, hasTotal) = rows(answer)
        return head(answer, name) + TextTable(columns: columns, rows: rows, totals: hasTotal ? 1 : 0).text + notes(answer)
    }

    static func markdown(_ answer: RollUps, name: String) -> String {
        func cell(_ text: String) -> String { text.replacing("\\", with: "\\\\").replacing("|", with: "\\|") }
        func line(_ cells: [String]) -> String { "| " + cells.map(cell).joined(separator: " | ") + " |\n" }
        let rule = columns.map { if case .right = $0 { "---:" } else { "---" } }
        let notes = notes(answer)
        return head(answer, name) + "\n" + line(columns.map(\.name)) + line(rule) + rows(answer).rows.map(line).joined()
            + (notes.isEmpty ? "" : "\n" + notes)
    }

    static func csv(_ answer: RollUps) -> String {
        func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
        let groups = answer.groups.contains { $0.from != nil } ? answer.groups : [answer.total ?? answer.groups.first].compactMap { $0 }
        return TextTable(
            columns: [
                "from", "jobs", "succeeded", "energy_uj", "energy_kwh", "energy_low_kwh", "energy_high_kwh", "co2e_location_g",
                "co2e_location_low_g", "co2e_location_high_g", "coverage", "quality", "settled", "policy",
                "co2e_market_g", "embodied_g",
            ].map { .left($0) },
            rows: groups.map { group in
                [
                    group.from ?? answer.window.from, "\(group.jobs.count)", "\(group.jobs.succeeded)", group.energy?.microjoules ?? "",
                    number(group.energy?.bestKilowattHours), number(group.energy?.lowKilowattHours),
                    number(group.energy?.highKilowattHours), number(group.emissions.location?.best), number(group.emissions.location?.low),
                    number(group.emissions.location?.high), number(group.energy?.coverage), group.energy?.quality ?? "",
                    "\(group.isSettled)", answer.policy, number(group.emissions.market?.best), number(group.emissions.embodied?.best),
                ]
            }
        ).csv
    }
}
