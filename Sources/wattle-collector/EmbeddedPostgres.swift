import Logging
import Postgres
import ServiceLifecycle

/// Keeps the private cluster alive: a postmaster that died is started again in its place.
actor EmbeddedPostgres: Service {
    private let directory: String
    private var cluster: EmbeddedCluster
    private let log: Logger

    init(directory: String, cluster: EmbeddedCluster, log: Logger) {
        self.directory = directory
        self.cluster = cluster
        self.log = log
    }

    func run() async throws {
        await cancelWhenGracefulShutdown { await self.watch() }
    }

    /// Stops the cluster, unless another program uses it as well.
    func stop() async throws {
        try await cluster.stop()
    }

    private func watch() async {
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: .seconds(1))
                if try EmbeddedCluster.locate(directory: directory) == nil { try await startAgain() }
            } catch is CancellationError {
                return
            } catch {
                log.error("the embedded Postgres cannot be started again yet", metadata: ["error": "\(error)"])
            }
        }
    }

    private func startAgain() async throws {
        log.error("the embedded Postgres has stopped; starting it again")
        let expected = cluster.connectionString
        try await cluster.stop()
        cluster = try await EmbeddedCluster.start(directory: directory, log: log)
        guard cluster.connectionString == expected else {
            // The pool's connections would go nowhere.
            throw Failure(code: 1, message: "the embedded Postgres came back at another address: expected \(expected)")
        }
    }
}
