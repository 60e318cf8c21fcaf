import Energy
import Gzip
import HTTPClient
import Logging
import ServiceLifecycle

/// Sends spooled batches to the collector, one at a time, and forgets none.
struct Uplink: Service {
    /// Sends one request; `HTTPClient` in production.
    typealias Transport = @Sendable (HTTPRequest) async -> Result<HTTPResponse, HTTPError>

    let spool: Spool
    let sampling: SharedSampling
    let timeBase: TimeBase
    /// Without a slash at its end.
    let collector: String
    let token: AgentToken
    /// Asks for a token of the agent's own; nil where it needs none or has one.
    var enrolment: (@Sendable () async throws(EnrolmentFault) -> String)?
    let transport: Transport
    let clockOffset: ClockOffset
    let batchSpooled: Doorbell
    let log: Logger
    /// The longest that sending may go on after the agent was told to stop.
    var lastTry = Duration.seconds(3)
    /// Whether batches are sent compressed to a collector that takes them so.
    var isCompressing = true
    var counts = UplinkCounts()

    /// zlib's. A batch of 10 s with 50 cgroups, 3.8 KB, becomes 2.3 KB in 0.1 ms; levels 1 to 9 differ by 2 % there, on 300 cgroups by 6 %.
    static let compressionLevel = 6
    /// Below this nothing is gained that a packet's head does not outweigh.
    static let leastCompressedBytes = 256

    func run() async throws {
        let isStopping = Flag()
        await withTaskCancellationOrGracefulShutdownHandler {
            await send(isStopping)
        } onCancelOrGracefulShutdown: {
            isStopping.set()
            batchSpooled.ring()
        }
    }

    private func send(_ isStopping: Flag) async {
        var machine = UplinkMachine(mayCompress: isCompressing)
        await enrol(isStopping)
        // Without a token nothing can be sent; all of it is in the spool.
        if enrolment != nil, token.now == nil { return }
        while !isStopping.isSet, !Task.isCancelled {
            await step(&machine, isStopping)
        }
        // One last bounded try, so that a machine that is switched off leaves nothing behind if it can.
        let deadline = ContinuousClock.now + lastTry
        machine.hurry()
        while ContinuousClock.now < deadline, !Task.isCancelled, await spool.pending != nil {
            guard await step(&machine, isStopping, timeout: deadline - ContinuousClock.now) else { return }
        }
    }

    /// Does one thing. False where nothing can be done now.
    @discardableResult
    private func step(_ machine: inout UplinkMachine, _ isStopping: Flag, timeout: Duration = .seconds(30)) async -> Bool {
        let pending = await spool.pending
        let step = machine.next(pending, now: Self.now)
        guard let pending else {
            guard !isStopping.isSet else { return false }
            if isTimeUnknown { await askTheTime(isStopping) } else { await batchSpooled.wait(atMost: nil) }
            return false
        }
        let request: HTTPRequest
        var wasCompressed = false
        switch step {
        case .idle:
            return false
        case .wait(let duration):
            if !isStopping.isSet { await wait(duration, isStopping) }
            return false
        case .open(let stream):
            request = opening(stream, timeout)
        case .send(let stream, let seq):
            do {
                let body = try await spool.body(stream, seq: seq)
                let packed = machine.compresses(stream, seq: seq) ? packed(body) : nil
                wasCompressed = packed != nil
                request = HTTPRequest(
                    method: "POST",
                    url: "\(collector)/v1/readings",
                    headers: authorisation + [("Content-Type", "application/x-protobuf")]
                        + (wasCompressed ? [("Content-Encoding", "gzip")] : []),
                    body: packed ?? body,
                    timeout: timeout
                )
                counts.note {
                    $0.sentBytes += UInt64(packed?.count ?? body.count)
                    $0.uncompressedBytes += UInt64(body.count)
                }
            } catch {
                log.error("\(error)")
                return await apply(machine.unreadable(stream, seq: seq), isStopping)
            }
        }
        let sent = ClockReading.now()
        let result = await exchange(request, isStopping)
        let answer = answer(result, sentAt: sent)
        let effect = machine.received(
            answer,
            to: step,
            pending,
            now: Self.now,
            jitter: Double.random(in: 0...1),
            wasCompressed: wasCompressed
        )
        count(effect, answer, pending)
        for remark in machine.takeRemarks() {
            switch remark {
            case .warning(let text): log.warning("\(text)")
            case .notice(let text): log.notice("\(text)")
            }
        }
        if [401, 403].contains(answer.status) { lookForToken(&machine) }
        return await apply(effect, isStopping)
    }

