import Synchronization
import Wire

/// What is known of the machine now: sent with a stream's first batch, and again when it has changed.
final class CurrentFacts: Sendable {
    private let facts: Mutex<WireHostFacts>

    init(_ facts: WireHostFacts) { self.facts = Mutex(facts) }

    var now: WireHostFacts { facts.withLock { $0 } }

    /// Whether anything is different afterwards.
    @discardableResult
    func change(_ body: (inout WireHostFacts) -> Void) -> Bool {
        facts.withLock { facts in
            let before = facts
            body(&facts)
            return facts != before
        }
    }
}
