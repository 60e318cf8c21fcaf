import Foundation
import Testing

/// The scripts of ops/ci, run as GitHub's and GitLab's runners run them.
@Suite(.serialized) struct CIScriptTests {
    private var ci: String { RunnerHost.repository + "/ops/ci" }
    private var wattle: String { Program.directory.appendingPathComponent("wattle").path }

    @Test func theActionMeasuresItsCommandAndHidesTheToken() async throws {
        try await Scratch.with { scratch in
            let output = try scratch.file("output", "")
            let secret = "wtl_not_for_the_command"
            func run(_ command: String, program: String) async throws -> Program.Finished {
                try await Program.run(
                    "sh",
                    ["\(ci)/github/measure.sh"],
                    environment: [
                        "WATTLE_PROGRAM": program, "WATTLE_ACTION_RUN": command, "WATTLE_ACTION_TOKEN": secret,
                        "WATTLE_ACTION_SERVICE": "docs", "WATTLE_ACTION_JOB": "a \"job\"; exit 9", "WATTLE_ACTION_RELEASE": "",
                        "WATTLE_ACTION_URL": "", "RUNNER_TEMP": scratch.path, "GITHUB_OUTPUT": output, "WATTLE_SOCKET": "/nowhere",
                    ],
                    in: scratch
                )
            }
            let measured = try await run("env; exit 7", program: wattle)
            #expect(measured.code == 7)
            #expect(!measured.output.contains(secret) && !measured.errors.contains(secret))
            let line = try String(contentsOfFile: output, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            let path = try #require(line.hasPrefix("footprint=") ? String(line.dropFirst(10)) : nil, "\(line)\n\(measured.errors)")
            let footprint = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) as? [String: Any]
            #expect(footprint != nil)
            // Without the program the command runs all the same.
            let unmeasured = try await run("echo ran; exit 3", program: "no-such-wattle")
            #expect(unmeasured.code == 3 && unmeasured.output.contains("ran") && unmeasured.errors.contains("unmeasured"))
        }
    }

    @Test(arguments: ["sh", "bash"]) func gitLabsPreBuildNeverFailsTheJobAndItsEndIsNotedWhenTheScriptFails(shell: String) async throws {
        try await Scratch.with { scratch in
            // A program that says how it was called, in the place of wattle.
            let log = "\(scratch.path)/calls"
            let recorder = try scratch.file(
                "recorder",
                "#!/bin/sh\necho \"$*\" >>\(log)\ncase \"$*\" in *--job-socket*) echo \"export WATTLE_JOB_SOCKET='/run/x.sock'\";; esac\nexit 1\n"
            )
            chmod(recorder, 0o755)
            func run(_ script: String, _ environment: [String: String]) async throws -> (Program.Finished, [String]) {
                try? FileManager.default.removeItem(atPath: log)  // none before the first
                let finished = try await Program.run(
                    shell,
                    ["-c", "set -eu\n. \(ci)/gitlab/pre-build.sh\n\(script)"],
                    environment: environment.merging(["TMPDIR": scratch.path]) { $1 },
                    in: scratch
                )
                let calls = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""  // not called at all
                return (finished, calls.split(separator: "\n").map(String.init))
            }
            let (failed, calls) = try await run("echo script; exit 5", ["WATTLE": recorder])
            #expect(failed.code == 5 && failed.output.contains("script"), "\(failed.errors)")
            #expect(calls == ["span start --gitlab", "span finish --gitlab"])
            let (socketed, more) = try await run("echo \"$WATTLE_JOB_SOCKET\"", ["WATTLE": recorder, "WATTLE_JOB_SOCKETS": "1"])
            #expect(socketed.code == 0 && socketed.output.contains("/run/x.sock"), "\(socketed.errors)")
            #expect(more == ["span start --gitlab --job-socket", "span finish --gitlab"])
            let (absent, none) = try await run("echo script", ["WATTLE": "no-such-wattle"])
            #expect(absent.code == 0 && absent.output.contains("script") && none.isEmpty)
            // The real one, with neither an agent nor a job's environment.
            let (real, _) = try await run("echo script", ["WATTLE": wattle, "WATTLE_SOCKET": "/nowhere"])
            #expect(real.code == 0 && real.output.contains("script"))
        }
    }

    @Test func shellcheckFindsNothing() async throws {
        try await Scratch.with { scratch in
            let there = try await Program.run("sh", ["-c", "command -v shellcheck"], in: scratch)
            guard there.code == 0 else {
                print("skipped: shellcheck is not installed (ops/install test)")
                return
            }
            let scripts = ["github/job-started.sh", "github/job-completed.sh", "github/measure.sh", "gitlab/pre-build.sh"]
            let checked = try await Program.run("shellcheck", scripts.map { "\(ci)/\($0)" }, in: scratch)
            #expect(checked.code == 0, "\(checked.output)")
        }
    }
}
