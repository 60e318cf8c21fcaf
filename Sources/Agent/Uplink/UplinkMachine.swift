import Energy

/// Decides what the uplink does next. Pure: time comes in, nothing goes out but decisions.
///
/// A stream is opened by asking for the number that the collector expects; then its batches go one by one. A stream is sent to its
/// end before the next is opened.
struct UplinkMachine: Sendable {
    enum Step: Hashable, Sendable {
        /// Nothing to send.
        case idle
        case wait(Duration)
        case open(StreamID)
        case send(StreamID, seq: UInt64)
    }

    /// What an answer means for the spool.
    enum Effect: Hashable, Sendable {
        case nothing
        case acknowledge(StreamID, through: UInt64)
        /// The collector has lost what it had acknowledged: send again from there, and announce the curves again.
        case rewind(StreamID, to: UInt64)
        /// The rest of the stream goes on under a new name; a refused batch is left out.
        case reseal(StreamID, from: UInt64, refused: UInt64?, reason: String)
    }

    enum Remark: Hashable, Sendable {
        case warning(String)
        case notice(String)
    }

    static let longestBackoff = Duration.seconds(60)

    private var opened: StreamID?
    private var failures = 0
    private var notBefore = Duration.zero
    /// The state that was last said, so that it is said once.
    private var saidStatus: String?
    private(set) var remarks: [Remark] = []

    /// - Parameter now: on a monotonic clock.
    mutating func next(_ pending: Spool.Pending?, now: Duration) -> Step {
        guard let pending else { return .idle }
        guard now >= notBefore else { return .wait(notBefore - now) }
        guard opened == pending.stream else { return .open(pending.stream) }
        return .send(pending.stream, seq: pending.firstUnacknowledged)
    }

    /// - Parameter jitter: random, from 0 to 1.
    mutating func received(
        _ answer: UplinkAnswer,
        to step: Step,
        _ pending: Spool.Pending,
        now: Duration,
        jitter: Double
    ) -> Effect {
        switch (step, answer.status) {
        case (.open(let stream), 200):
            guard let expected = answer.expectedSeq, expected >= 1 else {
                return retry("expected a body with expected_seq from the collector, found '\(answer.detail)'", answer, now, jitter)
            }
            succeed()
            opened = stream
            return settle(expected, pending)
        case (.send(let stream, let seq), 200):
            guard let acknowledged = answer.acknowledgedSeq, acknowledged >= seq, acknowledged <= pending.last else {
                // An old acknowledgement, or none: the batch counts as not acknowledged, and is sent again.
                let found = answer.acknowledgedSeq.map { "\($0)" } ?? "none"
                return retry("expected batch \(seq) of \(stream.incarnation) to be acknowledged, found \(found)", answer, now, jitter)
            }
            succeed()
            return .acknowledge(stream, through: acknowledged)
        case (.send(let stream, let seq), 409):
            if answer.problem.contains("stream-conflict") {
                opened = nil
                return reseal(stream, seq, refused: nil, "the collector has other batches under this stream's name", answer, now, jitter)
            }
            guard let expected = answer.expectedSeq, expected >= 1, expected != seq else {
                return retry("409 without a number to go on from: \(answer.detail)", answer, now, jitter)
            }
            return settle(expected, pending)
        case (.send(let stream, let seq), .some(let status)) where [400, 413, 422].contains(status):
            opened = nil
            return reseal(stream, seq, refused: seq, "\(status) \(answer.detail)", answer, now, jitter)
        case (_, 401), (_, 403):
            notBefore = now + backoff(jitter, atLeast: Self.longestBackoff)
            failures += 1
            say("the collector refuses the token (\(answer.status ?? 0) \(answer.detail)); batches are kept; give the agent a valid token")
            return .nothing
        case (_, 404), (_, 405):
            notBefore = now + backoff(jitter, atLeast: Self.longestBackoff)
            failures += 1
            say("there is no collector at that URL (\(answer.status ?? 0)); batches are kept; check the collector's URL")
            return .nothing
        default:
            return retry(answer.status.map { "the collector answers \($0) \(answer.detail)" } ?? answer.detail, answer, now, jitter)
        }
    }

    /// A batch could not be read from the disk: the rest goes on without it.
    mutating func unreadable(_ stream: StreamID, seq: UInt64) -> Effect {
        opened = nil
        return .reseal(stream, from: seq, refused: nil, reason: "batch \(seq) cannot be read from the spool")
    }

    /// The agent stops: do not wait any more.
    mutating func hurry() { notBefore = .zero }

    mutating func takeRemarks() -> [Remark] {
        defer { remarks = [] }
        return remarks
    }

    /// The collector's expected number against what the spool holds.
    private mutating func settle(_ expected: UInt64, _ pending: Spool.Pending) -> Effect {
        if expected == pending.firstUnacknowledged { return .nothing }
        if expected > pending.last + 1 {
            opened = nil
            remarks.append(
                .warning(
                    "the collector expects batch \(expected), but the last is \(pending.last), an old spool? A new stream begins"
                )
            )
            return .reseal(
                pending.stream,
                from: pending.firstUnacknowledged,
                refused: nil,
                reason: "the collector is ahead of the spool"
            )
        }
        if expected > pending.firstUnacknowledged { return .acknowledge(pending.stream, through: expected - 1) }
        if expected >= pending.firstHeld {
            remarks.append(.notice("the collector goes back to batch \(expected); sending again from there"))
            return .rewind(pending.stream, to: expected)
        }
        opened = nil
        remarks.append(
            .warning("the collector lost batches before \(pending.firstHeld) that are kept no more; a new stream begins, no energy is lost")
        )
        return .reseal(pending.stream, from: pending.firstHeld, refused: nil, reason: "the collector lost batches that are kept no more")
    }

    private mutating func reseal(
        _ stream: StreamID,
        _ seq: UInt64,
        refused: UInt64?,
        _ reason: String,
        _ answer: UplinkAnswer,
        _ now: Duration,
        _ jitter: Double
    ) -> Effect {
        // Each rewriting costs; a collector that refuses everything must not keep the agent busy.
        notBefore = now + backoff(jitter, atLeast: .zero)
        failures += 1
        remarks.append(.warning("batch \(seq) of \(stream.incarnation) is refused for good: \(reason); the rest goes on as a new stream"))
        return .reseal(stream, from: seq, refused: refused, reason: reason)
    }

    private mutating func retry(_ what: String, _ answer: UplinkAnswer, _ now: Duration, _ jitter: Double) -> Effect {
        notBefore = now + backoff(jitter, atLeast: answer.retryAfter ?? .zero)
        failures += 1
        say("\(what); trying again")
        return .nothing
    }

    /// 1, 2, 4 ... 60 s, less up to half of it at random, so that a farm does not come back all at once.
    private func backoff(_ jitter: Double, atLeast least: Duration) -> Duration {
        let base = Duration.seconds(min(60, 1 << min(failures, 6)))
        return max(least, base * (1 - 0.5 * min(1, max(0, jitter))))
    }

    private mutating func succeed() {
        if saidStatus != nil { remarks.append(.notice("the collector takes batches again")) }
        saidStatus = nil
        failures = 0
        notBefore = .zero
    }

    private mutating func say(_ text: String) {
        guard saidStatus != text else { return }
        saidStatus = text
        remarks.append(.warning(text))
    }
}
