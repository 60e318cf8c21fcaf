import Foundation
import Testing

/// Random requests, valid and not, made from the collector's own description of its routes.
@Suite struct SchemathesisTests {
    /// Without a token and with one of each kind that people hold: no answer may be one that is not described, a server's fault, or too kind
    /// to nonsense. Each check of schemathesis is on.
    @Test func randomRequestsFindNothing() async throws {
        try await Scratch.with { scratch in
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            let script = root.path + "/ops/schemathesis"
            let isLong = ProcessInfo.processInfo.environment["WATTLE_TEST_LONG"] == "1"
            let installed = try await Program("sh", [script, "--install"], in: scratch).wait(seconds: 300)
            if installed.code == 3 {
                print("skipped: schemathesis cannot be had from PyPI\n\(installed.errors)")
                return
            }
            try #require(installed.code == 0, "\(installed.errors)")
            try await Collector.with(scratch) { collector in
                try await Self.seed(collector)
                for scope in [nil, "read", "ci", "admin"] {
                    var arguments = [script, collector.url]
                    if let scope { arguments += ["--token", try await collector.token(scope)] }
                    arguments += ["--seed", "4711", "--max-examples", isLong ? "300" : "8", "--generation-database", "none"]
                    // Every corner of every description takes as long as all else; without a token once, in the long run with each.
                    if !isLong, scope != nil { arguments += ["--phases", "examples,fuzzing,stateful"] }
                    let started = ContinuousClock.now
                    let run = try await Program("sh", arguments, in: scratch, log: "schemathesis-\(scope ?? "none")")
                        .wait(seconds: isLong ? 1_800 : 300)
                    #expect(run.code == 0, "with \(scope ?? "no") token:\n\(run.output.suffix(20_000))\n\(run.errors.suffix(2_000))")
                    print("with \(scope ?? "no") token: \(Self.cases(run.output)), \(ContinuousClock.now - started)")
                }
            }
        }
    }

    /// The document itself, by the OpenAPI Initiative's schema of 3.1.
    @Test func theDocumentIsValidOpenAPI() async throws {
        try await Scratch.with { scratch in
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            let installed = try await Program("sh", [root.path + "/ops/schemathesis", "--install"], in: scratch).wait(seconds: 300)
            if installed.code == 3 {
                print("skipped: openapi-spec-validator cannot be had from PyPI\n\(installed.errors)")
                return
            }
            try #require(installed.code == 0, "\(installed.errors)")
            try await Collector.with(scratch) { collector in
                let document = try await collector.send("GET", "/openapi.json", token: nil)
                #expect(document.status == 200)
                let path = try scratch.file("openapi.json", document.body)
                let folder =
                    ProcessInfo.processInfo.environment["WATTLE_SCHEMATHESIS"] ?? root.path + "/.build_schemathesis"
                let checked = try await Program(
                    folder + "/bin/openapi-spec-validator",
                    ["--schema", "3.1", path],
                    in: scratch,
                    log: "validator"
                ).wait()
                #expect(checked.code == 0, "\(checked.output)\(checked.errors)")
            }
        }
    }

    private static func cases(_ output: String) -> String {
        output.split(separator: "\n").first { $0.contains(" generated") }?.trimmingCharacters(in: .whitespaces) ?? "no summary"
    }

    /// A host with two batches and jobs of all kinds, so that there is something to answer with.
    private static func seed(_ collector: Collector) async throws {
        let agent = try await collector.token("agent", host: "seeded")
        let batch = """
            {"host": "seeded", "bootId": "b", "incarnation": "\(String(repeating: "a", count: 32))", "seq": 1, "facts": {"cpus": 4, "gridZone": "FR"}}
            """
        let answer = try await collector.send("POST", "/v1/readings", token: agent, body: Array(batch.utf8))
        try #require(answer.status == 200, "\(answer.body)")
        for (id, fields) in [("a", #""host": "seeded", "cpus": 1"#), ("b/é@%", #""host": "nowhere", "visibility": "public""#)] {
            for scope in ["ci", "admin"] {
                let span = """
                    {"id": "\(id)", \(fields), "started_at": "2026-09-01T09:00:10Z", "finished_at": "2026-09-01T09:04:55Z"}
                    """
                let posted = try await collector.send("POST", "/v1/spans", token: try await collector.token(scope), body: Array(span.utf8))
                try #require(posted.status == 202, "\(posted.body)")
            }
        }
    }
}
