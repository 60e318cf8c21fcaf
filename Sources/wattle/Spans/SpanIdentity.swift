/// The id of a hook's span, the same at its start and at its end.
enum SpanIdentity {
    /// The id given, else that of the job that the hook's environment names; nil where it names none.
    static func id(given: String?, environment: (String) -> String? = Settings.variable) -> String? {
        if let given { return given }
        if let id = environment("WATTLE_SPAN_ID") { return id }
        // One run attempt of a job on one runner: GITHUB_JOB alone is shared by the jobs of a matrix.
        if let repository = environment("GITHUB_REPOSITORY"), let run = environment("GITHUB_RUN_ID"), let job = environment("GITHUB_JOB") {
            let parts = [repository, run, job, environment("RUNNER_NAME"), environment("GITHUB_RUN_ATTEMPT")]
            return "github/" + parts.compactMap { $0 }.joined(separator: "/")
        }
        return nil
    }

    static let expectation = "expected --id, WATTLE_SPAN_ID, or the environment of a GitHub job hook"
}
