import Foundation
import Testing

/// The commands as a newcomer meets them.
@Suite struct CommandTests {
    @Test func wattleRunPassesTheExitCodeThrough() async throws {
        try await Scratch.with { scratch in
            let environment = ["WATTLE_SOCKET": scratch.path + "/none.sock", "WATTLE_ZONE": "FR"]
            func run(_ command: String...) async throws -> Program.Finished {
                try await Program.run("wattle", ["run", "--"] + command, environment: environment, in: scratch)
            }
            #expect(try await run("true").code == 0)
            #expect(try await run("false").code == 1)
            #expect(try await run("sh", "-c", "kill -TERM $$").code == 143)
            let missing = try await run("nosuch")
            #expect(missing.code == 127)
            #expect(missing.errors.contains("nosuch"))
            let echo = try await run("echo", "hello")
            #expect(echo.output == "hello\n")
            #expect(echo.errors.contains("Wh") && echo.errors.contains("no collector configured"))
        }
    }

    @Test(arguments: ["wattle", "wattle-agent", "wattle-collector"]) func everyCommandHasHelpWithExamples(program: String) async throws {
        try await Scratch.with { scratch in
            let help = try await Program.run(program, ["--help"], in: scratch)
            #expect(help.code == 0)
            #expect(help.output.lowercased().contains("examples"))
            #expect(try await Program.run(program, ["frobnicate"], in: scratch).code == 2)
        }
    }

    @Test func opsUpPrintsTwoOverlappingJobsThatAddUpWithTheRest() async throws {
        try await Scratch.with { scratch in
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            let up = try await Program(
                "sh",
                [
                    root.path + "/ops/up", "--once", "--zone", "FR", "--listen", "127.0.0.1:\(try Collector.freePort())", "--data",
                    scratch.path + "/data", "--binaries", Program.directory.path,
                ],
                in: scratch
            ).wait(seconds: 120)
            #expect(up.code == 0, "\(up.errors)")
            let table = up.output
            #expect(table.contains("compress") && table.contains("checksum") && table.contains("adds up, to the microjoule"))
            #expect(table.contains("CO2e by location: 0.0") && table.contains("making the machine: unknown (no_embodied_figure)"))
            func microjoules(_ account: String) -> Int64 {
                table.split(separator: "\n").first { $0.hasPrefix(account) }.flatMap { Int64($0.split(separator: " ").last ?? "") } ?? -1
            }
            let parts = ["compress", "checksum", "(system)", "(agent)", "(idle", "(unknown)"].map(microjoules)
            #expect(parts.allSatisfy { $0 >= 0 }, "\(table)")
            #expect(parts.reduce(0, +) == microjoules("metered"), "\(table)")
            try await EmbeddedClusterLeftover.remove(scratch.path + "/data/postgres")
        }
    }
}
