import Energy
import Gzip
import HTTPClient
import HTTPTypes
import Store
import SwiftProtobuf
import TestSupport
import Testing
import Wire

@testable import Collector

/// Whatever is posted as readings has an answer that says what was wrong, and takes no more memory than a batch may.
@Suite struct IngestLimitsTests {
    /// A collector over HTTP with agents' tokens.
    private struct Door {
        let server: FrontDoorServer
        let tokens: [String: Token]

        func post(
            _ body: [UInt8],
            as host: String = "bremusa",
            type: String = "application/x-protobuf",
            encoding: String? = nil
        ) async throws -> (status: Int, type: String, detail: String, retryAfter: String?) {
            let token = tokens[host]?.text ?? ""
            let response = try await server.send(
                "POST",
                "/v1/readings",
                headers: [("Authorization", "Bearer \(token)"), ("Content-Type", type)]
                    + (encoding.map { [("Content-Encoding", $0)] } ?? []),
                body: body
            )
            let text = String(decoding: response.body, as: UTF8.self)
            return (response.status, response.header("Content-Type") ?? "", text, response.header("Retry-After"))
        }
    }

    private static func with(_ body: (Farm, Door) async throws -> Void) async throws {
        try await Farm.with { farm in
            var tokens: [String: Token] = [:]
            for host in ["bremusa", "odawa"] {
                let token = Token()
                tokens[host] = token
                _ = try await TokenTable.insert(
                    name: host,
                    scope: .agent,
                    sha256: token.sha256,
                    hostName: host,
                    expiresAtMicroseconds: nil,
                    farm.connection
                )
            }
            try await FrontDoorServer.with(farm) { try await body(farm, Door(server: $0, tokens: tokens)) }
        }
    }

    @Test func whatIsTooLargeIsRefusedNamingTheLimit() async throws {
        try await Self.with { farm, door in
            // 60 MiB as they are, and as a bomb of 60 KiB.
            let huge = [UInt8](repeating: 0, count: 60 << 20)
            for (body, encoding) in [(huge, nil), (try Gzip.compress(huge), "gzip")] {
                let answer = try await door.post(body, encoding: encoding)
                #expect(answer.status == 413)
                #expect(answer.type == "application/problem+json")
                #expect(answer.detail.contains("\(WireLimits.batchBytes)"), "\(answer.detail)")
            }
            let json = try await door.post([UInt8](repeating: 0x20, count: 2 << 20), type: "application/json")
            #expect(json.status == 413 && json.detail.contains("\(ReadingsDecoding.jsonBytes)"))
            // Two bytes make a message: a bomb of another kind.
            let many = [[UInt8]](repeating: [90, 0], count: WireLimits.batchBytes / 2).flatMap { $0 }
            let parts = try await door.post(many)
            #expect(parts.status == 422 && parts.detail.contains("\(WireLimits.batchParts)"), "\(parts.detail)")
            #expect(try await farm.count("host") == 0)
        }
    }

    @Test func contentThatMakesNoSenseIsRefusedNamingTheField() async throws {
        try await Self.with { farm, door in
            var reporter = Reporter(host: "bremusa")
            #expect(try await door.post(reporter.batch(energy: [knot(0, 0), knot(10, 500)]).serializedBytes()).status == 200)
            let good = reporter.batch(energy: [knot(20, 900), knot(30, 950)])
            func spoiled(_ field: String, _ status: Int = 422, _ change: (inout WireReadingsBatch) -> Void) async throws {
                var batch = good
                change(&batch)
                let answer = try await door.post(batch.serializedBytes())
                #expect(answer.status == status && answer.detail.contains(field), "\(field): \(answer)")
                #expect(answer.type == "application/problem+json")
            }
            try await spoiled("value_delta") { $0.knots[0].valueDelta[1] = -1 }
            try await spoiled("value_delta") { $0.knots[0].valueDelta[1] = .max }
            try await spoiled("value_delta") { $0.knots[0].valueDelta[0] = .min }
            try await spoiled("value_delta") { $0.knots[0].valueDelta[0] = 1 }
            try await spoiled("t_delta_us") { $0.knots[0].tDeltaUs[1] = 0 }
            try await spoiled("t_delta_us") { $0.knots[0].tDeltaUs[1] = .max }
            try await spoiled("value_delta") { $0.knots[0].valueDelta.removeLast() }
            try await spoiled("ref") { $0.knots[0].ref = 77 }
            try await spoiled("ref") { $0.tails[0].ref = 78 }
            try await spoiled("other-host", 403) { $0.host = "odawa" }
            try await spoiled("expected_seq", 409) { $0.seq = 9 }
            // Nothing of all that was kept.
            #expect(try await farm.count("knot") == 2)
            #expect(try await door.post(good.serializedBytes()).status == 200)
        }
    }

