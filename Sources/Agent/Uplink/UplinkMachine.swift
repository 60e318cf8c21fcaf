import Energy

/// Decides what the uplink does next. Pure: time comes in, nothing goes out but decisions.
///
/// A stream is opened by asking for the number that the collector expects; then its batches go one by one. A stream is sent to its
/// end before the next is opened.
///
/// A batch leaves the queue only where the collector says of the batch in flight that it has it, or says at the opening what it
/// expects. Any other number, from an answer that came twice, late or from something that is no collector, is a reason to ask again.
/// A collector that claims batches which were never sent is answered with a new stream: it leaves out the knots that it has already,
/// so that nothing is lost and nothing counts twice.
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
    /// A token that is refused is said again so often: somebody has to do something.
    static let refusalReminder = Duration.seconds(3_600)

    /// Whether the collector takes compressed batches, as far as is known.
    private(set) var mayCompress: Bool
    private var opened: StreamID?
    /// The last batch that the collector can have of the stream that was opened last.
    private var sent: (stream: StreamID, through: UInt64)?
    /// A batch that was refused compressed: it goes plain before it is given up.
    private var plain: (stream: StreamID, seq: UInt64)?
    private var failures = 0
    /// Changes of direction since the last acknowledgement; a collector that sends the agent to and fro must not keep it busy.
    private var turns = 0
    private var notBefore = Duration.zero
    /// The state that was last said, so that it is said once.
    private var saidStatus: String?
    private var saidAt = Duration.zero
    private(set) var remarks: [Remark] = []

    init(mayCompress: Bool = true) { self.mayCompress = mayCompress }

    func compresses(_ stream: StreamID, seq: UInt64) -> Bool {
        mayCompress && !(plain.map { $0.stream == stream && $0.seq == seq } ?? false)
    }

    /// - Parameter now: on a monotonic clock.
    mutating func next(_ pending: Spool.Pending?, now: Duration) -> Step {
        guard let pending else { return .idle }
        guard now >= notBefore else { return .wait(notBefore - now) }
        guard opened == pending.stream else { return .open(pending.stream) }
        return .send(pending.stream, seq: pending.firstUnacknowledged)
    }

    /// - Parameters:
    ///   - jitter: random, from 0 to 1.
    ///   - wasCompressed: the batch went with a `Content-Encoding`.
    mutating func received(
        _ answer: UplinkAnswer,
        to step: Step,
        _ pending: Spool.Pending,
        now: Duration,
        jitter: Double,
        wasCompressed: Bool = false
    ) -> Effect {
        if case .send(let stream, let seq) = step { note(sent: stream, seq) }
        switch (step, answer.status) {
        case (.open(let stream), 200):
            guard let expected = answer.expectedSeq, expected >= 1 else {
                return retry("expected a body with expected_seq from the collector, found '\(answer.detail)'", answer, now, jitter)
            }
            return open(stream, expecting: expected, pending, now, jitter)
        case (.send(let stream, let seq), 200):
            guard let acknowledged = answer.acknowledgedSeq, acknowledged == seq else {
                // The answer to another batch, or none: this one counts as not acknowledged. What the collector has, it is asked.
                if let acknowledged = answer.acknowledgedSeq, acknowledged > seq { opened = nil }
                let found = answer.acknowledgedSeq.map { "\($0)" } ?? "none"
                return retry("expected batch \(seq) of \(stream.incarnation) to be acknowledged, found \(found)", answer, now, jitter)
            }
            if !compresses(stream, seq: seq), mayCompress {
                mayCompress = false
                remarks.append(.notice("the collector takes batches uncompressed only; they go so from now on"))
            }
            plain = nil
            succeed()
            return .acknowledge(stream, through: acknowledged)
        case (.send(let stream, let seq), 409):
            if answer.problem.contains("stream-conflict") {
                opened = nil
                // All that is held: a collector that was restored from before may say so of a stream whose last batches it has lost. What
                // it has already it leaves out.
                let why = "the collector has other batches under this stream's name"
                return reseal(stream, pending.firstHeld, refused: nil, why, answer, now, jitter)
            }
            guard let expected = answer.expectedSeq, expected >= 1, expected != seq else {
                return retry("409 without a number to go on from: \(answer.detail)", answer, now, jitter)
            }
            turn(now, jitter)
            guard expected < seq else {
                // It has more than the batch in flight: only the opening of a stream may skip.
                opened = nil
                return .nothing
            }
            return settle(expected, pending, now, jitter)
        case (.send, 415) where wasCompressed:
            mayCompress = false
            remarks.append(.notice("the collector takes no compressed batches; they go uncompressed from now on"))
            return .nothing
        case (.send(let stream, let seq), .some(let status)) where wasCompressed && [400, 422].contains(status):
            // The batch, or its compression read as a batch: without it the answer says which.
            plain = (stream, seq)
            return .nothing
        case (.send(let stream, let seq), .some(let status)) where [400, 413, 422].contains(status):
            opened = nil
            plain = nil
            return reseal(stream, seq, refused: seq, "\(status) \(answer.detail)", answer, now, jitter)
        case (_, 401), (_, 403):
            delay(now, jitter, atLeast: max(Self.longestBackoff, answer.retryAfter ?? .zero))
            say(
                "the collector refuses the token (\(answer.status ?? 0) \(answer.detail)); measuring goes on and batches are kept; "
                    + "give the agent a valid token: in its token file, or by wattle-agent enrol",
                as: "refused \(answer.status ?? 0)",
                againAfter: Self.refusalReminder,
                now: now
            )
            return .nothing
        case (_, 404), (_, 405):
            delay(now, jitter, atLeast: max(Self.longestBackoff, answer.retryAfter ?? .zero))
            say("there is no collector at that URL (\(answer.status ?? 0)); batches are kept; check the collector's URL")
            return .nothing
        case (_, .some(300...399)):
            delay(now, jitter, atLeast: max(Self.longestBackoff, answer.retryAfter ?? .zero))
            say("that URL leads elsewhere (\(answer.status ?? 0)); batches are kept; give the agent the collector's own URL")
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

    /// Whatever comes back: the collector may have it from now on.
    private mutating func note(sent stream: StreamID, _ seq: UInt64) {
        guard let sent, sent.stream == stream else {
            sent = (stream, seq)
            return
        }
        self.sent = (stream, max(sent.through, seq))
    }

    private mutating func open(
        _ stream: StreamID,
        expecting expected: UInt64,
        _ pending: Spool.Pending,
        _ now: Duration,
        _ jitter: Double
    ) -> Effect {
        if let sent, sent.stream == stream, expected > sent.through + 1, expected <= pending.last + 1 {
            turn(now, jitter)
            remarks.append(
                .warning("the collector has batches up to \(expected - 1), of which \(sent.through) were sent; a new stream begins")
            )
            return .reseal(
                stream,
                from: pending.firstUnacknowledged,
                refused: nil,
                reason: "the collector has batches of this stream that were never sent"
            )
        }
        // Of what an earlier run sent nothing is known here: the first opening says it.
        sent = (stream, expected - 1)
        opened = stream
        let effect = settle(expected, pending, now, jitter)
        if case .reseal = effect {
            turn(now, jitter)
        } else if turns == 0 {
            succeed()
        }
        return effect
    }

    /// The collector's expected number against what the spool holds.
    private mutating func settle(_ expected: UInt64, _ pending: Spool.Pending, _ now: Duration, _ jitter: Double) -> Effect {
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
            sent = (pending.stream, expected - 1)
            remarks.append(.notice("the collector goes back to batch \(expected); sending again from there"))
            return .rewind(pending.stream, to: expected)
        }
        opened = nil
        remarks.append(
            .warning("the collector lost batches before \(pending.firstHeld) that are kept no more; a new stream begins, no energy is lost")
        )
        return .reseal(pending.stream, from: pending.firstHeld, refused: nil, reason: "the collector lost batches that are kept no more")
    }

    /// The first change of direction is followed at once, those after it without an acknowledgement in between ever more slowly.
    private mutating func turn(_ now: Duration, _ jitter: Double) {
        if turns > 0 { delay(now, jitter) }
        turns += 1
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
        delay(now, jitter)
        remarks.append(.warning("batch \(seq) of \(stream.incarnation) is refused for good: \(reason); the rest goes on as a new stream"))
        return .reseal(stream, from: seq, refused: refused, reason: reason)
    }

    private mutating func retry(_ what: String, _ answer: UplinkAnswer, _ now: Duration, _ jitter: Double) -> Effect {
        delay(now, jitter, atLeast: answer.retryAfter ?? .zero)
        say("\(what); trying again")
        return .nothing
    }

    /// Nothing is sent for 1, 2, 4 ... 60 s, less up to half of it at random, so that a farm does not come back all at once.
    ///
    /// - Parameter least: what the collector asked for. That much is kept in any case; up to a quarter of it, from 1 s to a minute,
    ///   comes on top at random, since it was perhaps asked of every agent at the same moment.
    private mutating func delay(_ now: Duration, _ jitter: Double, atLeast least: Duration = .zero) {
        let random = min(1, max(0, jitter))
        let base = Duration.seconds(min(60, 1 << min(failures, 6))) * (1 - 0.5 * random)
        let asked = least == .zero ? .zero : least + min(.seconds(60), max(.seconds(1), least / 4)) * random
        notBefore = now + max(base, asked)
        failures += 1
    }

    private mutating func succeed() {
        if saidStatus != nil { remarks.append(.notice("the collector takes batches again")) }
        saidStatus = nil
        failures = 0
        turns = 0
        notBefore = .zero
    }

    /// - Parameter kind: what makes two remarks the same; by default their text.
    private mutating func say(_ text: String, as kind: String? = nil, againAfter pause: Duration? = nil, now: Duration = .zero) {
        guard saidStatus != kind ?? text || pause.map({ now - saidAt >= $0 }) == true else { return }
        saidStatus = kind ?? text
        saidAt = now
        remarks.append(.warning(text))
    }
}
