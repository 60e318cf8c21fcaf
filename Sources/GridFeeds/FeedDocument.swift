import Documents
import Energy

/// A place in a provider's JSON answer, which names itself when something else is there than expected.
struct FeedDocument {
    let value: JSONValue
    let place: String

    init(_ body: [UInt8]) throws(FeedFault) {
        do throws(JSONValue.Malformed) {
            value = try JSONValue(parsing: body)
        } catch {
            throw .unreadable("expected JSON, found \(body.count) other bytes (\(error))")
        }
        place = ""
    }

    private init(_ value: JSONValue, _ place: String) {
        self.value = value
        self.place = place
    }

    /// A key that has to be there; it may be null.
    subscript(_ key: String) -> FeedDocument {
        get throws(FeedFault) {
            guard let inner = optional(key) else { throw expected("`\(key)`") }
            return inner
        }
    }

    /// A key that may be missing.
    func optional(_ key: String) -> FeedDocument? {
        value.object?[key].map { FeedDocument($0, place.isEmpty ? key : "\(place).\(key)") }
    }

    var list: [FeedDocument] {
        get throws(FeedFault) {
            guard let values = value.array else { throw expected("a list") }
            return values.enumerated().map { FeedDocument($1, "\(place)[\($0)]") }
        }
    }

    var text: String {
        get throws(FeedFault) {
            guard let text = value.string else { throw expected("a text") }
            return text
        }
    }

    /// A number, or nil for null.
    var number: Double? {
        get throws(FeedFault) {
            if value.isNull { return nil }
            guard let number = value.double else { throw expected("a number or null") }
            return number
        }
    }

    /// RFC 3339, or without seconds as `2018-01-20T12:00Z`.
    var time: Timestamp {
        get throws(FeedFault) {
            guard let time = Self.time(try text) else { throw expected("a time such as 2026-01-20T12:00Z") }
            return time
        }
    }

    static func time(_ text: String) -> Timestamp? {
        if let time = RFC3339.parse(text) { return time }
        // Hours and minutes only.
        guard text.utf8.count >= 17, let split = text.utf8.index(text.startIndex, offsetBy: 16, limitedBy: text.endIndex) else {
            return nil
        }
        return RFC3339.parse(text[..<split] + ":00" + text[split...])
    }

    func expected(_ what: String) -> FeedFault {
        .unreadable("\(place.isEmpty ? "the answer" : place): expected \(what), found \(value.described)")
    }
}

extension Timestamp {
    /// The largest multiple of a step since 1970 that is not after this instant.
    func floor(to step: Microseconds) -> Timestamp {
        let rest = microseconds % step.count
        return Timestamp(microseconds: microseconds - (rest < 0 ? rest + step.count : rest))
    }
}

extension Interval {
    /// Its parts of at most a length, in order.
    func parts(of length: Microseconds) -> [Interval] {
        var parts: [Interval] = []
        var start = start
        while start < end {
            let next = min(start + length, end)
            parts.append(Interval(start, next))
            start = next
        }
        return parts
    }
}
