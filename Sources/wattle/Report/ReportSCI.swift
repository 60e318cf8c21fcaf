import ArgumentParser
import Tracker

/// `wattle report sci`: a score after ISO/IEC 21031 with the fields that the standard wants reported.
struct ReportSCI: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sci",
        abstract: "Software Carbon Intensity (ISO/IEC 21031) per job, run, commit, release, test or unit.",
        discussion: """
            SCI = (O + M) / R: what the jobs' energy emitted by the grid at its place, and their part of making the machines, per piece of \
            work. Where one of them is not known the score is not either, and the reason is told. What the site has bought is shown beside \
            it and is never in it. Times are UTC and count by whole hours; without --from: the 31 days before --to.

            EXAMPLES
              wattle report sci --per release --release pkg:opam/dune@3.17.0 --from 2026-09-01 --to 2026-10-01
              wattle report sci --per job --repository github.com/ocaml/dune --format markdown
              wattle report sci --per unit --unit package --service opam-repo-ci --format json
            """
    )

    enum Piece: String, ExpressibleByArgument, CaseIterable {
        case job, run, commit, release, test, unit
    }

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json, markdown
    }

    @Option(help: ArgumentHelp("What R counts: job, run, commit, release, test or unit.", valueName: "piece"))
    var per: Piece

    @Option(help: ArgumentHelp("With --per unit: which one, as jobs report it.", valueName: "name"))
    var unit: String?

    @Option(help: ArgumentHelp("Only jobs of this release.", valueName: "purl")) var release: String?
    @Option(help: ArgumentHelp("Only jobs with this relation to a release: test, build.", valueName: "name")) var relation: String?
    @Option(help: ArgumentHelp("Only jobs of this repository.", valueName: "name")) var repository: String?
    @Option(help: ArgumentHelp("Only jobs of this service.", valueName: "name")) var service: String?
    @Option(help: ArgumentHelp("Only jobs of this activity.", valueName: "name")) var activity: String?
    @Option(help: ArgumentHelp("Only jobs of this team.", valueName: "name")) var team: String?
    @Option(help: ArgumentHelp("Only jobs of this pipeline.", valueName: "name")) var pipeline: String?
    @Option(help: ArgumentHelp("Only jobs of this name.", valueName: "name")) var job: String?
    @Option(help: ArgumentHelp("Only jobs of this pool.", valueName: "name")) var pool: String?
    @Option(help: ArgumentHelp("Only jobs on this host.", valueName: "name")) var host: String?
    @Option(help: ArgumentHelp("Only jobs that this source reported.", valueName: "name")) var source: String?

    @Option(help: ArgumentHelp("Start of the range, a date or a time in UTC.", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("End of the range. Default: now.", valueName: "time"))
    var to: String?

    @Option(help: ArgumentHelp("How idle energy is shared out: reserved, dynamic, busy or equal.", valueName: "policy"))
    var policy = RollUpPolicy.reserved

    @Option(help: ArgumentHelp("table, json or markdown.", valueName: "format"))
    var format = Format.table

    @OptionGroup var collectorOptions: CollectorOptions

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        if unit != nil, per != .unit { throw Failure.usage("--unit: expected only with --per unit, found --per \(per.rawValue)") }
        var query = [(name: "per", value: per.rawValue), (name: "policy", value: policy.rawValue)]
        let filters = [
            ("unit", unit), ("release", release), ("relation", relation), ("repository", repository), ("service", service),
            ("activity", activity), ("team", team), ("pipeline", pipeline), ("job", job), ("pool", pool),
            ("host", host), ("source", source),
        ]
        for (name, value) in filters { if let value { query.append((name, value)) } }
        if let from { query.append(("from", try RollUpRange.time(from, "--from").rfc3339)) }
        if let to { query.append(("to", try RollUpRange.time(to, "--to").rfc3339)) }
        let collector = try settings.collector()
        let found: (answer: SCIAnswer, json: [UInt8])
        do throws(CollectorError) {
            found = try await collector.sci(query)
        } catch {
            throw Failure.failed(error.description)
        }
        switch format {
        case .json: StandardOutput.write(String(decoding: found.json, as: UTF8.self) + "\n")
        case .table: StandardOutput.write(SCIText.text(found.answer))
        case .markdown: StandardOutput.write(SCIText.markdown(found.answer))
        }
    }
}

