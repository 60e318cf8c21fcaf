import CIEvents
import Documents
import Energy
import TestSupport
import Testing

@Suite("Recorded webhooks", .enabled(if: WebhookVectors.areHere, Comment(rawValue: WebhookVectors.absence)))
struct VectorTests {
    @Test("all are found")
    func allAreFound() {
        #expect(WebhookVectors.of("github").count == 5)
        #expect(WebhookVectors.of("gitlab").count == 1)
        #expect(WebhookVectors.of("cdevents").count == 2)
        #expect(WebhookVectors.of("generic").count == 1)
        #expect(WebhookVectors.of("otlp").count == 1)
    }

    @Test("each is believed and means the span it should", arguments: WebhookVectors.of("github", "gitlab"))
    func eachMeansItsSpan(vector: WebhookVectors.Vector) throws {
        let system = try #require(CISystems.named(vector.provider))
        try system.verify(vector.delivery, secrets: try Self.secrets(vector.provider), now: WebhookVectors.now)
        let reading = try system.read(vector.delivery)
        let span = vector.expect.object?["span"] ?? .null
        if span.isNull {
            switch reading {
            case .jobs(let jobs): #expect(jobs.allSatisfy { $0.fields["started_at"] == nil }, "no span may come of it")
            case .run(let run):
                #expect(
                    run
                        == RunNotice(
                            instance: "https://github.com",
                            repository: "tidepool/opam-mirror",
                            runID: "17890000042",
                            attempt: 1,
                            isFinished: true
                        )
                )
            case .spans, .ignored: break
            }
        } else {
            let job = try onlyJob(reading)
            #expect(WebhookVectors.differences(job, span) == [])
            #expect(job.flags.isEmpty)
        }
    }

    static func secrets(_ provider: String) throws -> [String] {
        switch provider {
        case "github": ["an older secret", try WebhookVectors.secret("github")]
        case "gitlab": [try WebhookVectors.secret("gitlab_signing")]
        case "generic": [try WebhookVectors.secret("generic_standard_webhooks")]
        default: []
        }
    }

    @Test(
        "a bit of the body or of the signature flipped, and nothing is believed",
        arguments: WebhookVectors.of("github", "gitlab", "generic")
    )
    func aFlippedBitIsRefused(vector: WebhookVectors.Vector) throws {
        let system = try #require(CISystems.named(vector.provider == "generic" ? "standard" : vector.provider))
        let secrets = try Self.secrets(vector.provider)
        try system.verify(vector.delivery, secrets: secrets, now: WebhookVectors.now)
        var random = RandomSource(seed: 4)
        for place in vector.delivery.body.indices {
            var changed = vector.delivery
            changed.body[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            let refusal = #expect(throws: RefusedDelivery.self) { try system.verify(changed, secrets: secrets, now: WebhookVectors.now) }
            guard refusal?.cause == .wrongSignature else {
                Issue.record("byte \(place)")
                return
            }
        }
        let name = vector.provider == "github" ? "x-hub-signature-256" : "webhook-signature"
        let signature = Array(try #require(vector.delivery.headers[name]).utf8)
        let start = vector.provider == "github" ? 7 : 3
        for place in signature.indices.dropFirst(start) {
            // Another letter of the alphabet, not only the other case of a hex digit. The last before = holds bits that mean nothing.
            guard signature[place] != UInt8(ascii: "="), vector.provider == "github" || place < signature.count - 2 else { continue }
            var changed = vector.delivery
            var text = signature
            text[place] = text[place] == UInt8(ascii: "7") ? UInt8(ascii: "3") : UInt8(ascii: "7")
            changed.headers[name] = String(decoding: text, as: UTF8.self)
            #expect(throws: RefusedDelivery.self) { try system.verify(changed, secrets: secrets, now: WebhookVectors.now) }
        }
        var unsigned = vector.delivery
        unsigned.headers[name] = nil
        unsigned.headers["x-gitlab-token"] = nil
        let refusal = #expect(throws: RefusedDelivery.self) { try system.verify(unsigned, secrets: secrets, now: WebhookVectors.now) }
        #expect(refusal?.cause == .unsigned)
        #expect(throws: RefusedDelivery.self) { try system.verify(vector.delivery, secrets: [], now: WebhookVectors.now) }
        #expect(throws: RefusedDelivery.self) { try system.verify(vector.delivery, secrets: [""], now: WebhookVectors.now) }
    }

    @Test("what was signed more than five minutes from now is not believed", arguments: WebhookVectors.of("gitlab", "generic"))
    func replaysAreRefused(vector: WebhookVectors.Vector) throws {
        let system = try #require(CISystems.named(vector.provider == "generic" ? "standard" : vector.provider))
        let signed = Timestamp(microseconds: Int64(try #require(vector.delivery.headers["webhook-timestamp"]))! * 1_000_000)
        let secrets = try Self.secrets(vector.provider)
        for seconds: Int64 in [-300, 0, 300] { try system.verify(vector.delivery, secrets: secrets, now: signed + .seconds(seconds)) }
        for seconds: Int64 in [-301, 301, 86_400] {
            let refusal = #expect(throws: RefusedDelivery.self) {
                try system.verify(vector.delivery, secrets: secrets, now: signed + .seconds(seconds))
            }
            #expect(refusal?.cause == .outsideReplayWindow)
        }
    }

    @Test("GitLab's token is as good where the source has no signing secret", arguments: WebhookVectors.of("gitlab"))
    func gitLabsTokenIsAsGood(vector: WebhookVectors.Vector) throws {
        let token = try WebhookVectors.secret("gitlab_token")
        try GitLab.verify(vector.delivery, secrets: ["another", token], now: WebhookVectors.now)
        #expect(throws: RefusedDelivery.self) { try GitLab.verify(vector.delivery, secrets: ["another"], now: WebhookVectors.now) }
        var changed = vector.delivery
        changed.body.append(UInt8(ascii: " "))
        // With a signing secret the token no longer vouches for a body that was changed.
        #expect(throws: RefusedDelivery.self) {
            try GitLab.verify(changed, secrets: [token, try WebhookVectors.secret("gitlab_signing")], now: WebhookVectors.now)
        }
    }

    @Test("the halves of a CDEvents task run are one job", arguments: [true, false])
    func theHalvesAreOneJob(isStructured: Bool) throws {
        let vectors = WebhookVectors.of("cdevents").map(\.delivery).map { delivery in
            guard isStructured else { return delivery }
            var delivery = delivery
            let envelope = #"{"specversion":"1.0","id":"1","source":"x","type":"t","data":"#
            delivery.body = Array(envelope.utf8) + delivery.body + Array("}".utf8)
            delivery.headers["content-type"] = "application/cloudevents+json"
            return delivery
        }
        let halves = try vectors.map { try onlyJob(try CDEvents.read($0)) }
        let start = try #require(halves.first { $0.phase == .started })
        let end = try #require(halves.first { $0.phase == .finished })
        #expect((start.instance, start.id, start.attempt) == ("https://ci.example.org/tidepool", "opam-mirror/311/build", 1))
        #expect((start.instance, start.id, start.attempt) == (end.instance, end.id, end.attempt))
        #expect(start.text("started_at") == "2026-09-01T09:00:10.004512Z")
        #expect(start.fields["finished_at"] == nil)
        #expect(end.text("finished_at") == "2026-09-01T09:04:55.315384Z")
        #expect(end.fields["started_at"] == nil)
        #expect(end.text("outcome") == "success")
        for half in halves {
            #expect(half.text("host") == "bw-07")
            #expect(half.text("repository") == "https://github.com/tidepool/opam-mirror")
            #expect(half.fields["cpu_share"]?.double == 0.25)
            #expect(half.text("run_id") == "opam-mirror/311")
            #expect(half.fields["time_resolution_ms"] == .integer(0))
        }
        if !isStructured { #expect(Set(vectors.map { CDEvents.eventKey($0) }).count == 2) }
    }

    @Test("the generic span is handed on as it was posted")
    func theGenericSpanIsHandedOn() throws {
        for vector in WebhookVectors.of("generic") {
            #expect(try StandardWebhook.read(vector.delivery) == .spans([try WebhookVectors.document(vector.file)]))
            #expect(StandardWebhook.eventKey(vector.delivery) == "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W")
            #expect(StandardWebhook.eventName(vector.delivery) == "job.span")
        }
    }

    @Test("the traces are the job they should be, in both encodings")
    func theTracesAreTheirJob() throws {
        for vector in WebhookVectors.of("otlp") {
            let json = try OTLPTraces.jobs(json: vector.delivery.body, receivedAt: WebhookVectors.now)
            #expect(json.jobs.count == 1 && json.rejected == 0 && json.passedOver == 0)
            #expect(WebhookVectors.differences(try #require(json.jobs.first), vector.expect.object?["span"] ?? .null) == [])
            let protobuf = try OTLPTraces.jobs(
                protobuf: ProtobufWriter.traces(try JSONValue(parsing: vector.delivery.body)),
                receivedAt: WebhookVectors.now
            )
            #expect(protobuf == json)
        }
    }

    @Test("published signatures are what is computed here")
    func publishedSignatures() throws {
        var count = 0
        for entry in try WebhookVectors.document("signatures.json").object?["published"]?.array ?? [] {
            let fields = entry.object ?? [:]
            let message = try #require(fields["message"]?.string)
            let expected = try #require(fields["expected"]?.string)
            let secret = try #require(fields["secret"]?.string)
            count += 1
            if fields["scheme"]?.string?.hasPrefix("hex") == true {
                for text in [expected, expected.uppercased()] {
                    let signed = delivery(message, ["x-hub-signature-256": "sha256=\(text)"])
                    try GitHub.verify(signed, secrets: [secret], now: WebhookVectors.now)
                    #expect(throws: RefusedDelivery.self) { try GitHub.verify(signed, secrets: [secret + "x"], now: WebhookVectors.now) }
                }
            } else {
                let parts = message.split(separator: ".", maxSplits: 2).map(String.init)
                let now = Timestamp(microseconds: Int64(parts[1])! * 1_000_000)
                for signatures in [expected, "v1,AAAA \(expected)", "v1a,AAAA \(expected) v1,zzz"] {
                    let headers = ["webhook-id": parts[0], "webhook-timestamp": parts[1], "webhook-signature": signatures]
                    try StandardWebhook.verify(delivery(parts[2], headers), secrets: [secret], now: now)
                }
                let other = ["webhook-id": parts[0], "webhook-timestamp": parts[1], "webhook-signature": "v1a" + expected.dropFirst(2)]
                #expect(throws: RefusedDelivery.self) { try StandardWebhook.verify(delivery(parts[2], other), secrets: [secret], now: now) }
            }
        }
        #expect(count == 6)
    }
}
