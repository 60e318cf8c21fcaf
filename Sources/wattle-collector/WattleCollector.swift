import ArgumentParser
import Collector
import Energy
import Logging

@main
struct WattleCollector: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wattle-collector",
        abstract: "Joins machines' energy and CI's jobs into footprints.",
        discussion: """
            EXAMPLES
              # A collector with a Postgres of its own, on http://127.0.0.1:8480
              wattle-collector serve --embedded /var/lib/wattle/collector

              # Tokens: for an agent on the host bremusa, for CI, for people
              wattle-collector token create --embedded DIR --scope agent --name bremusa --host bremusa
              wattle-collector token create --embedded DIR --scope ci --name my-farm
              wattle-collector token create --embedded DIR --scope read --name me

            Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
            """,
        version: SoftwareVersion.current,
        subcommands: [
            Serve.self, Migrate.self, TokenCommand.self, SourceCommand.self, AuditCommand.self, HostCommand.self, SiteCommand.self,
            ServicesCommand.self, DoctorCommand.self, SimulateCommand.self, LoadCommand.self, AccountCommand.self, StorageCommand.self,
        ]
    )

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            printError("wattle-collector: \(failure.message)")
            leave(withCode: failure.code)
        } catch let fault as CollectorConfiguration.Fault {
            printError("wattle-collector: \(fault.description)")
            leave(withCode: 2)
        } catch {
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code == .success { print(text) } else { printError(text) }
            // The parser's own code for wrong usage is 64; ours is 2 everywhere.
            leave(withCode: code == .validationFailure ? 2 : code.rawValue)
        }
    }
}

/// Why a command stopped.
struct Failure: Error {
    /// 1: it failed; 2: wrong usage or configuration.
    let code: Int32
    let message: String
}
