public import Energy

/// A batch of readings, checked and in the domain's types, as it goes into the database.
public struct ReadingsRecord: Sendable {
    public struct Announcement: Sendable {
        public enum Kind: String, Sendable {
            case meter
            case hostBusy = "host_busy"
            case agentCPU = "agent_cpu"
            case workloadCPU = "workload_cpu"
            case workloadMemory = "workload_memory"
        }

        public var ref: Int32
        public var name: String
        public var kind: Kind
        public var zone: Zone?
        public var sensor: String
        public var quality: Quality
        public var isInCover: Bool
        public var epsilon: Int64
        public var samplePeriod: Microseconds
        public var maximumPowerMicrowatts: Int64
        public var idlePowerMicrowatts: Int64?
        public var idlePowerLowMicrowatts: Int64?
        public var idlePowerHighMicrowatts: Int64?
        public var boundLowPPM: Int32
        public var boundHighPPM: Int32
        public var basis: String
        public var origin: Int64

        public init(
            ref: Int32,
            name: String,
            kind: Kind,
            zone: Zone?,
            sensor: String,
            quality: Quality,
            isInCover: Bool,
            epsilon: Int64,
            samplePeriod: Microseconds,
            maximumPowerMicrowatts: Int64,
            idlePowerMicrowatts: Int64?,
            idlePowerLowMicrowatts: Int64?,
            idlePowerHighMicrowatts: Int64?,
            boundLowPPM: Int32,
            boundHighPPM: Int32,
            basis: String,
            origin: Int64
        ) {
            self.ref = ref
            self.name = name
            self.kind = kind
            self.zone = zone
            self.sensor = sensor
            self.quality = quality
            self.isInCover = isInCover
            self.epsilon = epsilon
            self.samplePeriod = samplePeriod
            self.maximumPowerMicrowatts = maximumPowerMicrowatts
            self.idlePowerMicrowatts = idlePowerMicrowatts
            self.idlePowerLowMicrowatts = idlePowerLowMicrowatts
            self.idlePowerHighMicrowatts = idlePowerHighMicrowatts
            self.boundLowPPM = boundLowPPM
            self.boundHighPPM = boundHighPPM
            self.basis = basis
            self.origin = origin
        }
    }

    public struct Tail: Sendable {
        public var ref: Int32
        public var knot: Knot
        public var completeUntil: Timestamp
        public var isClosed: Bool

        public init(ref: Int32, knot: Knot, completeUntil: Timestamp, isClosed: Bool) {
            self.ref = ref
            self.knot = knot
            self.completeUntil = completeUntil
            self.isClosed = isClosed
        }
    }

    public struct Workload: Sendable {
        public var ref: Int32
        public var cgroup: String
        public var bornAt: Timestamp
        public var diedAt: Timestamp?
        public var spanKey: String?
        public var parentRef: Int32?
        /// The curve of its memory, byte-seconds.
        public var memoryRef: Int32?
        /// The systemd unit that it is.
        public var unit: String?
        /// The runtime's full id of the container that it is.
        public var containerID: String?
        /// The Kubernetes pod that it is in, as namespace/name.
        public var pod: String?
        /// Of the container's labels those that name a job or a runner.
        public var labels: [String: String] = [:]
        public var maximumMemoryBytes: Int64?
        /// How its last CPU time is known; nil while it lives.
        public var ending: Ending?

        public enum Ending: String, Sendable, CaseIterable {
            /// Read as it died.
            case read
            /// Settled from its parent's count.
            case settled
            /// From its own last reading.
            case last
        }

        public init(ref: Int32, cgroup: String, bornAt: Timestamp, diedAt: Timestamp?, spanKey: String?, parentRef: Int32?) {
            self.ref = ref
            self.cgroup = cgroup
            self.bornAt = bornAt
            self.diedAt = diedAt
            self.spanKey = spanKey
            self.parentRef = parentRef
        }
    }

    public var hostName: String
    public var bootID: String
    public var incarnation: String
    public var sequence: Int64
    /// SHA-256 of the uncompressed body as the agent spooled it.
    public var sha256: [UInt8]
    public var clockOffset: Microseconds?
    /// When the batch was sealed, on the clock of its times.
    public var sealedAt: Timestamp?
    /// When the machine was switched on, on the same clock; nil where the agent does not say.
    public var bootedAt: Timestamp?
    public var facts: HostFacts?
    /// The simulator made the host up.
    public var isSimulated = false
    public var announcements: [Announcement] = []
    /// Each column in order of time, values never falling.
    public var columns: [(ref: Int32, knots: [Knot])] = []
    public var tails: [Tail] = []
    public var gaps: [(ref: Int32, gap: Gap)] = []
    public var workloads: [Workload] = []

    public init(hostName: String, bootID: String, incarnation: String, sequence: Int64, sha256: [UInt8]) {
        self.hostName = hostName
        self.bootID = bootID
        self.incarnation = incarnation
        self.sequence = sequence
        self.sha256 = sha256
    }
}

extension ReadingsRecord {
    public var knotCount: Int { columns.reduce(0) { $0 + $1.knots.count } }

    /// Nothing but knots and tails of curves that were announced before.
    var isPlain: Bool { announcements.isEmpty && gaps.isEmpty && workloads.isEmpty && facts == nil && !isSimulated }

    /// The latest time of any knot, tail or gap.
    var latestTime: Timestamp? {
        (columns.compactMap { $0.knots.last?.time } + tails.map(\.knot.time) + gaps.map { $0.gap.interval.end }).max()
    }

    /// The earliest time of any knot or tail.
    var earliestTime: Timestamp? { (columns.compactMap { $0.knots.first?.time } + tails.map(\.knot.time)).min() }

    /// The same with another clock.
    func shifted(by shift: Microseconds) -> ReadingsRecord {
        guard shift != .zero else { return self }
        var record = self
        record.columns = columns.map { column in
            (
                column.ref,
                column.knots.map { knot in
                    var knot = knot
                    knot.time = knot.time + shift
                    return knot
                }
            )
        }
        record.tails = tails.map { tail in
            var tail = tail
            tail.knot.time = tail.knot.time + shift
            tail.completeUntil = tail.completeUntil + shift
            return tail
        }
        record.gaps = gaps.map { ref, gap in
            var gap = gap
            gap.interval = Interval(gap.interval.start + shift, gap.interval.end + shift)
            return (ref, gap)
        }
        record.workloads = workloads.map { workload in
            var workload = workload
            workload.bornAt = workload.bornAt + shift
            workload.diedAt = workload.diedAt.map { $0 + shift }
            return workload
        }
        return record
    }
}

/// What became of a batch.
public enum ReadingsOutcome: Sendable, Hashable {
    /// Committed, now or before.
    case acknowledged(sequence: Int64)
    /// Batches are missing: the agent rewinds to `sequence`.
    case expected(sequence: Int64)
    /// Another batch of this number was committed: two spools share one incarnation. The agent draws a new one.
    case conflict
    /// Another machine reports as this host, since then.
    case otherMachine(since: Timestamp)
}

/// A batch that contradicts what is known of its curves.
public struct ReadingsFault: Error, Hashable, CustomStringConvertible {
    public let field: String
    public let expected: String
    public let found: String

    public init(field: String, expected: String, found: String) {
        self.field = field
        self.expected = expected
        self.found = found
    }

    public var description: String { "field \(field): expected \(expected), found \(found)" }
}
