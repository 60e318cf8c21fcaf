import Foundation
import TestSupport
import Testing

/// `wattle report job ID --explain` of a job that really ran can be followed by hand.
@Suite(.serialized) struct ExplainTests {
    @Test func theStepsOfARealJobCanBeRedone() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 5_000_000_000, "0:0": 1_000, "1:0": 65_712_000_000])
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "bremusa",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--idle-floor", "12.5", "--zone", "FR"]
                )
                let environment = [
                    "WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("ci"), "WATTLE_SOCKET": agent.socketPath,
                ]
                let job = try Program(
                    "wattle",
                    [
                        "run", "--id", "explained", "--job", "build", "--quiet", "--wait", "0", "--", "python3", "-c",
                        "import time\nwhile time.process_time() < 1.5: pass\ntime.sleep(0.5)",
                    ],
                    environment: environment,
                    in: scratch
                )
                // Another one beside it, which says what it has.
                let start = Date()
                while job.isRunning {
                    try machine.spend(["0": 7_654_321, "1": 3_210_987, "0:0": 456_789, "1:0": 98_765], busyTicks: 31)
                    try await Task.sleep(for: .milliseconds(110))
                }
                #expect(try await job.wait().code == 0)
                let formatter = ISO8601DateFormatter()
                let neighbour = try await collector.post(
                    #"{"id": "beside", "host": "bremusa", "started_at": "\#(formatter.string(from: start))", "finished_at": "\#(formatter.string(from: start.addingTimeInterval(2)))", "cpu_share": 0.25}"#
                )
                for _ in 0..<12 {
                    try machine.spend(["0": 1_234_321], busyTicks: 3)
                    try await Task.sleep(for: .milliseconds(110))
                }
                let listed = try await collector.get("/v1/jobs?key=ci-any/-/explained/1").json["jobs"] as? [[String: Any]]
                let id = try #require(listed?.first?["id"] as? String)
                for job in [id, neighbour] {
                    _ = try await collector.final(job)
                    for policy in ["reserved", "dynamic", "busy", "equal"] {
                        func microjoules() async throws -> String {
                            let footprint = try await collector.get("/v1/jobs/\(job)?policy=\(policy)").json
                            return (footprint["energy"] as? [String: Any])?["uj"] as? String ?? "none"
                        }
                        func report() async throws -> Program.Finished {
                            try await Program.run(
                                "wattle",
                                ["report", "job", job, "--explain", "--policy", policy],
                                environment: ["WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("read")],
                                in: scratch
                            )
                        }
                        // In an open hour figures move with every reading: what is printed counts where they stood still meanwhile.
                        var before = try await microjoules()
                        var printed = try await report()
                        var after = try await microjoules()
                        for _ in 0..<20 where before != after {
                            before = after
                            printed = try await report()
                            after = try await microjoules()
                        }
                        #expect(printed.code == 0, "\(printed.errors)")
                        let equations = Equations(printed.output)
                        #expect(equations.count > 20, "\(printed.output)")
                        #expect(equations.faults == [], "\(printed.output)")
                        #expect(before != after || printed.output.contains("dynamic and idle; \(after) µJ"), "\(printed.output)")
                        if job == id, policy == "reserved" { print(printed.output) }
                    }
                }
                // The same as JSON, another format is refused, and nobody without a token sees it.
                let json = try await Program.run(
                    "wattle",
                    ["report", "job", id, "--explain", "--format", "json"],
                    environment: ["WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("read")],
                    in: scratch
                )
                #expect(json.code == 0 && json.output.contains("\"stretches\""))
                let csv = try await Program.run(
                    "wattle",
                    ["report", "job", id, "--explain", "--format", "csv"],
                    environment: ["WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("read")],
                    in: scratch
                )
                #expect(csv.code == 2 && csv.errors.contains("expected --format table or json"))
                #expect(try await collector.send("GET", "/v1/jobs/\(id)/explain", token: nil).status == 401)
                try await agent.program.stop()
            }
        }
    }
}
