import Energy

/// Tells what a counter of energy cannot have counted: more than the GPU can draw in the time that passed.
///
/// Pure. One value that stands alone is an error of the driver and is left out; one that is confirmed by the next is where the count
/// goes on, with a gap before it.
struct NVMLCounterCheck: Sendable {
    enum Verdict: Hashable, Sendable {
        case counted
        /// The count goes on from here, and says nothing of the time since the last good one.
        case begunAnew
        case impossible
    }

    private struct Sample: Sendable {
        var microjoules: Int64
        var time: Timestamp
    }

    private let maximum: Power
    private var last: Sample
    private var suspect: Sample?

    init(maximum: Power, microjoules: Int64, time: Timestamp) {
        self.maximum = maximum
        last = Sample(microjoules: microjoules, time: time)
    }

    mutating func take(microjoules: Int64, at time: Timestamp) -> Verdict {
        let new = Sample(microjoules: microjoules, time: time)
        let isConfirmed = suspect.map { new.microjoules >= $0.microjoules && isPossible(from: $0, to: new) } ?? false
        if isPossible(from: last, to: new) {
            let hasFallen = new.microjoules < last.microjoules
            last = new
            suspect = nil
            return hasFallen ? .begunAnew : .counted
        }
        guard isConfirmed else {
            suspect = new
            return .impossible
        }
        last = new
        suspect = nil
        return .begunAnew
    }

    /// A fall is possible: the driver was loaded anew. Four times the limit and a second more leave room for short peaks above the
    /// limit and for a counter that is refreshed now and then.
    private func isPossible(from old: Sample, to new: Sample) -> Bool {
        let most = Power(watts: maximum.watts * 4).microjoules(over: max(.zero, new.time - old.time) + .seconds(1))
        return Double(new.microjoules) - Double(old.microjoules) <= most
    }
}
