import Energy
import Gzip
import HTTPClient
import HTTPTypes
import Logging
import ServiceLifecycle
import Store
import SwiftProtobuf
import Testing
import Wire

@testable import Collector

@Suite struct GzipTests {
    private static let batch: [UInt8] = {
        var reporter = Reporter(host: "bremusa")
        let batch = reporter.batch(energy: (0..<300).map { knot(Double($0), Double($0) * 50) })
        do { return try batch.serializedBytes() } catch { return [] }
    }()

    private func problem(_ header: String?, _ body: [UInt8], limit: Int = 1 << 20) -> Problem? {
        #expect(throws: Problem.self) { try ReadingsEncoding(header: header).decode(body, limit: limit) }
    }

    @Test(arguments: ["gzip", "GZIP", " gzip ", "x-gzip"])
    func aCompressedBatchIsTheSameBatch(header: String) throws {
        let packed = try Gzip.compress(Self.batch)
        #expect(packed.count < Self.batch.count)
        let record = try ReadingsDecoding.decode(try ReadingsEncoding(header: header).decode(packed, limit: 1 << 20))
        #expect(record.sha256 == (try ReadingsDecoding.decode(Self.batch)).sha256)
        #expect(record.columns.count == 1)
    }

    @Test(arguments: [nil, "", "identity", "Identity"])
    func withoutAnEncodingTheBodyIsTakenAsItIs(header: String?) throws {
        #expect(try ReadingsEncoding(header: header).decode(Self.batch, limit: 1) == Self.batch)
    }

    @Test(arguments: ["deflate", "br", "zstd", "gzip, gzip", "gzip;q=1"])
    func anotherEncodingIsRefusedSayingWhatIsTaken(header: String) {
        let refused = problem(header, Self.batch)
        #expect(refused?.status == .unsupportedMediaType)
        #expect(refused?.fields[.acceptEncoding] == "gzip")
    }

    @Test func aBombIsTooLargeAndDamageIsABadRequest() throws {
        let bomb = try Gzip.compress([UInt8](repeating: 0, count: 64 << 20))
        #expect(bomb.count < WireLimits.batchBytes)
        #expect(problem("gzip", bomb, limit: WireLimits.batchBytes)?.status == .contentTooLarge)
        let packed = try Gzip.compress(Self.batch)
        for damaged in [Self.batch, Array(packed.dropLast(3)), packed + [0], []] {
            #expect(problem("gzip", damaged)?.status == .badRequest)
        }
    }

    @Test func overHTTPACompressedBatchIsCommittedOnceAndAcknowledgedUncompressedToo() async throws {
        try await Farm.with { farm in
            let token = Token()
            _ = try await TokenTable.insert(
                name: "a",
                scope: .agent,
                sha256: token.sha256,
                hostName: "bremusa",
                expiresAtMicroseconds: nil,
                farm.connection
            )
            var log = Logger(label: "test")
            log.logLevel = .critical
            let (ports, listening) = AsyncStream.makeStream(of: Int.self)
            let clock = farm.clock
            let collector = try CollectorServices(
                pool: farm.pool,
                host: "127.0.0.1",
                port: 0,
                baseURL: "http://collector",
                log: log,
                now: { clock.now },
                onListening: { listening.yield($0) }
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                for service in collector.services { group.addTask { try await service.run() } }
                guard let port = await ports.first(where: { _ in true }) else { return }
                let client = HTTPClient(connection: .init(proxy: ""))
                func post(_ body: [UInt8], _ encoding: String?) async throws -> (status: Int, text: String) {
                    let headers = [("Authorization", "Bearer \(token.text)"), ("Content-Type", "application/x-protobuf")]
                    let response = try await client.send(
                        HTTPRequest(
                            method: "POST",
                            url: "http://127.0.0.1:\(port)/v1/readings",
                            headers: headers + (encoding.map { [("Content-Encoding", $0)] } ?? []),
                            body: body
                        )
                    )
                    return (response.status, String(decoding: response.body, as: UTF8.self))
                }
                let packed = try Gzip.compress(Self.batch)
                for (body, encoding) in [(packed, "gzip"), (Self.batch, nil), (packed, "x-gzip")] {
                    let answer = try await post(body, encoding)
                    #expect(answer.status == 200, "\(answer.text)")
                    #expect(
                        answer.text.contains(#""acknowledged_seq":1"#) || answer.text.contains(#""acknowledged_seq": 1"#),
                        "\(answer.text)"
                    )
                }
                #expect(try await farm.count("knot") == 300)
                #expect(try await post(packed, nil).status == 400)
                #expect(try await post(Self.batch, "br").status == 415)
                #expect(try await post(try Gzip.compress([UInt8](repeating: 0, count: 64 << 20)), "gzip").status == 413)
                group.cancelAll()
                do { try await group.waitForAll() } catch is CancellationError {}
            }
        }
    }
}
