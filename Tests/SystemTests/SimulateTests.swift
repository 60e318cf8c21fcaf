import Foundation
import Testing

/// `wattle-collector simulate` against a collector that runs: the real path from batches and spans to answers.
@Suite(.serialized) struct SimulateTests {
    @Test func madeUpHostsGetAnswersNearTheTruthAndAreMarkedWhereverTheyShow() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let enrol = try await Program.run(
                    "wattle-collector",
                    [
                        "token", "create", "--embedded", collector.database, "--scope", "enrol", "--name", "simulated", "--pool",
                        "simulated",
                    ],
                    in: scratch
                )
                let environment = [
                    "WATTLE_ENROL_TOKEN": enrol.output.trimmingCharacters(in: .whitespacesAndNewlines),
                    "WATTLE_TOKEN": try await collector.token("ci"), "WATTLE_READ_TOKEN": try await collector.token("read"),
                ]
                func simulate() async throws -> [String: Any] {
                    let done = try await Program.run(
                        "wattle-collector",
                        [
                            "simulate", "--url", collector.url, "--hosts", "2", "--hours", "1", "--seed", "5", "--family", "as_modelled",
                            "--format", "json",
                        ],
                        environment: environment,
                        in: scratch
                    )
                    #expect(done.code == 0, "\(done.errors)")
                    return try #require(try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any])
                }
                let first = try await simulate()
                let all = try #require(first["all"] as? [String: Any])
                let jobs = try #require(all["jobs"] as? Int)
                #expect(jobs > 10)
                #expect(all["final"] as? Int == jobs)
                #expect(all["silent"] as? Int == 0)
                #expect(all["flagged_simulated"] as? Int == jobs)
                let error = try #require((all["relative_error"] as? [String: Any])?["median"] as? Double)
                #expect(error < 0.05, "\(error)")

                // A second run adds nothing and gets the same answers.
                let again = try await simulate()
                #expect(NSDictionary(dictionary: first) == NSDictionary(dictionary: again))

                let hosts = try #require(try await collector.get("/v1/hosts").json["hosts"] as? [[String: Any]])
                #expect(hosts.count == 2 && hosts.allSatisfy { $0["simulated"] as? Bool == true })
                #expect(try await collector.get("/hosts").body.contains("simulated"))
                let csv = try await collector.get("/data/jobs.csv?from=2026-09-01T00:00:00Z&to=2026-09-01T02:00:00Z").body
                let lines = csv.split(separator: "\r\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
                let flags = try #require(lines.first?.firstIndex(of: "flags"))
                let records = lines.dropFirst()
                // No field of these jobs has a comma in it.
                #expect(records.count == jobs && records.allSatisfy { $0.count == lines[0].count && $0[flags] == "simulated" })
                // Nobody without a token sees any of it.
                let visible = try await collector.send(
                    "GET",
                    "/v1/jobs?from=2026-09-01T00:00:00Z&to=2026-09-01T02:00:00Z",
                    token: nil
                )
                #expect((visible.json["jobs"] as? [Any])?.isEmpty == true)
            }
        }
    }

    @Test func whatCannotBeSimulatedIsSaid() async throws {
        try await Scratch.with { scratch in
            for (arguments, part) in [
                (["--hosts", "0"], "--hosts"), (["--family", "luck"], "heavy_tails"), (["--start", "2999-01-01T00:00:00Z"], "--start"),
                (["--url", "http://127.0.0.1:1"], "WATTLE_ENROL_TOKEN"),
            ] {
                let done = try await Program.run("wattle-collector", ["simulate"] + arguments, in: scratch)
                #expect(done.code == 2 && done.errors.contains(part), "\(arguments): \(done.code) \(done.errors)")
            }
        }
    }
}
