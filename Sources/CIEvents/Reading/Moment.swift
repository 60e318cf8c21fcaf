import Documents
import Energy

/// A time in somebody's document, and how fine it is.
struct Moment: Equatable {
    let time: Timestamp
    /// 1000 for whole seconds, 1 for milliseconds, 0 for anything finer.
    let resolutionMilliseconds: Int64

    /// RFC 3339, and the forms with a space before the zone: `2026-09-01 09:00:10 UTC`, `2026-09-01 09:00:10 +0200`.
    init?(_ text: String) {
        guard text.utf8.count <= 64 else { return nil }
        var text = text
        if text.hasSuffix(" UTC") { text = text.dropLast(4) + "Z" }
        let bytes = Array(text.utf8)
        if bytes.count > 6, bytes[bytes.count - 6] == UInt8(ascii: " "),
            [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(bytes[bytes.count - 5])
        {
            text = String(text.dropLast(6) + text.suffix(5).prefix(3) + ":" + text.suffix(2))
        }
        guard let time = RFC3339.parse(text) else { return nil }
        let digits = text.split(separator: ".", maxSplits: 1).dropFirst().first?.prefix { $0.isNumber }.count ?? 0
        self.time = time
        let resolutions: [Int64] = [1_000, 100, 10, 1]
        resolutionMilliseconds = resolutions.dropFirst(digits).first ?? 0
    }

    /// - Throws: for a text that is no time. Null, empty and a time before 1970 (what zero looks like in some languages) are no moment.
    static func read(_ value: JSONValue, _ name: String) throws(UnreadableDelivery) -> Moment? {
        if value.isNull || value == .string("") { return nil }
        guard let moment = value.string.flatMap(Moment.init) else {
            throw UnreadableDelivery("field \(name): expected a time such as 2026-09-01T09:00:10Z, found \(value.described)")
        }
        return moment.time.microseconds > 0 ? moment : nil
    }
}

/// The edges of a job as a system tells them.
struct JobTimes {
    /// Senders whose clock is further ahead are not believed.
    static let furthestAhead = Microseconds.hour

    var queuedAt: Timestamp?
    var startedAt: Timestamp?
    var finishedAt: Timestamp?

    /// Puts reversed edges right. An end before the start is moved to it: such a job has no length and costs nothing.
    mutating func mend() -> Set<String> {
        var flags: Set<String> = []
        if let startedAt, let end = finishedAt, end < startedAt {
            finishedAt = startedAt
            flags.insert("clock_anomaly")
        }
        if let startedAt, let queuedAt, startedAt < queuedAt { flags.insert("started_before_queued") }
        return flags
    }

    /// - Parameter now: nil where the sender's own memory is read back, which whoever asked holds against their clock.
    func check(now: Timestamp?) throws(UnreadableDelivery) {
        guard let now else { return }
        for (name, time) in [("queued_at", queuedAt), ("started_at", startedAt), ("finished_at", finishedAt)] {
            if let time, time > now + Self.furthestAhead {
                throw UnreadableDelivery(
                    "field \(name): expected a time at most an hour from now (\(RFC3339.format(now))), found \(RFC3339.format(time))"
                )
            }
        }
    }

    var latest: Timestamp? { [queuedAt, startedAt, finishedAt].compactMap { $0 }.max() }
}
