import Energy
import Foundation
import Glibc
import HTTPClient
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import Agent

struct MetricsTests {
    private static let snapshot = MetricsSnapshot(
        version: "0.1.0",
        unusedSensors: ["ipmi"],
        meters: [
            MetricsSnapshot.Meter(
                place: MeterPlace(name: "powercap/intel-rapl:0", zone: .package, package: 0, quality: .measured),
                isInCover: true,
                energy: Energy(microjoules: 12_999_999),
                failures: 3,
                gaps: 1
            ),
            MetricsSnapshot.Meter(
                place: MeterPlace(name: "odd \"name\"\\\n", zone: .node, package: nil, quality: .measured),
                isInCover: false,
                energy: Energy(microjoules: 999_999),
                failures: 0,
                gaps: 0
            ),
        ],
        hostBusy: Microseconds(1_239_999),
        agentCPU: Microseconds(50_001),
        workloads: 4,
        spool: MetricsSnapshot.Spool(
            fill: 0.12345,
            capacityBytes: 256 << 20,
            uplink: UplinkCounts.Values(
                acknowledgedBatches: 7,
                refusedBatches: 1,
                failedExchanges: 2,
                sentBytes: 600,
                uncompressedBytes: 1_000,
                lastAcknowledgedAt: Timestamp(microseconds: 1_788_253_200_900_000)
            )
        )
    )

    // MARK: Text

    @Test func joulesAreCountersInWholeJoulesByMeter() {
        let lines = Self.snapshot.openMetrics.split(separator: "\n")
        #expect(
            lines.contains(#"wattle_energy_joules_total{meter="powercap/intel-rapl:0",zone="package",package="0",in_cover="true"} 12"#)
        )
        #expect(lines.contains(#"wattle_energy_joules_total{meter="odd \"name\"\\\n",zone="node",in_cover="false"} 0"#))
        #expect(lines.contains("# TYPE wattle_energy_joules counter"))
        #expect(lines.contains("# UNIT wattle_energy_joules joules"))
        #expect(lines.contains("wattle_cpu_busy_seconds_total 1.23"))
        #expect(lines.contains("wattle_agent_cpu_seconds_total 0.05"))
        #expect(lines.contains("wattle_spool_fill_ratio 0.1234"))
        #expect(lines.contains("wattle_last_acknowledged_timestamp_seconds 1788253200"))
        #expect(lines.contains(#"wattle_agent_build_info{version="0.1.0"} 1"#))
        #expect(lines.last == "# EOF")
    }

    @Test func nothingFinerThanAJouleIsShown() {
        var later = Self.snapshot
        later.meters[0].energy = Energy(microjoules: 12_000_000)
        #expect(later.openMetrics == Self.snapshot.openMetrics)
    }

    @Test func withoutACollectorThereIsNothingOfASpool() {
        var alone = Self.snapshot
        alone.spool = nil
        alone.meters = []
        let text = alone.openMetrics
        #expect(!text.contains("spool") && !text.contains("batches") && !text.contains("joules"))
        #expect(text.hasSuffix("# EOF\n"))
    }

