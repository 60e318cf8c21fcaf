import Foundation
import TestSupport
import Testing

/// `wattle report service` and its like, and `wattle compare`, with the real programs.
@Suite(.serialized) struct RollUpReportTests {
    @Test func whatAServiceCostIsToldInEveryFormat() async throws {
        try await Scratch.with { scratch in
            var machine = try FixtureHost(scratch, raw: ["0": 5_000_000])
            try await Collector.with(scratch) { collector in
                let agent = try await Agent(
                    collector,
                    host: "bremusa",
                    extra: ["--root", machine.root, "--proc-root", machine.proc, "--idle-floor", "0", "--zone", "FR"]
                )
                try machine.spend([:], busyTicks: 20)
                let start = try agent.ask(["op": "span", "phase": "start", "key": "job-1"])
                for _ in 0..<10 {
                    try machine.spend(["0": 7_000_000], busyTicks: 7)
                    try await Task.sleep(for: .milliseconds(110))
                }
                let finish = try agent.ask(["op": "span", "phase": "finish", "key": "job-1"])
                let id = try await collector.post(
                    """
                    {"id": "job-1", "host": "bremusa", "service": "baker", "repository": "github.com/a/b", "cpu_share": 1,
                     "started_at": "\(time(start["t_us"]))", "finished_at": "\(time(finish["t_us"]))", "outcome": "success",
                     "release": {"purl": "pkg:opam/x@1", "relation": "build"}}
                    """
                )
                let footprint = try await collector.final(id)
                let uj = try #require((footprint["energy"] as? [String: Any])?["uj"] as? String)
                let token = try await collector.token("read")
                func wattle(_ arguments: String...) async throws -> (code: Int32, output: String, errors: String) {
                    let run = try await Program.run(
                        "wattle",
                        arguments + ["--collector", collector.url, "--token", token],
                        in: scratch
                    )
                    return (run.code, run.output, run.errors)
                }
                for (subject, name) in [("service", "baker"), ("repo", "github.com/a/b"), ("release", "pkg:opam/x@1")] {
                    let csv = try await wattle("report", subject, name, "--format", "csv")
                    #expect(csv.code == 0 && csv.output.contains(",1,1,\(uj),"), "\(subject): \(csv)")
                    let table = try await wattle("report", subject, name, "--group", "day")
                    #expect(table.code == 0 && table.output.contains("total") && table.output.contains("declared"), "\(table)")
                    let markdown = try await wattle("report", subject, name, "--format", "markdown")
                    #expect(markdown.output.contains("| ---: |"), "\(markdown)")
                    let json = try await wattle("report", subject, name, "--format", "json")
                    #expect(json.output.contains("\"uj\":\"\(uj)\""), "\(json)")
                }
                let day = String(time(start["t_us"]).prefix(10))
                let compared = try await wattle(
                    "compare",
                    "service",
                    "baker",
                    "--before",
                    "2026-01-01/2026-01-02",
                    "--after",
                    "\(day)/\(day)T23:00Z"
                )
                #expect(compared.code == 0 && compared.output.contains("nothing to compare"), "\(compared)")
                #expect(try await wattle("compare", "service", "baker", "--before", "x", "--after", "y").code == 2)
                #expect(try await wattle("report", "service", "baker", "--from", "2020-01-01").code == 1)
                try await agent.program.stop()
            }
        }
    }

    private func time(_ value: Any?) -> String {
        let microseconds = (value as? NSNumber)?.int64Value ?? 0
        let seconds = ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: TimeInterval(microseconds / 1_000_000)))
        return seconds.dropLast() + "." + String(1_000_000 + microseconds % 1_000_000).dropFirst() + "Z"
    }
}
