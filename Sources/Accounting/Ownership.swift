public import Energy

/// A cgroup that an agent watched, with all that may tell whose it is.
public struct WatchedCgroup: Hashable, Sendable {
    /// Its curve of CPU time; one life of a cgroup, so a path that is made anew is another one.
    public var curveID: Int32
    public var path: String
    public var bornAt: Timestamp
    /// Nil while it lives.
    public var diedAt: Timestamp?
    /// The span that the agent was told of when the cgroup was made.
    public var spanKey: String?
    /// The systemd unit that it is.
    public var unit: String?
    /// The Kubernetes pod that it is in, as namespace/name.
    public var pod: String?
    /// The job that the container's label names (`jobLabelName`).
    public var jobLabel: String?

    /// What GitLab's runner writes on every container of a job.
    public static let jobLabelName = "com.gitlab.gitlab-runner.job.id"

    public init(
        curveID: Int32,
        path: String,
        bornAt: Timestamp,
        diedAt: Timestamp? = nil,
        spanKey: String? = nil,
        unit: String? = nil,
        pod: String? = nil,
        jobLabel: String? = nil
    ) {
        self.curveID = curveID
        self.path = path
        self.bornAt = bornAt
        self.diedAt = diedAt
        self.spanKey = spanKey
        self.unit = unit
        self.pod = pod
        self.jobLabel = jobLabel
    }

    var life: Interval { Interval(bornAt, diedAt ?? Timestamp(microseconds: .max)) }
    /// A GitHub runner's own service: it outlives its jobs, and is never told apart by its birth.
    var isRunnerUnit: Bool { unit?.hasPrefix(Self.runnerUnits) == true }
    /// How the names of the units of GitHub's runners begin.
    public static let runnerUnits = "actions.runner."

    /// Whether it is the service of the runner of this name: `actions.runner.<owner-repo>.<name>.service`, where the runner's
    /// installer writes `-` for what a unit's name cannot hold.
    public func isUnit(of runner: String) -> Bool {
        guard let unit, isRunnerUnit, !runner.isEmpty else { return false }
        let name = String(
            String.UnicodeScalarView(
                runner.unicodeScalars.map { c in
                    c.isASCII && (c.properties.isAlphabetic || ("0"..."9").contains(c) || "._-".unicodeScalars.contains(c)) ? c : "-"
                }
            )
        )
        return [runner, name].contains { unit.dropFirst(Self.runnerUnits.count).hasSuffix(".\($0).service") }
    }

    /// The pod's name without its namespace; a runner's own name where a pod is made for each job.
    public var podName: String? { pod?.split(separator: "/").last.map(String.init) }
}

/// A span with all that may tell which cgroup is its own.
public struct SpanIdentity: Sendable {
    public var id: Int64
    public var startedAt: Timestamp
    /// Nil while it runs.
    public var finishedAt: Timestamp?
    /// How far each posted edge may be off, either way.
    public var edgeResolution: Microseconds
    /// How far the clock of whoever posted the edges may be from the host's.
    public var clockError: Microseconds
    /// How long a span without an end counts as running.
    public var longestOpen: Microseconds
    /// The span's own id.
    public var key: String
    /// What the span is called wherever it is kept, made of its source, instance, id and attempt: unlike `id` it does not depend on which
    /// span came first. Empty where there is but one database of them.
    public var jobID: String
    /// The cgroup that the client named.
    public var workload: String?
    /// The name of the runner that took the job.
    public var runner: String?
    /// Every id under which the job's own CI may know it.
    public var jobIDs: Set<String>

    public init(
        id: Int64,
        startedAt: Timestamp,
        finishedAt: Timestamp?,
        edgeResolution: Microseconds = .zero,
        clockError: Microseconds = .zero,
        longestOpen: Microseconds = Microseconds(7 * Microseconds.day.count),
        key: String,
        jobID: String = "",
        workload: String? = nil,
        runner: String? = nil,
        jobIDs: Set<String> = []
    ) {
        self.id = id
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.edgeResolution = edgeResolution
        self.clockError = clockError
        self.longestOpen = longestOpen
        self.key = key
        self.jobID = jobID
        self.workload = workload
        self.runner = runner
        self.jobIDs = jobIDs
    }

    /// As posted.
    public var interval: Interval { Interval(startedAt, finishedAt ?? startedAt + longestOpen) }
    var tolerance: Microseconds { edgeResolution + clockError }

    /// Of two that began at once the order is the same whichever came first.
    func began(before other: SpanIdentity) -> Bool {
        (startedAt, jobID, key, id) < (other.startedAt, other.jobID, other.key, other.id)
    }

