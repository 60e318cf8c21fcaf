public import Documents
public import Energy

/// What a CI system says of one job at one moment: some of a span's fields.
public struct JobEvent: Sendable, Hashable {
    /// What the writer of a field is worth where several wrote it.
    public enum Phase: Int64, Sendable, Comparable {
        /// The job waits: it has no start yet.
        case queued = 0
        case started = 1
        case finished = 2
        /// Read back from the system's API, after the event.
        case reconciled = 3

        public static func < (a: Phase, b: Phase) -> Bool { a.rawValue < b.rawValue }
    }

    /// Which installation: `https://github.com`, `https://gitlab.example.org`.
    public var instance: String
    /// The job's own id there; unique together with `instance` and `attempt`.
    public var id: String
    public var attempt: Int
    public var phase: Phase
    /// When the system says that this was true.
    public var eventTime: Timestamp
    /// Orders the events of one phase where the system numbers them; else 0.
    public var revision: Int64 = 0
    /// By the names of a span document: `repository` (as the system names it), `commit`, `ref`, `pipeline`, `job`, `run_id`, `job_id`,
    /// `runner`, `runner_id`, `runner_group`, `hostname`, `host`, `labels`, `queued_at`, `started_at`, `finished_at`, `outcome`,
    /// `time_resolution_ms`, `cpu_share`, `release`, `url`, `repository_private`...
    ///
    /// Without `started_at` nothing ran yet, or nothing ever did: such a job is no span.
    public var fields: [String: JSONValue]
    /// What was mended on the way in: `clock_anomaly` (the end came before the start; both are the start now), `started_before_queued`
    /// (kept as it came), `share_clamped` (a CPU share outside 0...1 was moved to the nearer end).
    public var flags: Set<String> = []

    public init(instance: String, id: String, attempt: Int, phase: Phase, eventTime: Timestamp, fields: [String: JSONValue]) {
        self.instance = instance
        self.id = id
        self.attempt = attempt
        self.phase = phase
        self.eventTime = eventTime
        self.fields = fields
    }
}

/// What a delivery says.
public enum EventReading: Sendable, Hashable {
    /// Jobs, one or several.
    case jobs([JobEvent])
    /// Spans as they were posted, envelopes and all: whoever takes them checks each as `POST /v1/spans` does.
    case spans([JSONValue])
    /// A run or pipeline as a whole: its jobs are worth asking for.
    case run(RunNotice)
    /// Of no concern here, and why; answered 202 like any other.
    case ignored(String)
}

/// A run of a pipeline ended or changed.
public struct RunNotice: Sendable, Hashable {
    public var instance: String
    public var repository: String
    public var runID: String
    public var attempt: Int
    public var isFinished: Bool

    public init(instance: String, repository: String, runID: String, attempt: Int, isFinished: Bool) {
        self.instance = instance
        self.repository = repository
        self.runID = runID
        self.attempt = attempt
        self.isFinished = isFinished
    }
}

/// What a delivery says of a repository beside its jobs: who may see them.
public struct RepositoryNotice: Sendable, Hashable {
    /// As `RepositoryName` writes it: `github.com/ocaml/dune`.
    public var repository: String
    public var isPrivate: Bool
    public var statedAt: Timestamp

    public init(repository: String, isPrivate: Bool, statedAt: Timestamp) {
        self.repository = repository
        self.isPrivate = isPrivate
        self.statedAt = statedAt
    }
}
