import CIEvents
import Documents
import Energy
import TestSupport
import Testing

@Suite("OTLP traces")
struct OTLPTracesTests {
    private static let now = at("12:00:00")

    private static func attributes(_ values: [String: String]) -> JSONValue {
        .array(
            values.sorted { $0.key < $1.key }.map {
                .object(["key": .string($0.key), "value": .object(["stringValue": .string($0.value)])])
            }
        )
    }

    private static func span(
        _ id: String,
        parent: String = "",
        start: String = "1788253210004512789",
        end: String = "1788253495315384000",
        status: Int64 = 0,
        _ values: [String: String]
    ) -> JSONValue {
        .object([
            "traceId": .string("0AF7651916cd43dd8448eb211c80319c"), "spanId": .string(id), "parentSpanId": .string(parent),
            "name": .string("span \(id)"), "kind": .integer(1), "startTimeUnixNano": .string(start), "endTimeUnixNano": .string(end),
            "attributes": attributes(values), "status": .object(["code": .integer(status)]),
        ])
    }

    private static func request(_ spans: [JSONValue], resource: [String: String] = [:]) -> JSONValue {
        .object([
            "resourceSpans": .array([
                .object([
                    "resource": .object(["attributes": attributes(resource)]),
                    "scopeSpans": .array([.object(["spans": .array(spans)])]),
                ])
            ])
        ])
    }

    /// Both encodings must say the same.
    private func read(_ request: JSONValue) throws -> OTLPTraces.Reading {
        let json = try OTLPTraces.jobs(json: Array(try request.text.utf8), receivedAt: Self.now)
        #expect(try OTLPTraces.jobs(protobuf: ProtobufWriter.traces(request), receivedAt: Self.now) == json)
        return json
    }

    private let task = ["cicd.pipeline.task.name": "build", "cicd.pipeline.task.run.id": "8", "cicd.pipeline.task.run.result": "success"]
    private let pipeline = [
        "cicd.pipeline.name": "ci", "cicd.pipeline.run.id": "311", "vcs.repository.url.full": "https://github.com/o/r",
        "vcs.ref.head.revision": "9f2c",
    ]

    @Test("a task without its pipeline is a job all the same, with what the resource says")
    func aTaskWithoutItsPipeline() throws {
        let reading = try read(
            Self.request(
                [Self.span("00f067aa0ba902b7", parent: "b7ad6b7169203331", task)],
                resource: ["service.name": "bridge", "host.name": "h", "vcs.repository.name": "o/r"]
            )
        )
        let job = try #require(reading.jobs.first)
        #expect(job.instance == "bridge" && job.id == "0af7651916cd43dd8448eb211c80319c/00f067aa0ba902b7" && job.attempt == 1)
        #expect(job.text("hostname") == "h" && job.text("repository") == "o/r" && job.fields["run_id"] == nil)
        #expect(job.text("started_at") == "2026-09-01T09:00:10.004512Z", "cut to the µs")
        #expect(job.fields["time_resolution_ms"] == .integer(0) && job.phase == .finished && job.text("outcome") == "success")
    }

    @Test("a pipeline that is no ancestor in the request still speaks for its trace; a step knows its task")
    func pipelinesAndSteps() throws {
        let reading = try read(
            Self.request([
                Self.span("00f067aa0ba902b7", parent: "1111111111111111", task),
                Self.span("00f067aa0ba902b8", parent: "00f067aa0ba902b7", ["cicd.pipeline.task.name": "step"]),
                Self.span("b7ad6b7169203331", pipeline), Self.span("b7ad6b7169203332", ["http.route": "/"]),
            ])
        )
        #expect(reading.jobs.count == 2 && reading.passedOver == 1 && reading.rejected == 0)
        for job in reading.jobs {
            #expect(job.text("repository") == "https://github.com/o/r" && job.text("run_id") == "311" && job.text("pipeline") == "ci")
            #expect(job.instance == "https://github.com")
        }
        #expect(reading.jobs[1].text("parent") == reading.jobs[0].id && reading.jobs[0].text("parent") == nil)
        #expect(reading.jobs[1].text("outcome") == "unknown")
    }

    @Test("spans that are each other's parents come to an end")
    func circles() throws {
        let reading = try read(
            Self.request([
                Self.span("00f067aa0ba902b7", parent: "00f067aa0ba902b8", task),
                Self.span("00f067aa0ba902b8", parent: "00f067aa0ba902b7", task),
            ])
        )
        #expect(reading.jobs.count == 2)
    }

