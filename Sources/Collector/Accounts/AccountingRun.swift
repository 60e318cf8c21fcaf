public import Energy
public import Logging
public import Postgres
import Store

/// Accounts all that waits, once: what the collector does all the time, for an operator who wants it done.
public enum AccountingRun {
    public struct Outcome: Sendable {
        /// Host-hours that were accounted or set aside with their error.
        public var hours = 0
        public var marked = 0
        public var setAside = 0
    }

    /// - Parameters:
    ///   - interval: the host-hours within it that were accounted before are marked first; nil marks none.
    ///   - hostsAtOnce: each takes a connection of the pool.
    public static func run(
        pool: PostgresPool,
        again interval: Interval?,
        hostsAtOnce: Int,
        now: @escaping @Sendable () -> Timestamp,
        log: Logger
    ) async throws -> Outcome {
        var outcome = Outcome()
        if let interval {
            outcome.marked = try await pool.withConnection { try await WorkQueue.markAccounted(interval, now: now(), $0) }
        }
        let metrics = CollectorMetrics()
        let worker = AccountingWorker(pool: pool, log: log, now: now, metrics: metrics, hostsAtOnce: hostsAtOnce)
        while true {
            let joined = try await worker.joinWaitingSpans()
            let accounted = try await worker.accountMarkedHours()
            outcome.hours += accounted
            if joined + accounted == 0 { break }
        }
        outcome.setAside = Int(metrics.hoursPoisoned.total)
        return outcome
    }
}
