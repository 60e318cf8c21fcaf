import ArgumentParser
import Carbon
import CarbonDocuments
import Documents
import Energy
import Tracker

/// `wattle grid latest`, `history` and `forecast`: figures as they are.
struct GridLatest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latest",
        abstract: "What counts now in zones, and the last figure of what was, with its age.",
        discussion: """
            EXAMPLES
              wattle grid latest GB FR
              wattle grid latest GB --provider gb-carbon-intensity --format json
            """
    )

    @OptionGroup var arguments: ZoneArguments
    @OptionGroup var options: FigureSourceOptions

    func run() async throws {
        guard let (zones, source) = try GridQuestionOptions.prepare(arguments, options) else { return }
        let now = Clock.now
        // A step back and ahead: what counts now is told with its whole time, and a provider is asked for what was, too.
        let interval = Interval(now - .hour, now + .hour)
        let figures = try await GridQuestionOptions.figures(zones, source, over: interval, now: now)
        switch arguments.format {
        case .table: StandardOutput.write(GridTables.latest(figures, now: now))
        case .json: StandardOutput.write(try GridQuestionOptions.json(figures, over: interval, now: now))
        }
    }
}

struct GridHistory: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "What counted in zones.",
        discussion: """
            EXAMPLES
              wattle grid history GB
              wattle grid history GB --from 2026-09-01 --to 2026-09-02 --format json
            """
    )

    @OptionGroup var arguments: ZoneArguments
    @OptionGroup var options: FigureSourceOptions

    @Option(help: ArgumentHelp("From this time on, a date or a time in UTC (default: a day before the end).", valueName: "time"))
    var from: String?

    @Option(help: ArgumentHelp("Before this time (default: now).", valueName: "time"))
    var to: String?

    func run() async throws {
        guard let (zones, source) = try GridQuestionOptions.prepare(arguments, options) else { return }
        let now = Clock.now
        let end = try to.map { try RollUpRange.time($0, "--to") } ?? now
        let start = try from.map { try RollUpRange.time($0, "--from") } ?? end - .day
        guard start < end else { throw Failure.usage("--to: expected a time after \(RFC3339.format(start)), found \(RFC3339.format(end))") }
        guard end - start <= Microseconds(366 * Microseconds.day.count) else {
            throw Failure.usage("--from: expected at most 366 days before --to; ask for them in parts")
        }
        let interval = Interval(start, end)
        let figures = try await GridQuestionOptions.figures(zones, source, over: interval, now: now)
        switch arguments.format {
        case .table: StandardOutput.write(GridTables.pieces(figures))
        case .json: StandardOutput.write(try GridQuestionOptions.json(figures, over: interval, now: now))
        }
    }
}

struct GridForecast: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forecast",
        abstract: "What is expected in zones.",
        discussion: """
            EXAMPLES
              wattle grid forecast GB
              wattle grid forecast GB --within 12h --provider gb-carbon-intensity
            """
    )

    @OptionGroup var arguments: ZoneArguments
    @OptionGroup var options: FigureSourceOptions

    @Option(help: ArgumentHelp("How far ahead: 12h, 2d.", valueName: "length"))
    var within = "48h"

    func run() async throws {
        guard let (zones, source) = try GridQuestionOptions.prepare(arguments, options) else { return }
        let now = Clock.now
        let interval = Interval(now, now + (try GridQuestionOptions.length(within, "--within")))
        let figures = try await GridQuestionOptions.figures(zones, source, over: interval, now: now)
        switch arguments.format {
        case .table:
            StandardOutput.write(GridTables.pieces(figures) + GridTables.errors(figures.map { ($0.zone, $0.forecastError) }))
        case .json: StandardOutput.write(try GridQuestionOptions.json(figures, over: interval, now: now))
        }
    }
}

/// What all questions to the grid have in common.
enum GridQuestionOptions {
    /// Nil where only the settings were asked for.
    static func prepare(_ arguments: ZoneArguments, _ options: FigureSourceOptions) throws -> ([GridZone], FigureSource)? {
        let settings = options.settings()
        if options.collector.showConfig {
            StandardOutput.write(settings.table)
            return nil
        }
        return (try arguments.read(settings), try options.source(settings))
    }

    static func figures(_ zones: [GridZone], _ source: FigureSource, over interval: Interval, now: Timestamp) async throws -> [ZoneFigures]
    {
        var figures: [ZoneFigures] = []
        for zone in zones { figures.append(try await source.figures(zone, over: interval, now: now)) }
        return figures
    }

    static func json(_ figures: [ZoneFigures], over interval: Interval, now: Timestamp) throws -> String {
        try JSONValue.object([
            "zones": .array(figures.map { IntensityAnswer($0, over: interval, now: now).json() })
        ]).text + "\n"
    }

    static func length(_ text: String, _ flag: String) throws -> Microseconds {
        guard let length = LengthOfTime.parse(text) else {
            throw Failure.usage("\(flag): expected a length of time of 1s to 366d such as 90m, 2h or 1h30m, found \(text)")
        }
        return length
    }

    static func mixed(_ mixed: WindowAnswer.MixedBases) -> Failure {
        let all = mixed.zones.sorted { $0.key < $1.key }.map { "\($0.key) has \($0.value)" }.joined(separator: ", ")
        return .usage(
            "average and marginal figures, and other bases, cannot be held against each other: expected zones that count the same, found "
                + "\(all); name one with --basis, or ask for each zone alone"
        )
    }
}
