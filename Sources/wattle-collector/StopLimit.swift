import Dispatch
import Glibc
import Logging
import ServiceLifecycle
import Synchronization

/// Ends the program where a stop takes too long, because a database does not answer any more: whoever stops it kills it otherwise, perhaps
/// much later. Nothing that was acknowledged is lost; what was not, agents send again.
final class StopLimit: Service {
    private let log: Logger
    private let limit: Duration
    private let isLifted = Mutex(false)

    init(log: Logger, limit: Duration = .milliseconds(9_500)) {
        self.log = log
        self.limit = limit
    }

    /// All work has ended; what is left may take its time.
    func lift() { isLifted.withLock { $0 = true } }

    func run() async throws {
        try await gracefulShutdown()
        // On a queue of its own: it must come even where every task waits.
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(Int(limit / .milliseconds(1)))) { [self] in
            guard !isLifted.withLock({ $0 }) else { return }
            log.error("expected all work to have ended, found some that does not; stopping without it", metadata: ["after": "\(limit)"])
            _exit(1)
        }
    }
}
