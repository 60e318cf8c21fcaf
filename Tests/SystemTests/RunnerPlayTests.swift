import Foundation
import TestSupport
import Testing

/// A script that plays GitHub and two of its runners on one host, against the real collector and agent.
@Suite(.serialized) struct RunnerPlayTests {
    @Test(arguments: LongRun.isOn ? [true, false] : [true]) func aRunWithAReRunAndCancelledJobsEndsWithFootprintsThatAddUp(withHooks: Bool)
        async throws
    {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let github = try await GitHubHook(collector, source: "tidepool")
                guard let host = try await RunnerHost(collector) else {
                    print("skipped: cgroups of v2 that this user may make are needed")
                    return
                }
                var hooks: [String: String]?
                if withHooks {
                    let token = try await Program.run(
                        "wattle-collector",
                        [
                            "token", "create", "--embedded", collector.database, "--scope", "ci", "--name", "hooks", "--source", "tidepool",
                            "--allow-host", RunnerHost.name,
                        ],
                        in: scratch
                    )
                    #expect(token.code == 0, "\(token.errors)")
                    let secret = token.output.trimmingCharacters(in: .whitespacesAndNewlines)
                    let file = try scratch.file("hook.env", "WATTLE_URL=\(collector.url)\nWATTLE_TOKEN=\(secret)\nWATTLE_JOB_SOCKETS=1\n")
                    hooks = ["WATTLE_HOOK_CONFIG": file]
                }

                func begin(_ job: GitHubHook.Job, cpuSeconds: Double, seconds: Double) async throws -> (GitHubHook.Job, Program) {
                    var job = job
                    try await github.deliver("queued", job)
                    job.started = Date()
                    let program = try host.work(
                        on: job.runner ?? "",
                        runID: "\(job.run)",
                        attempt: job.attempt,
                        job: job.name,
                        cpuSeconds: cpuSeconds,
                        seconds: seconds,
                        hooks: hooks
                    )
                    try await github.deliver("in_progress", job)
                    return (job, program)
                }
                func end(_ begun: (job: GitHubHook.Job, program: Program)) async throws -> GitHubHook.Job {
                    var job = begun.job
                    let ended = try await begun.program.wait()
                    #expect(ended.code == 0 && !ended.errors.contains("wattle:"), "\(job.name): \(ended.errors)")
                    job.completed = Date()
                    try await github.deliver("completed", job, times: 2)
                    return job
                }
                func job(_ id: Int, run: Int = 100, attempt: Int = 1, _ name: String, on runner: String?, _ conclusion: String)
                    -> GitHubHook.Job
                {
                    GitHubHook.Job(
                        id: id,
                        run: run,
                        attempt: attempt,
                        name: name,
                        runner: runner,
                        queued: Date(),
                        conclusion: conclusion
                    )
                }
                try await Task.sleep(for: .seconds(2))

                // Two at a time, one of which fails.
                let longer = try await begin(job(1, "build", on: "runner-1", "success"), cpuSeconds: 3, seconds: 6)
                let shorter = try await begin(job(2, "test", on: "runner-2", "failure"), cpuSeconds: 1.5, seconds: 4)
                _ = try await end(shorter)
                let build = try await end(longer)
                // One cancelled while it waited, and one that was never to run.
                var waiting = job(3, run: 101, "docs", on: nil, "cancelled")
                try await github.deliver("queued", waiting)
                waiting.completed = Date()
                try await github.deliver("completed", waiting)
                try await github.deliver("completed", job(5, "deploy", on: nil, "skipped"))
                // One cancelled while it ran.
                try await Task.sleep(for: .seconds(1))
                _ = try await end(begin(job(4, run: 101, "bench", on: "runner-1", "cancelled"), cpuSeconds: 1, seconds: 3))
                // The re-run of what failed: the other job's result is taken over under a new id, with the times of before.
                var carried = build
                (carried.id, carried.attempt) = (11, 2)
                try await github.deliver("completed", carried)
                _ = try await end(begin(job(12, attempt: 2, "test", on: "runner-2", "success"), cpuSeconds: 2, seconds: 4))
                if withHooks {
                    // Each job could measure a part of itself by its own socket, which went with it.
                    for runner in RunnerHost.runners {
                        let part = try host.part(of: runner)
                        let energy = part["energy"] as? [String: Any]
                        #expect(part["agent"] as? Bool == true && energy?["quality"] as? String == "measured", "\(part)")
                        #expect((Int64(energy?["uj"] as? String ?? "") ?? 0) > 0, "\(part)")
                    }
                    #expect(host.jobSockets == [])
                }
                try await Task.sleep(for: .seconds(2))
                try await host.stop()

                func find(_ id: Int, attempt: Int) async throws -> [String: Any] {
                    let key = "tidepool/github.com/\(id)/\(attempt)"
                    let listed = try await collector.get("/v1/jobs?key=\(key)").json["jobs"] as? [[String: Any]]
                    guard let job = listed?.first else {
                        throw Timeout(what: "job \(id)", log: try await collector.get("/v1/jobs").body)
                    }
                    return job
                }
                var energies: [Int: Int64] = [:]
                var ids: [Int: String] = [:]
                for (id, attempt) in [(1, 1), (2, 1), (4, 1), (12, 2)] {
                    ids[id] = try #require(try await find(id, attempt: attempt)["id"] as? String)
                    let footprint = try await collector.final(try #require(ids[id]), seconds: 60)
                    let energy = try #require(footprint["energy"] as? [String: Any])
                    energies[id] = Int64(energy["dynamic_uj"] as? String ?? "")
                    #expect((energies[id] ?? 0) > 1_000_000, "job \(id): \(energy)")
                    let share = try #require(footprint["share"] as? [String: Any])
                    #expect(share["method"] as? String == "measured", "job \(id): \(footprint)")
                    let workload = share["workload"] as? [String: Any]
                    #expect(workload?["by"] as? String == (withHooks ? "run" : "unit"), "job \(id): \(share)")
                    #expect(footprint["host"] as? String == RunnerHost.name, "job \(id)")
                    // The hooks' exact edges won, as a webhook's are whole seconds.
                    let start = try #require(footprint["started_at"] as? String)
                    #expect(start.contains(".") == withHooks, "job \(id): \(start)")
                }
                // What did not run costs nothing: one that never had a runner is no span, one that was taken over is the job that it was.
                for (id, attempt, same) in [(3, 1, nil), (5, 1, nil), (11, 2, ids[1])] as [(Int, Int, String?)] {
                    let listed =
                        try await collector.get("/v1/jobs?key=tidepool/github.com/\(id)/\(attempt)").json["jobs"] as? [[String: Any]]
                    #expect((listed ?? []).allSatisfy { same != nil && $0["id"] as? String == same }, "job \(id): \(listed ?? [])")
                }

                // A second of nobody's settles the hour as far as it was metered; then every microjoule has one owner.
                let hours = try await collector.get("/v1/hosts/\(RunnerHost.name)/hours?jobs=true").json["hours"] as? [[String: Any]] ?? []
                func number(_ value: Any?) -> Int64 { Int64(value as? String ?? "") ?? 0 }
                #expect(!hours.isEmpty)
                var listed: [String: Int64] = [:]
                for hour in hours {
                    let parts = ["job_dynamic_uj", "system_uj", "agent_uj", "idle_uj", "unknown_uj"].map { number(hour[$0]) }
                    #expect(parts.reduce(0, +) == number(hour["metered_uj"]), "\(hour)")
                    var jobs: Int64 = 0
                    for job in hour["jobs"] as? [[String: Any]] ?? [] {
                        let dynamic = number(job["dynamic_uj"])
                        jobs += dynamic
                        listed[job["id"] as? String ?? job["job"] as? String ?? "", default: 0] += dynamic
                    }
                    #expect(jobs == number(hour["job_dynamic_uj"]), "\(hour)")
                }
                #expect(Set(listed.filter { $0.value != 0 }.keys) == Set(ids.values), "\(listed)")
                for (id, key) in ids { #expect(listed[key] == energies[id], "job \(id)") }
                let metered = hours.reduce(Int64(0)) { $0 + number($1["metered_uj"]) }
                #expect(metered > 500_000_000, "45 W for more than 20 s: \(metered)")
            }
        }
    }
}
