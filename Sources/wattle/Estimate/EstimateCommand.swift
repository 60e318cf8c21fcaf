import ArgumentParser
import Carbon
import CarbonDocuments
import Documents
import Energy
import Tracker

/// `wattle estimate`: what energy emits that nobody measured here.
struct EstimateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "estimate",
        abstract: "What an amount of energy emits, with its limits.",
        discussion: """
            Energy (or power over a time) times PUE times the zone's intensity then. The collector is asked for the intensity; \
            --file and --provider do without it, and --g-per-kwh with --basis without anybody. Without --pue the building's share \
            is in the limits, not in the figure.

            EXAMPLES
              wattle estimate --energy-wh 500 --zone FR --from 2026-09-01T09:00Z --to 2026-09-01T10:00Z --pue 1.2
              wattle estimate --energy-kwh 2 --g-per-kwh 212 --basis direct/average/consumption
              wattle estimate --power-w 150 --zone GB --from 2026-09-01 --to 2026-09-02 --method monte-carlo --format json
            """
    )

    @Option(name: .customLong("energy-wh"), help: ArgumentHelp("Energy of the machines, without the building.", valueName: "Wh"))
    var energyWattHours: Double?
    @Option(name: .customLong("energy-kwh"), help: ArgumentHelp("The same in kWh.", valueName: "kWh"))
    var energyKilowattHours: Double?
    @Option(name: .customLong("power-w"), help: ArgumentHelp("Their power, over --from to --to.", valueName: "W"))
    var powerWatts: Double?
    @Option(help: ArgumentHelp("The energy's standard deviation as a part of it (default: the largest of any meter).", valueName: "part"))
    var error: Double?
    @Option(help: ArgumentHelp("From this time on, a date or a time in UTC (default: now).", valueName: "time"))
    var from: String?
    @Option(help: ArgumentHelp("Until this time; an instant without it.", valueName: "time"))
    var to: String?
    @Option(help: ArgumentHelp("The grid zone (WATTLE_ZONE).", valueName: "zone"))
    var zone: String?
    @Option(name: .customLong("g-per-kwh"), help: ArgumentHelp("An intensity of your own, with --basis.", valueName: "grams"))
    var gramsPerKilowattHour: Double?
    @Option(name: .customLong("low-g-per-kwh"), help: ArgumentHelp("Its low end.", valueName: "grams"))
    var lowGramsPerKilowattHour: Double?
    @Option(name: .customLong("high-g-per-kwh"), help: ArgumentHelp("Its high end.", valueName: "grams"))
    var highGramsPerKilowattHour: Double?
    @Option(help: ArgumentHelp("What kind of figure it is: actual, estimated, forecast or yearly.", valueName: "kind"))
    var kind: String?
    @Option(help: ArgumentHelp("Power usage effectiveness of the building, 1 to 4.", valueName: "ratio"))
    var pue: Double?

    enum Method: String, ExpressibleByArgument, CaseIterable {
        case analytical
        case monteCarlo = "monte-carlo"
    }
    @Option(help: ArgumentHelp("analytical or monte-carlo.", valueName: "method"))
    var method = Method.analytical
    @Option(help: ArgumentHelp("How often to draw, 1000 to 500000.", valueName: "number"))
    var draws: Int?
    @Option(help: ArgumentHelp("The same seed gives the same digits.", valueName: "number"))
    var seed: Int?
    @Option(help: ArgumentHelp("table or json.", valueName: "format"))
    var format = GridFormat.table

    @OptionGroup var options: FigureSourceOptions

    func run() async throws {
        let settings = options.settings(zone: zone)
        if options.collector.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        let now = Clock.now
        let asked = try document(zone: zone ?? (gramsPerKilowattHour == nil ? settings.gridZone()?.key : nil))
        let question: EstimateQuestion
        do throws(EstimateQuestion.Faults) {
            question = try EstimateQuestion(asked, now: now)
        } catch {
            throw Failure.usage(error.all.map { Self.flags($0) }.joined(separator: "\n"))
        }
        let answer: JSONValue
        switch question.place {
        case .stated: answer = try Self.answer(question, nil)
        case .zone(let zone):
            let source = try options.source(settings)
            switch source {
            case .provider:
                answer = try Self.answer(question, try await source.figures(zone, over: question.asked, now: now))
            case .collector(let collector, _):
                let body = try asked.bytes
                let received: [UInt8]
                do throws(CollectorError) {
                    received = try await collector.estimate(body)
                } catch {
                    throw Failure.failed(error.description)
                }
                do throws(JSONValue.Malformed) {
                    answer = try JSONValue(parsing: received)
                } catch {
                    throw Failure.failed("\(collector.url): the answer is not as expected: \(error)")
                }
            }
        }
        switch format {
        case .json: StandardOutput.write(try answer.text + "\n")
        case .table: StandardOutput.write(EstimateText.table(answer))
        }
    }

    private static func answer(_ question: EstimateQuestion, _ figures: ZoneFigures?) throws -> JSONValue {
        do {
            return try EstimateAnswer(question, figures: figures).json()
        } catch let faults as EstimateQuestion.Faults {
            throw Failure.usage(faults.all.map { flags($0) }.joined(separator: "\n"))
        }
    }

    private func document(zone: String?) throws -> JSONValue {
        var fields: [String: JSONValue] = [:]
        func put(_ name: String, _ value: Double?) throws {
            guard let value else { return }
            guard value.isFinite else { throw Failure.usage("--\(name.replacing("_", with: "-")): expected a number, found \(value)") }
            fields[name] = .number(value)
        }
        for (name, value) in [
            ("energy_wh", energyWattHours), ("energy_kwh", energyKilowattHours), ("power_w", powerWatts), ("error", error),
            ("g_per_kwh", gramsPerKilowattHour), ("low_g_per_kwh", lowGramsPerKilowattHour), ("high_g_per_kwh", highGramsPerKilowattHour),
            ("pue", pue),
        ] { try put(name, value) }
        if let from { fields["from"] = .string(try RollUpRange.time(from, "--from").rfc3339) }
        if let to { fields["to"] = .string(try RollUpRange.time(to, "--to").rfc3339) }
        fields["zone"] = zone.map { .string($0) }
        fields["basis"] = options.basis.map { .string($0) }
        fields["kind"] = kind.map { .string($0) }
        fields["draws"] = draws.map { .integer(Int64($0)) }
        fields["seed"] = seed.map { .integer(Int64($0)) }
        fields["method"] = .string(method == .analytical ? "analytical" : "monte_carlo")
        return .object(fields)
    }

    /// By the name of the flag.
    private static func flags(_ fault: EstimateQuestion.Fault) -> String {
        "--\(fault.field.replacing("_", with: "-")): expected \(fault.expected), found \(fault.found)"
    }
}
