import Foundation
import HTTPClient
import Snappy
import TestSupport
import Testing

/// Debian's own Prometheus and node_exporter, between a machine made of files and the real collector.
@Suite(.serialized) struct PrometheusTests {
    private static func isThere(_ program: String) -> Bool {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
            FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
        }
    }

    /// A Prometheus that asks the exporter each second and writes to the collector.
    private static func prometheus(_ name: String, port: Int, exporter: Int, collector: Int, token: String, in scratch: Scratch) throws
        -> Program
    {
        let file = try scratch.file(
            "\(name).yml",
            """
            global:
              scrape_interval: 1s
              external_labels: {prometheus_replica: \(name)}
            scrape_configs:
              - job_name: node
                static_configs: [{targets: ["127.0.0.1:\(exporter)"], labels: {host: written}}]
            remote_write:
              - url: http://127.0.0.1:\(collector)/api/v1/write
                authorization: {credentials: \(token)}
                queue_config: {batch_send_deadline: 200ms, max_shards: 4}

            """
        )
        return try Program(
            "prometheus",
            ["--config.file=\(file)", "--storage.tsdb.path=\(scratch.path)/\(name)", "--web.listen-address=127.0.0.1:\(port)"],
            in: scratch,
            log: name
        )
    }

    /// µJ of a host by `GET /v1/hosts/{name}/hours`; nil where it is not known yet.
    private static func metered(_ host: String, _ collector: Collector) async throws -> Int64? {
        let answer = try await collector.get("/v1/hosts/\(host)/hours")
        guard answer.status == 200, let hours = answer.json["hours"] as? [[String: Any]] else { return nil }
        return hours.reduce(0) { $0 + (Int64($1["metered_uj"] as? String ?? "") ?? 0) }
    }

    /// One series of a host with one sample, as remote write 1.0 packs it.
    private static func write(host: String, joules: Double, at milliseconds: Int64) throws -> [UInt8] {
        func varint(_ value: UInt64) -> [UInt8] {
            value < 0x80 ? [UInt8(value)] : [UInt8(truncatingIfNeeded: value & 0x7F) | 0x80] + varint(value >> 7)
        }
        func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2] + varint(UInt64(bytes.count)) + bytes }
        var series: [UInt8] = []
        for (name, value) in [("__name__", "hw_host_energy_joules_total"), ("host", host)] {
            series += field(1, field(1, Array(name.utf8)) + field(2, Array(value.utf8)))
        }
        let bits = (0..<8).map { UInt8(truncatingIfNeeded: joules.bitPattern >> UInt64(8 * $0)) }
        series += field(2, [0x09] + bits + [0x10] + varint(UInt64(milliseconds)))
        return try Snappy.compress(field(1, series))
    }

    /// A sender repeats what was not answered with 204, as Prometheus does; the collector is killed under it again and again.
    @Test func nothingIsLostOrCountedTwiceWhenTheCollectorIsKilled() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let made = try await Program.run(
                    "wattle-collector",
                    ["token", "create", "--embedded", collector.database, "--scope", "telemetry", "--name", "p", "--allow-host", "host-*"],
                    in: scratch
                )
                let token = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
                let url = collector.url + "/api/v1/write"
                let begin = Int64(Date().timeIntervalSince1970 * 1_000) - 200_000
                let client = HTTPClient()
                let samples = LongRun.rounds(short: 150, long: 1_500)
                let hosts = (0..<4).map { "host-\($0)" }
                try await withThrowingTaskGroup { tasks in
                    for (number, host) in hosts.enumerated() {
                        tasks.addTask {
                            for i in 0...samples {
                                let time = begin + Int64(i) * 200_000 / Int64(samples)
                                let body = try Self.write(host: host, joules: 1_000 + Double(i * (number + 1)), at: time)
                                try await eventually("sample \(i) of \(host)", seconds: 120) {
                                    let headers = [
                                        ("Authorization", "Bearer \(token)"), ("Content-Type", "application/x-protobuf"),
                                        ("Content-Encoding", "snappy"),
                                    ]
                                    do {
                                        let request = HTTPRequest(method: "POST", url: url, headers: headers, body: body)
                                        return try await client.send(request).status == 204 ? () : nil
                                    } catch is HTTPError {
                                        return nil
                                    }
                                }
                            }
                        }
                    }
                    for _ in 0..<LongRun.rounds(short: 3, long: 20) {
                        try await Task.sleep(for: .milliseconds(400))
                        collector.program.signal(SIGKILL)
                        try await collector.program.wait()
                        try await collector.startAgain()
                    }
                    try await tasks.waitForAll()
                }
                for (number, host) in hosts.enumerated() {
                    #expect(try await Self.metered(host, collector) == Int64(samples * (number + 1)) * 1_000_000, "\(host)")
                }
            }
        }
    }

    /// Two replicas write, one of them is stopped and started again, a counter wraps, and the collector's own scraper asks the same exporter:
    /// by either way the ledger has what the counters rose by, to the µJ.
    @Test func whatTheCountersRoseByIsInTheLedgerByRemoteWriteAndByScrape() async throws {
        guard Self.isThere("prometheus"), Self.isThere("prometheus-node-exporter") else {
            print("skipped: prometheus and prometheus-node-exporter are not installed (ops/install test)")
            return
        }
        try await Scratch.with { scratch in
            // Package 0 is 30 J before its end.
            var machine = try FixtureHost(
                scratch,
                raw: ["0": FixtureHost.packageRange - 30_000_000, "1": 5_000_000_000, "0:0": 1_000, "1:0": 65_000_000_000]
            )
            let exporterPort = try Collector.freePort()
            let exporter = try Program(
                "prometheus-node-exporter",
                [
                    "--path.sysfs=\(machine.root)/sys", "--path.procfs=\(machine.proc)", "--collector.disable-defaults", "--collector.rapl",
                    "--collector.cpu", "--web.listen-address=127.0.0.1:\(exporterPort)",
                ],
                in: scratch
            )
            defer { if exporter.isRunning { exporter.signal(SIGKILL) } }
            // The exporter does not tell where its counters turn; whoever runs the machine does.
            let meters = try scratch.file(
                "meters.yaml",
                """
                rules:
                  - {name: mine-package, exporter: mine, series: node_rapl_package_joules_total, meter: "package-{index}", zone: package,
                     package: "{index}", sensor: powercap, counter_range_j: \(Double(FixtureHost.packageRange) / 1e6)}
                  - {name: mine-dram, exporter: mine, series: node_rapl_dram_joules_total, meter: "dram-{index}", zone: dram,
                     package: "{index}", sensor: powercap, counter_range_j: \(Double(FixtureHost.dramRange) / 1e6)}

                """
            )
            let configuration = try scratch.file(
                "collector.yaml",
                "scrape:\n  - {url: \"http://127.0.0.1:\(exporterPort)/metrics\", host: scraped, every_s: 1}\n"
            )
            try await Collector.with(scratch, arguments: ["--config", configuration, "--meters", meters]) { collector in
                let made = try await Program.run(
                    "wattle-collector",
                    [
                        "token", "create", "--embedded", collector.database, "--scope", "telemetry", "--name", "prometheus", "--allow-host",
                        "written",
                    ],
                    in: scratch
                )
                #expect(made.code == 0, "\(made.errors)")
                let token = made.output.trimmingCharacters(in: .whitespacesAndNewlines)
                let ports = (try Collector.freePort(), try Collector.freePort())
                func replica(_ name: String, _ port: Int) throws -> Program {
                    try Self.prometheus(name, port: port, exporter: exporterPort, collector: collector.port, token: token, in: scratch)
                }
                var first = try replica("a", ports.0)
                let second = try replica("b", ports.1)
                defer { for program in [first, second] where program.isRunning { program.signal(SIGKILL) } }
                for host in ["written", "scraped"] {
                    _ = try await eventually("the first readings of \(host)", seconds: 60, log: { collector.program.errors + first.errors })
                    {
                        try await Self.metered(host, collector)
                    }
                }
                // Shards of a remote write come one by one: once every zone's first reading is in, what is spent counts.
                try await Task.sleep(for: .seconds(8))
                let before = (try await Self.metered("written", collector) ?? -1, try await Self.metered("scraped", collector) ?? -1)
                #expect(before == (0, 0))
                var expected: Int64 = 0
                for step in 0..<24 {
                    let energy: [String: Int64] = ["0": 7_654_321, "1": 3_210_987, "0:0": 456_789, "1:0": 98_765]
                    expected += energy.values.reduce(0, +)
                    try machine.spend(energy, busyTicks: 80)
                    if step == 10 { try await first.stop() }
                    if step == 14 { first = try replica("a", ports.0) }
                    try await Task.sleep(for: .milliseconds(500))
                }
                for host in ["written", "scraped"] {
                    let total = try await eventually(
                        "the energy of \(host)",
                        seconds: 90,
                        log: { collector.program.errors + second.errors }
                    ) {
                        try await Self.metered(host, collector).flatMap { $0 >= expected ? $0 : nil }
                    }
                    #expect(total == expected, "\(host)")
                }
                // And stays there, whoever of the two goes on writing.
                try await Task.sleep(for: .seconds(3))
                #expect(try await Self.metered("written", collector) == expected)
                let metrics = try await collector.get("/metrics").body
                func metric(_ name: String) -> Int {
                    metrics.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap { Int($0.split(separator: " ")[1]) } ?? -1
                }
                #expect(metric("wattle_telemetry_samples_spare_total") > 0)
                #expect(metric("wattle_scrapes_total") > 10)
                #expect(metric("wattle_scrapes_failed_total") == 0)
                #expect(metric("wattle_telemetry_samples_refused_total") == 0)
                try await first.stop()
                try await second.stop()
            }
            try await exporter.stop()
        }
    }
}
