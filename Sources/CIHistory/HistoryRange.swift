public import Energy

/// Which jobs a walk is about.
public struct HistoryRange: Sendable, Hashable {
    /// Whose repositories.
    public enum Scope: Sendable, Hashable {
        /// All of an organisation, a group with its subgroups, or a user.
        case owner(String)
        /// By their names at the system: `ocaml/dune`.
        case repositories([String])
        /// The jobs of these runs and nothing else, whenever they ran.
        case runs([RunReference])
    }

    public var scope: Scope
    /// Jobs that ran, or may still have run, since then.
    public var since: Timestamp
    /// How long before `since` a run may have been made whose jobs ran since: runs last, and are run again.
    public var lookBack: Microseconds

    /// GitHub lets a run be run again for 30 days.
    public static let longestLookBack = Microseconds(30 * Microseconds.day.count)

    public init(_ scope: Scope, since: Timestamp, lookBack: Microseconds = HistoryRange.longestLookBack) {
        self.scope = scope
        self.since = since
        self.lookBack = lookBack
    }
}
