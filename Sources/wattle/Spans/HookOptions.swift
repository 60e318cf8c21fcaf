import ArgumentParser
import Tracker

/// How a span's edge is taken in a CI system's job hook.
struct HookOptions: ParsableArguments {
    @Flag(name: .customLong("github-hook"), help: "This is a job hook of GitHub's runner; by default the environment tells.")
    var isGitHub = false

    @Flag(name: .customLong("gitlab"), help: "This is GitLab's pre_build_script or the job's end; by default the environment tells.")
    var isGitLab = false

    @Flag(help: "Fail where something did not work. A hook that fails fails the job, so by default it only warns.")
    var strict = false

    @Flag(
        help: ArgumentHelp(
            """
            Ask the agent for a socket of this job's own, which may be mounted into its containers, and export its path as \
            WATTLE_JOB_SOCKET: to GITHUB_ENV in GitHub's hook, else as a line for the shell on standard output.
            """
        )
    )
    var jobSocket = false

    func validate() throws {
        if isGitHub, isGitLab { throw ValidationError("expected one of --github-hook and --gitlab, found both") }
    }

    /// The job that the hook stands at; nil where none is asked for and the environment tells of none.
    func job(isIDGiven: Bool) throws -> JobEnvironment? {
        let system: JobEnvironment.System? = isGitHub ? .github : isGitLab ? .gitlab : nil
        guard system != nil || !isIDGiven else { return nil }
        let job = JobEnvironment(system, variable: Settings.variable)
        if job == nil, let system {
            let wanted = system == .github ? "GITHUB_RUN_ID" : "CI_JOB_ID and CI_SERVER_URL"
            throw Failure.usage("expected the environment of a job (\(wanted)), found none: call this from the runner's hook")
        }
        return job
    }
}
