import Foundation
import Testing

/// `wattle import` against a forge on the loopback and a real collector.
@Suite struct ImportTests {
    /// The forge of the histories' tests.
    private static func forge(_ scenario: String, in scratch: Scratch) async throws -> (program: Program, url: String) {
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "CIHistoryTests/Support/forge.py").path
        let program = try Program("python3", [script, scenario, "stay"], in: scratch)
        let port = try await eventually("the forge to listen", seconds: 10, log: { program.errors }) {
            Int(program.output.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        return (program, "http://127.0.0.1:\(port)")
    }

    @Test func theHistoryOfAnOrganisationIsImportedOnceAndGoesOnWhereItStopped() async throws {
        try await Scratch.with { scratch in
            let first = Int(Date().timeIntervalSince1970) - 86_400
            let (forge, url) = try await Self.forge(
                """
                {"repositories": 3, "runs": 5, "first": \(first), "token": "ghp_planted", "gone": {"acme/r2": 404},
                 "faults": {"4": {"status": 502}, "5": {"status": 401, "message": "ghp_planted"}}}
                """,
                in: scratch
            )
            try await Collector.with(scratch) { collector in
                let state = scratch.path + "/import.json"
                let ci = try await collector.token("ci", name: "hub")
                func run(_ more: String...) async throws -> Program.Finished {
                    try await Program.run(
                        "wattle",
                        ["import", "github", "acme", "--since", "7d", "--api-url", url, "--state", state, "--format", "json"] + more,
                        environment: ["WATTLE_URL": collector.url, "WATTLE_TOKEN": ci, "GITHUB_TOKEN": "ghp_planted"],
                        in: scratch
                    )
                }
                // It breaks off in the middle, without a word of the token, and keeps its place.
                let broken = try await run()
                #expect(broken.code == 1, "\(broken.errors)")
                #expect(!(broken.errors + broken.output).contains("ghp_planted"))
                #expect(FileManager.default.fileExists(atPath: state))
                let resumed = try await run()
                #expect(resumed.code == 0, "\(resumed.errors)")
                #expect(resumed.errors.contains("going on from"))
                #expect(!FileManager.default.fileExists(atPath: state))
                #expect(resumed.output.contains("acme/r2"))
                // r0 has runs 1 to 5, r1 6 to 10; every third was skipped, and the second attempt of every fifth only took over what the
                // first had done: no job of its own.
                let jobs = try await collector.get("/v1/jobs?source=hub&limit=100").json["jobs"] as? [[String: Any]]
                #expect(jobs?.count == 7, "\(jobs?.count ?? -1)")
                let again = try await run()
                #expect(again.code == 0)
                #expect((try await collector.get("/v1/jobs?source=hub&limit=100").json["jobs"] as? [[String: Any]])?.count == 7)
            }
            try await forge.stop()
        }
    }

    @Test func whatIsMissingIsSaidBeforeAnythingIsAsked() async throws {
        try await Scratch.with { scratch in
            let none = ["WATTLE_URL": "http://127.0.0.1:1", "WATTLE_TOKEN": "x", "GITHUB_TOKEN": "", "GITLAB_TOKEN": ""]
            let github = try await Program.run("wattle", ["import", "github", "acme"], environment: none, in: scratch)
            #expect(github.code == 2 && github.errors.contains("GITHUB_TOKEN"), "\(github.errors)")
            let gitlab = try await Program.run("wattle", ["import", "gitlab", "acme"], environment: none, in: scratch)
            #expect(gitlab.code == 2 && gitlab.errors.contains("GITLAB_TOKEN"), "\(gitlab.errors)")
            let since = try await Program.run("wattle", ["import", "github", "acme", "--since", "soon"], environment: none, in: scratch)
            #expect(since.code == 2 && since.errors.contains("--since"), "\(since.errors)")
        }
    }
}
