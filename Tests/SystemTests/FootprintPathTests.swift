import Foundation
import TestSupport
import Testing

/// From a machine's counters to `GET /v1/jobs/{id}`, with the real programs.
@Suite(.serialized) struct FootprintPathTests {
    @Test func aWrapInMidJobOnTwoSocketsIsTheSumThatOneComputesByHand() async throws {
        try await Scratch.with { scratch in
            // Package 0 is 30 J before its end: it wraps while the job runs.
            var machine = try FixtureHost(
                scratch,
                raw: ["0": FixtureHost.packageRange - 30_000_000, "1": 5_000_000_000, "0:0": 1_000, "1:0": 65_712_000_000]
            )
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "bremusa",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--idle-floor", "0", "--zone", "FR"]
                )
                // The energy stands still around both edges, and something is busy all the time in between.
                try machine.spend([:], busyTicks: 20)
                try await Task.sleep(for: .milliseconds(300))
                let start = try agent.ask(["op": "span", "phase": "start", "key": "job-1"])
                var expected: Int64 = 0
                for step in 0..<24 {
                    let energy: [String: Int64] =
                        (4..<20).contains(step) ? ["0": 7_654_321, "1": 3_210_987, "0:0": 456_789, "1:0": 98_765] : [:]
                    expected += energy.values.reduce(0, +)
                    try machine.spend(energy, busyTicks: 7)
                    try await Task.sleep(for: .milliseconds(110))
                }
                let finish = try agent.ask(["op": "span", "phase": "finish", "key": "job-1"])
                let from = time(start["t_us"])
                let to = time(finish["t_us"])
                let id = try await collector.post(
                    #"{"id": "job-1", "host": "bremusa", "started_at": "\#(from)", "finished_at": "\#(to)", "cpu_share": 1}"#
                )
                let footprint = try await collector.final(id)
                let energy = try #require(footprint["energy"] as? [String: Any])
                #expect(energy["uj"] as? String == String(expected))
                #expect(energy["quality"] as? String == "measured")
                #expect(energy["coverage"] as? Double == 1)
                let components = try #require(energy["components_kwh"] as? [String: Any])
                #expect(abs((components["cpu"] as? Double ?? 0) - Double(16 * (7_654_321 + 3_210_987)) / 3.6e12) < 2e-7)
                #expect(abs((components["dram"] as? Double ?? 0) - Double(16 * (456_789 + 98_765)) / 3.6e12) < 2e-7)
                // Read at the edges: nothing but rounding is left of the limits.
                let low = try #require(energy["bound_low_kwh"] as? Double)
                let high = try #require(energy["bound_high_kwh"] as? Double)
                #expect(low <= Double(expected) / 3.6e12 && Double(expected) / 3.6e12 <= high)
                let intensity = try #require(footprint["intensity"] as? [String: Any])
                #expect(intensity["zone"] as? String == "FR")
                // Elsewhere: a span whose edges the agent did not read is right within ε a meter at each edge.
                let halfway = time(NSNumber(value: ((start["t_us"] as? NSNumber)?.int64Value ?? 0) + 1_234_567))
                let other = try await collector.post(
                    #"{"id": "job-2", "attempt": 2, "host": "bremusa", "started_at": "\#(from)", "finished_at": "\#(halfway)", "cpu_share": 1}"#
                )
                _ = try await collector.final(other)
                let hours = try await collector.get("/v1/hosts/bremusa/hours?jobs=true").json["hours"] as? [[String: Any]] ?? []
                func sum(_ field: String) -> Int64 { hours.reduce(0) { $0 + (Int64($1[field] as? String ?? "") ?? 0) } }
                #expect(sum("metered_uj") == expected)
                #expect(
                    sum("metered_uj") == sum("job_dynamic_uj") + sum("system_uj") + sum("agent_uj") + sum("idle_uj") + sum("unknown_uj")
                )
                try await agent.program.stop()
            }
        }
    }

    @Test func threeToOneInCPUTimeIsThreeToOneInDynamicEnergy() async throws {
        guard getuid() == 0, FileManager.default.fileExists(atPath: "/proc/self/cgroup") else {
            print("skipped: cgroups can be made by root only")
            return
        }
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(collector, host: "duty", extra: ["--zone", "WORLD"])
                let ci = try await collector.token("ci")
                func job(_ duty: Double) throws -> Program {
                    // Spins until its own CPU clock has what is due, so that it ends with exactly its share of 20 s.
                    let script = """
                        import time
                        duty, start = \(duty), time.monotonic()
                        while (t := time.monotonic() - start) < 20 or time.process_time() < 20 * duty:
                            if time.process_time() < min(20, t) * duty: continue
                            time.sleep(0.005)
                        """
                    return try Program(
                        "wattle",
                        ["run", "--id", "duty-\(duty)", "--wait", "0", "--quiet", "--", "python3", "-c", script],
                        environment: ["WATTLE_URL": collector.url, "WATTLE_TOKEN": ci, "WATTLE_SOCKET": agent.socketPath],
                        in: scratch
                    )
                }
                let jobs = [try job(0.75), try job(0.25)]
                for job in jobs { #expect(try await job.wait().code == 0) }
                var dynamic: [Double] = []
                for duty in [0.75, 0.25] {
                    let listed = try await collector.get("/v1/jobs?key=ci-any/-/duty-\(duty)/1").json["jobs"] as? [[String: Any]]
                    let footprint = try await collector.final(try #require(listed?.first?["id"] as? String))
                    #expect((footprint["share"] as? [String: Any])?["method"] as? String == "measured")
                    let energy = try #require(footprint["energy"] as? [String: Any])
                    dynamic.append(Double(energy["dynamic_uj"] as? String ?? "") ?? 0)
                }
                #expect(abs(dynamic[0] / dynamic[1] / 3 - 1) < 0.02, "\(dynamic)")
                try await agent.program.stop()
            }
        }
    }

    @Test func aCollectorKilledInMidRunLosesNothing() async throws {
        try await Scratch.with { scratch in
            let rounds = LongRun.rounds(short: 6, long: 40)
            var random = RandomSource(seed: 1)
            let port = try Collector.freePort()
            let proxyPort = try Collector.freePort()
            let record = scratch.path + "/record"
            let proxy = try Program(
                "python3",
                [recorder, "\(proxyPort)", "\(port)", record],
                in: scratch,
                log: "recorder"
            )
            let proxied = "http://127.0.0.1:\(proxyPort)"
            let disturbed = try await Collector.with(scratch, port: port) { collector in
                let agent = try await Agent(collector, url: proxied, host: "killed", extra: ["--zone", "WORLD"])
                let environment = [
                    "WATTLE_URL": proxied, "WATTLE_TOKEN": try await collector.token("ci"), "WATTLE_SOCKET": agent.socketPath,
                ]
                for round in 0..<rounds {
                    let job = try Program(
                        "wattle",
                        [
                            "run", "--id", "job-\(round)", "--quiet", "--", "python3", "-c",
                            "import time\nwhile time.process_time() < 0.4: pass",
                        ],
                        environment: environment,
                        in: scratch
                    )
                    // At any moment: before the job's start is posted, in its middle, when its end is.
                    if round == 1 || random.chance(0.4) {
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...600, using: &random)))
                        collector.program.signal(SIGKILL)
                        _ = try await collector.program.wait()
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...1_500, using: &random)))
                        try await collector.startAgain()
                    }
                    let finished = try await job.wait()
                    #expect(finished.code == 0)
                    #expect(!finished.errors.contains("{"), "a span was not posted: \(finished.errors)")
                }
                try await agent.program.stop()
                return try await totals(collector, host: "killed")
            }
            try await proxy.stop()
            #expect(disturbed.jobs == rounds)

            let undisturbed = try await Scratch.with { other in
                try await Collector.with(other) { collector in
                    let agentToken = try await collector.token("agent", host: "killed")
                    let ciToken = try await collector.token("ci")
                    let lines = try String(contentsOfFile: record, encoding: .utf8).split(separator: "\n")
                    for line in lines {
                        let parts = line.split(separator: " ")
                        let (path, type, body) = (String(parts[0]), String(parts[1]), [UInt8](Data(base64Encoded: String(parts[2]))!))
                        let token = path == "/v1/readings" ? agentToken : ciToken
                        let answer = try await collector.send("POST", path, token: token, type: type, body: body)
                        #expect([200, 202].contains(answer.status), "\(answer.body)")
                    }
                    return try await totals(collector, host: "killed")
                }
            }
            #expect(disturbed == undisturbed)
        }
    }

    @Test func anAgentKilledInMidRunGoesOnWhereItWas() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "phoenix",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--zone", "FR"]
                )
                var expected: Int64 = 0
                for round in 0..<4 {
                    for _ in 0..<8 {
                        let energy: [String: Int64] = ["0": 4_321_987, "1": 1_234_567, "0:0": 12_345]
                        expected += energy.values.reduce(0, +)
                        try machine.spend(energy, busyTicks: 5)
                        try await Task.sleep(for: .milliseconds(110))
                    }
                    if round < 3 {
                        agent.program.signal(SIGKILL)
                        _ = try await agent.program.wait()
                        try await agent.startAgain()
                    }
                }
                try agent.ask(["op": "span", "phase": "start", "key": "x"])
                try await agent.program.stop()
                var seen: Int64 = 0
                let metered = try await eventually("all \(expected) uJ to arrive", log: { "\(seen) uJ so far\n\(agent.program.errors)" }) {
                    let hours = try await collector.get("/v1/hosts/phoenix/hours").json["hours"] as? [[String: Any]] ?? []
                    let sum = hours.reduce(Int64(0)) { $0 + (Int64($1["metered_uj"] as? String ?? "") ?? 0) }
                    seen = sum
                    return sum >= expected ? sum : nil
                }
                #expect(metered == expected)
            }
        }
    }

    @Test func anAgentThatFindsOtherSensorsAfterARestartEndsTheOldOnes() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            try await Collector.with(scratch) { collector in
                let modelled = try await Agent(collector, host: "grown", extra: ["--zone", "FR"])
                try await Task.sleep(for: .seconds(2))
                try await modelled.program.stop()
                let measured = try await Agent(
                    collector,
                    host: "grown",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--idle-floor", "0"]
                )
                let start = try measured.ask(["op": "span", "phase": "start", "key": "j"])
                for _ in 0..<12 {
                    try machine.spend(["0": 1_000_000], busyTicks: 9)
                    try await Task.sleep(for: .milliseconds(110))
                }
                let finish = try measured.ask(["op": "span", "phase": "finish", "key": "j"])
                let id = try await collector.post(
                    #"{"id": "j", "host": "grown", "started_at": "\#(time(start["t_us"]))", "finished_at": "\#(time(finish["t_us"]))", "cpu_share": 1}"#
                )
                let energy = try #require(try await collector.final(id)["energy"] as? [String: Any])
                #expect(energy["quality"] as? String == "measured")
                #expect(energy["coverage"] as? Double == 1)
                #expect(
                    try FileManager.default.contentsOfDirectory(atPath: scratch.path + "/state-grown").allSatisfy { !$0.contains("dead") }
                )
                try await measured.program.stop()
            }
        }
    }

    struct Totals: Equatable {
        var jobs: Int
        var hours: [String]
        var footprints: [String]
    }

    /// Waits until every job is final; then all numbers, as text.
    func totals(_ collector: Collector, host: String) async throws -> Totals {
        let jobs: [[String: Any]] = try await eventually("all jobs to be final", seconds: 60, log: { collector.program.errors }) {
            let jobs = try await collector.get("/v1/jobs").json["jobs"] as? [[String: Any]] ?? []
            return !jobs.isEmpty && jobs.allSatisfy { $0["state"] as? String == "final" } ? jobs : nil
        }
        let hours = try await collector.get("/v1/hosts/\(host)/hours").json["hours"] as? [[String: Any]] ?? []
        return Totals(
            jobs: jobs.count,
            hours: hours.map {
                "\($0["hour"] ?? "") \($0["metered_uj"] ?? "") \($0["job_dynamic_uj"] ?? "") \($0["system_uj"] ?? "") \($0["idle_uj"] ?? "")"
            },
            footprints: jobs.map { "\($0["id"] ?? "") \(($0["energy"] as? [String: Any])?["uj"] ?? "")" }.sorted()
        )
    }

    private var recorder: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Support/recorder.py").path
    }

    private func time(_ value: Any?) -> String {
        let microseconds = (value as? NSNumber)?.int64Value ?? 0
        let formatter = ISO8601DateFormatter()
        let seconds = formatter.string(from: Date(timeIntervalSince1970: TimeInterval(microseconds / 1_000_000)))
        let fraction = String(1_000_000 + microseconds % 1_000_000).dropFirst()
        return seconds.dropLast() + "." + fraction + "Z"
    }
}
