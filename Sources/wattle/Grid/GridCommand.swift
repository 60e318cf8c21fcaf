import ArgumentParser

/// `wattle grid`: what a kWh emits in a zone, and when a job would best run.
struct GridCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grid",
        abstract: "What a kWh emits: now, before, and as far as is forecast; when to run a job, and waiting for it.",
        discussion: """
            The collector is asked (WATTLE_URL). --file SERIES.csv answers without one, and --provider asks a provider itself.

            EXAMPLES
              wattle grid latest GB FR
              wattle grid history GB --from 2026-09-01 --to 2026-09-02 --format json
              wattle grid forecast GB --provider gb-carbon-intensity
              wattle grid best --duration 2h --within 24h GB FR
              wattle grid wait --max-g 150 --deadline 6h GB && make release
            """,
        subcommands: [GridLatest.self, GridHistory.self, GridForecast.self, GridBest.self, GridWait.self]
    )
}

enum GridFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// The zones that are asked about, WATTLE_ZONE where none is named.
struct ZoneArguments: ParsableArguments {
    @Argument(help: ArgumentHelp("Zones such as GB, FR or US-CAL-CISO (default: WATTLE_ZONE).", valueName: "zone"))
    var zones: [String] = []

    @Option(help: ArgumentHelp("table or json.", valueName: "format"))
    var format = GridFormat.table
}
