import Foundation
import TestSupport
import Testing

/// Which cgroup a job owns, when nobody but its CI knows of it.
@Suite(.serialized) struct WebhookJobTests {
    /// Real cgroups, and nobody who tells the agent of them: two jobs that a CI's webhook alone knows of, to the second.
    @Test(arguments: LongRun.isOn ? ["alone", "unit"] : ["unit"]) func twoJobsKnownOnlyByWebhookShareByTheirCgroups(rule: String)
        async throws
    {
        try await Scratch.with { scratch in
            guard let mount = CgroupMount.unified() else {
                print("skipped: cgroups of v2 that this user may make are needed")
                return
            }
            let top = "\(mount)/wt-\(UUID().uuidString.prefix(8))"
            var made: [String] = []
            defer { for directory in made.reversed() + [top] { CgroupMount.remove(directory) } }
            try FileManager.default.createDirectory(atPath: top, withIntermediateDirectories: false)
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(collector, host: "hooked", extra: ["--zone", "WORLD"])
                let names =
                    rule == "unit" ? ["actions.runner.o-r.big.service", "actions.runner.o-r.small.service"] : ["job-big", "job-small"]
                if rule == "unit" {
                    // A runner's unit is there before its job and stays after it.
                    for name in names {
                        made.append("\(top)/\(name)")
                        try FileManager.default.createDirectory(atPath: made[made.count - 1], withIntermediateDirectories: false)
                    }
                    try await Task.sleep(for: .seconds(2))
                }
                func job(_ name: String, duty: Double, seconds: Double) throws -> Program {
                    let script = """
                        import os, time
                        open("\(top)/\(name)/cgroup.procs", "w").write(str(os.getpid()))
                        start, used = time.monotonic(), time.process_time()
                        while (t := time.monotonic() - start) < \(seconds) or time.process_time() - used < \(seconds) * \(duty):
                            if time.process_time() - used < min(\(seconds), t) * \(duty): continue
                            time.sleep(0.005)
                        """
                    return try Program("python3", ["-S", "-c", script], in: scratch, log: name)
                }
                // 12 s with a duty of 0.75, and within them 9 s with one of a third: 9 s of CPU time against 3 s.
                var edges: [String: (start: Date, end: Date)] = [:]
                var running: [(name: String, program: Program)] = []
                for (name, duty, seconds, wait) in [(names[0], 0.75, 12.0, 1.5), (names[1], 1.0 / 3, 9.0, 0.0)] {
                    let start = Date()
                    if rule == "alone" {
                        made.append("\(top)/\(name)")
                        try FileManager.default.createDirectory(atPath: "\(top)/\(name)", withIntermediateDirectories: false)
                    }
                    running.append((name, try job(name, duty: duty, seconds: seconds)))
                    edges[name] = (start, start)
                    try await Task.sleep(for: .seconds(wait))
                }
                // The shorter one ends first, and its cgroup with it.
                for (name, program) in running.reversed() {
                    #expect(try await program.wait().code == 0)
                    if rule == "alone" { CgroupMount.remove("\(top)/\(name)") }
                    edges[name]?.end = Date()
                }
                // A webhook's times are whole seconds; a cgroup of the job's own puts its edges right. A runner's unit outlives the job, so that
                // what a whole second cuts off is lost to it: there the edges come with their fractions.
                let times = ISO8601DateFormatter()
                if rule == "unit" { times.formatOptions.insert(.withFractionalSeconds) }
                for name in names {
                    let (start, end) = try #require(edges[name])
                    let runner = name.hasSuffix("big.service") || name == "job-big" ? "big" : "small"
                    _ = try await collector.post(
                        """
                        {"id": "\(name)", "host": "hooked", "runner": "\(runner)", "time_resolution_ms": \(rule == "unit" ? 1 : 1000),
                         "started_at": "\(times.string(from: start))", "finished_at": "\(times.string(from: end))"}
                        """
                    )
                }
                var dynamic: [Double] = []
                for name in names {
                    let listed = try await collector.get("/v1/jobs?key=ci-any/-/\(name)/1").json["jobs"] as? [[String: Any]]
                    let footprint = try await collector.final(try #require(listed?.first?["id"] as? String), seconds: 60)
                    let share = try #require(footprint["share"] as? [String: Any])
                    #expect(share["method"] as? String == "measured", "\(share)")
                    #expect((share["workload"] as? [String: Any])?["by"] as? String == rule, "\(share)")
                    let energy = try #require(footprint["energy"] as? [String: Any])
                    dynamic.append(Double(energy["dynamic_uj"] as? String ?? "") ?? 0)
                }
                #expect(abs(dynamic[0] / dynamic[1] / 3 - 1) < 0.02, "\(dynamic)")
                try await agent.program.stop()
            }
        }
    }
}

/// The v2 hierarchy of this machine, where this user may make cgroups in it.
enum CgroupMount {
    static func unified() -> String? {
        let mounts = (try? String(contentsOfFile: "/proc/mounts", encoding: .utf8)) ?? ""  // no /proc, no cgroups
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 2, fields[2] == "cgroup2", access(String(fields[1]), W_OK) == 0 { return String(fields[1]) }
        }
        return nil
    }

    /// A cgroup can be removed once its last process is gone, which takes a moment.
    static func remove(_ directory: String) {
        for _ in 0..<100 where rmdir(directory) != 0 && errno == EBUSY { usleep(20_000) }
    }
}
