import ArgumentParser
import Tracker

/// `wattle span post FILE`: sends spans as they are.
struct SpanPostFile: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "post",
        abstract: "Send a span, an array of spans, or one span per line (NDJSON) to the collector; prints its answer.",
        discussion: """
            EXAMPLES
              wattle span post span.json
              jq -c '.[]' jobs.json | wattle span post -
            """
    )

    @Argument(help: ArgumentHelp("A file, or - for standard input.", valueName: "file"))
    var file: String

    @OptionGroup var collectorOptions: CollectorOptions

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        let collector = try settings.collector()
        let file = file
        let read = await OwnThread.run { InputFile.read(file, atMost: 64 << 20) }
        guard let body = read else {
            throw Failure.failed("\(file): cannot be read: expected a file of at most 64 MiB")
        }
        guard body.contains(where: { !SpanPostFile.isBlank($0) }) else {
            throw Failure.failed("\(file): expected spans as JSON, found nothing")
        }
        do throws(CollectorError) {
            let answer = try await collector.postSpans(body, isNDJSON: SpanPostFile.isNDJSON(body), timeout: .seconds(60))
            StandardOutput.write(String(decoding: answer, as: UTF8.self) + "\n")
        } catch {
            throw Failure.failed(error.description)
        }
    }

    /// Several lines that each are an object: every line that is not blank begins with `{` and ends with `}`.
    static func isNDJSON(_ body: [UInt8]) -> Bool {
        var count = 0
        for line in body.split(separator: UInt8(ascii: "\n")) {
            let text = line.drop(while: isBlank)
            guard let first = text.first, let last = text.last(where: { !isBlank($0) }) else { continue }
            guard first == UInt8(ascii: "{"), last == UInt8(ascii: "}") else { return false }
            count += 1
        }
        return count > 1
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }
}
