import ArgumentParser

/// `wattle model`: manifests of the Impact Framework.
struct ModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Run Impact Framework manifests and impls, and compare their results.",
        discussion: """
            EXAMPLES
              wattle model run manifest.yaml
              wattle model run --impl impl.yml --ompl ompl.yml
              wattle model diff expected.yaml found.yaml --tolerance 1e-9
            """,
        subcommands: [ModelRunCommand.self, ModelDiffCommand.self]
    )
}
