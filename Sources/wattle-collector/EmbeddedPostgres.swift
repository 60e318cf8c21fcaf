import Logging
import Postgres
import ServiceLifecycle

/// Keeps the private cluster alive: a postmaster that died is started again in its place.
struct EmbeddedPostgres: Service {
    let cluster: EmbeddedCluster
    let log: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await Task.sleep(for: .seconds(1))
                    if await !cluster.isRunning {
                        log.error("the embedded Postgres has stopped; starting it again")
                        try await cluster.restart()
                    }
                } catch is CancellationError {
                    return
                } catch {
                    log.error("the embedded Postgres cannot be started again yet", metadata: ["error": "\(error)"])
                }
            }
        }
    }
}
