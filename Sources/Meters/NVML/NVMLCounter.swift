import Energy
import Synchronization

/// A GPU's counter of energy, read on a thread of its own and looked at by the meter.
///
/// The thread begins with the first look and ends when this object is released or the GPU is gone.
final class NVMLCounter: Sendable {
    /// The counters are refreshed every 20 to 100 ms, by the make.
    static let period = Microseconds.milliseconds(100)
    /// A library that has not answered for so long is reported; it counts on meanwhile.
    static let patience = Microseconds.seconds(5)

    private struct Sample: Sendable {
        var microjoules: Int64
        var time: Timestamp
    }

    /// What the thread puts in and the meter takes out; it outlives this object for as long as a call hangs.
    private final class Shelf: Sendable {
        struct State: Sendable {
            var latest: Sample
            /// For a look whose time is just before the latest.
            var before: Sample?
            /// Not told yet.
            var gap: Gap.Cause?
            var fault: SensorFault?
            /// When the library answered last, or was first asked to.
            var answered: Timestamp
        }

        let state: Mutex<State>
        let check: Mutex<NVMLCounterCheck>

        init(_ first: Sample, maximum: Power) {
            state = Mutex(State(latest: first, answered: first.time))
            check = Mutex(NVMLCounterCheck(maximum: maximum, microjoules: first.microjoules, time: first.time))
        }

        func put(_ sample: Sample, of name: String) {
            let verdict = check.withLock { $0.take(microjoules: sample.microjoules, at: sample.time) }
            state.withLock { state in
                state.answered = sample.time
                guard verdict != .impossible else {
                    state.fault = SensorFault(
                        path: name,
                        kind: .malformed(
                            expected: "no more than the GPU can draw since \(state.latest.microjoules) µJ",
                            found: "\(sample.microjoules) µJ"
                        )
                    )
                    return
                }
                // A value of before once more, or clock set back: the time of a curve only grows.
                guard sample.time > state.latest.time else { return }
                state.before = verdict == .begunAnew ? nil : state.latest
                state.latest = sample
                state.fault = nil
                if verdict == .begunAnew { state.gap = .reset }
            }
        }

        func put(_ fault: SensorFault, at time: Timestamp) {
            state.withLock {
                $0.fault = fault
                $0.answered = time
            }
        }
    }

    private let link: NVMLLink
    private let shelf: Shelf
    private let clock: @Sendable () -> Timestamp
    private let thread = Mutex<SensorThread?>(nil)

    init(link: NVMLLink, microjoules: Int64, time: Timestamp, maximum: Power, clock: @escaping @Sendable () -> Timestamp) {
        self.link = link
        self.clock = clock
        shelf = Shelf(Sample(microjoules: microjoules, time: time), maximum: maximum)
    }

    /// Does nothing where it has begun already.
    ///
    /// - Throws: `SensorFault` where the system gives no thread.
    func begin(at time: Timestamp) throws(SensorFault) {
        let fault: SensorFault? = thread.withLock { thread in
            guard thread == nil else { return nil }
            shelf.state.withLock { $0.answered = max($0.answered, time) }
            let (link, shelf, clock) = (link, shelf, clock)
            do throws(SensorFault) {
                thread = try SensorThread("nvml") { stop in NVMLCounter.work(until: stop, link, shelf, clock) }
                return nil
            } catch {
                return error
            }
        }
        if let fault { throw fault }
    }

    private static func work(until stop: SensorThread.Stop, _ link: NVMLLink, _ shelf: Shelf, _ clock: @Sendable () -> Timestamp) {
        var due = SensorThread.now()
        repeat {
            do throws(SensorFault) {
                let before = clock()
                let millijoules = try link.ask { library, device throws(NVMLFault) in try library.millijoules(of: device) }
                let time = NVMLGPU.middle(before, clock())
                shelf.put(Sample(microjoules: try NVMLGPU.microjoules(millijoules, of: link.name), time: time), of: link.name)
            } catch {
                shelf.put(error, at: clock())
                if error.isVanished { return }
            }
            // Absolute deadlines; those that passed while the library took its time are left out.
            let now = SensorThread.now()
            due = due + period
            if due < now { due = now + period }
        } while !stop.wait(due - SensorThread.now())
    }

    /// The newest sample that is not later than a time. Waits for nobody.
    func look(at time: Timestamp) throws(SensorFault) -> MeterReading {
        let (reading, fault): (MeterReading, SensorFault?) = shelf.state.withLock { state in
            if state.latest.time > time, let before = state.before {
                return (MeterReading(before.microjoules, time: before.time), state.fault)
            }
            let gap = state.fault == nil ? state.gap : nil
            if gap != nil { state.gap = nil }
            return (MeterReading(state.latest.microjoules, time: min(state.latest.time, time), gap: gap), state.fault)
        }
        if let fault { throw fault }
        let silence = time - shelf.state.withLock { $0.answered }
        guard silence <= Self.patience else {
            throw SensorFault(
                path: link.name,
                kind: .malformed(
                    expected: "an answer of NVML within \(SecondsText.short(Self.patience))",
                    found: "none for \(silence.count / 1_000_000) s"
                )
            )
        }
        return reading
    }
}