    /// Asks for a token until there is one: a collector that is not there yet is asked more and more rarely, one that refuses hourly.
    private func enrol(_ isStopping: Flag) async {
        guard let enrolment, token.now == nil else { return }
        var pause = Duration.seconds(1)
        var said: (text: String, at: ContinuousClock.Instant)?
        while !isStopping.isSet, !Task.isCancelled {
            do throws(EnrolmentFault) {
                token.set(try await enrolment())
                return log.notice("enrolled: the collector gave this agent a token of its own")
            } catch {
                let now = timeBase.time(of: ClockReading.now())
                counts.note { counts in
                    counts.enter(.enrolling, error.description, at: now)
                    counts.failedExchanges += 1
                }
                if said.map({ $0.text != error.description || .now - $0.at >= UplinkMachine.refusalReminder }) ?? true {
                    log.warning("not enrolled: \(error); measuring goes on and batches are kept; trying again")
                    said = (error.description, .now)
                }
                await wait(error.isPassing ? pause * Double.random(in: 0.5...1) : .seconds(600), isStopping)
                pause = min(pause * 2, UplinkMachine.longestBackoff)
            }
        }
    }

    /// Somebody may have put a new token where the refused one was.
    private func lookForToken(_ machine: inout UplinkMachine) {
        do {
            guard try token.readAgain() else { return }
            log.notice("there is a new token: it is tried now")
            machine.hurry()
        } catch {
            log.debug("the token cannot be read again: \(error)")
        }
    }

    private func opening(_ stream: StreamID, _ timeout: Duration) -> HTTPRequest {
        HTTPRequest(
            method: "GET",
            url: "\(collector)/v1/readings/stream?boot=\(stream.bootID)&incarnation=\(stream.incarnation)",
            headers: authorisation,
            body: [],
            timeout: timeout
        )
    }

    /// Reads an answer, and the collector's clock from it.
    private func answer(_ result: Result<HTTPResponse, HTTPError>, sentAt sent: ClockReading) -> UplinkAnswer {
        let received = ClockReading.now()
        let answer = UplinkAnswer(result, receivedAt: timeBase.time(of: received))
        if let now = answer.now {
            clockOffset.note(
                sent: timeBase.time(of: sent),
                answered: now,
                received: timeBase.time(of: received),
                boottime: received.boottime
            )
        }
        return answer
    }

    /// This boot's times are those of a clock that was never set, and the first batch waits until the collector has told the time.
    private var isTimeUnknown: Bool { clockOffset.best == nil && timeBase.time(of: .now()) < .leastPlausible }

    /// Opens a stream that nothing is sent on, for the clock in the answer: more and more rarely, until there is one or a batch to send.
    private func askTheTime(_ isStopping: Flag) async {
        let stream = StreamID(bootID: timeBase.bootID, incarnation: StreamID.drawIncarnation())
        var pause = Duration.seconds(1)
        while isTimeUnknown, !isStopping.isSet, !Task.isCancelled, await spool.pending == nil {
            let sent = ClockReading.now()
            let answer = answer(await exchange(opening(stream, .seconds(30)), isStopping), sentAt: sent)
            guard isTimeUnknown else { return }
            if pause == .seconds(1) {
                log.warning("the collector has not told the time: \(answer.status ?? 0) \(answer.detail); asking again")
            }
            await batchSpooled.wait(atMost: max(pause * Double.random(in: 0.5...1), answer.retryAfter ?? .zero))
            pause = min(pause * 2, UplinkMachine.longestBackoff)
        }
    }

