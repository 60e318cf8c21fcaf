/// What a CI system tells a job, and the hooks around it, in their environment.
public struct JobEnvironment: Sendable, Hashable {
    public enum System: String, Sendable, Hashable, CaseIterable {
        case github, gitlab
    }

    public var system: System
    /// The installation's address: `https://github.com`.
    public var instance: String
    /// As the system names it, with the installation's host: `github.com/ocaml/dune`.
    public var repository: String?
    public var commit: String?
    public var ref: String?
    public var pipeline: String?
    public var job: String?
    public var runID: String
    /// Nil for GitHub, which does not tell a job its own id.
    public var jobID: String?
    public var runner: String?
    public var runnerID: String?
    public var attempt: Int
    public var url: String?
    /// When the job began, where the system tells.
    public var startedAt: String?

    /// - Parameters:
    ///   - system: nil for whichever the environment speaks of.
    ///   - variable: reads one variable; nil for one that is empty or not set.
    /// - Returns: nil where the environment is that of no job.
    public init?(_ system: System? = nil, variable: (String) -> String?) {
        switch system {
        case .github?: self.init(github: variable)
        case .gitlab?: self.init(gitlab: variable)
        case nil:
            // A job's environment may hold both, where one system's job drives another's: the one with a job's id is the inner one.
            if let gitlab = JobEnvironment(.gitlab, variable: variable) {
                self = gitlab
            } else if let github = JobEnvironment(.github, variable: variable) {
                self = github
            } else {
                return nil
            }
        }
    }

    private init?(github variable: (String) -> String?) {
        guard let runID = variable("GITHUB_RUN_ID") else { return nil }
        system = .github
        let instance = variable("GITHUB_SERVER_URL") ?? "https://github.com"
        self.instance = instance
        self.runID = runID
        repository = variable("GITHUB_REPOSITORY").map { [Self.host(instance), $0].joined(separator: "/") }
        // A pull request's job runs on a merge that nobody has committed: what the system itself says of it is better.
        let isMerge = variable("GITHUB_EVENT_NAME")?.hasPrefix("pull_request") == true
        commit = isMerge ? nil : variable("GITHUB_SHA")
        ref = variable("GITHUB_HEAD_REF") ?? (isMerge ? nil : variable("GITHUB_REF_NAME"))
        pipeline = variable("GITHUB_WORKFLOW")
        job = variable("GITHUB_JOB")
        runner = variable("RUNNER_NAME")
        attempt = variable("GITHUB_RUN_ATTEMPT").flatMap { Int($0) } ?? 1
        if let name = variable("GITHUB_REPOSITORY") { url = "\(instance)/\(name)/actions/runs/\(runID)" }
    }

    private init?(gitlab variable: (String) -> String?) {
        guard let id = variable("CI_JOB_ID"), variable("GITLAB_CI") != nil || variable("CI_SERVER_URL") != nil else { return nil }
        system = .gitlab
        let instance = variable("CI_SERVER_URL") ?? variable("CI_SERVER_HOST").map { "https://\($0)" } ?? "https://gitlab.com"
        self.instance = instance
        jobID = id
        runID = variable("CI_PIPELINE_ID") ?? ""
        repository = variable("CI_PROJECT_PATH").map { [Self.host(instance), $0].joined(separator: "/") }
        commit = variable("CI_COMMIT_SHA")
        ref = variable("CI_COMMIT_REF_NAME")
        pipeline = variable("CI_PIPELINE_ID")
        job = variable("CI_JOB_NAME")
        runner = variable("CI_RUNNER_DESCRIPTION")
        runnerID = variable("CI_RUNNER_ID")
        // Each retry has an id of its own there.
        attempt = 1
        url = variable("CI_JOB_URL")
        startedAt = variable("CI_JOB_STARTED_AT")
    }

    private static func host(_ url: String) -> String {
        var rest = url[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        return rest.split(separator: "/").joined(separator: "/").lowercased()
    }

    /// The same at the job's start and at its end, and another one for every other job on this machine.
    public var name: String {
        [system.rawValue, instance, repository ?? "", runID, jobID ?? job ?? "", runner ?? "", "\(attempt)"].joined(separator: "\n")
    }

    /// The span's id: the job's own where it is told, so that the hook's words and the webhook's become one span; else one that only
    /// this job has, which the collector joins by run, runner and time.
    ///
    /// - Parameter startedMicroseconds: since 1970.
    public func spanID(startedMicroseconds: Int64) -> String {
        jobID ?? "run/\(runID)/\(runner ?? "-")/\(startedMicroseconds)"
    }
}
