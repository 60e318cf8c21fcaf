import Energy
import Store

/// Tells which of a run's jobs on one runner are one job under two ids. Pure, and a function of the set alone: whatever the order in
/// which its members arrived, the answer is the same.
///
/// A runner works on one job at a time. So a hook's record, which cannot know the job's id, is the job of its repository that overlaps it;
/// and a job of a later attempt with the same name, start and end ran once only: the re-run took its result over (the event is sent again
/// under a new id).
enum RunGroup {
    /// A job, or a hook's record.
    struct Member: Sendable, Hashable {
        var jobID: String
        var isHook: Bool
        var attempt: Int
        var name: String?
        var repository: String?
        var startedAt: Timestamp
        var finishedAt: Timestamp?
    }

    struct Alias: Sendable, Hashable {
        var of: String
        var cause: JobRow.AliasCause
    }

    /// How far a hook's start may lie from the job's: the runner sets the job up before it calls the hook, and clocks differ.
    static let hookSlack = Microseconds.seconds(120)

    private static let mostPairs = 1_000_000

    /// For each member that is another one: which.
    static func aliases(of members: [Member]) -> [String: Alias] {
        var aliases: [String: Alias] = [:]
        let jobs = members.filter { !$0.isHook }
        for (_, same) in Dictionary(grouping: jobs.filter { $0.finishedAt != nil }, by: Work.init) {
            guard let first = same.min(by: { ($0.attempt, $0.jobID) < ($1.attempt, $1.jobID) }) else { continue }
            for other in same where other.attempt > first.attempt { aliases[other.jobID] = Alias(of: first.jobID, cause: .carriedOver) }
        }
        var pairs: [(distance: Int64, hook: Member, job: Member)] = []
        // Nobody's runner works on that many jobs of one run; pairing them would take the square of their number.
        let hooks = members.filter(\.isHook)
        guard hooks.count * jobs.count <= mostPairs else { return aliases }
        for hook in hooks {
            for job in jobs where aliases[job.jobID] == nil && job.attempt == hook.attempt && job.repository == hook.repository {
                let distance = (hook.startedAt - job.startedAt).count.magnitude
                let isBeforeEnd = job.finishedAt.map { hook.startedAt <= $0 + hookSlack } ?? true
                guard hook.startedAt >= job.startedAt - hookSlack, isBeforeEnd else { continue }
                pairs.append((Int64(clamping: distance), hook, job))
            }
        }
        var taken: Set<String> = []
        // The nearest pair first; each hook is one job and each job has one hook.
        for pair in pairs.sorted(by: { ($0.distance, $0.hook.jobID, $0.job.jobID) < ($1.distance, $1.hook.jobID, $1.job.jobID) })
        where aliases[pair.hook.jobID] == nil && !taken.contains(pair.job.jobID) {
            aliases[pair.hook.jobID] = Alias(of: pair.job.jobID, cause: .hook)
            taken.insert(pair.job.jobID)
        }
        return aliases
    }

    /// What two jobs must share to be the same work.
    private struct Work: Hashable {
        let name: String?
        let repository: String?
        let startedAt: Timestamp
        let finishedAt: Timestamp?

        init(_ member: Member) {
            name = member.name
            repository = member.repository
            startedAt = member.startedAt
            finishedAt = member.finishedAt
        }
    }
}
