import CIEvents
import CIHistory
import Documents
import Energy
import HTTPClient
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Asks the systems of sources for what their webhooks missed, again and again. Any number of collectors share the work.
struct Reconciler: Service {
    let pool: PostgresPool
    let log: Logger
    let now: @Sendable () -> Timestamp
    let metrics: CollectorMetrics
    /// From the beginning of one round to that of the next.
    var interval: Duration = .seconds(3_600)
    var http = HTTPClient(userAgent: "wattle")
    var pace = AuditPace()

    /// Asked for again: events and the API may be late, and clocks differ.
    static let overlap = Microseconds(2 * Microseconds.hour.count)
    /// How long before `since` a run may have been made; longer ones are asked for by their open jobs.
    static let lookBack = Microseconds(Microseconds.day.count)
    /// How far back the first walk of a source goes; `wattle import` goes further.
    static let firstReach = Microseconds(Microseconds.day.count)
    /// A job open for longer is asked for by its run, until it is given up.
    static let longOpen = Microseconds(Microseconds.hour.count / 2)
    static let givenUpAfter = Microseconds(35 * Microseconds.day.count)
    static let openRunsAtOnce = 500
    /// So often a walk may stop at one place before the repository is passed over.
    static let failuresAtOnePlace = 3
    /// A shorter wait is waited for with the source in hand.
    static let shortWaitSeconds = 30
    /// An answer may be that much older than it seems, and clocks differ: "public" counts from before whatever a webhook said meanwhile.
    static let publicAge = Microseconds.seconds(300)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                var next = jittered(interval)
                do {
                    if let wait = try await reconcileAll() { next = min(next, wait) }
                } catch {
                    if Task.isCancelled { return }
                    log.error("reconciliation waits", metadata: ["error": "\(error)"])
                    next = min(next, .seconds(60))
                }
                do { try await Task.sleep(for: next) } catch { return }
            }
        }
    }

    /// Collectors that were started together do not stay together.
    private func jittered(_ duration: Duration) -> Duration { duration * Double.random(in: 0.9...1.1) }

    /// Every source once. Returns when the first of them may be asked again, where one was told to wait.
    func reconcileAll() async throws -> Duration? {
        let sources = try await pool.withConnection { try await SourceTable.live($0) }.compactMap { ReconciledSource($0.source) }
        var soonest: Duration?
        for source in sources {
            try Task.checkCancellation()
            do {
                if let wait = try await reconcile(source) { soonest = min(wait, soonest ?? wait) }
            } catch let error as PostgresError where !error.isConnectionLost && error.kind != .pool && !error.isCancelled {
                // One source must not stop the others.
                log.error("a source was not reconciled", metadata: ["source": "\(source.row.name)", "error": "\(error)"])
            }
        }
        return soonest
    }

    private func reconcile(_ source: ReconciledSource) async throws -> Duration? {
        try await pool.withConnection { connection in
            guard try await ReconciliationTable.take(sourceID: source.row.id, connection) else { return nil }
            let wait: Duration?
            do {
                wait = try await walk(source, connection)
            } catch {
                // The error that ended the walk is the one to throw; a connection that is lost gives the source back by itself.
                do {
                    try await ReconciliationTable.giveBack(sourceID: source.row.id, connection)
                } catch let second {
                    log.debug("a source was not given back", metadata: ["source": "\(source.row.name)", "error": "\(second)"])
                }
                throw error
            }
            try await ReconciliationTable.giveBack(sourceID: source.row.id, connection)
            return wait
        }
    }

    /// Returns how long to wait, where the system wants that before the walk is done.
    private func walk(_ source: ReconciledSource, _ connection: PostgresConnection) async throws -> Duration? {
        // Another collector may just have done it.
        guard let row = try await SourceTable.find(name: source.row.name, connection), let source = ReconciledSource(row) else {
            return nil
        }
        var state: ReconciliationState
        if let kept = ReconciliationState(row.reconcileState), kept.subject == source.subject {
            state = kept
        } else {
            let halfInterval = Microseconds(Int64(interval / .microseconds(1)) / 2)
            if let last = row.reconciledAt, now() - last < halfInterval { return nil }
            do {
                state = try await begin(source, connection)
            } catch let error as HistoryError {
                try await note(source, nil, error: error.description, connection)
                return nil
            }
        }
        if let until = state.notBefore, until > now() { return Self.duration(until - now()) }

        while true {
            try Task.checkCancellation()
            let range = HistoryRange(state.openRuns.map { .runs($0) } ?? source.scope, since: state.since, lookBack: Self.lookBack)
            let page: HistoryPage
            do {
                page = try await source.history(range, http: http, now: now).next(after: state.place)
            } catch let error as HistoryError {
                try await fail(error, source, &state, connection)
                return nil
            }
            state.place = page.place
            state.failures = 0
            state.notBefore = page.waitSeconds.map { now() + .seconds(Int64($0)) }
            for omission in page.omissions { state.note(omission) }
            let isDone = page.isLast && state.openRuns == nil
            if page.isLast, !isDone {
                state.openRuns = nil
                state.place = HistoryPlace()
            }
            try await take(page, source, state, isDone: isDone, connection)
            if isDone {
                log.debug("a source is reconciled", metadata: ["source": "\(row.name)", "since": "\(RFC3339.format(state.since))"])
                return nil
            }
            if let seconds = page.waitSeconds {
                guard seconds <= Self.shortWaitSeconds else { return .seconds(seconds) }
                try await Task.sleep(for: .seconds(seconds))
            }
        }
    }

    private func begin(_ source: ReconciledSource, _ connection: PostgresConnection) async throws -> ReconciliationState {
        let now = now()
        let open = try await ReconciliationTable.openRuns(
            source: source.row.name,
            startedFrom: now - Self.givenUpAfter,
            to: now - Self.longOpen,
            limit: Self.openRunsAtOnce,
            connection
        )
        var runs: [RunReference] = []
        for run in open {
            if let name = try source.systemName(of: run.repository) { runs.append(RunReference(repository: name, runID: run.runID)) }
        }
        return ReconciliationState(
            subject: source.subject,
            beganAt: now,
            since: (source.row.reconciledAt ?? now - Self.firstReach) - Self.overlap,
            openRuns: runs
        )
    }

    /// Writes a page's jobs and the walk's new place in one transaction: a walk that is killed anywhere repeats at most a page.
    private func take(
        _ page: HistoryPage,
        _ source: ReconciledSource,
        _ state: ReconciliationState,
        isDone: Bool,
        _ connection: PostgresConnection
    ) async throws {
        let taking = JobTaking(now: now)
        let (mended, refused, excesses) = try await connection.retriedTransaction { tx in
            var excesses: [Claims.Excess] = []
            for notice in page.repositories {
                if let excess = ClaimCheck.excess(of: notice.repository, isPrivate: notice.isPrivate, source.row.claims) {
                    // Its API is asked by an operator's word: what is not to be told of it is no attempt at anything.
                    if excess.field != "visibility" { excesses.append(excess) }
                    continue
                }
                let statedAt = min(notice.statedAt, now())
                try await RepositoryTable.note(
                    name: notice.repository,
                    isPrivate: notice.isPrivate,
                    statedAt: notice.isPrivate ? statedAt : statedAt - Self.publicAge,
                    source: source.row.name,
                    tx
                )
            }
            var news: Set<String> = []
            for event in page.events {
                let key = SpanKey(source: source.row.name, instance: event.instance, id: event.id, attempt: event.attempt)
                if try Self.isNews(SpanWrite(event), before: try await JobDirectory.find(jobID: key.jobID, tx)) { news.insert(key.jobID) }
            }
            let taken = try await taking.take(
                page.events.map { event in { try taking.write(event) } },
                source: source.row.name,
                claims: source.row.claims,
                tx
            )
            excesses += taken.excesses
            let mended = news.intersection(taken.jobIDs).count
            try await SourceTable.noteReconciliation(
                sourceID: source.row.id,
                state: isDone ? .object([:]) : state.json,
                at: isDone ? state.beganAt : nil,
                error: state.omissions.isEmpty ? nil : state.omissions.joined(separator: "; "),
                tx
            )
            return (mended, taken.refusals, excesses)
        }
        for excess in excesses where pace.admits(source.row.name, excess.field, now: now()) {
            try await ClaimCheck.audit(excess, who: source.row.name, connection)
        }
        metrics.jobsReconciled.increment(by: mended)
        if let first = refused.first {
            log.info(
                "jobs of a source were not taken",
                metadata: ["source": "\(source.row.name)", "jobs": "\(refused.count)", "first": "\(CredentialMask().masked(first))"]
            )
        }
    }

    /// Whether a job that ran was missing, or its edges, outcome or runner were others.
    static func isNews(_ write: SpanWrite, before: JobRow?) throws -> Bool {
        guard write.fields["started_at"] != nil else { return false }
        guard let before, let known = try JSONValue(parsing: Array(before.documentJSON.utf8)).object else { return true }
        return ["started_at", "finished_at", "outcome", "runner"].contains { write.fields[$0] != nil && write.fields[$0] != known[$0] }
    }

    private func fail(
        _ error: HistoryError,
        _ source: ReconciledSource,
        _ state: inout ReconciliationState,
        _ connection: PostgresConnection
    ) async throws {
        log.warning("a source cannot be reconciled", metadata: ["source": "\(source.row.name)", "error": "\(error)"])
        state.failures += 1
        if state.failures >= Self.failuresAtOnePlace, error.kind == .unavailable || error.kind == .unreadable {
            let range = HistoryRange(state.openRuns.map { .runs($0) } ?? source.scope, since: state.since, lookBack: Self.lookBack)
            do {
                if let passed = try source.history(range, http: http, now: now).passingOver(state.place) {
                    state.place = passed.place
                    state.failures = 0
                    state.note(HistoryOmission(.repository, repository: passed.repository, reason: "\(error): passed over"))
                }
            } catch is HistoryError {
                // The place itself cannot be read; a walk from the beginning costs requests, not jobs.
                state.place = HistoryPlace()
                state.failures = 0
            }
        }
        try await note(source, state, error: error.description, connection)
    }

    private func note(
        _ source: ReconciledSource,
        _ state: ReconciliationState?,
        error: String,
        _ connection: PostgresConnection
    ) async throws {
        try await SourceTable.noteReconciliation(
            sourceID: source.row.id,
            state: state?.json ?? .object([:]),
            at: nil,
            error: error,
            connection
        )
    }

    private static func duration(_ length: Microseconds) -> Duration { .microseconds(length.count) }
}
