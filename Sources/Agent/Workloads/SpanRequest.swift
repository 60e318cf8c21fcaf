import Meters

/// What a client says about a span.
struct SpanRequest: Hashable, Sendable {
    enum Phase: String, Hashable, Sendable {
        case start, finish
    }

    var phase: Phase
    var key: String
    /// Below the hierarchy's mount.
    var cgroup: String?
    /// The same as a directory of this machine.
    var directory: String?
    /// The agent takes the container or the runner's unit that the asking process is in.
    var isInOwnCgroup = false

    static let longestKey = 1_024
}

/// Why a span's edge could not be taken, for the client.
struct SpanFault: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String
}

/// A span's edge that may be taken: its key and its place were looked at.
struct SpanEntry {
    struct Place: Hashable, Sendable {
        var cgroup: String
        var directory: String
        var kind: CgroupHierarchy.Kind
    }

    let phase: SpanRequest.Phase
    let key: String
    /// Nil where the client named no cgroup.
    let place: Place?
    /// Opened where the cgroup was not known before, so that it can be read whatever becomes of its name.
    let source: CgroupCPUTime?
}