    @Test("what ended before it began has no length; what was skipped never began; a failure needs no attribute")
    func edges() throws {
        let reversed = try #require(try read(Self.request([Self.span("00f067aa0ba902b7", end: "1788253210000000000", task)])).jobs.first)
        #expect(reversed.flags == ["clock_anomaly"] && reversed.text("finished_at") == reversed.text("started_at"))
        let skipped = ["cicd.pipeline.task.name": "x", "cicd.pipeline.task.run.result": "skip"]
        #expect(try read(Self.request([Self.span("00f067aa0ba902b7", skipped)])).jobs.first?.fields["started_at"] == nil)
        let failed = try read(Self.request([Self.span("00f067aa0ba902b7", status: 2, ["cicd.pipeline.task.name": "x"])]))
        #expect(failed.jobs.first?.text("outcome") == "error")
    }

    @Test("a span that cannot be a job is counted, and the others are taken")
    func rejectedSpans() throws {
        let reading = try read(
            Self.request([
                Self.span("00f067aa0ba902b7", task), Self.span("0000000000000000", task), Self.span("00f067aa0ba902b8", start: "0", task),
                Self.span("00f067aa0ba902b9", end: "18446744073709551615", task),
                Self.span("00f067aa0ba902ba", end: "1788270000000000000", task),
            ])
        )
        #expect(reading.jobs.count == 1 && reading.rejected == 4 && reading.reason.contains("span id"))
    }

    @Test("too many spans are refused before they take memory")
    func tooMany() throws {
        // Two bytes a span on the wire.
        let spans = [UInt8](repeatElement([2 << 3 | 2, 0] as [UInt8], count: 20_001).joined())
        let body = ProtobufWriter.message(1, ProtobufWriter.message(2, spans))
        let refused = #expect(throws: UnreadableDelivery.self) { try OTLPTraces.jobs(protobuf: body, receivedAt: Self.now) }
        #expect(refused?.description.contains("20000 spans") == true)
        let attributes = [UInt8](repeatElement([9 << 3 | 2, 0] as [UInt8], count: 500_001).joined())
        let wide = ProtobufWriter.message(1, ProtobufWriter.message(2, ProtobufWriter.message(2, attributes)))
        #expect(throws: UnreadableDelivery.self) { try OTLPTraces.jobs(protobuf: wide, receivedAt: Self.now) }
        #expect(throws: UnreadableDelivery.self) { try OTLPTraces.jobs(json: [UInt8](repeating: 32, count: 9 << 20), receivedAt: Self.now) }
    }

    @Test("no bytes break anything, in either encoding")
    func noBytesBreakAnything() throws {
        let request = Self.request([
            Self.span("b7ad6b7169203331", pipeline), Self.span("00f067aa0ba902b7", parent: "b7ad6b7169203331", task),
        ])
        var random = RandomSource(seed: 7)
        for original in [ProtobufWriter.traces(request), Array(try request.text.utf8)] {
            for round in 0..<1_500 {
                var body = original
                if round % 3 == 0 { body = Array(body.prefix(Int.random(in: 0..<body.count, using: &random))) }
                for _ in 0..<Int.random(in: 0...6, using: &random) where !body.isEmpty {
                    body[Int.random(in: 0..<body.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
                }
                do {
                    for job in try OTLPTraces.jobs(protobuf: body, receivedAt: Self.now).jobs {
                        CISystemsTests.check(job, receivedAt: Self.now)
                    }
                } catch {
                    #expect(!error.description.isEmpty)
                }
                do {
                    for job in try OTLPTraces.jobs(json: body, receivedAt: Self.now).jobs {
                        CISystemsTests.check(job, receivedAt: Self.now)
                    }
                } catch {
                    #expect(!error.description.isEmpty)
                }
            }
        }
        #expect(try OTLPTraces.jobs(protobuf: [], receivedAt: Self.now) == OTLPTraces.Reading())
        #expect(try OTLPTraces.jobs(json: Array("{}".utf8), receivedAt: Self.now) == OTLPTraces.Reading())
    }

    @Test("answers are in the request's own encoding")
    func answers() throws {
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        let json = try #require(OTLPEncoding(contentType: "application/json; charset=utf-8"))
        #expect(text(try json.response(rejectedSpans: 0, message: "")) == "{}")
        #expect(text(try json.response(rejectedSpans: 2, message: "x")) == #"{"partialSuccess":{"errorMessage":"x","rejectedSpans":"2"}}"#)
        #expect(text(try json.status(.invalidArgument, message: "m")) == #"{"code":3,"message":"m"}"#)
        let protobuf = try #require(OTLPEncoding(contentType: "Application/X-Protobuf"))
        #expect(try protobuf.response(rejectedSpans: 0, message: "") == [])
        #expect(try protobuf.response(rejectedSpans: 2, message: "x") == [0x0A, 5, 0x08, 2, 0x12, 1, 0x78])
        #expect(try protobuf.status(.unavailable, message: "m") == [0x08, 14, 0x12, 1, 0x6D])
        #expect(OTLPEncoding(contentType: "text/plain") == nil)
    }
}