    /// For longer than their edges are in doubt.
    func overlaps(_ other: SpanIdentity) -> Bool {
        interval.intersection(other.interval).map { $0.duration > tolerance + other.tolerance } ?? false
    }
    var reach: Interval { Interval(interval.start - tolerance, interval.end + tolerance) }
}

/// How it was found which cgroup a span owns; earlier rules hold before later ones.
public enum OwnershipRule: String, Sendable, CaseIterable {
    /// `wattle run` made it, and told the agent.
    case run
    /// The client named it: `wattle span start` in it.
    case client
    /// A container labelled with the job's id.
    case container
    /// A pod named as the runner.
    case pod
    /// The runner's systemd unit, which ran this span only.
    case unit
    /// The only one born and dead as the span began and ended.
    case alone
}

/// Why a span owns no cgroup.
public enum OwnerlessReason: String, Sendable, CaseIterable {
    case noCgroup = "no_cgroup"
    /// Several fit, or one fits several spans.
    case ambiguous = "ambiguous_cgroup"
    /// The runner's unit ran another span at the same time.
    case runnerShared = "runner_ran_others"
}

/// The cgroups that a span owns, how that was found, and its edges as they are accounted.
public struct Ownership: Hashable, Sendable {
    /// Curves of CPU time, the first born first. Several where a job has several containers, or its cgroup was made anew.
    public var curveIDs: [Int32]
    public var rule: OwnershipRule
    /// The posted edges, moved to the cgroups' birth and death where these lie within the edges' resolution.
    public var interval: Interval

    public init(curveIDs: [Int32], rule: OwnershipRule, interval: Interval) {
        self.curveIDs = curveIDs
        self.rule = rule
        self.interval = interval
    }
}

public enum OwnershipDecision: Hashable, Sendable {
    case owned(Ownership)
    case none(OwnerlessReason)

    public var ownership: Ownership? { if case .owned(let ownership) = self { ownership } else { nil } }
    public var reason: OwnerlessReason? { if case .none(let reason) = self { reason } else { nil } }
}

extension OwnershipDecision {
    /// Decides for every span of a host which cgroups are its own.
    ///
    /// What names a cgroup (rules `run` to `unit`) is decided for each span by itself; then, over all spans together, each cgroup
    /// that only one span can own goes to it and out of the others' choice, until nothing changes. Independent of the order of
    /// its arguments.
    public static func decide(spans: [SpanIdentity], cgroups: [WatchedCgroup]) -> [Int64: OwnershipDecision] {
        var decisions: [Int64: OwnershipDecision] = [:]
        var taken: Set<Int32> = []
        let directory = CgroupDirectory(cgroups)
        var runners = RunnersJobs(spans)
        for span in spans {
            guard let decision = named(span, runners: &runners, directory: directory) else { continue }
            decisions[span.id] = decision
            taken.formUnion(decision.ownership?.curveIDs ?? [])
        }

        // Born and dead with the span, and nobody's by name.
        let anonymous = cgroups.filter { $0.spanKey == nil && $0.jobLabel == nil && !$0.isRunnerUnit && !taken.contains($0.curveID) }
            .sorted { ($0.bornAt, $0.curveID) < ($1.bornAt, $1.curveID) }
        // Spans with the same edges have the same choice.
        var groups: [OwnershipChoice] = []
        var byEdges: [OwnershipChoice.Edges: Int] = [:]
        var hasChoice: Set<Int64> = []
        for span in spans where decisions[span.id]?.ownership == nil && span.finishedAt != nil {
            let edges = OwnershipChoice.Edges(start: span.startedAt, end: span.finishedAt, tolerance: span.tolerance)
            let group: Int
            if let known = byEdges[edges] {
                group = known
            } else {
                let first = anonymous.partitioningIndex { $0.bornAt >= span.startedAt - span.tolerance }
                let matching = anonymous[first...].prefix { $0.bornAt <= span.startedAt + span.tolerance }.filter { $0.livedAs(span) }
                group = groups.count
                byEdges[edges] = group
                groups.append(OwnershipChoice(cgroups: matching))
            }
            groups[group].spans.append(span)
            if !groups[group].cgroups.isEmpty { hasChoice.insert(span.id) }
        }
        for (span, cgroup) in OwnershipChoice.decide(groups) { decisions[span.id] = .owned(span.owning([cgroup], by: .alone)) }
        for span in spans where decisions[span.id]?.ownership == nil {
            // An overlap on the runner says more than that nothing else fits.
            decisions[span.id] = decisions[span.id] ?? .none(hasChoice.contains(span.id) ? .ambiguous : .noCgroup)
        }
        return decisions
    }

