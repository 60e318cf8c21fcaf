import ArgumentParser
import ImpactModels
import ManifestFiles

/// `wattle model diff A B`.
struct ModelDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Compare the figures of two manifests: exit 0 when they are the same, 1 when they differ, 2 when one cannot be read.",
        discussion: """
            Name, description and tags do not count, nor the order of keys, nor what execution says beside its status and error. \
            * stands for anything.

            EXAMPLES
              wattle model diff expected.yaml found.yaml
              wattle model diff expected.yaml found.yaml --tolerance 1e-9
              wattle model run manifest.yaml | wattle model diff expected.yaml -
            """
    )

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case table, json, csv, markdown
    }

    @Argument(help: ArgumentHelp("What is expected, or - for standard input.", valueName: "source"))
    var source: String

    @Argument(help: ArgumentHelp("What was found, or - for standard input.", valueName: "target"))
    var target: String

    @Option(help: ArgumentHelp("Numbers are the same that differ by no more than this part of the larger one.", valueName: "part"))
    var tolerance = 0.0

    @Option(help: ArgumentHelp("table, json, csv or markdown.", valueName: "format"))
    var format = Format.table

    func validate() throws {
        guard (0...1).contains(tolerance) else { throw ValidationError("--tolerance: expected a part, 0 to 1, found \(tolerance)") }
        guard source != "-" || target != "-" else { throw ValidationError("expected two files, found standard input twice") }
    }

    func run() async throws {
        let differences: [ManifestDiff.Difference]
        do {
            differences = ManifestDiff.differences(
                try await ManifestInput.read(source),
                try await ManifestInput.read(target),
                tolerance: tolerance
            )
        } catch let failure as Failure {
            throw Failure.usage(failure.message)
        }
        write(differences)
        if !differences.isEmpty { throw ExitCode(1) }
    }

    private func write(_ differences: [ManifestDiff.Difference]) {
        if format == .json {
            let list = differences.map { difference in
                var map = ModelMap([("path", .text(difference.path))])
                map["source"] = difference.source ?? .null
                map["target"] = difference.target ?? .null
                map["relative"] = difference.relative.map { .number($0) } ?? .null
                return ModelValue.map(map)
            }
            StandardOutput.write(OrderedJSON.text(.map(ModelMap([("same", .bool(list.isEmpty)), ("differences", .list(list))]))))
            return
        }
        if differences.isEmpty, format == .table {
            StandardOutput.write("the same\n")
            return
        }
        func shown(_ value: ModelValue?) -> String {
            guard let value else { return "(nothing)" }
            return value.list != nil || value.map != nil || value.isNull ? value.described : value.plain
        }
        let table = TextTable(
            columns: [.left("path"), .left("source"), .left("target"), .right("relative")],
            rows: differences.map { [$0.path, shown($0.source), shown($0.target), $0.relative.map { "\($0)" } ?? ""] }
        )
        switch format {
        case .csv: StandardOutput.write(table.csv)
        case .markdown: StandardOutput.write(table.markdown)
        default: StandardOutput.write(table.text)
        }
    }
}
