import ArgumentParser
import Tracker

/// `wattle compare`: what changed from one time to another, and whether that is more than doubt.
struct Compare: AsyncParsableCommand {
    enum Subject: String, ExpressibleByArgument, CaseIterable {
        case service, release, repo, host, pipeline, team, pool, activity

        var filter: String { self == .repo ? "repository" : rawValue }
    }

    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Hold two times of the same jobs against each other.",
        discussion: """
            Errors that both times have, such as a meter's own, cancel before the interval is made. The two may have no hour in common.

            EXAMPLES
              wattle compare service opam-repo-ci --before 2026-09-01/2026-09-08 --after 2026-09-08/2026-09-15
              wattle compare repo github.com/ocaml/dune --before 2026-08-01/2026-09-01 --after 2026-09-01/2026-10-01 --format json
            """
    )

    @Argument(help: ArgumentHelp(Subject.allCases.map(\.rawValue).joined(separator: ", ") + ".", valueName: "of"))
    var subject: Subject

    @Argument(help: ArgumentHelp("Which one, as the collector knows it.", valueName: "name"))
    var name: String

    @Option(help: ArgumentHelp("FROM/TO, dates or times in UTC; whole hours.", valueName: "range"))
    var before: String

    @Option(help: ArgumentHelp("FROM/TO.", valueName: "range"))
    var after: String

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
        let query = [
            (name: subject.filter, value: name), (name: "policy", value: policy.rawValue),
            (name: "before", value: try RollUpRange.range(before, "--before")),
            (name: "after", value: try RollUpRange.range(after, "--after")),
        ]
        let collector = try settings.collector()
        let found: (answer: TimesCompared, json: [UInt8])
        do throws(CollectorError) {
            found = try await collector.compare(query)
        } catch {
            throw Failure.failed(error.description)
        }
        let table = Self.table(found.answer)
        switch format {
        case .json: StandardOutput.write(String(decoding: found.json, as: UTF8.self))
        case .csv: StandardOutput.write(table.csv)
        case .table: StandardOutput.write(table.text + Self.verdict(found.answer))
        case .markdown:
            let lines = [table.columns.map(\.name), table.columns.map { _ in "---" }] + table.rows
            StandardOutput.write(lines.map { "| " + $0.joined(separator: " | ") + " |\n" }.joined() + "\n" + Self.verdict(found.answer))
        }
    }

    private static func signed(_ interval: RollUps.Interval, _ unit: String) -> String {
        func text(_ value: Double) -> String { (value > 0 ? "+" : "") + DecimalText.significant(value, 3) }
        return "\(text(interval.best)) \(unit) (\(text(interval.low)) to \(text(interval.high)))"
    }

    private static func table(_ answer: TimesCompared) -> TextTable {
        func difference(_ name: String, _ jobs: String, _ found: TimesCompared.Difference?) -> [String] {
            [
                name, jobs, found.map { signed($0.kilowattHours, "kWh") } ?? "-",
                found?.grams.map { signed($0, "g") } ?? "-",
            ]
        }
        return TextTable(
            columns: [.left(""), .right("jobs"), .left("energy"), .left("CO2e")],
            rows: [
                ["before", "\(answer.before.jobs.count)", RollUpTables.energy(answer.before), RollUpTables.emissions(answer.before)],
                ["after", "\(answer.after.jobs.count)", RollUpTables.energy(answer.after), RollUpTables.emissions(answer.after)],
                difference("difference", "", answer.difference), difference("per job", "", answer.perJob),
            ]
        )
    }

    private static func verdict(_ answer: TimesCompared) -> String {
        func word(_ found: TimesCompared.Difference) -> String {
            found.isDistinguishable ? "distinguishable from 0 (95 %)" : "not distinguishable from 0 (95 %)"
        }
        var text = ""
        if let found = answer.difference { text += "the difference is \(word(found))\n" }
        if let found = answer.perJob { text += "per job it is \(word(found))\n" }
        return text.isEmpty ? "nothing to compare: \(answer.missing.first?.reason ?? "no energy")\n" : text
    }
}
