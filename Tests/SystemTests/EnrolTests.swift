import Foundation
import Testing

/// Agents that get their tokens themselves, with the real programs.
@Suite(.serialized) struct EnrolTests {
    private func enrolToken(_ collector: Collector, _ more: [String] = []) async throws -> String {
        let made = try await Program.run(
            "wattle-collector",
            ["token", "create", "--embedded", collector.database, "--scope", "enrol", "--name", "pool", "--pool", "linux"] + more,
            in: collector.scratch
        )
        #expect(made.code == 0, "\(made.errors)")
        return made.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func metered(_ collector: Collector, _ host: String) async throws {
        _ = try await eventually("\(host)'s energy") {
            let hours = try await collector.get("/v1/hosts/\(host)/hours").json["hours"] as? [[String: Any]] ?? []
            return hours.isEmpty ? nil : ()
        }
    }

    @Test func aMachineEnrolsOnceByCommandAndAnotherAtItsFirstStart() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 1_000_000, "1": 2_000_000, "0:0": 3_000, "1:0": 4_000])
            // Without one a machine is not known again, and not enrolled.
            _ = try scratch.file("root/etc/machine-id", "0f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
            try await Collector.with(scratch) { collector in
                let secret = try await enrolToken(collector, ["--uses", "2"])
                let file = try scratch.file("enrol-token", secret + "\n")
                chmod(file, 0o600)
                let place = ["--root", machine.root, "--proc-root", machine.proc]
                func run(_ host: String, _ more: [String]) throws -> Program {
                    try Program(
                        "wattle-agent",
                        ["run", "--host", host, "--state-dir", "\(scratch.path)/\(host)", "--socket", "\(scratch.path)/\(host).sock"]
                            + ["--batch-interval", "1"] + place + more,
                        environment: ["WATTLE_JOB_SOCKET_DIR": "\(scratch.path)/\(host)-jobs"],
                        in: scratch,
                        log: host
                    )
                }

                let enrolled = try await Program.run(
                    "wattle-agent",
                    ["enrol", collector.url, file, "--host", "first", "--pool", "linux", "--state-dir", "\(scratch.path)/first"],
                    in: scratch
                )
                #expect(enrolled.code == 0, "\(enrolled.errors)")
                let first = try run("first", [])
                let second = try run("second", ["--collector", collector.url, "--enrol-token-file", file, "--pool", "linux"])
                for _ in 0..<20 {
                    try machine.spend(["0": 1_000_000], busyTicks: 5)
                    try await Task.sleep(for: .milliseconds(100))
                }
                try await metered(collector, "first")
                try await metered(collector, "second")

                // The token is used up, and says so without saying itself.
                let third = try await Program.run(
                    "wattle-agent",
                    ["enrol", collector.url, file, "--host", "third", "--pool", "linux", "--state-dir", "\(scratch.path)/third"],
                    in: scratch
                )
                #expect(third.code != 0)
                for program in [first, second] { try await program.stop() }
                for text in [enrolled.output, enrolled.errors, third.errors, first.errors, second.errors, collector.program.errors] {
                    #expect(!text.contains(secret))
                }
                let mode = try FileManager.default.attributesOfItem(atPath: "\(scratch.path)/first")[.posixPermissions] as? Int
                #expect((mode ?? 0o777) & 0o007 == 0)
            }
        }
    }
}
