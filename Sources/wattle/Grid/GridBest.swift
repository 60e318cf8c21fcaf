import ArgumentParser
import CarbonDocuments
import Documents
import Energy

/// `wattle grid best`: when, and where, a job would emit the least.
struct GridBest: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "best",
        abstract: "When, and in which zone, a job would meet the least intensity.",
        discussion: """
            The saving is against a start at once in the first zone. How far past forecasts were off is told beside it.

            EXAMPLES
              wattle grid best --duration 2h --within 24h GB FR
              wattle grid best --duration 30m GB --file series.csv --basis direct/average/consumption --format json
            """
    )

    @OptionGroup var arguments: ZoneArguments
    @OptionGroup var options: FigureSourceOptions

    @Option(help: ArgumentHelp("How long the job takes: 90m, 2h, 1h30m.", valueName: "length"))
    var duration: String

    @Option(help: ArgumentHelp("By when it has to be done, from now: 24h, 2d.", valueName: "length"))
    var within = "48h"

    func run() async throws {
        guard let (zones, source) = try GridQuestionOptions.prepare(arguments, options) else { return }
        let length = try GridQuestionOptions.length(duration, "--duration")
        let ahead = try GridQuestionOptions.length(within, "--within")
        guard length <= ahead else { throw Failure.usage("--duration: expected at most --within (\(within)), found \(duration)") }
        let now = Clock.now
        let interval = Interval(now, now + ahead)
        let figures = try await GridQuestionOptions.figures(zones, source, over: interval, now: now)
        let answer: WindowAnswer
        do {
            answer = try WindowAnswer(.init(duration: length, within: interval, basis: try options.readBasis()), in: figures)
        } catch let mixed as WindowAnswer.MixedBases {
            throw GridQuestionOptions.mixed(mixed)
        }
        switch arguments.format {
        case .table: StandardOutput.write(GridTables.window(answer))
        case .json: StandardOutput.write(try answer.json().text + "\n")
        }
        if answer.best == nil { throw ExitCode(1) }
    }
}