    /// The body in fewer bytes; nil where that is not possible. A batch is packed within a millisecond, in memory.
    private func packed(_ body: [UInt8]) -> [UInt8]? {
        guard body.count >= Self.leastCompressedBytes else { return nil }
        do throws(GzipError) {
            let packed = try Gzip.compress(body, level: Self.compressionLevel)
            return packed.count < body.count ? packed : nil
        } catch {
            // A machine without zlib: the batch goes as it is, and the collector takes it.
            log.debug("not compressed: \(error)")
            return nil
        }
    }

    private func count(_ effect: UplinkMachine.Effect, _ answer: UplinkAnswer, _ pending: Spool.Pending) {
        let now = timeBase.time(of: ClockReading.now())
        counts.note { counts in
            switch effect {
            case .acknowledge(_, let seq):
                counts.acknowledgedBatches += seq + 1 - pending.firstUnacknowledged
                counts.lastAcknowledgedAt = now
            case .reseal(_, _, let refused, _):
                if refused != nil { counts.refusedBatches += 1 }
            case .nothing, .rewind:
                if answer.status != 200 { counts.failedExchanges += 1 }
            }
            switch answer.status {
            case 401, 403: counts.enter(.refused, answer.detail, at: now)
            case 200, 409: counts.enter(.ok, "", at: now)
            default: counts.enter(.failing, "\(answer.status.map { "\($0) " } ?? "")\(answer.detail)", at: now)
            }
        }
    }

    private var authorisation: [(String, String)] { token.now.map { [("Authorization", "Bearer \($0)")] } ?? [] }

    private static var now: Duration { .microseconds(ClockReading.now().monotonic.count) }

    /// An exchange that was under way when the agent was told to stop is given up after `lastTry`.
    private func exchange(_ request: HTTPRequest, _ isStopping: Flag) async -> Result<HTTPResponse, HTTPError> {
        await withTaskGroup(of: Result<HTTPResponse, HTTPError>?.self) { group in
            group.addTask { await transport(request) }
            group.addTask {
                do {
                    while !isStopping.isSet { try await Task.sleep(for: .milliseconds(200)) }
                    try await Task.sleep(for: lastTry)
                } catch {
                    // The answer came first.
                }
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            if let first { return first }
            for await late in group { if let late { return late } }
            return .failure(HTTPError(kind: .cancelled, url: request.url, message: "the agent stops"))
        }
    }

    private func wait(_ duration: Duration, _ isStopping: Flag) async {
        // A new batch is no reason to try earlier than the collector or the backoff allows; the end is.
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end, !isStopping.isSet, !Task.isCancelled {
            await batchSpooled.wait(atMost: end - ContinuousClock.now)
        }
    }

    /// False where the spool could not follow.
    private func apply(_ effect: UplinkMachine.Effect, _ isStopping: Flag) async -> Bool {
        let now = timeBase.time(of: ClockReading.now())
        do {
            switch effect {
            case .nothing:
                break
            case .acknowledge(let stream, let seq):
                try await spool.acknowledge(stream, through: seq, at: now)
            case .rewind(let stream, let seq):
                sampling.announceAgain()
                try await spool.acknowledge(stream, through: seq - 1, at: now)
            case .reseal(let stream, let seq, let refused, let reason):
                sampling.announceAgain()
                try await spool.reseal(stream, from: seq, refused: refused.map { ($0, reason) }, at: now)
            }
            return true
        } catch {
            log.error("the spool: \(error)")
            // A disk that fails now may fail for long.
            await wait(.seconds(5), isStopping)
            return false
        }
    }
}