    @Test func damagedBytesAreABadRequestOrABatchThatMakesNoSense() async throws {
        try await Self.with { farm, door in
            var reporter = Reporter(host: "bremusa")
            let bytes: [UInt8] = try reporter.batch(energy: (0..<50).map { knot(Double($0), Double($0) * 10) }).serializedBytes()
            var random = RandomSource(seed: 6)
            for _ in 0..<LongRun.rounds(short: 60, long: 2_000) {
                var damaged = bytes
                if random.chance(0.4) {
                    damaged.removeLast(Int.random(in: 1..<bytes.count, using: &random))
                } else {
                    for _ in 0..<Int.random(in: 1...4, using: &random) {
                        damaged[Int.random(in: damaged.indices, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
                    }
                }
                let isPacked = random.chance(0.3)
                let answer = try await door.post(isPacked ? Gzip.compress(damaged) : damaged, encoding: isPacked ? "gzip" : nil)
                // A turned bit may also make another batch that makes sense.
                #expect([200, 400, 403, 409, 422].contains(answer.status), "\(answer)")
                if answer.status != 200 { #expect(answer.type == "application/problem+json") }
            }
        }
    }

    /// Readings are never refused for their clock.
    @Test(arguments: [("1970", -1_788_253_200.0 + 86_400), ("2100", 2.3e9)])
    func aClockThatIsOffMovesWhatItTimes(name: String, off: Double) async throws {
        try await Self.with { farm, door in
            farm.clock.now = at(100)
            var reporter = Reporter(host: "bremusa")
            var batch = reporter.batch(energy: [knot(off, 0), knot(off + 10, 500)])
            batch.clockOffsetUs = Int64(-off * 1e6)
            #expect(try await door.post(batch.serializedBytes()).status == 200)
            let next = reporter.batch(energy: [knot(off + 20, 900)])
            #expect(try await door.post(next.serializedBytes()).status == 200)
            let host = try #require(try await HostTable.find(name: "bremusa", farm.connection))
            let curve = try await CurveReading.read(hostID: host.id, curveIDs: [1], around: Interval(at(0), at(20)), farm.connection)[1]
            #expect(curve?.curve.knots.map(\.time) == [at(0), at(10), at(20)])
        }
    }

    /// A cable that is cut in mid-body sends no more, and no end either.
    @Test func sendersThatFallSilentHoldNobodyUpForLong() async throws {
        try await Self.with { farm, door in
            let port = try #require(Int(door.server.url.split(separator: ":").last ?? ""))
            let token = door.tokens["odawa"]?.text ?? ""
            let silent = try (0..<4).map { _ in
                try SlowClient(
                    port: port,
                    sends: "POST /v1/readings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(token)\r\n"
                        + "Content-Type: application/x-protobuf\r\nContent-Length: \(4 << 20)\r\n\r\n\u{a}"
                )
            }
            var reporter = Reporter(host: "bremusa")
            let body: [UInt8] = try reporter.batch(energy: [knot(0, 0), knot(10, 1_000)]).serializedBytes()
            var statuses: Set<Int> = []
            let clock = ContinuousClock()
            let began = clock.now
            while !statuses.contains(200), clock.now - began < .seconds(60) {
                statuses.insert(try await door.post(body).status)
                try await Task.sleep(for: .milliseconds(200))
            }
            #expect(statuses.contains(200), "\(statuses)")
            withExtendedLifetime(silent) {}
        }
    }

    @Test func whatIsUnderWayIsBounded() async throws {
        let admission = ReadingsAdmission(limitBytes: 1_000, limitDecoders: 1)
        let first = try await admission.admit(900) {
            // What does not fit any more is put off, what is small is not.
            let small = try await admission.admit(100) { true }
            do {
                _ = try await admission.admit(101) { true }
                Issue.record("expected 429")
            } catch let problem as Problem {
                #expect(problem.status == .tooManyRequests && problem.fields[.retryAfter] == "1")
            }
            return small
        }
        #expect(first)
        #expect(admission.bytes == 0)
        // One that is larger than the bound by itself goes alone.
        #expect(try await admission.admit(5_000) { true })
    }

    @Test func tenThousandTinyBatchesOverTheLoadGeneratorAreAllCommitted() async throws {
        try await Self.with { farm, door in
            let token = Token()
            var draft = TokenTable.Draft(name: "load", scope: .enrol)
            draft.pool = "load"
            _ = try await TokenTable.insert(draft, sha256: token.sha256, farm.connection)
            let target = try #require(LoadTarget(door.server.url))
            #expect(target.isLoopback)
            let batches = LongRun.rounds(short: 50, long: 500)
            let plan = LoadPlan(hosts: 20, meters: 2, knotsPerBatch: 4, batchesPerHost: batches, connections: 10)
            let report = try await LoadRun(plan: plan, url: target, enrolToken: token.text, now: farm.clock.now) { _ in }.run()
            #expect(report.refused == 0, "\(report.firstRefusal ?? "")")
            #expect(report.batches == 20 * batches)
            #expect(try await farm.count("knot") == Int64(80 * batches))
            #expect(try await SimulatedHosts.ids(farm.connection).count == 20)
            // Not one mark: the hour has not ended.
            #expect(try await farm.count("dirty") == 0)
        }
    }

    @Test(arguments: [
        ("http://127.0.0.1:8480", true), ("http://localhost", true), ("http://[::1]:9/", true), ("http://10.0.0.7:8480", false),
        ("http://127.example.org:80", false), ("http://127.0.0.1.example.org", false),
    ])
    func loadStaysOnThisMachine(url: String, isLoopback: Bool) throws {
        #expect(try #require(LoadTarget(url)).isLoopback == isLoopback)
    }

    @Test(arguments: ["https://127.0.0.1", "127.0.0.1:8480", "http://", "http://a/b", "http://a:0", "http://user@127.0.0.1"])
    func anythingElseIsNoTarget(url: String) { #expect(LoadTarget(url) == nil) }
}
