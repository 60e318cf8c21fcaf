import Energy
import Synchronization

/// The collector's clock minus the agent's, from the round trips of requests.
final class ClockOffset: Sendable {
    private struct Estimate {
        var offset: Microseconds
        var roundTrip: Microseconds
        var measuredAt: Microseconds
    }
    private let estimate = Mutex<Estimate?>(nil)

    /// How long an estimate is preferred to later ones with longer round trips.
    private static let lifetime = Microseconds.seconds(600)

    /// - Parameters:
    ///   - sent, received: the agent's time before and after the exchange.
    ///   - answered: the collector's time in between.
    ///   - boottime: of the reception.
    func note(sent: Timestamp, answered: Timestamp, received: Timestamp, boottime: Microseconds) {
        let roundTrip = received - sent
        guard roundTrip.count >= 0 else { return }
        let middle = Timestamp(microseconds: sent.microseconds + roundTrip.count / 2)
        let new = Estimate(offset: answered - middle, roundTrip: roundTrip, measuredAt: boottime)
        estimate.withLock { old in
            if let kept = old, kept.roundTrip < roundTrip, boottime - kept.measuredAt < Self.lifetime { return }
            old = new
        }
    }

    /// Nil before the first exchange.
    var best: Microseconds? { estimate.withLock { $0?.offset } }
}
