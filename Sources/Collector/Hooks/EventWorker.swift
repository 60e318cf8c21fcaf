import CIEvents
import Documents
import Energy
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Works out what the stored events mean. Any number may run; each event is one worker's.
struct EventWorker: Service {
    let pool: PostgresPool
    let log: Logger
    let now: @Sendable () -> Timestamp
    let metrics: CollectorMetrics
    let systems: @Sendable (_ kind: String) -> (any CISystem.Type)?
    let signal: EventSignal
    let refusals: RefusalTally
    let pace: AuditPace
    /// How long to rest when there is nothing and nobody signals: another collector may have taken the event in.
    var rest: Duration = .seconds(1)

    static let batch = 50
    /// How long to wait after each failure, in seconds; after the last the event is set aside for good.
    static let backoffSeconds: [Int64] = [5, 30, 120, 600]

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var nextRecord = ContinuousClock.now + .seconds(60)
            while !Task.isCancelled {
                do {
                    if nextRecord <= .now {
                        nextRecord = .now + .seconds(60)
                        try await pool.withConnection { try await refusals.record($0) }
                    }
                    if try await work() == 0 { await signal.wait(upTo: rest) }
                } catch is CancellationError {
                    return
                } catch {
                    if Task.isCancelled { return }
                    log.error("events wait", metadata: ["error": "\(error)"])
                    do { try await Task.sleep(for: .seconds(2)) } catch { return }
                }
            }
        }
    }

    /// Works on the next events. Returns how many there were.
    func work() async throws -> Int {
        var taken: [Int64] = []
        do {
            return try await pool.withConnection { connection in
                let (count, excesses) = try await connection.transaction { tx in
                    let events = try await EventTable.take(limit: Self.batch, now: now(), tx)
                    taken = events.map(\.id)
                    let revoked = try await revoked(events, tx)
                    var excesses: [Excess] = []
                    for event in events { excesses += try await settle(event, isRevoked: revoked.contains(event.sourceID), tx) }
                    for (sourceID, group) in Dictionary(grouping: events, by: \.sourceID).sorted(by: { $0.key < $1.key }) {
                        try await note(group, of: sourceID, tx)
                    }
                    return (events.count, excesses)
                }
                try await audit(excesses, connection)
                return count
            }
        } catch let error where Self.isNobodysFault(error) {
            throw error
        } catch {
            // One of them cannot be worked on. Each by itself, then: it stops nobody.
            for id in taken { try await workAlone(id) }
            return taken.count
        }
    }

    private func note(_ events: [StoredEvent], of sourceID: Int32, _ connection: PostgresConnection) async throws {
        let times = events.map(\.receivedAt)
        guard let first = times.min(), let last = times.max() else { return }
        try await SourceTable.noteEvent(sourceID: sourceID, at: first, connection)
        if last != first { try await SourceTable.noteEvent(sourceID: sourceID, at: last, connection) }
    }

    private static func isNobodysFault(_ error: any Error) -> Bool {
        if error is CancellationError { return true }
        guard let error = error as? PostgresError else { return false }
        // A statement that the server gave up, not we, is the event's fault, or is tried again as if it were.
        return error.isConnectionLost || (error.isCancelled && Task.isCancelled) || error.kind == .pool
    }

    /// The sources among those of the events that were revoked while their events waited.
    private func revoked(_ events: [StoredEvent], _ connection: PostgresConnection) async throws -> Set<Int32> {
        if events.isEmpty { return [] }
        return Set(try await SourceTable.all(connection).filter { $0.revokedAt != nil }.map(\.id))
    }

    private func workAlone(_ id: Int64) async throws {
        var tries = 0
        while true {
            tries += 1
            var event: StoredEvent?
            do {
                return try await pool.withConnection { connection in
                    let excesses: [Excess] = try await connection.transaction { tx in
                        event = try await EventTable.take(limit: 1, id: id, now: now(), tx).first
                        guard let event else { return [] }
                        let isRevoked = try await revoked([event], tx).contains(event.sourceID)
                        let excesses = try await settle(event, isRevoked: isRevoked, tx)
                        try await note([event], of: event.sourceID, tx)
                        return excesses
                    }
                    try await audit(excesses, connection)
                }
            } catch let error where Self.isNobodysFault(error) {
                throw error
            } catch let error as PostgresError where error.isRetryable && tries < 5 {
                continue
            } catch is SpanIntake.Moved where tries < 5 {
                continue
            } catch {
                guard let event else { throw error }
                return try await setAside(event, error)
            }
        }
    }

    private func setAside(_ event: StoredEvent, _ error: any Error) async throws {
        let attempts = Int(event.attempts)
        let wait = attempts < Self.backoffSeconds.count ? Self.backoffSeconds[attempts] : nil
        let text = Self.bounded(CredentialMask().masked("\(error)"))
        log.error(
            "an event was set aside",
            metadata: [
                "event": "\(event.id)", "source": "\(event.sourceName)", "error": "\(text)",
                "again_in_s": "\(wait.map(String.init) ?? "never")",
            ]
        )
        if wait == nil { metrics.eventsFailed.increment() }
        let now = now()
        try await pool.withConnection { connection in
            try await EventTable.fail(eventID: event.id, error: text, retryAt: wait.map { now + .seconds($0) }, at: now, connection)
            try await note([event], of: event.sourceID, connection)
        }
    }

    /// What went beyond a source's claims; on record once its transaction has ended: one that is undone must not have had its turn.
    private struct Excess {
        var who: String
        var excess: Claims.Excess
    }

    private func settle(_ event: StoredEvent, isRevoked: Bool, _ connection: PostgresConnection) async throws -> [Excess] {
        let result =
            isRevoked
            ? Result(outcome: .refused, detail: "the source was revoked before the event was worked on")
            : try await meaning(of: event, connection)
        try await EventTable.finish(
            eventID: event.id,
            outcome: result.outcome,
            detail: result.detail.isEmpty ? nil : Self.bounded(result.detail),
            at: now(),
            connection
        )
        if result.outcome == .unreadable || result.outcome == .refused {
            log.notice(
                "an event means nothing here",
                metadata: [
                    "event": "\(event.id)", "source": "\(event.sourceName)", "outcome": "\(result.outcome.rawValue)",
                    "reason": "\(Self.bounded(result.detail))",
                ]
            )
        }
        return result.excesses.map { Excess(who: event.sourceName, excess: $0) }
    }

    private static func bounded(_ text: String) -> String { String(text.unicodeScalars.filter { $0.value != 0 }).prefix(1_000) + "" }

    private struct Result {
        var outcome: EventOutcome
        var detail: String
        var excesses: [Claims.Excess] = []
    }

    private func meaning(of event: StoredEvent, _ connection: PostgresConnection) async throws -> Result {
        guard let system = systems(event.kind) else {
            return Result(outcome: .unreadable, detail: "expected a kind that this version knows, found \(event.kind)")
        }
        let body: [UInt8] =
            if let body = event.body { body } else { try await EventTable.body(eventID: event.id, connection) }
        let delivery = Delivery(headers: event.headers, body: body, receivedAt: event.receivedAt)
        var excesses: [Claims.Excess] = []
        // The jobs that it has had until now are filed under its former name.
        let former = event.kind == GitHub.kind ? GitHub.formerRepository(delivery) : nil
        for notice in [system.repository(delivery), former].compactMap({ $0 }) {
            if let excess = try await take(notice, event, connection) { excesses.append(excess) }
        }
        var result = try await meaning(of: delivery, system, event, connection)
        result.excesses = excesses + result.excesses
        return result
    }

    private func meaning(
        of delivery: Delivery,
        _ system: any CISystem.Type,
        _ event: StoredEvent,
        _ connection: PostgresConnection
    ) async throws -> Result {
        let reading: EventReading
        do {
            reading = try system.read(delivery)
        } catch {
            return Result(outcome: .unreadable, detail: CredentialMask().masked(error.description))
        }
        switch reading {
        case .ignored(let reason): return Result(outcome: .ignored, detail: reason)
        case .run(let run):
            return Result(
                outcome: .run,
                detail: "\(run.repository) run \(run.runID)/\(run.attempt) \(run.isFinished ? "finished" : "runs")"
            )
        case .jobs(let jobs):
            return try await take(jobs.map { job in { try JobTaking(now: now).write(job) } }, event, connection)
        case .spans(let spans):
            return try await take(
                spans.map { span in { SpanWrite(try SpanDocument(span, now: now())) } },
                event,
                connection
            )
        }
    }

    private func take(
        _ writes: [() throws -> SpanWrite],
        _ event: StoredEvent,
        _ connection: PostgresConnection
    ) async throws -> Result {
        let taken = try await JobTaking(now: now).take(writes, source: event.sourceName, claims: event.claims, connection)
        metrics.spansAccepted.increment(by: taken.jobIDs.count)
        metrics.spansRefused.increment(by: taken.refusals.count)
        guard let first = taken.refusals.first else {
            return Result(outcome: .jobs, detail: taken.jobIDs.prefix(20).joined(separator: " "), excesses: taken.excesses)
        }
        let others = taken.refusals.count > 1 ? " (and \(taken.refusals.count - 1) more)" : ""
        let rest = taken.jobIDs.isEmpty ? "" : "; taken: \(taken.jobIDs.count)"
        return Result(outcome: .refused, detail: CredentialMask().masked(first) + others + rest, excesses: taken.excesses)
    }

    private func audit(_ excesses: [Excess], _ connection: PostgresConnection) async throws {
        for one in excesses where pace.admits(one.who, one.excess.field, now: now()) {
            try await ClaimCheck.audit(one.excess, who: one.who, connection)
        }
    }

    /// Returns why the source may not say so, if it may not.
    private func take(
        _ notice: RepositoryNotice,
        _ event: StoredEvent,
        _ connection: PostgresConnection
    ) async throws -> Claims.Excess? {
        guard !notice.repository.isEmpty, notice.repository.utf8.count <= 500, !notice.repository.utf8.contains(0) else { return nil }
        if let excess = ClaimCheck.excess(of: notice.repository, isPrivate: notice.isPrivate, event.claims) { return excess }
        try await RepositoryTable.note(
            name: notice.repository,
            isPrivate: notice.isPrivate,
            // A time ahead would hold against everything said until then.
            statedAt: min(notice.statedAt, event.receivedAt),
            source: event.sourceName,
            connection
        )
        return nil
    }
}
