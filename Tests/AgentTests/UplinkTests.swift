import Energy
import FoundationEssentials
import Gzip
import HTTPClient
import Logging
import ServiceLifecycle
import SwiftProtobuf
import Synchronization
import Testing
import Wire

@testable import Agent

/// A collector in memory that keeps the rules of the protocol and can misbehave on demand.
private final class MemoryCollector: Sendable {
    struct State {
        var taken: [String: [[UInt8]]] = [:]
        var order: [Int64] = []
        var requests = 0
        /// What happens to the first requests: a status; 0: no connection; 200: taken, but the answer is lost; -1: nothing unusual.
        var faults: [Int] = []
        var authorisation: Set<String> = []
        /// Bytes of bodies and their encodings, as they came.
        var bodies: [Int] = []
        var encodings: [String?] = []
    }

    /// What it makes of a compressed body.
    enum Compression { case taken, refused, ignored }

    let state = Mutex(State())
    let compression: Compression

    init(_ compression: Compression = .taken) { self.compression = compression }

    func answer(_ request: HTTPRequest) -> Result<HTTPResponse, HTTPError> {
        state.withLock { state in
            state.requests += 1
            for (name, value) in request.headers where name == "Authorization" { state.authorisation.insert(value) }
            let fault = state.faults.isEmpty ? -1 : state.faults.removeFirst()
            if fault != -1 {
                if fault == 0 { return .failure(HTTPError(kind: .connect, url: request.url, message: "nobody there")) }
                if fault != 200 { return respond(fault, "{\"title\":\"fault\"}") }
                _ = take(request, &state)
                return .failure(HTTPError(kind: .timeout, url: request.url, message: "lost"))
            }
            if request.method == "GET" {
                let incarnation = String(request.url.split(separator: "incarnation=").last ?? "")
                return respond(
                    200,
                    "{\"host\":\"h\",\"expected_seq\":\((state.taken[incarnation]?.count ?? 0) + 1),\"now_us\":\(1_000_000)}"
                )
            }
            return take(request, &state)
        }
    }

    private func take(_ request: HTTPRequest, _ state: inout State) -> Result<HTTPResponse, HTTPError> {
        guard request.method == "POST" else { return respond(405, "{}") }
        let encoding = request.headers.first { $0.0 == "Content-Encoding" }?.1
        state.bodies.append(request.body.count)
        state.encodings.append(encoding)
        do {
            var body = request.body
            if encoding == "gzip", compression == .refused { return respond(415, "{}") }
            if encoding == "gzip", compression == .taken { body = try Gzip.decompress(body, limit: 4 << 20) }
            let batch = try WireReadingsBatch(serializedBytes: body)
            let cursor = UInt64(state.taken[batch.incarnation]?.count ?? 0)
            if batch.seq == cursor + 1 {
                if batch.tails[0].value == 13 { return respond(422, "{\"title\":\"unlucky\"}") }
                state.taken[batch.incarnation, default: []].append(body)
                state.order.append(batch.tails[0].value)
            } else if batch.seq > cursor + 1 {
                return respond(409, "{\"expected_seq\":\(cursor + 1),\"type\":\"seq-gap\"}")
            } else if state.taken[batch.incarnation]?[Int(batch.seq) - 1] != body {
                return respond(409, "{\"expected_seq\":\(cursor + 1),\"type\":\"stream-conflict\"}")
            }
            return respond(200, "{\"acknowledged_seq\":\(batch.seq),\"received_at_us\":1000000}")
        } catch {
            return respond(400, "{}")
        }
    }

    private func respond(_ status: Int, _ body: String) -> Result<HTTPResponse, HTTPError> {
        .success(HTTPResponse(status: status, headers: [("Retry-After", "0")], body: Array(body.utf8)))
    }
}

