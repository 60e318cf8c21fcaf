import Foundation

/// A host with two runners of GitHub's: its counters are files that something fills all the time, its cgroups and its work are real.
final class RunnerHost {
    let scratch: Scratch
    let agent: Agent
    private let top: String
    private let pump: Program
    private var units: [String] = []

    /// The runners' names, and that of the host.
    static let runners = ["runner-1", "runner-2"]
    static let name = "workhorse"

    /// - Returns: nil where this user may not make cgroups.
    init?(_ collector: Collector) async throws {
        scratch = collector.scratch
        guard let mount = CgroupMount.unified() else { return nil }
        let machine = try FixtureHost(scratch, raw: ["0": 1_000_000_000, "1": 2_000_000_000, "0:0": 3_000_000, "1:0": 4_000_000])
        for runner in Self.runners {
            _ = try scratch.file(
                "root/opt/\(runner)/.runner",
                #"{"agentId": 7, "agentName": "\#(runner)", "poolName": "Default", "gitHubUrl": "https://github.com/tidepool"}"#
            )
        }
        top = "\(mount)/wt-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: top, withIntermediateDirectories: false)
        for runner in Self.runners {
            let unit = "\(top)/actions.runner.tidepool.\(runner).service"
            try FileManager.default.createDirectory(atPath: unit, withIntermediateDirectories: false)
            units.append(unit)
        }
        // 25 W and 15 W of the packages, a little of the memory; in place, as the kernel does.
        let script = """
            import time
            zones = {"intel-rapl:0": 25, "intel-rapl:1": 15, "intel-rapl:0/intel-rapl:0:0": 3, "intel-rapl:1/intel-rapl:1:0": 2}
            base = "\(machine.root)/sys/devices/virtual/powercap/intel-rapl/"
            files = {z: open(base + z + "/energy_uj", "r+") for z in zones}
            start = {z: int(f.read()) for z, f in files.items()}
            began = time.monotonic()
            while True:
                t = time.monotonic() - began
                for z, f in files.items():
                    f.seek(0)
                    f.write("%d\\n" % (start[z] + int(zones[z] * 1e6 * t)))
                    f.flush()
                time.sleep(0.02)
            """
        pump = try Program("python3", ["-S", "-c", script], in: scratch, log: "pump")
        agent = try await Agent(
            collector,
            host: Self.name,
            extra: ["--root", machine.root, "--idle-floor", "5", "--zone", "FR", "--batch-interval", "1"]
        )
    }

    /// What `wattle run` showed of a part of the runner's latest job, by the job's own socket.
    func part(of runner: String) throws -> [String: Any] {
        let text = try Data(contentsOf: URL(fileURLWithPath: "\(scratch.path)/runners/\(runner)/temp/part.json"))
        return try JSONSerialization.jsonObject(with: text) as? [String: Any] ?? [:]
    }

    /// Sockets of jobs that are open.
    var jobSockets: [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: scratch.path + "/jobs")) ?? []  // not made: none
    }

    func stop() async throws {
        try await agent.program.stop()
        pump.signal(SIGKILL)
        try await pump.wait()
        for directory in units + [top] { CgroupMount.remove(directory) }
    }

    /// A job as GitHub's runner runs it: a listener in its unit starts a worker, which calls the hooks around the steps.
    ///
    /// - Parameters:
    ///   - seconds: of CPU time that the step uses, and of time that it takes.
    ///   - hooks: what the hooks need to know; nil where the runner has none.
    func work(
        on runner: String,
        runID: String,
        attempt: Int,
        job: String,
        cpuSeconds: Double,
        seconds: Double,
        hooks: [String: String]?
    ) throws -> Program {
        let folder = "runners/\(runner)"
        let step = """
            import time
            start = time.monotonic()
            while time.process_time() < \(cpuSeconds): pass
            time.sleep(max(0, \(seconds) - (time.monotonic() - start)))
            """
        _ = try scratch.file("\(folder)/step.py", step)
        // As a step in a container would: with nothing but the job's own socket.
        let part = """
            WATTLE_SOCKET=$(sed -n s/^WATTLE_JOB_SOCKET=//p "$GITHUB_ENV") "$WATTLE" run --format json --output \
            "$RUNNER_TEMP/part.json" -- python3 -S -c 'import time
            while time.process_time() < 1.2: pass'
            """
        let hooked = hooks == nil ? ["", ""] : ["started", "completed"].map { "sh \(Self.repository)/ops/ci/github/job-\($0).sh" }
        // The name of the program is what the hooks look for.
        let worker = try scratch.file(
            "\(folder)/bin/Runner.Worker",
            """
            #!/bin/sh
            \(hooked[0])
            python3 -S \(scratch.path)/\(folder)/step.py
            \(hooks == nil ? "" : part)
            \(hooked[1])
            exit 0

            """
        )
        chmod(worker, 0o755)
        try FileManager.default.createDirectory(atPath: "\(scratch.path)/\(folder)/temp", withIntermediateDirectories: true)
        _ = try scratch.file("\(folder)/temp/env", "")
        let unit = units[Self.runners.firstIndex(of: runner) ?? 0]
        var environment = hooks ?? [:]
        environment.merge([
            "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "tidepool/opam-mirror",
            "GITHUB_RUN_ID": runID, "GITHUB_RUN_ATTEMPT": "\(attempt)", "GITHUB_JOB": job, "GITHUB_WORKFLOW": "ci",
            "GITHUB_SHA": Self.commit,
            "GITHUB_REF_NAME": "main", "RUNNER_NAME": runner,
            "GITHUB_ENV": "\(scratch.path)/\(folder)/temp/env", "RUNNER_TEMP": "\(scratch.path)/\(folder)/temp",
            "WATTLE_SOCKET": agent.socketPath, "WATTLE": Program.directory.appendingPathComponent("wattle").path,
        ]) { $1 }
        let listener = """
            import os, subprocess, sys
            open("\(unit)/cgroup.procs", "w").write(str(os.getpid()))
            sys.exit(subprocess.call(["\(worker)"]))
            """
        return try Program("python3", ["-S", "-c", listener], environment: environment, in: scratch, log: "\(runner)-\(runID)-\(attempt)")
    }

    static let commit = "9f2c41d7a6b08e5534c1f0de77ab92c3e8d10b46"
    static var repository: String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..").standardizedFileURL.path
    }
}