    /// The rules of the format that a scraper holds us to, one by one.
    @Test func everySampleBelongsToTheFamilyAboveIt() throws {
        var families: Set<String> = []
        var family = "", kind = ""
        for line in Self.snapshot.openMetrics.split(separator: "\n").dropLast() {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE ") {
                (family, kind) = (String(words[2]), String(words[3]))
                #expect(families.insert(family).inserted, "\(family) comes once")
            } else if line.hasPrefix("# UNIT ") {
                #expect(words[2] == family && family.hasSuffix("_\(words[3])"))
            } else if line.hasPrefix("# HELP ") {
                #expect(words[2] == family && words.count > 3)
            } else {
                let name = line.prefix { $0 != "{" && $0 != " " }
                #expect(name == family + ["counter": "_total", "gauge": "", "info": "_info"][kind, default: "?"])
                #expect(Double(words.last ?? "") != nil)
            }
        }
        #expect(families.count > 10)
    }

    private static let hasParser = python("import prometheus_client") == 0

    private static func python(_ program: String, input: String = "") -> Int32 {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["python3", "-c", program]
        process.standardInput = pipe
        process.standardError = FileHandle.nullDevice
        do {
            try process.run()
            try pipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
            try pipe.fileHandleForWriting.close()
        } catch {
            return -1
        }
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test(.enabled(if: hasParser, "Python's prometheus_client is needed: its parser of OpenMetrics is a strict one"))
    func aStrictParserReadsTheText() {
        let program = """
            import sys
            from prometheus_client.openmetrics.parser import text_string_to_metric_families
            families = {f.name: f for f in text_string_to_metric_families(sys.stdin.read())}
            samples = families['wattle_energy_joules'].samples
            assert samples[1].labels['meter'] == 'odd "name"\\\\\\n', samples[1]
            assert samples[0].value == 12 and families['wattle_energy_joules'].unit == 'joules'
            """
        #expect(Self.python(program, input: Self.snapshot.openMetrics) == 0)
        #expect(Self.python(program, input: Self.snapshot.openMetrics + "x 1\n") != 0, "the parser does refuse")
    }

    // MARK: Address

    @Test(arguments: [
        ("127.0.0.1:9480", "127.0.0.1:9480", true), ("localhost:9480", "127.0.0.1:9480", true), ("9480", "127.0.0.1:9480", true),
        (":9480", "127.0.0.1:9480", true), ("[::1]:9480", "[::1]:9480", true), ("0.0.0.0:80", "0.0.0.0:80", false),
        ("[::]:9480", "[::]:9480", false), ("127.9.0.1:1", "127.9.0.1:1", true),
    ])
    func anAddressIsTheLoopbackUnlessItSaysOtherwise(text: String, read: String, isLoopback: Bool) throws {
        let address = try MetricsAddress(parsing: text)
        #expect(address.description == read)
        #expect(address.isLoopback == isLoopback)
    }

    @Test(arguments: ["", "host:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "[::1]", "127.0.0.1:-1", "1.2.3:4", "yes"])
    func whatIsNoAddressIsRefused(text: String) {
        #expect(throws: MetricsAddress.Fault.self) { try MetricsAddress(parsing: text) }
    }

    // MARK: Requests

    @Test func aRequestIsReadOnceItsHeadIsWhole() {
        let head = "GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\n\r\n"
        for length in 0..<head.utf8.count { #expect(MetricsRequest(Array(head.utf8.prefix(length))) == .incomplete) }
        #expect(MetricsRequest(Array(head.utf8)) == .metrics(headOnly: false))
        #expect(MetricsRequest(Array("HEAD /metrics HTTP/1.0\n\n".utf8)) == .metrics(headOnly: true))
    }

    @Test(arguments: [
        ("GET / HTTP/1.1", 404), ("GET /metricsx HTTP/1.1", 404), ("POST /metrics HTTP/1.1", 405), ("get /metrics HTTP/1.1", 405),
        ("GET /metrics HTTP/2.0", 505), ("GET /metrics", 400), ("GET  /metrics HTTP/1.1", 400), ("\u{16}\u{3}\u{1}", 400),
        ("GET /metrics x", 400),
    ])
    func otherRequestsAreRefused(line: String, status: Int) {
        guard case .refused(status, _) = MetricsRequest(Array("\(line)\r\n\r\n".utf8)) else { return #expect(Bool(false)) }
    }

    @Test func aHeadWithoutEndIsRefused() {
        let endless = Array("GET /metrics HTTP/1.1\r\n".utf8) + [UInt8](repeating: 0x61, count: 9_000)
        guard case .refused(431, _) = MetricsRequest(endless) else { return #expect(Bool(false)) }
    }

    // MARK: Server

    /// Runs a server while the closure does, and says how many snapshots were taken.
    @discardableResult
    private func serving(_ limits: MetricsServer.Limits = .init(), _ body: (UInt16) async throws -> Void) async throws -> Int {
        let snapshots = Atomic(0)
        let (ports, listening) = AsyncStream.makeStream(of: UInt16.self)
        var log = Logger(label: "test")
        log.logLevel = .critical
        let source: MetricsSource = {
            snapshots.add(1, ordering: .relaxed)
            return Self.snapshot
        }
        let server = MetricsServer(
            address: try MetricsAddress(parsing: "127.0.0.1:0"),
            limits: limits,
            source: source,
            log: log,
            onListening: { listening.yield($0) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            guard let port = await ports.first(where: { _ in true }) else { return #expect(Bool(false), "it does not listen") }
            try await body(port)
            group.cancelAll()
            try await group.waitForAll()
        }
        return snapshots.load(ordering: .relaxed)
    }

    private func ask(_ port: UInt16, _ method: String = "GET", _ path: String = "/metrics") async throws -> HTTPResponse {
        try await HTTPClient(connection: .init(proxy: ""))
            .send(HTTPRequest(method: method, url: "http://127.0.0.1:\(port)\(path)", timeout: .seconds(10)))
    }

    /// A connection that does what it is told.
    private func connection(_ port: UInt16, sending text: String = "") throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let address = try MetricsAddress(parsing: "127.0.0.1:\(port)")
        try #require(address.withSocketAddress { connect(descriptor, $0, $1) } == 0)
        if !text.isEmpty { try #require(send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) == text.utf8.count) }
        return descriptor
    }

    @Test func metricsAreServedToWhoAsks() async throws {
        try await serving { port in
            let answer = try await ask(port)
            #expect(answer.status == 200)
            #expect(answer.header("Content-Type") == OpenMetricsText.mediaType)
            #expect(String(decoding: answer.body, as: UTF8.self) == Self.snapshot.openMetrics)
            let head = try await ask(port, "HEAD")
            #expect(head.status == 200 && head.body.isEmpty)
            #expect(head.header("Content-Length") == "\(Self.snapshot.openMetrics.utf8.count)")
            #expect(try await ask(port, "GET", "/").status == 404)
            let post = try await ask(port, "POST")
            #expect(post.status == 405 && post.header("Allow") == "GET, HEAD")
        }
    }

    @Test func whoAsksOftenLearnsNothingMore() async throws {
        let began = ContinuousClock.now
        let snapshots = try await serving { port in
            for _ in 0..<40 {
                let status = try await ask(port).status
                #expect(status == 200)
            }
        }
        let seconds = Int((ContinuousClock.now - began) / .seconds(1))
        #expect(snapshots >= 1 && snapshots <= seconds + 2, "\(snapshots) in \(seconds) s")
    }

    @Test func nobodyAsksNothingIsRead() async throws {
        let snapshots = try await serving { _ in try await Task.sleep(for: .milliseconds(100)) }
        #expect(snapshots == 0)
    }

    @Test func slowClientsAreLetGoAndOthersServed() async throws {
        let limits = MetricsServer.Limits(connections: 4, patience: .milliseconds(400))
        try await serving(limits) { port in
            // More than there is room for, all of which stop in the middle of their request.
            let slow = try (0..<6).map { _ in try connection(port, sending: "GET /metrics HTT") }
            defer { for descriptor in slow { close(descriptor) } }
            let began = ContinuousClock.now
            #expect(try await ask(port).status == 200)
            #expect(ContinuousClock.now - began < .seconds(5))
        }
    }

    @Test func aSourceThatDoesNotAnswerIsAnErrorNotASilence() async throws {
        let (ports, listening) = AsyncStream.makeStream(of: UInt16.self)
        var log = Logger(label: "test")
        log.logLevel = .critical
        let server = MetricsServer(
            address: try MetricsAddress(parsing: "127.0.0.1:0"),
            limits: MetricsServer.Limits(patience: .milliseconds(300)),
            source: {
                do { try await Task.sleep(for: .seconds(60)) } catch { return Self.snapshot }
                return Self.snapshot
            },
            log: log,
            onListening: { listening.yield($0) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            guard let port = await ports.first(where: { _ in true }) else { return #expect(Bool(false)) }
            #expect(try await ask(port).status == 503)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func anAddressInUseIsSaidAndTheAgentGoesOn() async throws {
        try await serving { port in
            let second = MetricsServer(
                address: try MetricsAddress(parsing: "127.0.0.1:\(port)"),
                source: { Self.snapshot },
                log: Logger(label: "test")
            )
            let running = Task { try await second.run() }
            try await Task.sleep(for: .milliseconds(200))
            #expect(try await ask(port).status == 200)
            running.cancel()
            // Ended by the cancellation only, not by the failure.
            await #expect(throws: CancellationError.self) { try await running.value }
        }
    }
}
