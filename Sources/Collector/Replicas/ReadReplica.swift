import Energy
public import Logging
public import Postgres
import Synchronization

/// A server that follows the primary, and answers what only reads.
public final class ReadReplica: Sendable {
    let pool: PostgresPool
    private let log: Logger
    /// How long one that did not answer is left alone: nobody waits for it again and again.
    private let rest: Duration
    private let awayUntil = Mutex<ContinuousClock.Instant?>(nil)

    /// - Parameters:
    ///   - pool: its own; give it a short time to connect, since the primary answers in its place.
    ///   - rest: how long one that did not answer is not asked.
    public init(pool: PostgresPool, log: Logger, rest: Duration = .seconds(10)) {
        self.pool = pool
        self.log = log
        self.rest = rest
    }

    var isThere: Bool { awayUntil.withLock { $0.map { $0 <= .now } ?? true } }

    /// Whether the primary is to answer in its place: the replica is away, stopped the question to follow on (class 40), or does not have
    /// a table or column yet that the primary has. One with too much to do is none of these: the primary would soon have it too.
    func isReplaced(after error: PostgresError) -> Bool {
        if error.isConnectionLost {
            log.warning("the replica does not answer; the primary does", metadata: ["error": "\(error)", "for": "\(rest)"])
            awayUntil.withLock { $0 = .now + rest }
            return true
        }
        return error.isRetryable || error.isUndefinedTable || error.sqlState == "42703"
    }

    /// When what it has replayed was committed: all that was committed before is there. Nil where it does not say, or follows no server.
    static func asOf(_ connection: PostgresConnection) async throws -> Timestamp? {
        try await connection.query(
            Statement("replica_as_of", "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END AS as_of")
        ).first?.timestampMicrosecondsIfPresent("as_of").map { Timestamp(microseconds: $0) }
    }
}
