import Energy
import Meters

/// What this program reads of the machine by itself at one edge of the work: cheap, since it is made whether it is needed or not.
struct LocalReading: Sendable {
    var time: Timestamp
    /// Nil where `/proc/stat` cannot be read.
    var stat: ProcStat?
    /// Energy that counters have counted since the meters were opened, by component.
    var counted: [Component: Energy]
    /// A counter may have wrapped unseen, or could not be read: `counted` is the least that it can be.
    var isPartial: Bool
}

/// Why nothing can be said without an agent.
struct Unmeasurable: Error, Sendable, Hashable, CustomStringConvertible {
    var description: String
}
