import Foundation
import Testing

/// The agent without any right of its own, and the broker that opens files for it.
@Suite(.serialized) struct UnprivilegedAgentTests {
    @Test func anAgentWithoutPrivilegesMeasuresThroughTheBrokerAndFindsWhatComesLater() async throws {
        try await Scratch.with { scratch in
            let setpriv = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
            guard getuid() == 0, try await Program.run("setpriv", setpriv + ["true"], in: scratch).code == 0 else {
                print("skipped: root is needed, which the agent then gives up")
                return
            }
            let machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            // As the kernel has it since 5.10: root's alone.
            func close(_ zone: String) {
                let package = machine.root + "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:\(zone.prefix(1))"
                chmod((zone.count == 1 ? package : package + "/intel-rapl:\(zone)") + "/energy_uj", 0o400)
            }
            for zone in machine.raw.keys { close(zone) }
            let run = scratch.path + "/run"
            try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
            chown(run, 65_534, 65_534)
            let socket = scratch.path + "/broker.sock"
            func detect() async throws -> String {
                let detected = try await Program.run(
                    "setpriv",
                    setpriv + [
                        Program.directory.path + "/wattle-agent", "detect", "--root", machine.root, "--proc-root", machine.proc,
                        "--broker-socket", socket,
                    ],
                    in: scratch
                )
                #expect(detected.code == 0, "\(detected.errors)")
                return detected.output
            }
            let without = try await detect()
            #expect(!without.contains("measured"), "\(without)")
            #expect(without.contains("start wattle-broker.service"), "what is missing and how to get it: \(without)")

            let agent = try Program(
                "setpriv",
                setpriv + [
                    Program.directory.path + "/wattle-agent", "run", "--root", machine.root, "--proc-root", machine.proc,
                    "--broker-socket", socket, "--state-dir", run + "/state", "--socket", run + "/agent.sock",
                ],
                in: scratch,
                log: "agent"
            )
            try await eventually("the agent to start", log: { agent.errors }) {
                FileManager.default.fileExists(atPath: run + "/agent.sock") ? () : nil
            }
            #expect(agent.errors.contains("model/cpu"), "nothing can be opened yet: \(agent.errors)")
            // The broker comes up later: what was refused is tried again, at first soon.
            let broker = try Program("wattle-broker", ["--root", machine.root, "--socket", socket, "--user", "nobody"], in: scratch)
            try await eventually("the broker's socket", log: { broker.errors }) {
                FileManager.default.fileExists(atPath: socket) ? () : nil
            }
            let with = try await detect()
            #expect(with.contains("powercap/intel-rapl:0") && with.contains("measured"), "\(with)")
            try await eventually("the zones to be taken up", seconds: 90, log: { agent.errors }) {
                agent.errors.contains("powercap/intel-rapl:0 is measured from now on") ? () : nil
            }
            try await agent.stop()
            try await broker.stop()
        }
    }
}
