import ArgumentParser
import CIHistory
import Documents
import Energy
import Glibc
import HTTPClient
import Tracker

/// What all imports are told.
struct ImportOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("How far back: 90d, 12h, 4w, or a date or time in UTC. A job counts that ended since then.", valueName: "when")
    )
    var since = "90d"

    @Option(help: ArgumentHelp("Only this repository (OWNER/NAME); can be given several times.", valueName: "name"))
    var repository: [String] = []

    @Option(help: ArgumentHelp("A file that holds the system's API token, and nothing else.", valueName: "file"))
    var apiTokenFile: String?

    @Option(
        help: ArgumentHelp("Where the import's place is kept, to go on from. Default: below ~/.local/state/wattle/.", valueName: "file")
    )
    var state: String?

    @Flag(help: "Read everything, post nothing and keep no place.")
    var dryRun = false

    @Option(help: ArgumentHelp("The summary: table or json.", valueName: "format"))
    var format = ImportFormat.table

    @OptionGroup var collectorOptions: CollectorOptions
}

enum ImportFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

extension ImportOptions {
    /// The start of what is wanted: `90d` back, or an instant.
    static func start(_ text: String, now: Timestamp) throws -> Timestamp {
        let units: [Character: Microseconds] = [
            "h": .hour, "d": Microseconds(Microseconds.day.count), "w": Microseconds(Microseconds.day.count * 7),
        ]
        if let last = text.last, let unit = units[last], let count = Int64(text.dropLast()), (1...100_000).contains(count) {
            return now - Microseconds(unit.count * count)
        }
        if let time = Timestamp(rfc3339: text), time < now { return time }
        throw Failure.usage("--since: expected 90d, 12h, 4w, or a time in the past such as 2026-09-01 or 2026-09-01T09:00Z, found \(text)")
    }

    /// From the file, else from the environment; never from an argument, which everybody on the machine could read.
    func apiToken(variable: String, advice: String) async throws -> String {
        if let apiTokenFile {
            guard let bytes = await OwnThread.run({ InputFile.read(apiTokenFile, atMost: 10_000) }) else {
                throw Failure.usage("--api-token-file: \(apiTokenFile) cannot be read: expected a file that holds the token")
            }
            let token = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
            guard !token.isEmpty else { throw Failure.usage("--api-token-file: expected a token in \(apiTokenFile), found nothing") }
            return token
        }
        guard let token = Settings.variable(variable) else {
            throw Failure.usage("no API token: expected \(variable) in the environment, or --api-token-file FILE: \(advice)")
        }
        return token
    }

    /// Runs the import and prints its summary.
    func run(_ import: ImportSubject, history: any JobHistory) async throws {
        let settings = Settings(url: collectorOptions.collector, token: collectorOptions.token, zone: nil, socket: nil)
        let collector = dryRun ? nil : try settings.collector()
        let file = dryRun ? nil : ImportStateFile(path: state ?? ImportStateFile.standardPath(of: `import`), subject: `import`)
        var run = HistoryImport(system: `import`.systemName, history: history, collector: collector, file: file)
        var failure: Failure?
        do {
            try await run.walk()
        } catch let error as Failure {
            failure = error
        } catch let error as HistoryError {
            failure = .failed(error.description)
        }
        StandardOutput.write(format == .json ? try run.summary.json.text + "\n" : run.summary.table(isDryRun: dryRun))
        if let failure {
            let place = file.map { "; run the same command to go on from \($0.path)" } ?? ""
            throw Failure(message: failure.message + place, exitCode: failure.exitCode)
        }
        if run.summary.refused > 0 { throw ExitCode(1) }
    }
}

/// What is imported: names the place that is kept.
struct ImportSubject: Sendable, Equatable {
    /// `github`
    var system: String
    /// `GitHub`
    var systemName: String
    var apiURL: String
    var owner: String
    var repositories: [String]

    /// Tells one import from another.
    var text: String { ([system, apiURL, owner] + repositories.sorted()).joined(separator: " ") }

    var scope: HistoryRange.Scope { repositories.isEmpty ? .owner(owner) : .repositories(repositories) }

    /// `dune` is `ocaml/dune` where the owner is `ocaml`.
    init(system: String, systemName: String, apiURL: String, owner: String, repositories: [String]) {
        self.system = system
        self.systemName = systemName
        self.apiURL = apiURL
        self.owner = owner
        self.repositories = repositories.map { $0.contains("/") ? $0 : "\(owner)/\($0)" }
    }
}