struct UplinkTests {
    /// Sends `values` through a real spool and returns what the collector has, in order.
    private func send(
        _ values: [Int64],
        faults: [Int] = [],
        knots: Int = 0,
        to collector: MemoryCollector = MemoryCollector(),
        counts: UplinkCounts = UplinkCounts()
    ) async throws -> MemoryCollector.State {
        let host = try FixtureHost()
        try host.addPackage()
        let clock = ClockReading.now()
        let spool = Spool(directory: host.root + "/spool", host: "h", bootID: "boot-a")
        _ = try await spool.open()
        for value in values {
            var batch = WireReadingsBatch()
            var tail = WireTail()
            tail.value = value
            batch.tails = [tail]
            if knots > 0 {
                let time = Timestamp(microseconds: 1_788_253_200_000_000)
                let curve = (1...Int64(knots)).map { Knot(time: time + .seconds($0), value: $0 * 3_000_000) }
                batch.knots = [WireKnotColumn(ref: 1, knots: curve)]
            }
            try await spool.append([batch], live: [], state: [], at: Timestamp(microseconds: value))
        }
        collector.state.withLock { $0.faults = faults }
        let uplink = Uplink(
            spool: spool,
            sampling: SharedSampling(try host.sampling(clock: clock)),
            timeBase: TimeBase(bootID: "boot-a", clock: clock, resuming: nil),
            collector: "http://collector",
            token: AgentToken("wtl_1"),
            transport: { collector.answer($0) },
            clockOffset: ClockOffset(),
            batchSpooled: Doorbell(),
            log: Logger(label: "test"),
            counts: counts
        )
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await uplink.run() } catch { Issue.record(error) }
            }
            let deadline = ContinuousClock.now + .seconds(20)
            while await spool.pending != nil, ContinuousClock.now < deadline {
                do { try await Task.sleep(for: .milliseconds(10)) } catch { Issue.record(error) }
            }
            group.cancelAll()
        }
        #expect(await spool.pending == nil)
        return collector.state.withLock { $0 }
    }

    @Test func everythingArrivesOnceAndInOrder() async throws {
        let state = try await send(Array(1...12))
        #expect(state.order == Array(1...12))
        #expect(state.requests == 13)
        #expect(state.authorisation == ["Bearer wtl_1"])
    }

    @Test(arguments: [(1970, 1), (2026, 0)]) func onlyABoardThatDoesNotKnowTheTimeAsksForItWithNothingToSend(year: Int, requests: Int)
        async throws
    {
        let host = try FixtureHost()
        try host.addPackage()
        var clock = ClockReading.now()
        if year == 1970 { clock.wall = Timestamp(microseconds: 5_000_000) }
        let spool = Spool(directory: host.root + "/spool", host: "h", bootID: "boot-a")
        _ = try await spool.open()
        let collector = MemoryCollector()
        let offset = ClockOffset()
        let uplink = Uplink(
            spool: spool,
            sampling: SharedSampling(try host.sampling(clock: clock)),
            timeBase: TimeBase(bootID: "boot-a", clock: clock, resuming: nil),
            collector: "http://collector",
            token: AgentToken(nil),
            transport: { collector.answer($0) },
            clockOffset: offset,
            batchSpooled: Doorbell(),
            log: Logger(label: "test")
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await uplink.run() }
            for _ in 0..<200 where requests > 0 && offset.best == nil { try await Task.sleep(for: .milliseconds(10)) }
            try await Task.sleep(for: .milliseconds(100))
            group.cancelAll()
        }
        #expect(collector.state.withLock { $0.requests } == requests)
        #expect((offset.best != nil) == (requests > 0))
    }

    @Test func aLostAcknowledgementIsNoSecondBatch() async throws {
        let state = try await send([1, 2, 3], faults: [-1, -1, 200])
        #expect(state.order == [1, 2, 3])
        #expect(state.requests == 5)
    }

    @Test func aCollectorThatIsAwayOrBusyIsTriedAgain() async throws {
        let state = try await send([1, 2, 3], faults: [0, 503, -1, 500])
        #expect(state.order == [1, 2, 3])
    }

    @Test func aPoisonousBatchIsLeftOutAndTheRestArrives() async throws {
        let state = try await send([11, 12, 13, 14, 15])
        #expect(state.order == [11, 12, 14, 15])
        #expect(state.taken.count == 2)
    }

    // MARK: Compression

    @Test func largeBatchesGoCompressedAndSmallOnesAsTheyAre() async throws {
        let counts = UplinkCounts()
        let large = try await send([1, 2, 3], knots: 200, counts: counts)
        #expect(large.order == [1, 2, 3])
        #expect(large.encodings == ["gzip", "gzip", "gzip"])
        let plain = large.taken.values.flatMap { $0 }.map(\.count)
        #expect(large.bodies.reduce(0, +) < plain.reduce(0, +) / 2, "\(large.bodies) of \(plain)")
        #expect(counts.now.sentBytes == UInt64(large.bodies.reduce(0, +)))
        #expect(counts.now.uncompressedBytes == UInt64(plain.reduce(0, +)))
        #expect(try await send([1, 2]).encodings == [nil, nil])
    }

    @Test func aCollectorThatKnowsNoCompressionIsAskedOnce() async throws {
        for compression in [MemoryCollector.Compression.refused, .ignored] {
            let state = try await send([1, 2, 3], knots: 200, to: MemoryCollector(compression))
            #expect(state.order == [1, 2, 3])
            #expect(state.encodings == ["gzip", nil, nil, nil])
            #expect(state.taken.count == 1, "no batch is given up")
        }
    }

    @Test func aCompressedBatchThatComesTwiceIsTheSameBatch() async throws {
        let state = try await send([1, 2, 3], faults: [-1, 200, 503], knots: 200)
        #expect(state.order == [1, 2, 3])
        #expect(state.taken.count == 1)
    }

    @Test func aPoisonousBatchIsLeftOutCompressedToo() async throws {
        let counts = UplinkCounts()
        let state = try await send([11, 12, 13, 14, 15], knots: 200, counts: counts)
        #expect(state.order == [11, 12, 14, 15])
        #expect(state.encodings == ["gzip", "gzip", "gzip", nil, "gzip", "gzip"])
        #expect(counts.now.acknowledgedBatches == 4)
        #expect(counts.now.refusedBatches == 1)
        #expect(counts.now.lastAcknowledgedAt != nil)
    }
}
