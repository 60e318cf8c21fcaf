import Foundation
import Testing

/// `wattle model` as its users run it.
@Suite struct ModelTests {
    private static let demo = """
        name: ccf-demo
        description: example impl invoking CCF model
        initialize:
          models:
            - name: ccf
              kind: builtin
        graph:
          children:
            child:
              pipeline:
                - ccf
              config:
                ccf:
                  provider: aws
                  instance_type: m5n.large
              observations:
                - timestamp: 2023-07-06T00:00 # [KEYWORD] [NO-SUBFIELDS] time when measurement occurred
                  duration: 1
                  cpu-util: 10

        """

    /// 1.94356979155298 W for a second, and 2/96 of 1610.79 kg over four years for a second.
    @Test func thePublishedDemoGivesTheRightFigures() async throws {
        try await Scratch.with { scratch in
            let impl = try scratch.file("ccf-demo.yml", Self.demo)
            let ompl = scratch.path + "/ompl.yml"
            let run = try await Program.run("wattle", ["model", "run", "--impl", impl, "--ompl", ompl], in: scratch)
            #expect(run.code == 0, "\(run.errors)")
            #expect(run.output == "")
            #expect(run.errors.contains("provider: read as cloud/vendor"))
            #expect(run.errors.contains("2023-07-06T00:00, are taken for UTC"))
            #expect(run.errors.contains("34.9 and 96 times"))
            let text = try String(contentsOfFile: ompl, encoding: .utf8)
            #expect(text.contains("energy: 5.398804976536068e-07\n"))
            #expect(text.contains("embodied-carbon: 0.0002660302907787925\n"))
            let other = try await Program.run("wattle", ["model", "run", "-m", impl, "--output", scratch.path + "/o.json"], in: scratch)
            #expect(other.code == 0)
            let same = try await Program.run("wattle", ["model", "diff", ompl, scratch.path + "/o.json"], in: scratch)
            #expect(same.code == 0, "\(same.output)")
        }
    }

    @Test func aManifestThatFailsEndsWithOneAndLeavesNothing() async throws {
        try await Scratch.with { scratch in
            let file = try scratch.file(
                "bad.yml",
                """
                initialize: {plugins: {sum: {path: builtin, method: Sum, config: {input-parameters: [a], output-parameter: b}}}}
                tree: {children: {web: {pipeline: {compute: [sum]}, inputs: [{a: 1}, {a: x}]}}}
                """
            )
            for flags in [[], ["--strict-upstream"]] {
                let run = try await Program.run("wattle", ["model", "run", file, "-o", scratch.path + "/out.yaml"] + flags, in: scratch)
                #expect(run.code == 1)
                #expect(run.errors.contains("tree.children.web: sum: inputs[1]: a: expected a number, found the text \"x\""))
                #expect(!FileManager.default.fileExists(atPath: scratch.path + "/out.yaml"))
            }
            #expect(try await Program.run("wattle", ["model", "run"], in: scratch).code == 2)
            #expect(try await Program.run("wattle", ["model", "run", file, "-m", file], in: scratch).code == 2)
            #expect(try await Program.run("wattle", ["model", "run", scratch.path + "/none.yml"], in: scratch).code == 1)
        }
    }

    @Test func aLookupReadsTheFileBesideTheManifestAndNoAddress() async throws {
        try await Scratch.with { scratch in
            _ = try scratch.file("machines.csv", "type,tdp\nA1,100\n")
            func manifest(_ path: String) -> String {
                """
                initialize: {plugins: {tdp: {path: builtin, method: CSVLookup, config: {filepath: '\(path)', query: {type: t}, output: tdp}}}}
                tree: {pipeline: {compute: [tdp]}, inputs: [{t: A1}]}
                """
            }
            let run = try await Program.run(
                "wattle",
                ["model", "run", try scratch.file("m.yml", manifest("machines.csv")), "--format", "csv"],
                in: scratch
            )
            #expect(run.code == 0, "\(run.errors)")
            #expect(run.output == "path,row,timestamp,duration,t,tdp\r\ntree,output,,,A1,100\r\n")
            for path in ["https://example.org/machines.csv", "nowhere.csv"] {
                let refused = try await Program.run("wattle", ["model", "run", try scratch.file("m.yml", manifest(path))], in: scratch)
                #expect(refused.code == 1)
                #expect(refused.errors.contains("initialize.plugins.tdp: config.filepath: expected a file"))
            }
        }
    }

