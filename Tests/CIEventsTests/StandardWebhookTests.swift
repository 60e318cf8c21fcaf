import CIEvents
import Documents
import Testing

@Suite("Signed spans")
struct StandardWebhookTests {
    private let span = #"{"id": "1", "started_at": "2026-09-01T09:00:10Z"}"#

    private func spans(_ body: String, _ type: String = "application/json") throws -> Int {
        guard case .spans(let spans) = try StandardWebhook.read(delivery(body, ["content-type": type])) else { return 0 }
        return spans.count
    }

    @Test("one, a list, a span a line, and envelopes around one or several")
    func allForms() throws {
        #expect(try spans(span) == 1)
        #expect(try spans("[\(span), \(span)]") == 2)
        #expect(try spans("\(span)\n\r\n\(span)\n", "application/x-ndjson") == 2)
        #expect(try spans("\(span)\n\(span)\n") == 2, "also where the type does not say so")
        #expect(try spans(#"{"type": "job.span", "data": \#(span)}"#) == 1)
        #expect(try spans(#"{"type": "job.span", "data": [\#(span), \#(span), \#(span)]}"#) == 3)
        #expect(try spans("[]") == 0)
    }

    @Test("an envelope around something else is passed over, not taken for a span")
    func otherEnvelopes() throws {
        guard case .ignored(let reason) = try StandardWebhook.read(delivery(#"{"type": "job.deleted", "data": {}}"#)) else {
            throw UnreadableDelivery("expected nothing")
        }
        #expect(reason.contains("job.deleted"))
    }

    @Test("what is no span is refused with its place")
    func whatIsNoSpan() {
        for (body, part) in [
            ("3", "expected a span"), ("[\(span), 3]", "span 2"), ("\(span)\nx\n", "line 2"), ("{\n\"id\": ", "JSON"), ("", "found none"),
            (String(repeating: "[", count: 40), "levels"),
            ("[" + repeatElement("{}", count: 10_001).joined(separator: ",") + "]", "at most"),
        ] {
            let refused = #expect(throws: UnreadableDelivery.self) { try StandardWebhook.read(delivery(body)) }
            #expect(refused?.description.contains(part) == true, "\(body.prefix(40)): \(refused?.description ?? "")")
        }
    }

    @Test("headers that are no timestamp, no list or no base64 are refused, not believed")
    func strangeHeaders() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        for (time, signature) in [
            ("", "v1,AAAA"), ("-5", "v1,AAAA"), ("99999999999999999999", "v1,AAAA"), ("999999999999", "v1,AAAA"), ("1", "v1,"), ("1", "v1"),
            ("1", "  "), ("1", "v1,%%"), ("1", ""),
        ] {
            let sent = delivery("{}", ["webhook-id": "a", "webhook-timestamp": time, "webhook-signature": signature])
            #expect(throws: RefusedDelivery.self) {
                try StandardWebhook.verify(sent, secrets: [secret, "whsec_", "plain", ""], now: at("09:00:00"))
            }
        }
    }
}
