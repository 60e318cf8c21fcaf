import Dispatch

/// Runs an actor on a dispatch queue of its own, so that calls which block do it there and never on Swift's cooperative pool, whose few
/// threads all other tasks need. (Dispatch has such an executor ready-made, `DispatchSerialQueue`, but not on Linux.)
final class QueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    /// `label` names the thread in debuggers.
    init(label: String) {
        queue = DispatchQueue(label: label)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