    @Test func aLookupReadsNothingOutsideOfTheManifestsFolder() async throws {
        try await Scratch.with { scratch in
            let table = try scratch.file("machines.csv", "type,tdp\nA1,100\n")
            let files = FileManager.default
            for folder in ["own", "own/tables", "downloaded", "own-not"] {
                try files.createDirectory(atPath: "\(scratch.path)/\(folder)", withIntermediateDirectories: true)
            }
            for copy in ["own/tables/t.csv", "downloaded/machines.csv", "own-not/t.csv"] {
                try files.copyItem(atPath: table, toPath: "\(scratch.path)/\(copy)")
            }
            try files.createSymbolicLink(atPath: "\(scratch.path)/own/link.csv", withDestinationPath: table)
            func run(_ path: String, _ flags: [String] = []) async throws -> Program.Finished {
                let manifest = try scratch.file(
                    "own/m.yml",
                    """
                    initialize: {plugins: {tdp: {path: builtin, method: CSVLookup, config: {filepath: '\(path)', query: {type: t}, output: tdp}}}}
                    tree: {pipeline: {compute: [tdp]}, inputs: [{t: A1}]}
                    """
                )
                return try await Program.run("wattle", ["model", "run", manifest, "--format", "csv"] + flags, in: scratch)
            }
            for path in ["tables/t.csv", "./tables/../tables/t.csv", "\(scratch.path)/own/tables/t.csv"] {
                let read = try await run(path)
                #expect(read.code == 0 && read.output.contains("A1,100"), "\(path): \(read.errors)")
            }
            for path in [table, "../machines.csv", "tables/../../machines.csv", "link.csv", "../own-not/t.csv", "/etc/passwd"] {
                let refused = try await run(path)
                #expect(refused.code == 1 && refused.errors.contains("expected a file beside the manifest"), "\(path): \(refused.errors)")
            }
            let downloads = ["--downloads", "\(scratch.path)/downloaded"]
            for path in ["https://example.org/machines.csv", "../downloaded/machines.csv", "\(scratch.path)/downloaded/machines.csv"] {
                let read = try await run(path, downloads)
                #expect(read.code == 0 && read.output.contains("A1,100"), "\(path): \(read.errors)")
            }
            #expect(try await run(table, downloads).code == 1)
        }
    }

    @Test func differencesAreListedAndToleratedAndToldByTheExitCode() async throws {
        try await Scratch.with { scratch in
            let a = try scratch.file("a.yml", "tree: {outputs: [{energy: 1, carbon: 2}]}\n")
            let b = try scratch.file("b.yml", "tree: {outputs: [{energy: 1.001, carbon: 3}]}\n")
            let all = try await Program.run("wattle", ["model", "diff", a, b, "--format", "csv"], in: scratch)
            #expect(all.code == 1)
            #expect(all.output.split(separator: "\r\n").count == 3)
            let json = try await Program.run("wattle", ["model", "diff", a, b, "--format", "json", "--tolerance", "0.01"], in: scratch)
            #expect(json.code == 1)
            let answer = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
            #expect((answer?["differences"] as? [[String: Any]])?.map { $0["path"] as? String } == ["tree.outputs[0].carbon"])
            #expect(try await Program.run("wattle", ["model", "diff", a, a], in: scratch).code == 0)
            #expect(try await Program.run("wattle", ["model", "diff", a, scratch.path + "/none"], in: scratch).code == 2)
            #expect(try await Program.run("wattle", ["model", "diff", a, b, "--tolerance", "2"], in: scratch).code == 2)
        }
    }

    /// The hours of a host that a collector metered, as observations: the same energy as the collector's own ledger.
    @Test func hoursOfAHostAreObservations() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(collector, host: "bremusa", extra: ["--zone", "GB"])
                _ = try await eventually("the agent's first batch", log: { agent.program.errors }) {
                    try await collector.get("/v1/hosts/bremusa/hours").status == 200 ? true : nil
                }
                try await agent.program.stop()
                let hour = Int(Date().timeIntervalSince1970) / 3_600
                func time(_ hour: Int) -> String {
                    let format = ISO8601DateFormatter()
                    return format.string(from: Date(timeIntervalSince1970: Double(hour) * 3_600))
                }
                let file = try scratch.file(
                    "hours.yml",
                    """
                    aggregation: {metrics: [energy], type: time}
                    initialize:
                      plugins:
                        hours: {path: wattle, method: HostHours, config: {host: bremusa, from: '\(time(hour - 2))', to: '\(time(hour + 2))'}}
                        rest: {path: builtin, method: Subtract, config: {input-parameters: [energy, jobs/energy], output-parameter: rest/energy}}
                    tree: {pipeline: {observe: [hours], compute: [rest]}}
                    """
                )
                let environment = ["WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("read")]
                let run = try await Program.run(
                    "wattle",
                    ["model", "run", file, "--format", "json"],
                    environment: environment,
                    in: scratch
                )
                #expect(run.code == 0, "\(run.errors)")
                let report = try await Program.run(
                    "wattle",
                    ["report", "host", "bremusa", "--format", "json"],
                    environment: environment,
                    in: scratch
                )
                let ledger = try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any]
                let metered = (ledger?["metered_uj"] as? String).flatMap { Double($0) } ?? .nan
                let result = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any]
                let aggregated = (result?["tree"] as? [String: Any])?["aggregated"] as? [String: Any]
                let energy = aggregated?["energy"] as? Double ?? .nan
                #expect(metered > 0)
                #expect(abs(energy * 3.6e12 - metered) <= 1)
                // Without a collector there is nothing to compute from.
                #expect(try await Program.run("wattle", ["model", "run", file], in: scratch).code == 2)
            }
        }
    }
}
