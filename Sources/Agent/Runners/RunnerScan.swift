import Logging
import ServiceLifecycle
import Synchronization
import Wire

/// Looks for runner registrations every few minutes: runners come and go while the agent runs.
struct RunnerScan: Service {
    let files: RunnerFiles
    let facts: CurrentFacts
    let log: Logger
    var interval = Duration.seconds(300)

    func run() async throws {
        let isStopping = Flag()
        let stop = Doorbell()
        await withTaskCancellationOrGracefulShutdownHandler {
            while !isStopping.isSet, !Task.isCancelled {
                await stop.wait(atMost: interval)
                guard !isStopping.isSet else { return }
                await look()
            }
        } onCancelOrGracefulShutdown: {
            isStopping.set()
            stop.ring()
        }
    }

    /// On a thread of its own: a home directory on a network may be slow.
    func look() async {
        let found = Mutex<[RunnerRegistration]?>(nil)
        do {
            try await OwnThread.run("runners") { [files] in
                let registrations = files.registrations()
                found.withLock { $0 = registrations }
            }
        } catch {
            return log.warning("runner registrations cannot be looked for: \(error)")
        }
        guard let registrations = found.withLock({ $0 }) else { return }
        let isNews = facts.change { $0.runners = registrations.map(WireRunner.init) }
        guard isNews else { return }
        let names = registrations.map { "\($0.name) (\($0.instance.isEmpty ? $0.kind.rawValue : $0.instance))" }
        log.info("CI runners registered here: \(names.isEmpty ? "none found" : names.joined(separator: ", "))")
    }
}

extension WireRunner {
    init(_ registration: RunnerRegistration) {
        self.init()
        name = registration.name
        instance = registration.instance
        kind = registration.kind.rawValue
        scope = registration.scope
        concurrent = registration.concurrent
    }
}
