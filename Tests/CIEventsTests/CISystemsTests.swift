import CIEvents
import Documents
import Energy
import TestSupport
import Testing

@Suite("CI systems")
struct CISystemsTests {
    @Test("each has a kind of its own and is found by it")
    func eachHasAKind() {
        let kinds = CISystems.all.map { $0.kind }
        #expect(kinds == ["github", "gitlab", "cdevents", "standard"])
        for kind in kinds { #expect(CISystems.named(kind)?.kind == kind) }
        #expect(CISystems.named("jenkinz") == nil)
    }

    @Test("no kept header holds a secret")
    func noKeptHeaderHoldsASecret() {
        let secret: Set = ["authorization", "cookie", "x-gitlab-token", "x-hub-signature-256", "x-hub-signature", "webhook-signature"]
        for system in CISystems.all {
            #expect(secret.isDisjoint(with: system.keptHeaders), "\(system.kind)")
            #expect(system.keptHeaders.allSatisfy { $0 == $0.lowercased() }, "\(system.kind)")
        }
    }

    @Test("new secrets differ, and the steps hold URL and secret, each whole on its line")
    func newSecrets() {
        for system in CISystems.all {
            let secrets = Set((0..<20).map { _ in system.newSecret() })
            #expect(secrets.count == 20 && secrets.allSatisfy { $0.utf8.count >= 40 })
            let steps = system.instructions(url: "https://c.example.org/v1/hooks/k/s", secret: "the-secret")
            #expect(steps.contains { $0.contains("https://c.example.org/v1/hooks/k/s") } && steps.contains { $0.contains("the-secret") })
            #expect(steps.allSatisfy { $0.count <= 140 && !$0.contains("\n") })
        }
    }

    @Test("a refusal never tells a secret or a signature")
    func aRefusalTellsNoSecret() {
        let secret = "whsec_c2VjcmV0LW9mLXRoZS1zb3VyY2U="
        let given = "76312c67697665"
        let headers = [
            "x-hub-signature-256": "sha256=\(given)", "x-gitlab-token": given, "authorization": "Bearer \(given)", "webhook-id": "a",
            "webhook-timestamp": "1788253496",
        ]
        for system in CISystems.all {
            for signature in [nil, "v1,\(given)"] {
                var headers = headers
                headers["webhook-signature"] = signature
                let refusal = #expect(throws: RefusedDelivery.self) {
                    try system.verify(delivery("{}", headers), secrets: [secret], now: at("09:00:00"))
                }
                let text = refusal?.description ?? ""
                #expect(!text.contains(secret) && !text.contains("c2VjcmV0") && !text.contains(given), "\(system.kind)")
            }
        }
    }

    /// Whatever comes, the worst is a refusal; and whatever is read keeps what the collector counts on.
    @Test("no bytes break anything")
    func noBytesBreakAnything() throws {
        let payloads: [(any CISystem.Type, Delivery)] = [
            (GitHub.self, try GitHubTests.job("completed")), (GitHub.self, try GitHubTests.job("queued")),
            (GitLab.self, try GitLabTests.job()),
            (CDEvents.self, delivery(CDEventsTests.event("dev.cdevents.taskrun.finished.0.3.0", custom: #"{"cpuShare": 0.5}"#))),
            (StandardWebhook.self, delivery(#"[{"id": "1", "started_at": "2026-09-01T09:00:10Z", "labels": ["ä", null, 1e9]}]"#)),
        ]
        var random = RandomSource(seed: 20_260_901)
        var read = 0
        for (system, original) in payloads {
            let document = try JSONValue(parsing: original.body)
            for round in 0..<400 {
                var changed = original
                switch round % 4 {
                case 0: changed.body = Array(original.body.prefix(Int.random(in: 0..<original.body.count, using: &random)))
                case 1:
                    for _ in 0..<Int.random(in: 1...8, using: &random) {
                        changed.body[Int.random(in: 0..<changed.body.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                    }
                default: changed.body = Array(try Self.mutated(document, &random).text.utf8)
                }
                _ = system.eventKey(changed)
                _ = system.eventName(changed)
                if let notice = system.repository(changed) { #expect(notice.statedAt <= changed.receivedAt) }
                do {
                    if case .jobs(let jobs) = try system.read(changed) {
                        read += 1
                        for job in jobs { Self.check(job, receivedAt: changed.receivedAt) }
                    }
                } catch {
                    #expect(!error.description.isEmpty)
                }
            }
        }
        #expect(read > 200, "else nothing was tried")
    }

    static func check(_ job: JobEvent, receivedAt: Timestamp) {
        let start = job.text("started_at").flatMap(RFC3339.parse)
        let end = job.text("finished_at").flatMap(RFC3339.parse)
        #expect(!job.id.isEmpty && job.attempt >= 1)
        if let start, let end { #expect(start <= end) }
        if let start { #expect(start <= receivedAt + .hour && start.microseconds > 0) }
        #expect(job.phase != .queued || start == nil)
        #expect(!job.fields.values.contains { $0.isNull || $0.holdsZero || ($0.string?.utf8.count ?? 0) > 2_000 || $0.string == "" })
        #expect((0...1).contains(job.fields["cpu_share"]?.double ?? 0))
    }

    /// A document with one to three of its values replaced by something of perhaps another type.
    private static func mutated(_ document: JSONValue, _ random: inout RandomSource) -> JSONValue {
        let strange: [JSONValue] = [
            .null, .bool(true), .integer(0), .integer(-1), .integer(.min), .integer(.max), .number(1e300), .number(-0.5), .string(""),
            .string("\u{0}"), .string(String(repeating: "é", count: 3_000)), .array([]), .array([.null]), .object([:]), .string("🐫"),
            .string("9999-12-31T23:59:59Z"), .string("0000-01-01T00:00:00Z"), .string("https://"), .string("http://@/"), .string("://"),
        ]
        func replace(_ value: JSONValue, _ random: inout RandomSource) -> JSONValue {
            switch value {
            case .object(let fields) where !fields.isEmpty && !random.chance(0.1):
                var fields = fields
                let name = fields.keys.sorted()[Int.random(in: 0..<fields.count, using: &random)]
                fields[name] = replace(fields[name] ?? .null, &random)
                return .object(fields)
            case .array(let values) where !values.isEmpty && !random.chance(0.1):
                var values = values
                let place = Int.random(in: 0..<values.count, using: &random)
                values[place] = replace(values[place], &random)
                return .array(values)
            default: return strange[Int.random(in: 0..<strange.count, using: &random)]
            }
        }
        var result = document
        for _ in 0..<Int.random(in: 1...3, using: &random) { result = replace(result, &random) }
        return result
    }
}
