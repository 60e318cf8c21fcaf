import Energy
import FoundationEssentials

/// What the agent must know to continue its counts after a restart.
struct AgentState: Codable, Hashable, Sendable {
    struct Curve: Codable, Hashable, Sendable {
        var ref: UInt32
        var name: String
        /// Drawn when the count started at 0.
        var origin: UInt64
        /// The source's raw count at `time`.
        var raw: Int64?
        /// µs since the epoch of the latest sample.
        var time: Int64
        var value: Int64
        /// Whether the latest sample has been given out as a knot.
        var isKnot: Bool
        /// A meter's announcement as protobuf, so that it can be ended as what it was should it not be there any more.
        var announced: Data?
        /// Gaps that were in no batch on the disk when the state was kept.
        var gaps: [Gap]?
    }

    /// A stretch over which a curve's increase is not known.
    struct Gap: Codable, Hashable, Sendable {
        /// µs since the epoch.
        var from: Int64
        var to: Int64
        var low: Int64
        var high: Int64
        var cause: String
        /// The curve's value on either side, where that knot too was in no batch.
        var valueBefore: Int64?
        var valueAfter: Int64?
    }

    struct Workload: Codable, Hashable, Sendable {
        var curve: Curve
        var cgroup: String
        var directory: String
        var isUnified: Bool
        var key: String
        /// µs since the epoch.
        var born: Int64
        /// Of its memory, where that is measured.
        var memory: Curve?
    }

    /// Grows with every state; the newest wins.
    var generation: UInt64
    var bootID: String
    /// µs; time since the epoch minus time since boot.
    var wallOffset: Int64
    /// µs for which the host had been suspended in this boot at the latest reading; nil in the state of an older agent.
    var suspended: Int64?
    /// The next free number of a curve in this boot's stream.
    var nextRef: UInt32
    var curves: [Curve]
    var workloads: [Workload]

    var lastTime: Timestamp {
        Timestamp(microseconds: max(curves.map(\.time).max() ?? 0, workloads.map(\.curve.time).max() ?? 0))
    }

    /// - Throws: never in practice; every field has a JSON form.
    func encoded() throws -> [UInt8] { Array(try JSONEncoder().encode(self)) }

    init(decoding bytes: [UInt8]) throws { self = try JSONDecoder().decode(AgentState.self, from: Data(bytes)) }

    init(
        generation: UInt64,
        bootID: String,
        wallOffset: Int64,
        suspended: Int64? = nil,
        nextRef: UInt32,
        curves: [Curve],
        workloads: [Workload]
    ) {
        self.generation = generation
        self.bootID = bootID
        self.wallOffset = wallOffset
        self.suspended = suspended
        self.nextRef = nextRef
        self.curves = curves
        self.workloads = workloads
    }
}
