public import Energy

/// A span as it is posted to a collector. What is nil is not sent, so that a later post of the same id fills it in.
public struct SpanPost: Encodable, Sendable {
    public struct Release: Encodable, Sendable {
        public var purl: String
        public init(purl: String) { self.purl = purl }
    }

    public var id: String
    public var source: String?
    public var host: String?
    /// Cgroup below the hierarchy's mount.
    public var workload: String?
    public var service: String?
    public var activity: String?
    public var repository: String?
    public var commit: String?
    public var job: String?
    public var release: [Release]?
    public var cpuShare: Double?
    public var cpus: Double?
    public var cpuTime: Microseconds?
    public var memoryPeakBytes: Int64?
    public var visibility: String?
    public var startedAt: Timestamp
    public var finishedAt: Timestamp?
    public var timeResolutionMilliseconds: Int?
    /// `success`, `failure`...
    public var outcome: String?
    public var units: Double?
    public var unit: String?
    /// The CI system's installation, its run and job, and the runner that took it.
    public var instance: String?
    public var runID: String?
    public var jobID: String?
    public var runner: String?
    public var runnerID: String?
    public var attempt: Int?
    public var ref: String?
    public var pipeline: String?
    public var url: String?
    /// The CI job that the work is a part of, as `runner` and `job_id` name the work itself.
    public var parentRunner: String?
    public var parentJobID: String?
    /// A job hook's own words of a job whose id it does not know.
    public var isHook: Bool?

    public init(id: String, startedAt: Timestamp) {
        self.id = id
        self.startedAt = startedAt
    }

    /// The body of `POST /v1/spans`.
    public var json: [UInt8] { JSONText.bytes(self) }

    enum CodingKeys: String, CodingKey {
        case id, source, host, workload, service, activity, repository, commit, job, release, cpus, visibility, outcome, units, unit
        case instance, runner, attempt, ref, pipeline, url
        case runID = "run_id"
        case jobID = "job_id"
        case runnerID = "runner_id"
        case isHook = "hook"
        case parentRunner = "parent_runner"
        case parentJobID = "parent_job_id"
        case cpuShare = "cpu_share"
        case cpuTime = "cpu_time_us"
        case memoryPeakBytes = "memory_max_bytes"
        case startedAt = "started_at"
        case finishedAt = "finished_at"
        case timeResolutionMilliseconds = "time_resolution_ms"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encodeIfPresent(source, forKey: .source)
        try container.encodeIfPresent(host, forKey: .host)
        try container.encodeIfPresent(workload, forKey: .workload)
        try container.encodeIfPresent(service, forKey: .service)
        try container.encodeIfPresent(activity, forKey: .activity)
        try container.encodeIfPresent(repository, forKey: .repository)
        try container.encodeIfPresent(commit, forKey: .commit)
        try container.encodeIfPresent(job, forKey: .job)
        try container.encodeIfPresent(release, forKey: .release)
        try container.encodeIfPresent(cpuShare, forKey: .cpuShare)
        try container.encodeIfPresent(cpus, forKey: .cpus)
        try container.encodeIfPresent(cpuTime?.count, forKey: .cpuTime)
        try container.encodeIfPresent(memoryPeakBytes, forKey: .memoryPeakBytes)
        try container.encodeIfPresent(visibility, forKey: .visibility)
        try container.encode(startedAt.rfc3339, forKey: .startedAt)
        try container.encodeIfPresent(finishedAt?.rfc3339, forKey: .finishedAt)
        try container.encodeIfPresent(timeResolutionMilliseconds, forKey: .timeResolutionMilliseconds)
        try container.encodeIfPresent(outcome, forKey: .outcome)
        try container.encodeIfPresent(units, forKey: .units)
        try container.encodeIfPresent(unit, forKey: .unit)
        try container.encodeIfPresent(instance, forKey: .instance)
        try container.encodeIfPresent(runID, forKey: .runID)
        try container.encodeIfPresent(jobID, forKey: .jobID)
        try container.encodeIfPresent(runner, forKey: .runner)
        try container.encodeIfPresent(runnerID, forKey: .runnerID)
        try container.encodeIfPresent(attempt, forKey: .attempt)
        try container.encodeIfPresent(ref, forKey: .ref)
        try container.encodeIfPresent(pipeline, forKey: .pipeline)
        try container.encodeIfPresent(url, forKey: .url)
        try container.encodeIfPresent(isHook, forKey: .isHook)
        try container.encodeIfPresent(parentRunner, forKey: .parentRunner)
        try container.encodeIfPresent(parentJobID, forKey: .parentJobID)
    }
}
