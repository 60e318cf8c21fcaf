import Logging
import Postgres
import ServiceLifecycle
import Store
import Synchronization

/// Which tokens were used, until it is written: no request waits for that.
final class TokenUses: Sendable {
    private struct State {
        var used: Set<Int32> = []
        var writtenAt: [Int32: ContinuousClock.Instant] = [:]
    }

    private let state = Mutex(State())
    /// A token's last use is known to the minute.
    static let fineness = Duration.seconds(60)

    /// Few: tokens are counted by their rows.
    func note(_ tokenID: Int32) { state.withLock { _ = $0.used.insert(tokenID) } }

    /// Those whose last use was not written within the last minute.
    func take(now: ContinuousClock.Instant = .now) -> [Int32] {
        state.withLock { state in
            let due = state.used.filter { id in state.writtenAt[id].map { now - $0 >= Self.fineness } ?? true }
            for id in due { state.writtenAt[id] = now }
            state.used.subtract(due)
            return due.sorted()
        }
    }
}

/// Writes when tokens were last used.
struct TokenUseRecorder: Service {
    let pool: PostgresPool
    let uses: TokenUses
    let log: Logger
    var rest: Duration = .seconds(5)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await Task.sleep(for: rest)
                    try await record()
                } catch is CancellationError {
                    return
                } catch {
                    log.warning("when tokens were used is not written", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    func record() async throws {
        let due = uses.take()
        guard !due.isEmpty else { return }
        try await pool.withConnection { try await TokenTable.noteUse(tokenIDs: due, $0) }
    }
}