    /// What names the span's cgroups; nil where nothing does.
    private static func named(
        _ span: SpanIdentity,
        runners: inout RunnersJobs,
        directory: CgroupDirectory
    ) -> OwnershipDecision? {
        func near(_ cgroups: [WatchedCgroup]?) -> [WatchedCgroup] { (cgroups ?? []).filter { $0.life.intersection(span.reach) != nil } }

        let told = near(directory.bySpanKey[span.key]).outermost
        if !told.isEmpty { return .owned(span.owning(told, by: .run)) }

        if let path = span.workload {
            let placed = near(directory.byPath[path]).mostly(within: span)
            if !placed.isEmpty { return .owned(span.owning(placed, by: .client)) }
        }

        let labelled = near(span.jobIDs.flatMap { directory.byJobLabel[$0] ?? [] }).outermost
        if !labelled.isEmpty { return .owned(span.owning(labelled, by: .container)) }

        guard let runner = span.runner else { return nil }
        let pods = near(directory.byPodName[runner]).outermost
        if !pods.isEmpty { return .owned(span.owning(pods, by: .pod)) }

        let units = near(directory.runnerUnits).filter { $0.isUnit(of: runner) }.mostly(within: span)
        guard let unit = units.first else { return nil }
        // Two units of one name (of two organisations): nobody can tell which.
        guard units.allSatisfy({ $0.path == unit.path }) else { return .none(.ambiguous) }
        let others = runners.jobs(of: unit).areOthersBeside(span)
        return others ? .none(.runnerShared) : .owned(span.owning(units, by: .unit))
    }
}

/// The jobs of all runners, by the units that the runners are.
private struct RunnersJobs {
    private let byRunner: [String: [SpanIdentity]]
    private var byUnit: [String: UnitJobs] = [:]

    init(_ spans: [SpanIdentity]) {
        byRunner = Dictionary(grouping: spans.filter { $0.runner != nil }, by: { $0.runner ?? "" })
    }

    mutating func jobs(of unit: WatchedCgroup) -> UnitJobs {
        let name = unit.unit ?? ""
        if let known = byUnit[name] { return known }
        let jobs = UnitJobs(byRunner.filter { unit.isUnit(of: $0.key) }.flatMap(\.value))
        byUnit[name] = jobs
        return jobs
    }
}

/// The jobs of the runners that one unit is, in the order in which they began.
private struct UnitJobs {
    private let jobs: [SpanIdentity]
    /// Of those up to each that have ended, the one that surely ran longest.
    private let last: [SpanIdentity?]

    init(_ jobs: [SpanIdentity]) {
        self.jobs = jobs.sorted { $0.began(before: $1) }
        var last: [SpanIdentity?] = []
        for job in self.jobs {
            let before = last.last ?? nil
            // A runner takes one job at a time: one that never said its end was over when the next began.
            guard job.finishedAt != nil else {
                last.append(before)
                continue
            }
            last.append(before.map { $0.interval.end - $0.tolerance >= job.interval.end - job.tolerance } ?? false ? before : job)
        }
        self.last = last
    }

    /// Whether another one ran at the same time, for longer than their edges are in doubt.
    func areOthersBeside(_ span: SpanIdentity) -> Bool {
        let own = jobs.partitioningIndex { !$0.began(before: span) }
        if own > 0, let longest = last[own - 1], longest.interval.end - longest.tolerance > span.startedAt + span.tolerance {
            // No other is surely as near as that one; one whose edges are better known may be all the same.
            if longest.overlaps(span) || jobs[..<own].contains(where: { $0.finishedAt != nil && $0.overlaps(span) }) { return true }
        }
        return jobs[own...].prefix { $0.startedAt < span.interval.end }.contains { $0.id != span.id && $0.overlaps(span) }
    }
}

/// The cgroups that were born and died with some spans, all of them with the same edges.
private struct OwnershipChoice {
    struct Edges: Hashable {
        var start: Timestamp
        var end: Timestamp?
        var tolerance: Microseconds
    }

    var spans: [SpanIdentity] = []
    var cgroups: [WatchedCgroup]
    /// The one of them that is left, others within it apart.
    var only: Int32?

