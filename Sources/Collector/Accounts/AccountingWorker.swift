import Accounting
import Energy
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Accounts the host-hours that were marked, and joins spans to hosts that have appeared. Any number may run.
struct AccountingWorker: Service {
    let pool: PostgresPool
    let log: Logger
    let now: @Sendable () -> Timestamp
    let metrics: CollectorMetrics
    /// How long to rest when nothing is marked.
    var rest: Duration = .seconds(1)
    /// How many hosts are accounted at a time, each with a connection of the pool.
    var hostsAtOnce = 2
    /// A stretch with more knots is read in parts.
    var knotsAtOnce = 1_000_000

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var nextRound = ContinuousClock.now
            while !Task.isCancelled {
                do {
                    if nextRound <= .now {
                        try await lookAround()
                        nextRound = .now + .seconds(60)
                    }
                    let joined = try await joinWhatCan()
                    let accounted = try await accountMarkedHours()
                    if joined + accounted == 0 { try await Task.sleep(for: rest) }
                } catch is CancellationError {
                    return
                } catch {
                    if Task.isCancelled { return }
                    log.error("accounting waits", metadata: ["error": "\(error)"])
                    do { try await Task.sleep(for: .seconds(2)) } catch { return }
                }
            }
        }
    }

    /// Makes partitions ahead, retires enrolled hosts that are gone and marks hours that nobody marked.
    func lookAround() async throws {
        try await pool.withConnection { connection in
            try await KnotPartitions.make(now: now(), connection)
            let silent = try await HostTable.retireSilent(connection)
            if silent > 0 { log.info("enrolled hosts were silent for a day and retired", metadata: ["hosts": "\(silent)"]) }
            _ = try await connection.transaction { tx in try await RunnerMap.settleContested(now: now(), tx) }
            let forgotten = try await WorkQueue.markForgotten(now: now(), connection)
            if forgotten > 0 { log.debug("hours marked by the timer", metadata: ["hours": "\(forgotten)"]) }
            try await ServiceRuleApplication.lookAround(now: now, log: log, connection)
        }
    }

    /// As `joinWaitingSpans`, but nothing that is wrong with waiting spans keeps hours from being accounted.
    private func joinWhatCan() async throws -> Int {
        do {
            return try await joinWaitingSpans()
        } catch let error where Self.isNobodysFault(error) {
            throw error
        } catch {
            log.error("spans that wait for their host go on waiting", metadata: ["error": "\(error)"])
            return 0
        }
    }

    /// Returns how many spans were tried.
    func joinWaitingSpans() async throws -> Int {
        do {
            return try await join { jobIDs, connection in try await place(jobIDs, connection) }
        } catch let error where Self.isNobodysFault(error) {
            throw error
        } catch {
            // One of them cannot be placed, and takes the others' transaction with it. Each by itself, then.
            return try await join { jobIDs, connection in
                for jobID in jobIDs { try await placeAlone(jobID, connection) }
            }
        }
    }

    private func join(_ place: ([String], PostgresConnection) async throws -> Void) async throws -> Int {
        try await pool.withConnection { connection in
            // What is handed out counts as tried once this commits.
            try await connection.transaction { tx in
                let jobIDs = try await HostResolution.joinable(limit: 500, tx).sorted()
                try await place(jobIDs, tx)
                return jobIDs.count
            }
        }
    }

    private func place(_ jobIDs: [String], _ connection: PostgresConnection) async throws {
        try await SpanIntake(now: now).place(jobIDs: jobIDs, connection)
    }

    /// A span that cannot be placed is undone by itself, told of and passed over; it is tried again with the next news of its names.
    private func placeAlone(_ jobID: String, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(Statement("before_span", "SAVEPOINT span"))
        do {
            try await place([jobID], connection)
        } catch let error where Self.isNobodysFault(error) {
            throw error
        } catch {
            log.error("a span that waits for its host was passed over", metadata: ["job": "\(jobID)", "error": "\(error)"])
            _ = try await connection.execute(Statement("undo_span", "ROLLBACK TO SAVEPOINT span"))
        }
        _ = try await connection.execute(Statement("after_span", "RELEASE SAVEPOINT span"))
    }

    /// What may well succeed the next time, whatever the data are.
    private static func isNobodysFault(_ error: any Error) -> Bool {
        if error is CancellationError || error is SpanIntake.Moved { return true }
        guard let error = error as? PostgresError else { return false }
        return error.isConnectionLost || error.isRetryable || error.isCancelled || error.kind == .pool
    }

    /// Returns how many host-hours were accounted or set aside; 0 where nothing waits that another worker has not got.
    ///
    /// Several hosts at a time: while one's accounts are made, Postgres reads or writes another's.
    func accountMarkedHours() async throws -> Int {
        var line = WaitingLine(pool: pool)
        return try await withThrowingTaskGroup(of: (WorkQueue.Run, Int).self) { group in
            var running = 0
            var count = 0
            while true {
                while running < max(1, hostsAtOnce), let run = try await line.next() {
                    group.addTask { (run, try await accountInTurn(run)) }
                    running += 1
                }
                guard let (run, done) = try await group.next() else { return count }
                running -= 1
                count += done
                line.finish(run, accounted: done)
                try Task.checkCancellation()
            }
        }
    }

    /// The host around a guest goes first, or each guest would make that one's accounts for itself. Where another worker has it, the guest
    /// waits.
    private func accountInTurn(_ run: WorkQueue.Run) async throws -> Int {
        guard let around = try await pool.withConnection({ try await WorkQueue.around(run, $0) }) else { return try await account(run) }
        let first = try await accountInTurn(around)
        return first == 0 ? 0 : first + (try await account(run))
    }

    private func account(_ run: WorkQueue.Run) async throws -> Int {
        // The marks that the attempt answers for: one made since may come with data that heal the hour, and must stay.
        var taken: [Hour: [Int64]] = [:]
        do {
            let count = try await pool.withConnection { connection in
                try await connection.transaction { tx in
                    taken = try await WorkQueue.take(run, tx)
                    return try await account(run.hostID, taken, tx)
                }
            }
            for _ in 0..<count { metrics.hoursAccounted.increment() }
            return count
        } catch let error where Self.isNobodysFault(error) {
            throw error
        } catch {
            // One bad hour must not stop the others: it is looked for in ever smaller runs.
            if let (first, second) = run.halves {
                let counts = (try await account(first), try await account(second))
                return counts.0 + counts.1
            }
            guard let hour = run.hours.first else { return 0 }
            log.error(
                "a host-hour was set aside",
                metadata: ["host": "\(run.hostID)", "hour": "\(hour.number)", "error": "\(error)"]
            )
            metrics.hoursPoisoned.increment()
            let ids = taken[hour] ?? []
            return try await pool.withConnection { connection in
                try await connection.transaction { tx in
                    let item = WorkQueue.Item(hostID: run.hostID, hour: hour)
                    try await WorkQueue.poison(item, ids: ids, error: String(reflecting: error), tx)
                    return 1
                }
            }
        }
    }

    /// Accounts the hours whose marks were taken; the same for one and for many.
    private func account(_ hostID: Int32, _ marks: [Hour: [Int64]], _ tx: PostgresConnection) async throws -> Int {
        guard !marks.isEmpty else { return 0 }
        let now = now()
        if let host = try await HostTable.find(id: hostID, tx) {
            let stretch = try await HostStretch.read(
                host: host,
                hours: Array(marks.keys),
                now: now,
                // A single hour is read however large it is.
                limit: marks.count == 1 ? .max : knotsAtOnce,
                keeping: true,
                tx
            )
            let accounts = stretch.hours.map { HourAccounts(stretch.inputs(of: $0)) }
            let hours = accounts.map(\.accounted)
            let guests = try await GuestFigures.read(on: host.id, hours: stretch.hours, tx)
            try await HourLedger.replace(hostID: host.id, hours: hours, software: SoftwareVersion.current, tx)
            if !stretch.workloads.isEmpty {
                try await WorkloadOwnership.record(
                    stretch.workloads,
                    spans: stretch.spans,
                    hostID: host.id,
                    hours: stretch.hours,
                    now: now,
                    tx
                )
            }
            let quiet = Dictionary(accounts.map { ($0.inputs.hour, IdleMinutes.means(of: $0.inputs.input)) }) { $1 }
            try await IdleFloors.note(quiet, hostID: host.id, now: now, tx)
            try await guests.markChanged(hours, now: now, tx)
        }
        try await WorkQueue.finish(ids: marks.values.flatMap(\.self), tx)
        return marks.count
    }
}
