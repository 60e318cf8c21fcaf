import ArgumentParser

/// `wattle factors`: the tables of published numbers that Wattle multiplies by.
struct FactorsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "factors",
        abstract: "The published numbers that are multiplied by: of grids, clouds, processors and parts.",
        discussion: """
            EXAMPLES
              wattle factors check
              wattle factors check config/factors --format json
            """,
        subcommands: [FactorsCheckCommand.self]
    )
}
