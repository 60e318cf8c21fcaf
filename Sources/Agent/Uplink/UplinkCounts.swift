import Energy
import Synchronization

/// What the uplink has done since the agent began, for whoever watches it.
final class UplinkCounts: Sendable {
    struct Values: Hashable, Sendable {
        /// Batches that the collector has taken, those it took again after it had lost them included.
        var acknowledgedBatches: UInt64 = 0
        /// Batches set aside as dead letters.
        var refusedBatches: UInt64 = 0
        /// Exchanges that brought no progress: no answer, or one that means to try again.
        var failedExchanges: UInt64 = 0
        /// Bytes of bodies as sent, and what they would be without compression.
        var sentBytes: UInt64 = 0
        var uncompressedBytes: UInt64 = 0
        /// On the agent's clock.
        var lastAcknowledgedAt: Timestamp?
        var state = UplinkState.waiting
        /// When the state began; on the agent's clock.
        var stateSince: Timestamp?
        /// What the collector, or the way to it, said last; empty while all is well.
        var detail = ""

        mutating func enter(_ state: UplinkState, _ detail: String, at time: Timestamp) {
            if self.state != state || stateSince == nil { stateSince = time }
            self.state = state
            self.detail = detail
        }
    }

    private let values = Mutex(Values())

    var now: Values { values.withLock { $0 } }

    func note(_ change: (inout Values) -> Void) { values.withLock { change(&$0) } }
}
