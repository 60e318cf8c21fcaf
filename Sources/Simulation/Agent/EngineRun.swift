public import Accounting
import Energy

/// The real engine over what the agent knows of a simulated host.
public enum EngineRun {
    /// What the engine answers of a job, µJ.
    public struct Answer: Sendable {
        /// Under the policy `reserved`, with what is estimated for time that nobody metered.
        public var best = 0.0
        public var dynamic = 0.0
        public var boundLow = 0.0
        public var boundHigh = 0.0
    }

    /// The host's hours as a collector would give them to the engine.
    public static func inputs(_ view: AgentView) -> [HostInput] {
        let host = view.host
        let spans = spans(view)
        return Hour.touching(host.window).map { hour in
            let window = hour.interval.intersection(host.window) ?? hour.interval
            return HostInput(
                window: window,
                cpus: host.draw.cpus,
                slots: Double(host.draw.slots),
                meters: view.meters,
                wholes: view.wholes,
                busy: view.busy,
                agent: view.agent,
                spans: spans.filter { $0.interval.intersection(window) != nil }
            )
        }
    }

    /// Jobs' answers by their ids.
    public static func answers(_ view: AgentView) -> [Int64: Answer] {
        var answers: [Int64: Answer] = [:]
        for input in inputs(view) {
            for accounts in Sweep.accounts(of: input) {
                for slice in accounts.slices {
                    var answer = answers[slice.spanID] ?? Answer()
                    answer.best += Double(slice.dynamic + slice.idle.reserved + (slice.estimated ?? 0))
                    answer.dynamic += Double(slice.dynamic)
                    let limits = slice.bounds.limits(idleMoved: slice.idle.reserved)
                    answer.boundLow += limits.low
                    answer.boundHigh += limits.high
                    answers[slice.spanID] = answer
                }
            }
        }
        return answers
    }

    /// Each job with the cgroup that the real rules find for it, by a container's label.
    private static func spans(_ view: AgentView) -> [SpanInput] {
        var cgroups: [WatchedCgroup] = []
        var curves: [Int32: Curve] = [:]
        var identities: [SpanIdentity] = []
        for (index, job) in view.jobs.enumerated() {
            identities.append(
                SpanIdentity(
                    id: job.id,
                    startedAt: job.posted.start,
                    finishedAt: job.posted.end,
                    edgeResolution: AgentView.edgeResolution,
                    clockError: AgentView.clockError,
                    key: "\(job.id)",
                    jobIDs: ["\(job.id)"]
                )
            )
            guard let cgroup = job.cgroup else { continue }
            let id = Int32(index + 1)
            curves[id] = cgroup.curve
            cgroups.append(
                WatchedCgroup(curveID: id, path: "/job/\(job.id)", bornAt: cgroup.born, diedAt: cgroup.died, jobLabel: "\(job.id)")
            )
        }
        let decisions = OwnershipDecision.decide(spans: identities, cgroups: cgroups)
        return view.jobs.map { job in
            let ownership = decisions[job.id]?.ownership
            let workload = ownership?.curveIDs.first.flatMap { curves[$0] }.map {
                SpanInput.Workload(curve: $0, isClosed: true, epsilonMicroseconds: AgentView.cpuEpsilon)
            }
            return SpanInput(
                id: job.id,
                interval: ownership?.interval ?? job.posted,
                edgeResolution: ownership.map { $0.interval == job.posted } ?? true ? AgentView.edgeResolution : .zero,
                workload: workload,
                weight: 1
            )
        }
    }
}
