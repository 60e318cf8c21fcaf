import ArgumentParser
import Tracker

/// `wattle span delete ID`.
struct SpanDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a span: its energy goes back to the machine's other accounts.",
        discussion: """
            EXAMPLES
              wattle span delete 01j7xk2m4nq8rv5tw9yz3abcde
            """
    )

    @Argument(help: ArgumentHelp("The job's id (26 characters), as `wattle run` and `wattle span post` print it.", valueName: "id"))
    var id: String

    @OptionGroup var collectorOptions: CollectorOptions

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        let collector = try settings.collector()
        do throws(CollectorError) {
            try await collector.deleteSpan(id)
        } catch {
            throw Failure.failed(error.description)
        }
    }
}