/// A report of one score, line by line.
enum SCIText {
    private static func grams(_ figure: RollUps.Interval?, _ answer: SCIAnswer, _ field: String) -> String {
        guard let figure else { return "not known: \(answer.reason(field))" }
        guard figure.high > 0 else { return "0 g" }
        return BoundedFigure.emissions(bestGrams: figure.best, low: figure.low, high: figure.high).text
    }

    private static func count(_ value: Double) -> String { Int64(exactly: value).map { "\($0)" } ?? DecimalText.significant(value, 6) }

    static func lines(_ a: SCIAnswer) -> [(name: String, value: String)] {
        let score = a.score.map { "\(BoundedFigure.emissions(bestGrams: $0.best, low: $0.low, high: $0.high).text) per \(a.units.name)" }
        let energy = a.kilowattHours.map {
            BoundedFigure.energy(bestKilowattHours: $0.best, low: $0.low, high: $0.high).text
        }
        var lines = [
            ("SCI", score ?? "not known: \(a.reason("sci"))"),
            ("R", "\(a.units.count.map(count) ?? "not known: \(a.reason("r.count"))") (\(a.units.counted))"),
            ("O", grams(a.operationalGrams, a, "o_g")), ("E", energy ?? "not known: \(a.reason("e_kwh"))"),
            (
                "I",
                a.gramsPerKilowattHour.map { "\(DecimalText.significant($0, 4)) g/kWh, location-based, PUE in it" }
                    ?? "not known: \(a.reason("i_g_per_kwh"))"
            ),
            ("M", grams(a.embodiedGrams, a, "m_g")), ("time", "\(a.window.from) to \(a.window.to)"),
            (
                "method",
                "\(a.quality ?? "-"); shares \(a.shareMethods.isEmpty ? "-" : a.shareMethods.joined(separator: ", ")); policy \(a.policy)"
            ),
            (
                "coverage",
                a.coverage.map { "\(DecimalText.fixed($0 * 100, 1)) % of the jobs' time metered; \(a.jobsCounted) jobs counted" } ?? "-"
            ),
            ("included", a.boundary.included.joined(separator: "; ")), ("excluded", a.boundary.excluded.joined(separator: "; ")),
            ("not counted", exclusions(a)),
            ("beside it", "market-based O: \(grams(a.market.operational, a, "market_based.o_g")) (never part of SCI)"),
            ("standard", a.standard),
        ]
        if !a.isSettled { lines.append(("state", "hours are still open: the figures may move")) }
        if a.isSimulated { lines.append(("state", "simulated: made up, in part or whole")) }
        return lines
    }

    private static func exclusions(_ a: SCIAnswer) -> String {
        let parts = [
            (a.exclusions.jobsWithoutHost, "jobs without a host"), (a.exclusions.jobsWithoutMeter, "jobs without a meter"),
            (a.exclusions.jobsHosted, "jobs hosted"), (a.exclusions.jobsRunning, "jobs running"),
            (a.exclusions.hoursLeftOut, "host-hours left out"), (a.exclusions.hoursSetAside, "host-hours set aside"),
        ].filter { $0.0 > 0 }.map { "\($0.1): \($0.0)" }
        let unitless = a.jobsWithoutUnit > 0 ? ["jobs without a \(a.units.name), in O and M: \(a.jobsWithoutUnit)"] : []
        return parts.isEmpty && unitless.isEmpty ? "nothing" : (parts + unitless).joined(separator: ", ")
    }

    static func text(_ answer: SCIAnswer) -> String {
        lines(answer).map { "\($0.name.padded(to: 11))  \($0.value)\n" }.joined()
    }

    static func markdown(_ answer: SCIAnswer) -> String {
        func cell(_ text: String) -> String { text.replacing("\\", with: "\\\\").replacing("|", with: "\\|") }
        return "| | |\n| --- | --- |\n" + lines(answer).map { "| \($0.name) | \(cell($0.value)) |\n" }.joined()
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
