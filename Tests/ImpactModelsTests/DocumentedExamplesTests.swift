import Foundation
import ImpactModels
import ManifestFiles
import Testing

/// The examples of docs/models.md give what stands beside them.
@Suite struct DocumentedExamplesTests {
    private struct Block {
        let mark: String
        let line: Int
        let text: String
    }

    private static func blocks() throws -> [Block] {
        let path = URL(filePath: #filePath).deletingLastPathComponent().path + "/../../docs/models.md"
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
        var blocks: [Block] = []
        var start: Int?
        for (index, line) in lines.enumerated() where line.hasPrefix("```") {
            if line == "```yaml" {
                start = index
            } else if let open = start {
                blocks.append(
                    Block(
                        mark: open > 0 ? String(lines[open - 1]) : "",
                        line: open + 1,
                        text: lines[(open + 1)..<index].joined(separator: "\n")
                    )
                )
                start = nil
            }
        }
        return blocks
    }

    @Test func everyBuiltInGivesWhatIsWrittenBesideIt() throws {
        var methods: Set<String> = []
        for block in try Self.blocks() where block.mark == "<!-- built-in -->" {
            let example = try #require(try Running.yaml(block.text).map)
            let method = try #require(example["method"]?.text)
            methods.insert(method)
            let file = example["file"]?.text ?? ""
            let document = Running.manifest(
                method: method,
                config: example["config"]?.map ?? ModelMap(),
                inputs: example["inputs"]?.list?.compactMap(\.map) ?? []
            )
            let run = try ModelRun(
                Manifest(document),
                sources: ModelSources(file: { _ throws(SourceRefusal) in file }, cloud: CloudTables.model)
            )
            let found = ModelValue.list(run.outputs().map { .map($0) })
            let differences = ManifestDiff.differences(example["outputs"] ?? .null, found, tolerance: 1e-9)
            #expect(differences.isEmpty, "docs/models.md:\(block.line) (\(method))")
        }
        #expect(
            methods == [
                "Sum", "Multiply", "Subtract", "Coefficient", "Exponent", "Divide", "Interpolation", "Sci", "SciEmbodied", "TimeSync",
                "CSVLookup",
                "Copy", "MockObservations", "TeadsCurve", "CloudCarbonFootprint",
            ]
        )
    }

    @Test func theManifestOverMeasuredJobsRuns() throws {
        let block = try #require(try Self.blocks().first { $0.text.contains("path: wattle") })
        let job = ModelMap([("carbon-operational", .number(2)), ("carbon-embodied", .number(1))])
        let run = try Running.run(
            block.text,
            sources: ModelSources(measured: { query throws(SourceRefusal) in
                MeasuredObservations(observations: query.filters == ["service": "opam-repo-ci"] ? [job] : [])
            })
        )
        #expect(run.manifest.tree.outputs?.map { $0["sci"]?.number } == [3])
    }

    /// The two servers: a has 120 W for half an hour and 40 W for ten minutes, b 200 W for an hour from 00:10 on.
    @Test func theWholeManifestRuns() throws {
        let block = try #require(try Self.blocks().first { $0.text.hasPrefix("name: two servers") })
        let run = try Running.run(block.text)
        let a = 0.06 + 0.04 / 6
        #expect(near(run.node("a").aggregated?["energy"]?.number, a))
        #expect(near(run.node("b").aggregated?["energy"]?.number, 0.2))
        #expect(near(run.manifest.tree.aggregated?["energy"]?.number, a + 0.2))
        #expect(run.manifest.tree.outputs?.count == 4)
    }
}
