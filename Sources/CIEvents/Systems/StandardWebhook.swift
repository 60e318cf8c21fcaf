import Documents
public import Energy

/// Anybody's own sender of spans, signed as Standard Webhooks 1.0.0 has it: one span, a list, a span a line, or the envelope
/// `{"type": "job.span", "timestamp": ..., "data": {...}}` around one or several.
public enum StandardWebhook: CISystem {
    public static let kind = "standard"
    /// Of one delivery.
    public static let maximumSpans = 10_000

    public static let keptHeaders = ["content-type", "user-agent", "webhook-id", "webhook-timestamp"]

    public static func verify(_ delivery: Delivery, secrets: [String], now: Timestamp) throws(RefusedDelivery) {
        try StandardSignature.verify(delivery, secrets: secrets, now: now)
    }

    public static func eventKey(_ delivery: Delivery) -> String { EventKey.named(delivery.headers["webhook-id"], delivery) }

    public static func eventName(_ delivery: Delivery) -> String {
        delivery.jsonOrNull["type"].legible.map { String($0.prefix(60)) } ?? "spans"
    }

    public static func read(_ delivery: Delivery) throws(UnreadableDelivery) -> EventReading {
        let values: [JSONValue]
        if delivery.headers["content-type"].map({ $0.lowercased().contains("ndjson") || $0.lowercased().contains("jsonl") }) == true {
            values = try lines(delivery)
        } else {
            do {
                values = try posted(try delivery.json())
            } catch {
                // Who sends a span a line does not always say so.
                guard firstLineIsObject(delivery) else { throw error }
                values = try lines(delivery)
            }
        }
        guard values.count <= maximumSpans else {
            throw UnreadableDelivery("expected at most \(maximumSpans) spans in a delivery, found \(values.count); send several")
        }
        for (index, value) in values.enumerated() where value.object == nil {
            throw UnreadableDelivery("span \(index + 1): expected an object, found \(value.described)")
        }
        let spans = values.filter { !isOther($0) }
        if spans.isEmpty { return .ignored(values.isEmpty ? "no spans in it" : "\(eventName(delivery)): no span") }
        return .spans(spans)
    }

    /// An envelope around something else.
    private static func isOther(_ value: JSONValue) -> Bool {
        guard let type = value["type"].string, value["data"].object != nil, value["id"].isNull else { return false }
        return !type.hasSuffix("span")
    }

    private static func posted(_ document: JSONValue) throws(UnreadableDelivery) -> [JSONValue] {
        if let list = document.array { return list }
        guard var envelope = document.object else {
            throw UnreadableDelivery("expected a span, a list of them or a span a line, found \(document.described)")
        }
        guard let several = document["data"].array, document["type"].string != nil, document["id"].isNull else { return [document] }
        return several.map { data in
            envelope["data"] = data
            return .object(envelope)
        }
    }

    private static func firstLineIsObject(_ delivery: Delivery) -> Bool {
        guard let end = delivery.body.firstIndex(of: UInt8(ascii: "\n")) else { return false }
        do { return try JSONValue(parsing: Array(delivery.body[..<end])).object != nil } catch { return false }
    }

    private static func lines(_ delivery: Delivery) throws(UnreadableDelivery) -> [JSONValue] {
        var values: [JSONValue] = []
        for (number, line) in delivery.body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy({ [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")].contains($0) }) { continue }
            do {
                values += try posted(try JSONValue(parsing: Array(line)))
            } catch let error as UnreadableDelivery {
                throw UnreadableDelivery("line \(number + 1): \(error.description)")
            } catch {
                throw UnreadableDelivery("line \(number + 1): expected a span as a JSON object, found something else")
            }
            if values.count > maximumSpans { break }
        }
        return values
    }

    public static func newSecret() -> String { SecretText.newStandard() }

    public static func instructions(url: String, secret: String) -> [String] {
        [
            "Have your sender POST each span as JSON (the fields of POST /v1/spans; one, a list, or a span a line) to",
            url,
            "and sign it as Standard Webhooks 1.0.0 has it (libraries: https://www.standardwebhooks.com) with the secret",
            secret,
            "Headers: webhook-id (the same when a delivery is repeated), webhook-timestamp (Unix seconds, within 5 minutes of now),",
            "webhook-signature: v1,BASE64, the HMAC-SHA256 of ID.TIMESTAMP.BODY with the secret's bytes (base64 after whsec_) as the key.",
        ]
    }
}
