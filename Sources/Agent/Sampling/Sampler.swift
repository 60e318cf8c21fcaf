import Energy
import Logging
import ServiceLifecycle

/// Reads the meters at absolute deadlines, on a thread of its own.
struct Sampler: Service {
    let sampling: SharedSampling
    let settings: SamplingSettings
    let log: Logger

    func run() async throws {
        let wakeUp = try WakeUp()
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await OwnThread.run("sampler") { loop(wakeUp) }
        } onCancelOrGracefulShutdown: {
            wakeUp.stop()
        }
    }

    /// Cgroups that come and go by the hundred are looked at together, this often at most.
    private static let pauseBetweenEvents = Microseconds.milliseconds(2)

    private func loop(_ wakeUp: WakeUp) {
        let events = sampling.withLock { $0.workloads.descriptor } ?? -1
        var next = ClockReading.now().monotonic
        var nextFull = next
        while !wakeUp.isStopping {
            (next, nextFull) = sampling.withLock { sampling in
                // Read within the lock, which may have been waited for.
                let clock = ClockReading.now()
                let isFull = clock.monotonic >= nextFull
                sampling.sample(isFull ? .all : .fast, at: clock)
                let period = sampling.fastPeriod
                return (
                    Self.deadline(after: clock.monotonic, from: next, every: period),
                    isFull ? Self.deadline(after: clock.monotonic, from: nextFull, every: settings.slowPeriod) : nextFull
                )
            }
            while wakeUp.wait(until: next, orReadable: events), !wakeUp.isStopping {
                let now = sampling.withLock { sampling in
                    let clock = ClockReading.now()
                    sampling.takeEvents(at: clock)
                    return clock.monotonic
                }
                _ = wakeUp.wait(until: min(next, now + Self.pauseBetweenEvents))
            }
        }
        // Every curve ends in a real reading that is a knot.
        sampling.withLock {
            _ = $0.sample(.all, at: .now())
            $0.forceTails()
        }
    }

    /// The first time of the grid after `now`: missed deadlines are passed over, the grid never shifts.
    static func deadline(after now: Microseconds, from last: Microseconds, every period: Microseconds) -> Microseconds {
        guard now >= last else { return last }
        let steps = (now - last).count / period.count + 1
        return last + Microseconds(steps * period.count)
    }
}
