import ArgumentParser

/// `wattle model`: manifests of the Impact Framework.
struct ModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Run Impact Framework manifests and impls, compare their results, and model machines of your own.",
        discussion: """
            EXAMPLES
              wattle model run manifest.yaml
              wattle model run --impl impl.yml --ompl ompl.yml
              wattle model diff expected.yaml found.yaml --tolerance 1e-9
              wattle model on-premise machines.csv
            """,
        subcommands: [ModelRunCommand.self, ModelDiffCommand.self, ModelOnPremiseCommand.self]
    )
}