    /// Each cgroup that is the only one left to one span is that span's and out of the others' choice, until nothing changes. Only those
    /// whose choice became smaller are looked at again.
    static func decide(_ choices: [OwnershipChoice]) -> [(SpanIdentity, WatchedCgroup)] {
        var choices = choices
        var holders: [Int32: [Int]] = [:]
        for (i, choice) in choices.enumerated() {
            for cgroup in choice.cgroups { holders[cgroup.curveID, default: []].append(i) }
        }
        var taken: Set<Int32> = []
        var claims: [Int32: [Int]] = [:]
        var decided: [(SpanIdentity, WatchedCgroup)] = []
        var changed = Set(choices.indices)
        while !changed.isEmpty {
            var claimed: Set<Int32> = []
            for i in changed where choices[i].only.map({ taken.contains($0) }) ?? true {
                let left = choices[i].cgroups.filter { !taken.contains($0.curveID) }.outermost
                choices[i].only = left.count == 1 ? left[0].curveID : nil
                guard let only = choices[i].only else { continue }
                claims[only, default: []].append(i)
                claimed.insert(only)
            }
            changed = []
            for curveID in claimed {
                guard let one = claims[curveID], one.count == 1, choices[one[0]].spans.count == 1,
                    let cgroup = choices[one[0]].cgroups.first(where: { $0.curveID == curveID })
                else { continue }
                decided.append((choices[one[0]].spans[0], cgroup))
                taken.insert(curveID)
                choices[one[0]].cgroups = []
                changed.formUnion(holders[curveID] ?? [])
            }
        }
        return decided
    }
}

/// A host's cgroups by what names them.
private struct CgroupDirectory {
    var bySpanKey: [String: [WatchedCgroup]] = [:]
    var byPath: [String: [WatchedCgroup]] = [:]
    var byJobLabel: [String: [WatchedCgroup]] = [:]
    var byPodName: [String: [WatchedCgroup]] = [:]
    var runnerUnits: [WatchedCgroup] = []

    init(_ cgroups: [WatchedCgroup]) {
        for cgroup in cgroups {
            byPath[cgroup.path, default: []].append(cgroup)
            if let key = cgroup.spanKey { bySpanKey[key, default: []].append(cgroup) }
            if let job = cgroup.jobLabel { byJobLabel[job, default: []].append(cgroup) }
            if let pod = cgroup.podName { byPodName[pod, default: []].append(cgroup) }
            if cgroup.isRunnerUnit { runnerUnits.append(cgroup) }
        }
    }
}

extension Array {
    /// Where those begin of which this is true; it is false of all before them.
    fileprivate func partitioningIndex(where isAfter: (Element) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension WatchedCgroup {
    /// Whether it was born as the span began and died as it ended, as nearly as their edges are known.
    func livedAs(_ span: SpanIdentity) -> Bool {
        guard let finishedAt = span.finishedAt, let diedAt else { return false }
        return bornAt.isWithin(span.tolerance, of: span.startedAt) && diedAt.isWithin(span.tolerance, of: finishedAt)
    }
}

extension SpanIdentity {
    fileprivate func owning(_ cgroups: [WatchedCgroup], by rule: OwnershipRule) -> Ownership {
        // `wattle run` reads the host's own clock.
        let tolerance = rule == .run ? edgeResolution : tolerance
        var snapped = interval
        if let birth = cgroups.map(\.bornAt).min(), birth.isWithin(tolerance, of: startedAt) { snapped.start = birth }
        let deaths = cgroups.compactMap(\.diedAt)
        if let finishedAt, deaths.count == cgroups.count, let death = deaths.max(), death.isWithin(tolerance, of: finishedAt) {
            snapped.end = death
        }
        return Ownership(
            curveIDs: cgroups.sorted { ($0.bornAt, $0.path, $0.curveID) < ($1.bornAt, $1.path, $1.curveID) }.map(\.curveID),
            rule: rule,
            interval: snapped.start <= snapped.end ? snapped : interval
        )
    }
}

extension [WatchedCgroup] {
    /// Without those that lie below another: its count holds theirs.
    fileprivate var outermost: [WatchedCgroup] {
        guard count > 1 else { return self }
        let paths = Set(map { Substring($0.path) })
        return filter { one in !one.path.indices.contains { one.path[$0] == "/" && paths.contains(one.path[..<$0]) } }
    }

    /// Of the lives of one path those that are the span's: one that ends as the span begins, or begins as it ends, is its
    /// neighbour's, unless there is no other.
    fileprivate func mostly(within span: SpanIdentity) -> [WatchedCgroup] {
        let slack = Microseconds(2 * span.tolerance.count)
        let inside = filter { ($0.life.intersection(span.interval)?.duration ?? .zero) > slack }
        return inside.isEmpty ? self : inside
    }
}

extension Timestamp {
    fileprivate func isWithin(_ tolerance: Microseconds, of other: Timestamp) -> Bool {
        self - other <= tolerance && other - self <= tolerance
    }
}
