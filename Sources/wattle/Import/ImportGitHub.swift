import ArgumentParser
import CIHistory
import Energy
import HTTPClient
import Tracker

/// `wattle import github ORG`.
struct ImportGitHub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "github",
        abstract: "Import the jobs of an organisation's or user's GitHub Actions runs.",
        discussion: """
            The GitHub token is read from GITHUB_TOKEN or --api-token-file; it needs read access to Actions and metadata. The collector's \
            token should be made with the webhook's source, so that a job that both tell of is one job:
              wattle-collector token create --scope ci --name import --source NAME

            It can be stopped at any time; the same command goes on from where the last acknowledged batch ended. GitHub's rate limits are \
            waited for. Jobs that never had a runner are counted and not posted.

            EXAMPLES
              wattle import github ocaml --since 90d
              wattle import github ocaml --repository dune --since 2026-06-01 --dry-run
              wattle import github tools --api-url https://ghe.example.org/api/v3 --api-token-file /run/secrets/ghe
            """
    )

    @Argument(help: ArgumentHelp("The organisation or user.", valueName: "org"))
    var owner: String

    @Option(help: ArgumentHelp("GitHub's API; of an Enterprise Server https://HOST/api/v3.", valueName: "url"))
    var apiURL = GitHubHistory.publicURL

    @OptionGroup var options: ImportOptions

    func run() async throws {
        if options.collectorOptions.showConfig { return ImportGitHub.show(options.collectorOptions) }
        let subject = ImportSubject(
            system: "github",
            systemName: "GitHub",
            apiURL: apiURL,
            owner: owner,
            repositories: options.repository
        )
        let since = try ImportOptions.start(options.since, now: .systemNow())
        let token = try await options.apiToken(
            variable: "GITHUB_TOKEN",
            advice: "make one at https://github.com/settings/tokens with read access to Actions and metadata"
        )
        let history: GitHubHistory
        do throws(HistoryError) {
            history = try GitHubHistory(
                HistoryRange(subject.scope, since: since),
                apiURL: apiURL,
                token: token,
                http: HTTPClient(userAgent: "wattle"),
                now: { .systemNow() }
            )
        } catch {
            throw Failure.usage("--api-url: \(error.description)")
        }
        try await options.run(subject, history: history)
    }

    static func show(_ options: CollectorOptions) {
        StandardOutput.write(Settings(url: options.collector, token: options.token, zone: nil, socket: nil).table)
    }
}
