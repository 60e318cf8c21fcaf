import ArgumentParser
import ImpactModels
import ManifestFiles
import Tracker

/// `wattle model run FILE`.
struct ModelRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Compute a manifest or an impl; exit 1 when it cannot be computed as a whole.",
        discussion: """
            Known errors of upstream are mended; what was understood, mended or left unknown is noted on standard error and in the \
            output's execution.notes. No code of a manifest is run, and nothing is fetched but from a collector that you name.

            EXAMPLES
              wattle model run manifest.yaml
              wattle model run manifest.yaml -o result.csv
              wattle model run --impl impl.yml --ompl ompl.yml
              wattle model run --manifest m.yaml --output result.yaml --strict-upstream
              wattle model run jobs.yaml --collector https://wattle.example.org
            """
    )

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case yaml, json, csv
    }

    @Argument(help: ArgumentHelp("The manifest or impl, or - for standard input.", valueName: "file"))
    var file: String?

    @Option(
        name: [.customShort("m"), .customLong("manifest"), .customLong("impl")],
        help: ArgumentHelp("The same, as the frameworks' own commands have it.", valueName: "file")
    )
    var manifest: String?

    @Option(
        name: [.customShort("o"), .customLong("output"), .customLong("ompl")],
        help: ArgumentHelp("Where the result goes. Default: standard output.", valueName: "file")
    )
    var output: String?

    @Option(help: ArgumentHelp("yaml, json or csv. Default: as the output's name ends, else yaml.", valueName: "format"))
    var format: Format?

    @Flag(name: [.customShort("n"), .customLong("no-output")], help: "Compute, and write nothing.")
    var noOutput = false

    @Flag(name: [.customShort("a"), .long], help: "Put new outputs after those that the file has.")
    var append = false

    @Flag(help: "Run the phase observe; of the three those that are named, all when none is.")
    var observe = false

    @Flag(help: "Run the phase regroup.")
    var regroup = false

    @Flag(help: "Run the phase compute.")
    var compute = false

    @Flag(help: "Compute as upstream does, with its known errors; see docs/models.md.")
    var strictUpstream = false

    @Option(help: ArgumentHelp("A folder with cloud_instances.csv and cpu_architectures.csv of your own.", valueName: "folder"))
    var factors: String?

    @Option(help: ArgumentHelp("A folder where the files of addresses are that the manifest looks values up in.", valueName: "folder"))
    var downloads: String?

    @OptionGroup var collectorOptions: CollectorOptions

    func validate() throws {
        switch (file, manifest) {
        case (nil, nil): throw ValidationError("expected a manifest: wattle model run FILE")
        case (_?, _?): throw ValidationError("expected one manifest, found two: FILE and --manifest")
        default: break
        }
    }

    func run() async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        if collectorOptions.showConfig {
            StandardOutput.write(settings.table)
            return
        }
        guard let path = file ?? manifest else { throw Failure.usage("expected a manifest") }
        let document = try await ManifestInput.read(path)
        do {
            let manifest = try Manifest(document)
            let sources = ModelSources(
                file: ManifestInput.files(beside: path, downloads: downloads),
                cloud: manifest.needsCloudTables ? try CloudTableFiles.model(folder: factors) : nil,
                measured: try await MeasuredAnswers.asked(for: manifest, settings).source
            )
            let result = try ModelRun(manifest, options: options, sources: sources)
            tell(result.notes)
            try write(result)
        } catch let fault as ModelFault {
            throw Failure.failed("\(path): \(fault.description)")
        }
    }

    private var options: ModelRun.Options {
        var phases: Set<ModelRun.Phase> = []
        if observe { phases.insert(.observe) }
        if regroup { phases.insert(.regroup) }
        if compute { phases.insert(.compute) }
        if phases.isEmpty { phases = Set(ModelRun.Phase.allCases) }
        return ModelRun.Options(phases: phases, isStrict: strictUpstream, appends: append)
    }

    /// All of them are in the result; of many the first are told.
    private func tell(_ notes: [ModelNote]) {
        let shown = 20
        for note in notes.prefix(shown) { StandardError.write("wattle: note: \(note.description)\n") }
        if notes.count > shown { StandardError.write("wattle: note: \(notes.count - shown) more in execution.notes of the result\n") }
    }

    private func write(_ result: ModelRun) throws {
        if noOutput { return }
        let text =
            switch format ?? formatOfName {
            case .yaml: YAMLWriter.text(.map(result.document))
            case .json: OrderedJSON.text(.map(result.document))
            case .csv: OutputTable(result.manifest).csv
            }
        guard let output, output != "-" else {
            StandardOutput.write(text)
            return
        }
        try ResultFile.write(text, to: output)
    }

    private var formatOfName: Format {
        let name = output?.lowercased() ?? ""
        if name.hasSuffix(".csv") { return .csv }
        return name.hasSuffix(".json") ? .json : .yaml
    }
}
