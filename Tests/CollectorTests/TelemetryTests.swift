import Documents
import Energy
import Foundation
import Gzip
import HTTPClient
import Logging
import Postgres
import Snappy
import Store
import Telemetry
import Testing
import TestSupport
import Wire
@testable import Collector

/// Other exporters' series over HTTP and in the database. The clock stands at an hour after the farm's start.
@Suite struct TelemetryTests {
    // MARK: Senders

    /// A request of remote write 1.0: each series with its samples, as seconds since the farm's start and values.
    static func write(_ series: [(name: String, labels: [String: String], samples: [(Double, Double)])]) -> [UInt8] {
        var request: [UInt8] = []
        for one in series {
            var body: [UInt8] = []
            for (name, value) in ([("__name__", one.name)] + one.labels.sorted { $0.key < $1.key }) {
                body += field(1, field(1, Array(name.utf8)) + field(2, Array(value.utf8)))
            }
            for (second, value) in one.samples {
                let bits = (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64(8 * $0)) }
                let ms = UInt64((Farm.start.microseconds + Int64(second * 1e6)) / 1_000)
                body += field(2, [0x09] + bits + [0x10] + varint(ms))
            }
            request += field(1, body)
        }
        return request
    }

    private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] { [number << 3 | 2] + varint(UInt64(bytes.count)) + bytes }

    private static func varint(_ value: UInt64) -> [UInt8] {
        value < 0x80 ? [UInt8(value)] : [UInt8(truncatingIfNeeded: value & 0x7F) | 0x80] + varint(value >> 7)
    }

    static let package = "node_rapl_package_joules_total"

    private static func token(_ farm: Farm, _ name: String = "prometheus", hosts: [String] = ["*"]) async throws -> String {
        let token = Token()
        var draft = TokenTable.Draft(name: name, scope: .telemetry)
        draft.claims.hosts = hosts
        _ = try await TokenTable.insert(draft, sha256: token.sha256, farm.connection)
        return token.text
    }

    private static func post(_ server: FrontDoorServer, _ body: [UInt8], token: String, type: String = "application/x-protobuf")
        async throws
        -> HTTPResponse
    {
        try await server.send(
            "POST",
            "/api/v1/write",
            headers: [("Authorization", "Bearer \(token)"), ("Content-Type", type), ("Content-Encoding", "snappy")],
            body: try Snappy.compress(body)
        )
    }

    /// Posts what is to be taken.
    private static func deliver(_ server: FrontDoorServer, _ body: [UInt8], token: String) async throws {
        let answer = try await post(server, body, token: token)
        #expect(answer.status == 204, "\(String(decoding: answer.body, as: UTF8.self))")
    }

    /// What each meter of a host has counted, and whether it is in the cover.
    private static func meters(_ farm: Farm, host: String = "bremusa") async throws -> [String] {
        try await farm.connection.query(
            Statement(
                "test_meters",
                """
                SELECT c.name || ' ' || t.value || CASE WHEN c.in_cover THEN ' counted' ELSE '' END AS line
                FROM curve c JOIN curve_tail t USING (host_id, curve_id) JOIN host h USING (host_id) WHERE h.name = $1 ORDER BY c.name
                """
            ),
            [.text(host)]
        ).map { try $0.string("line") }
    }

    private static func rapl(_ samples: [(Double, Double)], host: String = "bremusa", index: String = "0", replica: String? = nil) -> (
        name: String, labels: [String: String], samples: [(Double, Double)]
    ) {
        var labels = ["index": index, "instance": "\(host):9100", "path": "/sys/class/powercap/intel-rapl:\(index)"]
        labels["prometheus_replica"] = replica
        return (package, labels, samples)
    }

    // MARK: Laws

    @Test func whatIsWrittenIsEnergyInTheLedgerAndWhatIsSentTwiceCountsOnce() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                let values = (0...200).map { (Double($0) * 15, 1_000 + Double($0) * 1_500) }
                // 100 W; each part is sent twice, and one again at the end.
                for start in stride(from: 0, through: 200, by: 20) {
                    let body = Self.write([
                        Self.rapl(Array(values[start..<min(201, start + 20)])),
                        ("up", ["instance": "bremusa:9100"], [(Double(start) * 15, 1)]),
                    ])
                    for _ in 0..<2 {
                        let answer = try await Self.post(server, body, token: token)
                        #expect(answer.status == 204, "\(String(decoding: answer.body, as: UTF8.self))")
                        #expect(answer.header("X-Prometheus-Remote-Write-Samples-Written") == "\(min(20, 201 - start) + 1)")
                    }
                }
                try await Self.deliver(server, Self.write([Self.rapl(Array(values[40..<80]))]), token: token)
            }
            #expect(try await Self.meters(farm) == ["node_exporter/rapl/package-0 300000000000 counted"])
            farm.clock.now = Farm.start + .hour + .seconds(600)
            try await farm.account()
            let metered = try await farm.connection.query(
                Statement("test_metered", "SELECT coalesce(sum(metered_uj), 0)::int8 AS uj FROM host_hour")
            ).only().int64("uj")
            #expect(metered == 300_000_000_000)
            #expect(try await farm.count("gap") == 0)
        }
    }

    /// Two collectors, requests at the same time, half of them twice: the lock of the host and the state beside the curve make them one.
    @Test func anyNumberOfCollectorsAgree() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { first in
                try await FrontDoorServer.with(farm) { second in
                    for round in 0..<30 {
                        let body = Self.write([
                            Self.rapl([(Double(round) * 30, Double(round) * 1_000), (Double(round) * 30 + 15, Double(round) * 1_000 + 400)])
                        ])
                        async let a = Self.post(first, body, token: token)
                        async let b = Self.post(second, body, token: token)
                        let answers = try await (a.status, b.status)
                        #expect(answers == (204, 204))
                    }
                }
            }
            #expect(try await Self.meters(farm) == ["node_exporter/rapl/package-0 29400000000 counted"])
            #expect(try await farm.count("gap") == 0)
        }
    }

    @Test func busyTimeIsTheSumOfWhatCameOnePartARequestAndTellsHowManyCPUsThereAre() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                for round in 0..<5 {
                    for cpu in 0..<3 {
                        let labels = ["cpu": "\(cpu)", "mode": "user", "instance": "bremusa"]
                        let body = Self.write([("node_cpu_seconds_total", labels, [(Double(round) * 15, Double(round * (cpu + 1)))])])
                        try await Self.deliver(server, body, token: token)
                    }
                }
            }
            // 6 s of CPU time each round; the last round may still grow.
            #expect(try await Self.meters(farm) == ["node_exporter/host-busy 18000000"])
            let cpus = try await farm.connection.query(Statement("test_cpus", "SELECT cpus FROM host")).only().int32("cpus")
            #expect(cpus == 3)
        }
    }

    @Test func twoReplicasAreOneMeter() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                for round in 0..<20 {
                    let second = Double(round) * 15
                    for (replica, shift) in [("a", 0.0), ("b", 4.0)] {
                        let body = Self.write([Self.rapl([(second + shift, (second + shift) * 100)], replica: replica)])
                        try await Self.deliver(server, body, token: token)
                    }
                }
            }
            #expect(try await Self.meters(farm) == ["node_exporter/rapl/package-0 28500000000 counted"])
        }
    }

    @Test func aTokenWritesForItsOwnHostsAndAnAliasIsNoWayAround() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm, hosts: ["brem*", "alias"])
            let agent = Token()
            _ = try await TokenTable.insert(
                name: "agent",
                scope: .agent,
                sha256: agent.sha256,
                hostName: "bremusa",
                expiresAtMicroseconds: nil,
                farm.connection
            )
            _ = try await farm.connection.query(
                Statement(
                    "test_alias",
                    "WITH h AS (INSERT INTO host (name) VALUES ('miranda') RETURNING host_id) INSERT INTO host_alias (alias, host_id, origin) SELECT 'alias', host_id, 'operator' FROM h"
                )
            )
            try await FrontDoorServer.with(farm) { server in
                let own = Self.rapl([(0, 0), (15, 1)])
                for (host, bearer) in [("miranda", token), ("alias", token), ("miranda", agent.text)] {
                    let body = Self.write([own, Self.rapl([(0, 0), (15, 1)], host: host)])
                    let answer = try await Self.post(server, body, token: bearer)
                    #expect(answer.status == 403)
                    let problem = try JSONValue(parsing: answer.body)
                    #expect(problem.object?["type"]?.string == "urn:wattle:problem:claim")
                    #expect(problem.object?["field"]?.string == "host")
                    #expect(answer.header("X-Prometheus-Remote-Write-Samples-Written") == "2")
                }
                let read = Token()
                _ = try await TokenTable.insert(
                    name: "r",
                    scope: .read,
                    sha256: read.sha256,
                    hostName: nil,
                    expiresAtMicroseconds: nil,
                    farm.connection
                )
                #expect(try await Self.post(server, Self.write([own]), token: read.text).status == 403)
                #expect(try await Self.post(server, Self.write([own]), token: "wtl_00000000000000000000000000000000").status == 401)
            }
            // What it may write is written all the same.
            #expect(try await Self.meters(farm) == ["node_exporter/rapl/package-0 1000000 counted"])
            #expect(try await Self.meters(farm, host: "miranda") == [])
            #expect(try await farm.count("audit WHERE action = 'claim.refused'") >= 2)
        }
    }

    @Test func whatCannotBeReadIsRefusedForGoodAndNamesTheField() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                let bearer = ("Authorization", "Bearer \(token)")
                let nameless = Self.write([("", ["a": "b"], [(0, 1)])])
                let answer = try await Self.post(server, nameless, token: token)
                #expect(answer.status == 400)
                #expect(try JSONValue(parsing: answer.body).object?["field"]?.string?.hasPrefix("timeseries[0]") == true)
                let bomb: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x00, 0x41]
                for (encoding, type, body, status) in [
                    ("snappy", "application/x-protobuf", bomb, 413), ("snappy", "application/x-protobuf", [1, 2, 3], 400),
                    ("gzip", "application/x-protobuf", [1], 415), ("snappy", "application/json", [], 415),
                    ("identity", "application/x-protobuf", [], 204),
                    ("snappy", "application/x-protobuf;proto=io.prometheus.write.v3.Request", [], 415),
                ] {
                    let answer = try await server.send(
                        "POST",
                        "/api/v1/write",
                        headers: [bearer, ("Content-Type", type), ("Content-Encoding", encoding)],
                        body: body
                    )
                    #expect(answer.status == status, "\(encoding) \(type)")
                }
                // Values that no meter can have and times of other centuries are left out, and the rest is taken.
                let odd = Self.write([Self.rapl([(-1.7e9, 1), (0, -5), (15, 10), (30, .infinity), (45, 1e300), (60, 12), (2.4e9, 99)])])
                let partly = try await Self.post(server, odd, token: token)
                #expect(partly.status == 204)
                #expect(partly.header("X-Prometheus-Remote-Write-Samples-Written") == "2")
                // 1.0's body under 2.0's name would be a request of nothing.
                let other = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
                #expect(try await Self.post(server, odd, token: token, type: other).status == 400)
                let many: [UInt8] = (0..<200_002).map { $0 % 2 == 0 ? 0x0A : 0 }
                let refused = try await Self.post(server, many, token: token)
                #expect(refused.status == 400)
                #expect(
                    try JSONValue(parsing: refused.body).object?["detail"]?.string
                        == "field timeseries: expected at most 100000 in one request; send smaller ones, found 100001"
                )
            }
            #expect(try await Self.meters(farm) == ["node_exporter/rapl/package-0 2000000 counted"])
        }
    }

    @Test func remoteWrite2SaysWhatWasWritten() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                // symbols "", "__name__", "Clarke_meter_watts", "instance", "bremusa"; one sample of 250 W.
                var body: [UInt8] = []
                for symbol in ["", "__name__", "Clarke_meter_watts", "instance", "bremusa"] { body += Self.field(4, Array(symbol.utf8)) }
                for second in [0, 10] {
                    let bits = (0..<8).map { UInt8(truncatingIfNeeded: (250.0).bitPattern >> UInt64(8 * $0)) }
                    let ms = UInt64((Farm.start.microseconds + Int64(second) * 1_000_000) / 1_000)
                    body += Self.field(5, Self.field(1, [1, 2, 3, 4]) + Self.field(2, [0x09] + bits + [0x10] + Self.varint(ms)))
                }
                let type = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
                let answer = try await Self.post(server, body, token: token, type: type)
                #expect(answer.status == 204)
                #expect(answer.header("X-Prometheus-Remote-Write-Samples-Written") == "2")
                #expect(answer.header("X-Prometheus-Remote-Write-Histograms-Written") == "0")
                #expect(answer.header("X-Prometheus-Remote-Write-Exemplars-Written") == "0")
            }
            #expect(try await Self.meters(farm) == ["clarke/watts 2500000000 counted"])
        }
    }

    @Test func otlpTakesJSONAndRejectsPointsOfOthersHosts() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm, hosts: ["bremusa"])
            func request(_ host: String, _ second: Int64, _ joules: Int) -> String {
                """
                {"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "\(host)"}}]}, "scopeMetrics": [{"metrics": [
                  {"name": "hw.host.energy", "unit": "J", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
                    {"timeUnixNano": "\(Farm.start.microseconds * 1_000 + second * 1_000_000_000)", "asInt": "\(joules)"}]}}]}]}
                """
            }
            try await FrontDoorServer.with(farm) { server in
                func post(_ resources: [String]) async throws -> HTTPResponse {
                    try await server.send(
                        "POST",
                        "/v1/metrics",
                        headers: [("Authorization", "Bearer \(token)"), ("Content-Type", "application/json")],
                        body: Array("{\"resourceMetrics\": [\(resources.joined(separator: ","))]}".utf8)
                    )
                }
                let whole = try await post([request("bremusa", 0, 100), request("bremusa", 10, 1_100)])
                #expect(whole.status == 200)
                #expect(String(decoding: whole.body, as: UTF8.self) == "{}")
                let partial = try JSONValue(parsing: try await post([request("bremusa", 20, 2_100), request("miranda", 20, 5)]).body)
                #expect(partial.object?["partialSuccess"]?.object?["rejectedDataPoints"]?.string == "1")
                #expect(try await post([request("miranda", 30, 5)]).status == 403)
                let bad = try await post([request("bremusa", 30, 5).replacing("\"timeUnixNano\"", with: "\"time\"")])
                #expect(bad.status == 200)
                let refused = try JSONValue(parsing: bad.body).object?["partialSuccess"]?.object
                #expect(refused?["rejectedDataPoints"]?.string == "1")
                #expect(refused?["errorMessage"]?.string?.contains("time_unix_nano") == true)
            }
            #expect(try await Self.meters(farm) == ["otel/host 2000000000 counted"])
        }
    }

    /// A clock that is ahead, values of no meter and words of no unit: the sender is told, and so is the operator.
    @Test func samplesThatDoNotCountAreTold() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                func rejected(_ second: Double, _ value: String, unit: String = "J") async throws -> (String?, String) {
                    let time = UInt64(Farm.start.microseconds * 1_000 + Int64(second * 1e9))
                    let body = """
                        {"resourceMetrics": [{"resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "bremusa"}}]},
                          "scopeMetrics": [{"metrics": [{"name": "hw.host.energy", "unit": "\(unit)", "sum": {"aggregationTemporality": 2,
                            "isMonotonic": true, "dataPoints": [{"timeUnixNano": "\(time)", "asDouble": \(value)}]}}]}]}]}
                        """
                    let answer = try await server.send(
                        "POST",
                        "/v1/metrics",
                        headers: [("Authorization", "Bearer \(token)"), ("Content-Type", "application/json")],
                        body: Array(body.utf8)
                    )
                    #expect(answer.status == 200)
                    let partial = try JSONValue(parsing: answer.body).object?["partialSuccess"]?.object
                    return (partial?["rejectedDataPoints"]?.string, partial?["errorMessage"]?.string ?? "")
                }
                #expect(try await rejected(0, "1") == (nil, ""))
                let ahead = try await rejected(3_600 + 600, "2")
                #expect(ahead.0 == "1")
                #expect(ahead.1.contains("hw.host.energy: expected times of 2020 to 300.0 s from now"))
                for value in ["-1", "1e300", "\"NaN\""] {
                    let odd = try await rejected(10, value)
                    #expect(odd.0 == "1" && odd.1.contains("expected numbers that the meter can have"), "\(value)")
                }
                #expect(try await rejected(20, "1", unit: "BTU").1.hasPrefix("unit: expected J"))
                // 3 kJ, of which 1 J was there before.
                #expect(try await rejected(30, "3", unit: "kJ").0 == nil)
            }
            #expect(try await Self.meters(farm) == ["otel/host 2999000000 counted"])
            let facts = try await DoctorFacts.read(now: farm.clock.now, classes: [], farm.connection)
            let findings = Doctor(facts: facts, now: farm.clock.now, freeBytes: nil).findings
            let samples = findings.first { $0.id == "telemetry_samples" }
            #expect(samples?.severity == .action && samples?.count == 2)
            #expect(
                samples?.examples == [
                    "hw.host.energy{host.name=bremusa}: 3 samples, values that the meter cannot have",
                    "hw.host.energy{host.name=bremusa}: 1 samples, times later than now or of before 2020",
                ]
            )
            let unit = "hw.host.energy{host.name=bremusa}: nothing says its unit, or its sender says one that is not known"
            #expect(findings.first { $0.id == "telemetry" }?.examples == [unit])
        }
    }

    /// A Prometheus drops what was answered with 429, by its standard settings; OTLP's exporters send it again.
    @Test func aFullCollectorAsksEachSenderToComeAgainInItsOwnWords() async throws {
        try await Farm.with { farm in
            let token = Token()
            var draft = TokenTable.Draft(name: "slow", scope: .telemetry)
            draft.claims.hosts = ["*"]
            draft.claims.requestsPerSecond = 0.1
            _ = try await TokenTable.insert(draft, sha256: token.sha256, farm.connection)
            try await FrontDoorServer.with(farm) { server in
                let body = Self.write([Self.rapl([(0, 0), (15, 1)])])
                try await Self.deliver(server, body, token: token.text)
                let refused = try await Self.post(server, body, token: token.text)
                #expect(refused.status == 503)
                #expect(refused.header("Retry-After") == "10")
                let otlp = try await server.send(
                    "POST",
                    "/v1/metrics",
                    headers: [("Authorization", "Bearer \(token.text)"), ("Content-Type", "application/json")],
                    body: Array("{}".utf8)
                )
                #expect(otlp.status == 429)
                #expect(otlp.header("Retry-After") == "10")
            }
            let intake = TelemetryIntake(
                rules: try MeterTable.rules(file: nil),
                pool: farm.pool,
                metrics: CollectorMetrics(),
                now: { Farm.start }
            )
            for _ in 0..<TelemetryIntake.mostInside { #expect(intake.enter()) }
            #expect(!intake.enter())
            intake.leave()
            #expect(intake.enter())
        }
    }

    @Test func otlpTakesProtobufInGzip() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            func attribute(_ key: String, _ value: String) -> [UInt8] {
                Self.field(1, Array(key.utf8)) + Self.field(2, Self.field(1, Array(value.utf8)))
            }
            func fixed(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) } }
            func request(_ second: Int64, _ watts: Double) -> [UInt8] {
                let time = UInt64(Farm.start.microseconds * 1_000 + second * 1_000_000_000)
                let point =
                    Self.field(7, attribute("hw.id", "gpu-1")) + Self.field(7, attribute("hw.type", "gpu")) + [0x19] + fixed(time) + [0x21]
                let gauge = Self.field(1, point + fixed(watts.bitPattern))
                let metric = Self.field(1, Array("hw.power".utf8)) + Self.field(3, Array("W".utf8)) + Self.field(5, gauge)
                return Self.field(1, Self.field(1, Self.field(1, attribute("host.name", "bremusa"))) + Self.field(2, Self.field(2, metric)))
            }
            try await FrontDoorServer.with(farm) { server in
                for second in [Int64(0), 10, 20] {
                    let answer = try await server.send(
                        "POST",
                        "/v1/metrics",
                        headers: [
                            ("Authorization", "Bearer \(token)"), ("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip"),
                        ],
                        body: try Gzip.compress(request(second, 100 + Double(second)))
                    )
                    #expect(answer.status == 200)
                    #expect(answer.body == [])
                }
            }
            // 105 W and 115 W on the way, for 10 s each.
            #expect(try await Self.meters(farm) == ["otel/gpu-power-gpu-1 2200000000 counted"])
        }
    }

    @Test func theConfigurationNamesTargetsAndRows() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("wattle-\(Token().text.suffix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("collector.yaml")
        try "scrape:\n  - {url: \"http://a:9100/metrics\", host: a}\nmeters: \(folder.path)/meters.yaml\n"
            .write(to: file, atomically: true, encoding: .utf8)
        let configuration = try CollectorConfiguration(flags: [:], environment: [:], file: file.path)
        #expect(configuration.scrapeTargets.map(\.url) == ["http://a:9100/metrics"])
        #expect(configuration.settings.contains { $0.name == "scrape" && $0.value == "1 targets" })
        let table = try #require(configuration["meters"])
        #expect(throws: MeterTable.Fault.self) { try MeterTable.rules(file: table) }
        try "builtin: false\nrules:\n  - {name: one, series: x_watts, meter: x, zone: node}\n"
            .write(toFile: table, atomically: true, encoding: .utf8)
        #expect(try MeterTable.rules(file: table).rules.map(\.name) == ["one"])
        try "rules: [{name: one, series: x_watts, meter: x, zone: attic}]".write(toFile: table, atomically: true, encoding: .utf8)
        let fault = #expect(throws: MeterTable.Fault.self) { try MeterTable.rules(file: table) }
        #expect(fault?.description.contains("rule one, zone: expected one of") == true)
        try "scrape: [{url: 7}]".write(to: file, atomically: true, encoding: .utf8)
        #expect(throws: CollectorConfiguration.Fault.self) { try CollectorConfiguration(flags: [:], environment: [:], file: file.path) }
    }

    @Test func whatTheHostsAgentMeasuresIsNotCountedTwice() async throws {
        try await Farm.with { farm in
            farm.clock.now = Farm.start + .hour
            let agent = try await farm.token("agent", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(
                reporter.batch(energy: [knot(0, 0), knot(60, 6_000)], busy: [Knot(time: at(0), value: 0)]),
                token: agent
            )
            let before = try await Self.meters(farm)
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                let body = Self.write([
                    Self.rapl([(0, 0), (60, 6_000)]),
                    ("node_cpu_seconds_total", ["instance": "bremusa", "cpu": "0", "mode": "user"], [(0, 1), (60, 2)]),
                    ("ipmi_dcmi_power_consumption_watts", ["instance": "bremusa"], [(0, 200), (60, 200)]),
                ])
                try await Self.deliver(server, body, token: token)
            }
            let after = try await Self.meters(farm)
            #expect(after.filter { $0.hasSuffix("counted") && !before.contains($0) } == [])
            #expect(after.contains("node_exporter/rapl/package-0 6000000000"))
            #expect(after.contains("ipmi_exporter/dcmi 12000000000"))
            #expect(!after.contains { $0.contains("host-busy") })
        }
    }

    @Test func theOuterMeterIsTheAmountAndTheInnerOnesTheCover() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                // The board's controller comes first, the packages a request later.
                let first = Self.write([("ipmi_dcmi_power_consumption_watts", ["instance": "bremusa"], [(0, 200), (60, 200)])])
                try await Self.deliver(server, first, token: token)
                #expect(try await Self.meters(farm) == ["ipmi_exporter/dcmi 12000000000 counted"])
                let second = Self.write([
                    Self.rapl([(0, 0), (60, 10)]), Self.rapl([(0, 0), (60, 20)], index: "1"),
                    (
                        "node_rapl_core_joules_total", ["instance": "bremusa", "index": "0", "path": "/sys/class/powercap/intel-rapl:0:0"],
                        [(0, 0), (60, 5)]
                    ),
                ])
                try await Self.deliver(server, second, token: token)
            }
            #expect(
                try await Self.meters(farm) == [
                    "ipmi_exporter/dcmi 12000000000", "node_exporter/rapl/core-0 5000000", "node_exporter/rapl/package-0 10000000 counted",
                    "node_exporter/rapl/package-1 20000000 counted",
                ]
            )
        }
    }

    @Test func seriesThatLookLikeEnergyAndBecomeNoMeterAreShown() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            try await FrontDoorServer.with(farm) { server in
                let body = Self.write([
                    ("vendor_pdu_outlet_watts", ["instance": "pdu-1", "outlet": "7"], [(0, 1)]),
                    ("node_load1", ["instance": "bremusa"], [(0, 1)]),
                    ("Clarke_meter_watts", ["instance": "localhost:9090"], [(0, 1)]),
                ])
                try await Self.deliver(server, body, token: token)
                let read = Token()
                _ = try await TokenTable.insert(
                    name: "r",
                    scope: .read,
                    sha256: read.sha256,
                    hostName: nil,
                    expiresAtMicroseconds: nil,
                    farm.connection
                )
                let metrics = try await server.send("GET", "/metrics", headers: [("Authorization", "Bearer \(read.text)")])
                #expect(String(decoding: metrics.body, as: UTF8.self).contains("wattle_telemetry_series_unmapped_total 3\n"))
            }
            // Stored at the end at the latest.
            let unmapped = try await TelemetryTable.unmapped(since: Farm.start, limit: 10, farm.connection)
            #expect(
                unmapped.map { "\($0.name) \($0.reason) \($0.n)" }.sorted() == [
                    "Clarke_meter_watts no_host 1", "vendor_pdu_outlet_watts no_rule 1",
                ]
            )
            let facts = try await DoctorFacts.read(now: farm.clock.now, classes: [], farm.connection)
            let finding = Doctor(facts: facts, now: farm.clock.now, freeBytes: nil).findings.first { $0.id == "telemetry" }
            #expect(finding?.count == 2)
            #expect(finding?.examples.contains("vendor_pdu_outlet_watts{instance=pdu-1,outlet=7}: no row knows the name") == true)
        }
    }

    @Test func aCurveOfWhichNothingIsHeardEndsAndGoesOnWhenItIsHeardOfAgain() async throws {
        try await Farm.with { farm in
            let token = try await Self.token(farm)
            func complete() async throws -> Bool {
                try await farm.connection.query(Statement("test_closed", "SELECT complete_until = 'infinity' AS closed FROM curve_tail"))
                    .only().bool("closed")
            }
            try await FrontDoorServer.with(farm) { server in
                try await Self.deliver(server, Self.write([Self.rapl([(3_550, 0), (3_590, 9)])]), token: token)
                farm.clock.now = Farm.start + .hour + .hour
                #expect(try await TelemetryTable.endSilent(now: farm.clock.now, farm.connection) == 0)
                farm.clock.now = farm.clock.now + .seconds(1)
                #expect(try await TelemetryTable.endSilent(now: farm.clock.now, farm.connection) == 1)
                #expect(try await complete())
                let again = Self.write([Self.rapl([(7_195, 39)])])
                try await Self.deliver(server, again, token: token)
                #expect(try await !complete())
            }
            // A pause of an hour, in which 65 kJ at 1 kW fit many times.
            #expect(try await farm.count("gap") == 1)
            #expect(try await Self.meters(farm) == ["node_exporter/rapl/package-0 9000000 counted"])
        }
    }

    @Test func aTargetIsScrapedAndItsSeriesAreTheTargetsHosts() async throws {
        try await Farm.with { farm in
            try await FrontDoorServer.with(farm) { server in
                let read = Token()
                _ = try await TokenTable.insert(
                    name: "r",
                    scope: .read,
                    sha256: read.sha256,
                    hostName: nil,
                    expiresAtMicroseconds: nil,
                    farm.connection
                )
                // The collector's own metrics are a target like any other: OpenMetrics, with a token, and nothing in it is a meter.
                let file = FileManager.default.temporaryDirectory.appendingPathComponent("wattle-token-\(read.text.suffix(8))").path
                try (read.text + "\n").write(toFile: file, atomically: true, encoding: .utf8)
                defer { try? FileManager.default.removeItem(atPath: file) }
                let targets = try ScrapeTarget.read([
                    ["url": "\(server.url)/metrics", "host": "bremusa", "token_file": file] as [String: Any]
                ])
                let metrics = CollectorMetrics()
                let clock = farm.clock
                let intake = TelemetryIntake(rules: try MeterTable.rules(file: nil), pool: farm.pool, metrics: metrics, now: { clock.now })
                let scraper = Scraper(targets: targets, intake: intake, metrics: metrics, log: server.log.logger, now: { clock.now })
                await scraper.scrapeOnce(targets[0])
                #expect(metrics.scrapes.total == 1)
                #expect(metrics.telemetrySeriesUnmapped.total > 10)
                var dead = targets[0]
                dead.url = "http://127.0.0.1:1/metrics"
                await scraper.scrapeOnce(dead)
                await scraper.scrapeOnce(dead)
                #expect(metrics.scrapesFailed.total == 2)
                #expect(server.log.text.split(separator: "\n").filter { $0.contains("does not answer") }.count == 1)
                // Doctor names it, until it answers.
                let upkeep = TelemetryUpkeep(intake: intake, pool: farm.pool, log: server.log.logger, now: { clock.now })
                func finding() async throws -> Finding? {
                    await upkeep.keepUp()
                    let facts = try await DoctorFacts.read(now: clock.now, classes: [], farm.connection)
                    return Doctor(facts: facts, now: clock.now, freeBytes: nil).findings.first { $0.id == "scrapes" }
                }
                let failed = try await finding()
                #expect(failed?.severity == .action && failed?.count == 1)
                #expect(failed?.examples[0].hasPrefix("http://127.0.0.1:1/metrics: 2 times, last ") == true)
                #expect(try await finding()?.count == 1)
                intake.tallies.note(mended: dead.url)
                #expect(try await finding()?.severity == .ok)
            }
        }
    }

    @Test func oclustersWorkersAreTargetsByPool() throws {
        let yaml: [Any] = [
            ["ocluster": "http://scheduler:9090/", "workers": ["linux-x86_64": ["bremusa", "clete"]], "every_s": 30] as [String: Any]
        ]
        let targets = try ScrapeTarget.read(yaml)
        #expect(
            targets.map(\.url) == [
                "http://scheduler:9090/pool/linux-x86_64/worker/bremusa/host-metrics",
                "http://scheduler:9090/pool/linux-x86_64/worker/clete/host-metrics",
            ]
        )
        #expect(targets.map { $0.labels["host"] } == ["bremusa", "clete"])
        #expect(targets.allSatisfy { $0.every == .seconds(30) && $0.isRelayed })
        for (bad, expected) in [
            ([["url": "ftp://x"]] as [Any], "scrape, target 1, url: expected http://"),
            ([["host": "x"]], "scrape, target 1: expected either url"),
            ([["url": "http://x", "every_s": "0"]], "scrape, target 1, every_s: expected 1.0 to"),
            ([["url": "http://x", "evry_s": "1"]], "scrape, target 1: expected one of url"),
            ([["url": "http://x"], ["url": "http://x"]], "scrape: expected each target once"),
        ] {
            let fault = #expect(throws: ScrapeTarget.Fault.self) { try ScrapeTarget.read(bad) }
            #expect(fault?.description.hasPrefix(expected) == true, "\(fault?.description ?? "")")
        }
    }
}
