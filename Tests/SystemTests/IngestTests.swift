import Foundation
import HTTPClient
import SwiftProtobuf
import Testing
import Wire

/// The real collector under load that is too much, too large or damaged: it answers, and its memory stays in bounds.
@Suite(.serialized) struct IngestTests {
    /// The largest resident size that the collector has had, MB.
    private func peak(_ collector: Collector) throws -> Double {
        // The program is started through Python, which becomes it.
        let status = try String(contentsOfFile: "/proc/\(collector.program.process.processIdentifier)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        return Double(line.filter(\.isNumber)).map { $0 / 1_024 } ?? 0
    }

    private func load(_ collector: Collector, _ scratch: Scratch, _ arguments: [String]) async throws -> (
        code: Int32, report: [String: Any]
    ) {
        let enrol = try await Program.run(
            "wattle-collector",
            ["token", "create", "--embedded", collector.database, "--scope", "enrol", "--name", UUID().uuidString, "--pool", "load"],
            in: scratch
        )
        let done = try await Program.run(
            "wattle-collector",
            ["load", "--url", collector.url, "--format", "json"] + arguments,
            environment: ["WATTLE_ENROL_TOKEN": enrol.output.trimmingCharacters(in: .whitespacesAndNewlines)],
            in: scratch
        )
        return (done.code, try JSONSerialization.jsonObject(with: Data(done.output.utf8)) as? [String: Any] ?? [:])
    }

    @Test func bombsAndFloodsAreAnsweredWithinBoundedMemory() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let token = try await collector.token("agent", host: "bremusa")
                // Eight at once of 60 MiB each, and of two-byte messages.
                let huge = [UInt8](repeating: 0, count: 60 << 20)
                let parts = [[UInt8]](repeating: [90, 0], count: 2 << 20).flatMap { $0 }
                try await withThrowingTaskGroup(of: (Int, String).self) { tasks in
                    let url = collector.url
                    for number in 0..<8 {
                        let body = number % 2 == 0 ? huge : parts
                        tasks.addTask {
                            let response = try await HTTPClient().send(
                                HTTPRequest(
                                    method: "POST",
                                    url: url + "/v1/readings",
                                    headers: [("Authorization", "Bearer \(token)"), ("Content-Type", "application/x-protobuf")],
                                    body: body,
                                    timeout: .seconds(60)
                                )
                            )
                            return (response.status, String(decoding: response.body, as: UTF8.self))
                        }
                    }
                    for try await (status, text) in tasks {
                        #expect([413, 422, 429].contains(status), "\(status) \(text)")
                        #expect(text.contains("urn:wattle:problem:"))
                    }
                }
                // 10,000 tiny batches, then large ones from many connections.
                let tiny = try await load(collector, scratch, ["--hosts", "50", "--meters", "2", "--knots", "4", "--batches", "200"])
                #expect(tiny.code == 0)
                #expect(tiny.report["batches"] as? Int == 10_000)
                let large = try await load(
                    collector,
                    scratch,
                    ["--hosts", "60", "--knots", "10000", "--batches", "2", "--connections", "60", "--plain"]
                )
                #expect(large.code == 0)
                #expect(large.report["knots"] as? Int == 1_200_000)
                let megabytes = try peak(collector)
                #expect(megabytes <= 150, "\(megabytes) MB")
            }
        }
    }

    @Test func loadIsForThisMachineAndNeedsAToken() async throws {
        try await Scratch.with { scratch in
            let elsewhere = try await Program.run("wattle-collector", ["load", "--url", "http://10.1.2.3:8480"], in: scratch)
            #expect(elsewhere.code == 2)
            #expect(elsewhere.errors.contains("10.1.2.3") && elsewhere.errors.contains("--yes-really"))
            let nameless = try await Program.run("wattle-collector", ["load"], in: scratch)
            #expect(nameless.code == 2)
            #expect(nameless.errors.contains("WATTLE_ENROL_TOKEN"))
            let usage = try await Program.run("wattle-collector", ["load", "--knots", "0"], in: scratch)
            #expect(usage.code == 2)
        }
    }
}
