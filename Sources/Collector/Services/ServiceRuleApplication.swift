import Documents
public import Energy
import Logging
public import Postgres
import Store

/// Puts a file of rules in force, and its labels on the spans of its time.
public enum ServiceRuleApplication {
    /// What a file would change, or has changed.
    public struct Plan: Sendable {
        /// The file of the same day that it replaces says something else; nil where there is none.
        public let replacesOther: Bool?
        /// Spans whose labels may change.
        public let spanCount: Int64
        /// The first day (UTC) of the file after it; nil where it counts from its day on.
        public let until: String?
    }

    public static func plan(_ file: ServiceRuleFile, _ connection: PostgresConnection) async throws -> Plan {
        let sets = try await RuleSetTable.all(connection)
        let next = sets.first { $0.validFrom > file.validFrom }
        let same = try sets.first { $0.validFrom == file.validFrom }.map { try JSONValue(parsing: Array($0.documentJSON.utf8)) }
        return Plan(
            replacesOther: same.map { $0 != file.document },
            spanCount: try await RuleSetTable.spanCount(validFrom: file.validFrom, validTo: next?.validFrom, connection),
            until: next.map { ServiceRuleFile.day($0.validFrom) }
        )
    }

    /// Stores the file with an audit row; the labels follow by `relabel`, here or in a running collector.
    ///
    /// - Parameter who: who applies it, for the audit.
    public static func store(_ file: ServiceRuleFile, who: String, _ connection: PostgresConnection) async throws {
        try await connection.transaction { tx in
            let before = try await RuleSetTable.store(validFrom: file.validFrom, documentJSON: try file.document.text, tx)
            try await AuditLog.add(
                who: who,
                action: "services.apply",
                subject: file.day,
                before: try before.map { try JSONValue(parsing: Array($0.utf8)) },
                after: file.document,
                tx
            )
        }
    }

    /// Spans placed anew in one transaction.
    private static let chunk = 100

    /// Places the next spans of a set that was applied; each step is a transaction, so it can stop after any and go on elsewhere.
    ///
    /// - Returns: how many spans were placed; nil when nothing is left to do, or another collector does it.
    public static func relabel(now: @escaping @Sendable () -> Timestamp, _ connection: PostgresConnection) async throws -> Int? {
        try await connection.transaction { tx in
            guard let step = try await RuleSetTable.takeStep(limit: chunk, tx) else { return nil }
            let intake = SpanIntake(now: now)
            // Always in this order, so that two that place the same spans do not wait for each other in a circle.
            for jobID in step.jobIDs.sorted() { try await intake.place(jobID: jobID, tx) }
            try await RuleSetTable.finishStep(step, tx)
            return step.jobIDs.count
        }
    }

    /// All steps, each again where it met another transaction, and the spans that cgroups open; for a command.
    ///
    /// - Parameter progress: is told how many spans have been placed so far.
    public static func finish(
        now: @escaping @Sendable () -> Timestamp,
        _ connection: PostgresConnection,
        progress: (Int) -> Void = { _ in }
    ) async throws -> Finished {
        var finished = Finished()
        var failures = 0
        while true {
            try Task.checkCancellation()
            do {
                guard let placed = try await relabel(now: now, connection) else { break }
                finished.placed += placed
                failures = 0
                progress(finished.placed)
            } catch let error as PostgresError where error.isRetryable && failures < 10 {
                failures += 1
                try await Task.sleep(for: .milliseconds(50 * failures))
            }
        }
        let resident = ResidentSpans(now: now)
        var changes: ResidentSpans.Changes
        repeat {
            changes = try await resident.sweep(connection)
            finished.opened += changes.opened
            finished.withdrawn += changes.withdrawn
        } while changes.isIncomplete
        return finished
    }

    public struct Finished: Sendable {
        public var placed = 0
        /// Spans of cgroups.
        public var opened = 0
        public var withdrawn = 0
    }

    /// What the accounting worker does for services once a minute. What fails here must not hold up the accounts.
    static func lookAround(now: @escaping @Sendable () -> Timestamp, log: Logger, _ connection: PostgresConnection) async throws {
        do {
            // A walk of a big farm is gone through in parts, so that accounts do not wait for it.
            for _ in 0..<50 {
                guard try await relabel(now: now, connection) != nil else { break }
            }
            let changes = try await ResidentSpans(now: now).sweep(connection)
            if changes.opened + changes.finished + changes.withdrawn > 0 {
                log.debug(
                    "spans of cgroups",
                    metadata: ["opened": "\(changes.opened)", "finished": "\(changes.finished)", "withdrawn": "\(changes.withdrawn)"]
                )
            }
        } catch is CancellationError {
            throw CancellationError()
        } catch let error as PostgresError where error.isConnectionLost || error.isCancelled || error.kind == .pool {
            throw error
        } catch {
            log.error("service rules wait", metadata: ["error": "\(error)"])
        }
    }

    /// The files in force, the oldest first.
    public static func files(_ connection: PostgresConnection) async throws -> [(file: ServiceRuleFile, isWalked: Bool)] {
        try await RuleSetTable.all(connection).map { row in
            (try ServiceRuleFile(json: JSONValue(parsing: Array(row.documentJSON.utf8))), row.isWalked)
        }
    }
}
