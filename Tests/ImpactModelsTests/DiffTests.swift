import ImpactModels
import ManifestFiles
import Testing

@Suite struct DiffTests {
    private func differences(_ a: String, _ b: String, tolerance: Double = 0) throws -> [ManifestDiff.Difference] {
        ManifestDiff.differences(try ManifestFile.read(a, name: "a"), try ManifestFile.read(b, name: "b"), tolerance: tolerance)
    }

    @Test func whatDoesNotChangeAFigureIsNoDifference() throws {
        #expect(
            try differences(
                "{name: a, tags: [x], execution: {status: success, command: c}, tree: {x: 1, y: [1, 2.0]}}",
                "{name: b, description: d, tree: {y: [1.0, 2], x: 1}, execution: {command: e, status: success}}"
            ).isEmpty
        )
    }

    @Test func everyDifferenceIsToldWithItsPlace() throws {
        let found = try differences(
            "{tree: {outputs: [{energy: 1, host: a}, {energy: 2}], gone: 1}, execution: {status: success}}",
            "{tree: {outputs: [{energy: 1.1, host: b}]}, execution: {status: fail, error: x}}"
        )
        #expect(
            found.map(\.path) == [
                "tree.outputs[0].energy", "tree.outputs[0].host", "tree.outputs[1]", "tree.gone", "execution.status", "execution.error",
            ]
        )
        #expect(near(found[0].relative, 0.1 / 1.1))
        #expect(found[2].target == nil)
        #expect(found[5].source == nil)
    }

    @Test func theToleranceIsAPartOfTheLarger() throws {
        #expect(try differences("{a: 100}", "{a: 101}", tolerance: 0.0099).count == 1)
        #expect(try differences("{a: 100}", "{a: 101}", tolerance: 0.01).isEmpty)
        #expect(try differences("{a: 1}", "{a: 2}", tolerance: 0.5).isEmpty)
        #expect(try differences("{a: 0}", "{a: 1.0e-30}", tolerance: 0.5).count == 1)
        #expect(try differences("{a: 1}", "{a: '1'}", tolerance: 1).count == 1)
    }

    @Test func anInstantIsTheSameHoweverItIsWritten() throws {
        #expect(try differences("{a: {timestamp: '2026-01-01T00:00:00.000Z'}}", "{a: {timestamp: '2026-01-01T00:00:00Z'}}").isEmpty)
        #expect(try differences("{a: {timestamp: '2026-01-01T00:00:01Z'}}", "{a: {timestamp: '2026-01-01T00:00:00Z'}}").count == 1)
    }

    @Test func aStarStandsForAnything() throws {
        #expect(try differences("{a: '*', b: {c: 1}}", "{a: [1, 2], b: '*'}").isEmpty)
    }

    @Test func outputsMakeATableThatOtherProgramsRead() throws {
        let run = try Running.run(
            """
            aggregation: {metrics: [energy], type: both}
            initialize: {plugins: {step: {path: builtin, method: Copy, config: {from: energy, to: 'a, "b"'}}}}
            tree:
              pipeline: {compute: [step]}
              children:
                x: {inputs: [{timestamp: '2026-01-01T00:00:00Z', duration: 1, energy: 1.5}]}
                y: {inputs: [{timestamp: '2026-01-01T00:00:00Z', duration: 1, energy: 2, host: h}]}
            """
        )
        #expect(
            OutputTable(run.manifest).csv == """
                path,row,timestamp,duration,energy,"a, ""b""\",host\r
                tree,output,2026-01-01T00:00:00Z,1,3.5,,\r
                tree,aggregated,,,3.5,,\r
                tree.children.x,output,2026-01-01T00:00:00Z,1,1.5,1.5,\r
                tree.children.x,aggregated,,,1.5,,\r
                tree.children.y,output,2026-01-01T00:00:00Z,1,2,2,h\r
                tree.children.y,aggregated,,,2,,\r

                """
        )
    }
}
