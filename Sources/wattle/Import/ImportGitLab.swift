import ArgumentParser
import CIHistory
import Energy
import HTTPClient
import Tracker

/// `wattle import gitlab GROUP`.
struct ImportGitLab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gitlab",
        abstract: "Import the jobs of a GitLab group, its subgroups included, or of a user.",
        discussion: """
            The GitLab token is read from GITLAB_TOKEN or --api-token-file; it needs the scope read_api. The collector's token should be \
            made with the webhook's source, so that a job that both tell of is one job:
              wattle-collector token create --scope ci --name import --source NAME

            It can be stopped at any time; the same command goes on from where the last acknowledged batch ended. GitLab's rate limits are \
            waited for. Jobs that never had a runner are counted and not posted.

            EXAMPLES
              wattle import gitlab tools/ci --since 90d
              wattle import gitlab tools --api-url https://gitlab.example.org --since 2026-06-01 --dry-run
            """
    )

    @Argument(help: ArgumentHelp("The group's path, or a user.", valueName: "group"))
    var owner: String

    @Option(help: ArgumentHelp("The installation.", valueName: "url"))
    var apiURL = GitLabHistory.publicURL

    @OptionGroup var options: ImportOptions

    func run() async throws {
        if options.collectorOptions.showConfig { return ImportGitHub.show(options.collectorOptions) }
        let subject = ImportSubject(
            system: "gitlab",
            systemName: "GitLab",
            apiURL: apiURL,
            owner: owner,
            repositories: options.repository
        )
        let since = try ImportOptions.start(options.since, now: .systemNow())
        let token = try await options.apiToken(
            variable: "GITLAB_TOKEN",
            advice: "make one with the scope read_api in the user's or group's settings, under Access tokens"
        )
        let history: GitLabHistory
        do throws(HistoryError) {
            history = try GitLabHistory(
                HistoryRange(subject.scope, since: since),
                url: apiURL,
                token: token,
                http: HTTPClient(userAgent: "wattle"),
                now: { .systemNow() }
            )
        } catch {
            throw Failure.usage("--api-url: \(error.description)")
        }
        try await options.run(subject, history: history)
    }
}
