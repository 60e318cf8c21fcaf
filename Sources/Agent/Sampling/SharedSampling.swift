import Meters
import Synchronization

/// The sampling behind a lock: the sampler's thread reads on its deadlines, the local socket at the edges of spans, the sealer takes.
final class SharedSampling: Sendable {
    private let sampling: Mutex<Sampling>
    private let mustAnnounce = Mutex(false)

    init(_ sampling: sending Sampling) { self.sampling = Mutex(sampling) }

    func withLock<R: Sendable, E: Error>(_ body: (inout sending Sampling) throws(E) -> sending R) throws(E) -> R {
        try sampling.withLock(body)
    }

    /// Takes up what was found, which no other thread knows of.
    func adopt(_ sensors: sending HostSensors) {
        let clock = ClockReading.now()
        let found = Handover(sensors: sensors)
        sampling.withLock { $0.adopt(found.sensors, at: clock) }
    }

    /// `@unchecked Sendable`: made of a value that was sent here, and taken up once, so that it never is with two threads.
    private struct Handover: @unchecked Sendable {
        let sensors: HostSensors
    }

    /// The collector may have lost what was announced.
    func announceAgain() { mustAnnounce.withLock { $0 = true } }

    func takeAnnounceAgain() -> Bool {
        mustAnnounce.withLock { must in
            defer { must = false }
            return must
        }
    }
}
