import Foundation
import TestSupport
import Testing

/// What must not cost a microjoule, with the real agent.
@Suite(.serialized) struct AgentFaultTests {
    private func meteredMicrojoules(_ collector: Collector, _ host: String) async throws -> Int64 {
        let hours = try await collector.get("/v1/hosts/\(host)/hours").json["hours"] as? [[String: Any]] ?? []
        return hours.reduce(0) { $0 + (Int64($1["metered_uj"] as? String ?? "") ?? 0) }
    }

    private func arrives(_ expected: Int64, _ collector: Collector, _ agent: Agent) async throws {
        var seen: Int64 = 0
        try await eventually("\(expected) uJ to arrive", log: { "\(seen) uJ so far\n\(agent.program.errors)" }) {
            seen = try await meteredMicrojoules(collector, agent.host)
            return seen >= expected ? () : nil
        }
        #expect(seen == expected)
    }

    @Test func killsOfTheAgentAtRandomMomentsLoseNoMicrojoule() async throws {
        try await Scratch.with { scratch in
            var random = RandomSource(seed: 3)
            var machine = try FixtureHost(scratch, raw: ["0": FixtureHost.packageRange - 40_000_000, "1": 7, "0:0": 3_000, "1:0": 4_000])
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "random",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--zone", "FR", "--rate", "50"]
                )
                var expected: Int64 = 0
                for round in 0..<LongRun.rounds(short: 6, long: 100) {
                    for _ in 0..<Int.random(in: 0...12, using: &random) {
                        let energy: [String: Int64] = [
                            "0": .random(in: 0...3_000_000, using: &random), "1": .random(in: 0...900_000, using: &random),
                            "1:0": .random(in: 0...99_999, using: &random),
                        ]
                        expected += energy.values.reduce(0, +)
                        try machine.spend(energy, busyTicks: 2)
                        try await Task.sleep(for: .milliseconds(Int.random(in: 1...120, using: &random)))
                    }
                    agent.program.signal(round % 5 == 4 ? SIGTERM : SIGKILL)
                    _ = try await agent.program.wait()
                    try await agent.startAgain()
                }
                try await agent.program.stop()
                try await arrives(expected, collector, agent)
            }
        }
    }

    @Test func aFullDiskLosesNothing() async throws {
        try await Scratch.with { scratch in
            let disk = scratch.path + "/disk"
            try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
            let mounted = try await Program.run("mount", ["-t", "tmpfs", "-o", "size=512k", "none", disk], in: scratch)
            guard mounted.code == 0 else {
                print("skipped: a small disk can be mounted by root only: \(mounted.errors)")
                return
            }
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "full",
                    extra: [
                        "--root", machine.root, "--proc-root", machine.proc, "--zone", "FR", "--batch-interval", "0.2", "--state-dir",
                        disk + "/state",
                    ]
                )
                var expected: Int64 = 0
                func spend(_ rounds: Int) async throws {
                    for _ in 0..<rounds {
                        let energy: [String: Int64] = ["0": 2_345_678, "1": 1_234_567]
                        expected += energy.values.reduce(0, +)
                        try machine.spend(energy, busyTicks: 3)
                        try await Task.sleep(for: .milliseconds(60))
                    }
                }
                try await spend(10)
                // Nothing is left for the spool, nor for the state.
                let filler = try FileHandle(forWritingTo: URL(fileURLWithPath: try scratch.file("disk/filler", "")))
                let block = Data(repeating: 1, count: 1_024)
                while (try? filler.write(contentsOf: block)) != nil {}
                try await spend(40)
                #expect(agent.program.isRunning)
                try await eventually("the agent to say so") { agent.program.errors.contains("no energy is lost") ? () : nil }
                try filler.close()
                try FileManager.default.removeItem(atPath: disk + "/filler")
                try await spend(10)
                try await agent.program.stop()
                try await arrives(expected, collector, agent)
            }
            _ = try await Program.run("umount", [disk], in: scratch)
        }
    }

    @Test func aZoneThatIsPluggedInIsFoundByTheRunningAgent() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            let link = scratch.path + "/root/sys/class/powercap/intel-rapl:1"
            let target = try FileManager.default.destinationOfSymbolicLink(atPath: link)
            try FileManager.default.removeItem(atPath: link)
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "plugged",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--zone", "FR"]
                )
                func meters() throws -> [String: Any] { try agent.ask(["op": "snapshot"])["uj"] as? [String: Any] ?? [:] }
                #expect(try meters()["powercap/intel-rapl:1"] == nil)
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
                try await eventually("the new zone to be measured", log: { agent.program.errors }) {
                    try meters()["powercap/intel-rapl:1"] == nil ? nil : ()
                }
                try machine.spend(["1": 5_000_000], busyTicks: 9)
                try await eventually("its energy") {
                    (try meters()["powercap/intel-rapl:1"] as? NSNumber)?.int64Value == 5_000_000 ? () : nil
                }
                try await agent.program.stop()
            }
        }
    }

    @Test func aJobOfThreeSecondsHasAMeasuredValue() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "brief",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--zone", "FR", "--idle-floor", "0"]
                )
                let job = try Program(
                    "wattle",
                    ["run", "--id", "brief-1", "--wait", "30", "--format", "json", "--cpu-share", "1", "--", "sleep", "3"],
                    environment: [
                        "WATTLE_URL": collector.url, "WATTLE_TOKEN": try await collector.token("ci"), "WATTLE_SOCKET": agent.socketPath,
                    ],
                    in: scratch
                )
                while job.isRunning {
                    try machine.spend(["0": 5_000_000, "1": 4_000_000], busyTicks: 20)
                    try await Task.sleep(for: .milliseconds(100))
                }
                let finished = try await job.wait()
                #expect(finished.code == 0, "\(finished.errors)")
                let listed = try await collector.get("/v1/jobs?key=ci-any/-/brief-1/1").json["jobs"] as? [[String: Any]]
                let id = try #require(listed?.first?["id"] as? String)
                let footprint = try await collector.final(id)
                let energy = try #require(footprint["energy"] as? [String: Any])
                #expect(energy["quality"] as? String == "measured")
                #expect(energy["coverage"] as? Double == 1)
                // The agent reads a tree of files, and not the cgroup: the job stated its share.
                #expect(footprint["attribution_mode"] as? String == "monitor_only")
                #expect(finished.errors.contains("cgroup"), "it is said once")
                try await agent.program.stop()
            }
        }
    }

    @Test func thirtyProcessesOfAThirdOfASecondAreAccountedFor() async throws {
        try await Scratch.with { scratch in
            // Each computes until its own clock says 0.3 s: what it used is known exactly.
            let script = "import time\nwhile time.process_time() < 0.3: pass\nprint(time.process_time())"
            let environment = ["WATTLE_SOCKET": scratch.path + "/none.sock", "WATTLE_ZONE": "FR"]
            var used = 0.0
            var accounted = 0.0
            for _ in 0..<30 {
                let run = try await Program.run(
                    "wattle",
                    ["run", "--format", "json", "--", "python3", "-S", "-c", script],
                    environment: environment,
                    in: scratch
                )
                #expect(run.code == 0, "\(run.errors)")
                used += Double(run.output.split(separator: "\n").first ?? "") ?? 0
                let line = run.errors.split(separator: "\n").last { $0.hasPrefix("{") } ?? run.output.split(separator: "\n").last ?? ""
                let summary = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                accounted += (summary?["cpu_time_us"] as? Double ?? 0) / 1e6
                #expect((summary?["energy"] as? [String: Any])?["uj"] != nil)
                #expect(["cgroup", "monitor_only", "modelled"].contains(summary?["attribution_mode"] as? String))
            }
            #expect(used >= 9)
            #expect(accounted >= 0.99 * used, "\(accounted) s of \(used) s")
        }
    }

    @Test func withoutACollectorNoConnectionIsMade() async throws {
        try await Scratch.with { scratch in
            guard try await Program.run("sh", ["-c", "command -v strace && unshare -n true"], in: scratch).code == 0 else {
                print("skipped: needs strace, and root for an empty network namespace")
                return
            }
            func connects(_ command: String, seconds: Int) async throws -> String {
                let log = scratch.path + "/connects"
                // Killed by its own group: what is traced ends with the tracer's time.
                _ = try await Program.run(
                    "timeout",
                    ["-s", "TERM", "\(seconds)", "unshare", "-n", "strace", "-f", "-e", "trace=connect", "-o", log, "sh", "-c", command],
                    environment: ["WATTLE_SOCKET": scratch.path + "/none.sock"],
                    in: scratch
                )
                return try String(contentsOfFile: log, encoding: .utf8)
            }
            let binaries = Program.directory.path
            let agent = try await connects(
                "exec \(binaries)/wattle-agent run --state-dir \(scratch.path)/state --socket \(scratch.path)/agent.sock --host nobody",
                seconds: 4
            )
            let network = agent.split(separator: "\n").filter { $0.contains("connect(") && !$0.contains("AF_UNIX") }
            #expect(network.isEmpty, "\(network)")
            let command = try await connects("\(binaries)/wattle run -- true", seconds: 10)
            #expect(!command.contains("connect("), "\(command)")
            #expect(FileManager.default.fileExists(atPath: scratch.path + "/state/state.json"), "the agent ran")
        }
    }
}
