import Energy
import Glibc
import Synchronization

/// The energy of one sensor that is asked on a thread of its own: the thread puts samples in, the meter takes readings out.
///
/// Nobody waits for the other. Each sample is counted at once, and what is kept for the meter is the cumulative count at the newest
/// few of them, so that dropping one loses resolution and no energy.
final class SampledEnergy: Sendable {
    /// What is known at the time of a call.
    enum News {
        /// A new reading. `isAfterGap`: the count knows nothing of the time since the reading before.
        case reading(count: Int64, time: Timestamp, isAfterGap: Bool)
        /// Nothing new; the last reading, and nil where there was none yet.
        case none(last: Reading?)
        /// To be said once, or the sensor is gone.
        case fault(SensorFault)
    }

    struct Reading: Hashable, Sendable {
        var count: Int64
        var time: Timestamp
    }

    private struct Kept {
        var reading: Reading
        var isAfterGap: Bool
    }

    private struct State {
        var integrator: PowerIntegrator
        var kept: [Kept] = []
        var last: Reading?
        /// Why there is no newer value.
        var fault: SensorFault?
        /// Thrown by the next call, once.
        var announcement: SensorFault?
    }

    /// More than a second's worth at the fastest rate a thread asks at, and little to look through.
    static let capacity = 16

    let name: String
    private let state: Mutex<State>

    init(name: String, limits: PowerIntegrator.Limits) {
        self.name = name
        var state = State(integrator: PowerIntegrator(limits))
        state.kept.reserveCapacity(SampledEnergy.capacity + 1)
        self.state = Mutex(state)
    }

    var limits: PowerIntegrator.Limits { state.withLock { $0.integrator.limits } }

    // MARK: The sensor's side

    func take(microwatts power: Int64, at time: Timestamp) {
        state.withLock { state in
            let verdict = state.integrator.take(microwatts: power, at: time)
            settle(verdict, found: "\(power) µW", &state)
        }
    }

    func take(microjoules count: Int64, at time: Timestamp) {
        state.withLock { state in
            let verdict = state.integrator.take(microjoules: count, at: time)
            settle(verdict, found: "\(count) µJ", &state)
        }
    }

    /// The sensor gave no value. One that asks to be asked again (EAGAIN) has missed nothing yet.
    func take(_ fault: SensorFault) {
        state.withLock { state in
            state.fault = fault
            if fault.number != EAGAIN { state.integrator.miss() }
        }
    }

    /// Something to be said once; the count goes on.
    func announce(_ fault: SensorFault) { state.withLock { $0.announcement = fault } }

    private func settle(_ verdict: PowerIntegrator.Verdict, found: @autoclosure () -> String, _ state: inout State) {
        switch verdict {
        case .first, .counted, .afterGap:
            guard let time = state.integrator.time else { return }
            let reading = Reading(count: state.integrator.microjoules, time: time)
            // The first sample comes after a reading of 0: what was before it is not known.
            state.kept.append(Kept(reading: reading, isAfterGap: verdict != .counted))
            if state.kept.count > SampledEnergy.capacity {
                let dropped = state.kept.removeFirst()
                if dropped.isAfterGap { state.kept[0].isAfterGap = true }
            }
            state.fault = nil
        case .old: break
        case .standsStill:
            let limit = state.integrator.limits.longestRepeat ?? .zero
            state.fault = SensorFault(
                path: name,
                kind: .malformed(
                    expected: "a value that moves now and then",
                    found: "\(found()) for more than \(limit.count / 1_000_000) s"
                )
            )
        case .impossible:
            let limits = state.integrator.limits
            state.fault = SensorFault(
                path: name,
                kind: .malformed(
                    expected: "\(limits.isZeroPossible ? "0 W" : "more than 0 W") and at most \(WattText.short(limits.maximum))",
                    found: found()
                )
            )
        }
    }

    // MARK: The meter's side

    /// What is known by a time: samples later than that are left for the next call, and readings before and after a gap come singly.
    func news(by time: Timestamp) -> News {
        state.withLock { state in
            if let announcement = state.announcement {
                state.announcement = nil
                return .fault(announcement)
            }
            var newest: Kept?
            while let next = state.kept.first, next.reading.time <= time {
                if next.isAfterGap, newest != nil { break }
                newest = next
                state.kept.removeFirst()
                if next.isAfterGap { break }
            }
            if let newest {
                state.last = newest.reading
                return .reading(count: newest.reading.count, time: newest.reading.time, isAfterGap: newest.isAfterGap)
            }
            guard state.kept.isEmpty else { return .none(last: state.last) }
            if let fault = state.fault, fault.isVanished { return .fault(fault) }
            // One sample missed is no news; a sensor without any for the longest step is.
            let isSilent = state.last.map { time - $0.time > state.integrator.limits.longestStep } ?? true
            if isSilent, let fault = state.fault { return .fault(fault) }
            return .none(last: state.last)
        }
    }
}
