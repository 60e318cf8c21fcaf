import ArgumentParser

/// `wattle import`: what ran before there were webhooks.
struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Bring the history of a CI system to the collector: what webhooks missed, and what ran before there were any.",
        discussion: """
            EXAMPLES
              wattle import github ocaml --since 90d
              wattle import gitlab tools/ci --since 2026-06-01 --api-url https://gitlab.example.org
            """,
        subcommands: [ImportGitHub.self, ImportGitLab.self]
    )
}
