import Energy
import FoundationEssentials
import Glibc
import HTTPClient
import Logging
import Meters
import Synchronization
import Testing
import Wire

@testable import Agent

/// A collector that enrols machines and takes the batches of those it knows.
private final class EnrollingCollector: Sendable {
    struct State {
        var enrolAnswers: [Int] = []
        var enrolments: [[String: String]] = []
        var goodTokens: Set<String> = []
        var batches = 0
        var refusals = 0
    }
    let state = Mutex(State())

    func answer(_ request: HTTPRequest) -> Result<HTTPResponse, HTTPError> {
        state.withLock { state in
            let bearer = request.headers.first { $0.0 == "Authorization" }?.1 ?? ""
            if request.url.hasSuffix("/v1/enrol") {
                let status = state.enrolAnswers.isEmpty ? 201 : state.enrolAnswers.removeFirst()
                guard status != 0 else { return .failure(HTTPError(kind: .connect, url: request.url, message: "nobody there")) }
                guard status == 201 else { return respond(status, #"{"type":"host-taken","title":"Taken","detail":"h is another's"}"#) }
                state.enrolments.append(["bearer": bearer, "body": String(decoding: request.body, as: UTF8.self)])
                state.goodTokens.insert("Bearer wtl_own")
                return respond(201, #"{"host":"h","token":"wtl_own"}"#)
            }
            guard state.goodTokens.contains(bearer) else {
                state.refusals += 1
                return respond(401, #"{"title":"Unknown token"}"#)
            }
            if request.method == "GET" { return respond(200, #"{"host":"h","expected_seq":1,"now_us":1000000}"#) }
            state.batches += 1
            return respond(200, "{\"acknowledged_seq\":\(state.batches),\"received_at_us\":1000000}")
        }
    }

    private func respond(_ status: Int, _ body: String) -> Result<HTTPResponse, HTTPError> {
        .success(HTTPResponse(status: status, headers: [("Retry-After", "0")], body: Array(body.utf8)))
    }
}

struct EnrolmentTests {
    private func request(_ collector: EnrollingCollector, host: FixtureHost) -> EnrolmentRequest {
        EnrolmentRequest(
            collector: "http://collector",
            host: "h",
            pool: "linux",
            identity: MachineIdentity(roots: host.roots),
            transport: { collector.answer($0) }
        )
    }

    @Test func anEnrolTokenIsTradedForTheAgentsOwnWhichOnlyItsUserReads() async throws {
        let host = try FixtureHost()
        try host.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        let collector = EnrollingCollector()
        let enrolment = try await request(collector, host: host).send(enrolToken: "wtl_enrol")
        let file = EnrolmentFile(stateDirectory: host.root + "/state/agent")
        try file.prepare()
        try file.write(enrolment)
        #expect(try file.read() == EnrolmentFile.Enrolment(collector: "http://collector", host: "h", token: "wtl_own"))
        var status = stat()
        #expect(stat(file.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let sent = collector.state.withLock { $0.enrolments[0] }
        #expect(sent["bearer"] == "Bearer wtl_enrol")
        #expect(sent["body"]?.contains("machine_id_sha256") == true)
        #expect(sent["body"]?.contains("0123456789abcdef0123") == false, "the machine's id itself stays on the machine")
    }

    @Test(arguments: [
        (409, "--host", false), (403, "no more", false), (401, "enrol token", false), (404, "URL", false), (503, "503", true),
        (0, "reached", true),
    ])
    func aRefusalSaysWhatToDo(status: Int, words: String, isPassing: Bool) async throws {
        let host = try FixtureHost()
        let collector = EnrollingCollector()
        collector.state.withLock { $0.enrolAnswers = [status] }
        do throws(EnrolmentFault) {
            _ = try await request(collector, host: host).send(enrolToken: "wtl_SECRET")
            Issue.record("it was enrolled")
        } catch {
            #expect(error.description.contains(words), "\(error)")
            #expect(!error.description.contains("wtl_SECRET"))
            #expect(error.isPassing == isPassing)
        }
    }

    /// Spools a batch and runs an uplink until the body is content.
    private func uplink(
        _ collector: EnrollingCollector,
        host: FixtureHost,
        token: AgentToken,
        counts: UplinkCounts,
        enrolment: (@Sendable () async throws(EnrolmentFault) -> String)? = nil,
        until isDone: @escaping @Sendable () async throws -> Bool
    ) async throws -> Spool {
        let clock = ClockReading.now()
        let spool = Spool(directory: host.root + "/spool", host: "h", bootID: "boot-a")
        _ = try await spool.open()
        var batch = WireReadingsBatch()
        batch.tails = [WireTail()]
        try await spool.append([batch], live: [], state: [], at: Timestamp(microseconds: 1))
        let uplink = Uplink(
            spool: spool,
            sampling: SharedSampling(try host.sampling(clock: clock)),
            timeBase: TimeBase(bootID: "boot-a", clock: clock, resuming: nil),
            collector: "http://collector",
            token: token,
            enrolment: enrolment,
            transport: { collector.answer($0) },
            clockOffset: ClockOffset(),
            batchSpooled: Doorbell(),
            log: Logger(label: "test"),
            counts: counts
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await uplink.run() }
            let deadline = ContinuousClock.now + .seconds(20)
            while ContinuousClock.now < deadline, try await !isDone() { try await Task.sleep(for: .milliseconds(10)) }
            #expect(try await isDone())
            group.cancelAll()
        }
        return spool
    }

    @Test func anAgentWithoutATokenMeasuresOnAndEnrolsWhenTheCollectorIsThere() async throws {
        let host = try FixtureHost()
        let collector = EnrollingCollector()
        collector.state.withLock { $0.enrolAnswers = [0, 503] }
        let request = request(collector, host: host)
        let counts = UplinkCounts()
        let spool = try await uplink(
            collector,
            host: host,
            token: AgentToken(nil),
            counts: counts,
            enrolment: { () async throws(EnrolmentFault) in try await request.send(enrolToken: "wtl_enrol").token },
            until: { collector.state.withLock { $0.batches } == 1 && counts.now.acknowledgedBatches == 1 }
        )
        #expect(await spool.pending == nil)
        #expect(counts.now.state == .ok)
    }

    @Test func aRevokedAgentKeepsWhatItMeasuredAndSaysSo() async throws {
        let host = try FixtureHost()
        let collector = EnrollingCollector()
        let counts = UplinkCounts()
        let spool = try await uplink(collector, host: host, token: AgentToken("wtl_revoked"), counts: counts) {
            counts.now.state == .refused
        }
        #expect(await spool.pending != nil)
        #expect(counts.now.stateSince != nil)
        #expect(counts.now.detail.contains("Unknown token"))
        #expect(counts.now.refusedBatches == 0)
    }

    @Test func aNewTokenInTheFileIsTriedWithoutARestart() async throws {
        let host = try FixtureHost()
        try host.write("/token", "wtl_revoked\n")
        let collector = EnrollingCollector()
        let counts = UplinkCounts()
        let token = AgentToken("wtl_first", from: .file(host.root + "/token"))
        collector.state.withLock { _ = $0.goodTokens.insert("Bearer wtl_new") }
        try host.write("/token", "wtl_new")
        let spool = try await uplink(collector, host: host, token: token, counts: counts) { counts.now.acknowledgedBatches == 1 }
        #expect(await spool.pending == nil)
        #expect(collector.state.withLock { $0.refusals } == 1)
    }

    @Test func anEnrolmentIsForOneCollector() throws {
        let host = try FixtureHost()
        let file = EnrolmentFile(stateDirectory: host.root)
        try file.write(EnrolmentFile.Enrolment(collector: "http://other", host: "h", token: "wtl_other"))
        let token = AgentToken("wtl_own", from: .enrolment(file, collector: "http://collector"))
        #expect(try !token.readAgain())
        #expect(token.now == "wtl_own")
    }
}
