import Documents
import Energy
import Postgres
import Store

/// Where a job belongs, from the fields that won: its host or host class, its service, who may see it.
struct JobPlace: Sendable {
    /// The winning fields, and what the rules added.
    private(set) var fields: [String: JSONValue]
    private(set) var host: HostRow?
    private var hostBy: HostResolution.Means?
    private var hostClass: String?
    private var hostNames: [String] = []
    private var hostName: String?
    private var given = ServiceRules.Given()
    private var flags: Set<String> = []
    private let startedAt: Timestamp?
    private let finishedAt: Timestamp?
    /// What the writers of the names that lead to a host may say of hosts.
    private let limits: [String: JSONValue]

    static func find(_ registers: SpanRegisters, key: SpanKey, _ connection: PostgresConnection) async throws -> JobPlace {
        var place = JobPlace(registers.fields)
        guard let startedAt = place.startedAt, !registers.isDeleted else { return place }
        try await place.findHost(key: key, startedAt: startedAt, connection)
        let rules = try await ServiceRules.at(startedAt, connection)
        place.apply(rules, key: key)
        return place
    }

    private init(_ fields: [String: JSONValue]) {
        let limits = SpanWrite.hostNames.map { SpanWrite.limit(of: $0) }
        self.fields = fields.filter { !limits.contains($0.key) && ![SpanRegisters.tombstone, "flags"].contains($0.key) }
        self.limits = fields.filter { limits.contains($0.key) }
        startedAt = fields["started_at"]?.string.flatMap(RFC3339.parse)
        let finishedAt = fields["finished_at"]?.string.flatMap(RFC3339.parse)
        flags = Set((fields["flags"]?.array ?? []).compactMap(\.string).prefix(20))
        if let startedAt, let finishedAt, finishedAt < startedAt { flags.insert("clock_anomaly") }
        // Reversed times of two writers count as an instant.
        self.finishedAt = startedAt.flatMap { start in finishedAt.map { max($0, start) } } ?? finishedAt
    }

    private mutating func findHost(key: SpanKey, startedAt: Timestamp, _ connection: PostgresConnection) async throws {
        let names = HostResolution.Names(
            host: fields["host"]?.string,
            hostname: fields["hostname"]?.string,
            runner: Self.runner(fields),
            instance: key.instance,
            at: startedAt
        )
        hostName = names.host ?? names.hostname ?? names.runner
        hostNames = names.candidates
        if let found = try await HostResolution.find(names, connection) {
            guard isAllowed(found.host, by: found.by) else {
                flags.insert("host_not_claimed")
                return
            }
            host = found.host
            hostBy = found.by
        } else {
            hostClass = HostClasses.named(by: fields, instance: key.instance)
        }
    }

    /// A writer that is limited to hosts or pools is believed of these only, whatever name led to the host.
    private func isAllowed(_ host: HostRow, by means: HostResolution.Means) -> Bool {
        let name: String
        switch means {
        case .host: name = "host"
        case .hostname: name = "hostname"
        case .runnerMap, .runnerName: name = fields["runner"] != nil ? "runner" : "runner_name"
        }
        guard let limit = limits[SpanWrite.limit(of: name)]?.object else { return true }
        func patterns(_ list: String) -> [String] { (limit[list]?.array ?? []).compactMap(\.string) }
        return patterns("hosts").contains { Pattern($0).matches(host.name) }
            || patterns("pools").contains { pattern in host.pool.map { Pattern(pattern).matches($0) } ?? false }
    }

    private mutating func apply(_ rules: ServiceRules, key: SpanKey) {
        var subject = ServiceRules.Subject(fields: fields, source: key.source, host: host?.name ?? hostName)
        subject.pool = subject.pool ?? host?.pool
        given = rules.given(for: subject)
        for (name, value) in [("service", given.service), ("activity", given.activity), ("team", given.team)] {
            if let value, fields[name] == nil { fields[name] = .string(value) }
        }
        if let release = given.release, fields["release"] == nil { fields["release"] = release }
    }

    /// Everything is private until something says public, and whatever says private wins.
    private var isPublic: Bool {
        let isRepositoryPrivate = fields["repository_private"]?.bool
        let visibility = fields["visibility"]?.string
        if isRepositoryPrivate == true || visibility == "private" || given.visibility == .private { return false }
        return isRepositoryPrivate == false || visibility == "public" || given.visibility == .public
    }

    func fill(_ row: inout JobRow) {
        func text(_ name: String) -> String? { fields[name]?.string }
        row.startedAt = startedAt
        row.finishedAt = finishedAt
        row.hostName = hostName
        row.hostNames = host == nil ? hostNames : []
        row.hostBy = hostBy?.rawValue
        row.hostClass = hostClass
        row.service = text("service")
        row.activity = text("activity")
        row.team = text("team")
        row.repository = text("repository")
        row.runner = Self.runner(fields)
        row.pool = text("pool") ?? host?.pool
        row.isPublic = isPublic
        row.rule = given.rule
        row.flags = flags.sorted()
    }

    /// The span as it is accounted; nil where it has no usable start.
    ///
    /// - Parameter workloadKey: by what the agent knows the span's cgroup.
    func span(key: SpanKey, workloadKey: String, hostID: Int32) -> SpanRow? {
        func count(_ name: String) -> Int64? { fields[name]?.wholeNumber }
        guard let startedAt else { return nil }
        return SpanRow(
            hostID: hostID,
            spanID: 0,
            jobID: key.jobID,
            startedAt: startedAt,
            finishedAt: finishedAt,
            queuedAt: fields["queued_at"]?.string.flatMap(RFC3339.parse),
            timeResolution: .milliseconds(min(count("time_resolution_ms") ?? 0, 86_400_000)),
            cpuShare: fields["cpu_share"]?.double,
            cpus: fields["cpus"]?.double,
            weight: fields["weight"]?.double,
            cpuTime: count("cpu_time_us").map { Microseconds($0) },
            workload: fields["workload"]?.string,
            workloadKey: workloadKey,
            source: key.source,
            service: fields["service"]?.string,
            repository: fields["repository"]?.string,
            runner: Self.runner(fields),
            jobIDs: jobIDs(key: key),
            parentJobID: name("parent").map { SpanKey(source: key.source, instance: key.instance, id: $0, attempt: key.attempt).jobID },
            runID: name("run_id"),
            gpus: (fields["gpus"]?.array ?? []).prefix(64).compactMap(\.string).filter { $0.utf8.count <= Self.longestName }
        )
    }

    /// A field that is a text or a number and names something.
    private func name(_ field: String) -> String? {
        fields[field].flatMap { $0.string ?? $0.integer.map(String.init) }.flatMap {
            (1...Self.longestName).contains($0.utf8.count) ? $0 : nil
        }
    }

    /// What the job's own CI may call it: the span's id, its last part, and what was posted as such.
    private func jobIDs(key: SpanKey) -> [String] {
        var ids = [key.id]
        if let last = key.id.split(separator: "/").last { ids.append(String(last)) }
        ids += [name("job_id"), name("external_id")].compactMap { $0 }
        return Set(ids).sorted()
    }

    /// A longer text names no runner and no job; it is kept as it was posted.
    private static let longestName = 512

    /// The runner that took the job, by its name at its CI.
    static func runner(_ fields: [String: JSONValue]) -> String? {
        ["runner", "runner_name"].lazy.compactMap { fields[$0]?.string }.first { (1...longestName).contains($0.utf8.count) }
    }
}
