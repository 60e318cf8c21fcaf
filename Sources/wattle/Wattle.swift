import ArgumentParser
import Glibc

/// The command-line tool: measures commands, posts spans, asks collectors.
@main
struct Wattle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wattle",
        abstract: "What did this job cost, in kWh and CO2e, and how sure are we?",
        discussion: """
            Settings come from flags, else WATTLE_URL, WATTLE_TOKEN, WATTLE_ZONE and WATTLE_SOCKET, else ~/.config/wattle/config.yaml, \
            else /etc/wattle/wattle.yaml, else defaults; --show-config tells which won.

            Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration; `wattle run` passes on the command's own.

            EXAMPLES
              wattle run -- make -j8
              wattle run --zone FR --format json -- cargo test
              wattle report job 01j7xk2m4nq8rv5tw9yz3abcde
              wattle report host builder-1 --from 2026-09-01
              wattle compare service opam-repo-ci --before 2026-09-01/2026-09-08 --after 2026-09-08/2026-09-15
              wattle model run manifest.yaml -o result.yaml
              wattle grid wait --max-g 150 --deadline 6h GB && make release
              wattle estimate --energy-wh 500 --zone FR
            """,
        subcommands: [
            Run.self, Span.self, Report.self, Compare.self, Import.self, FactorsCommand.self, ModelCommand.self, GridCommand.self,
            EstimateCommand.self,
        ]
    )

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            leave(with: error)
        }
    }

    /// Usage errors are 2 here, as everywhere in this family of programs (the parser's own is 64).
    private static func leave(with error: any Error) -> Never {
        let code = exitCode(for: error)
        if code == .success {
            // Help and such: printed to standard output.
            exit(withError: error)
        }
        if let failure = error as? Failure {
            StandardError.write("wattle: \(failure.message)\n")
            Glibc.exit(failure.exitCode)
        }
        let text = fullMessage(for: error)
        if !text.isEmpty { StandardError.write(text + "\n") }
        Glibc.exit(code == .validationFailure ? 2 : code.rawValue)
    }
}

/// An end with a message.
struct Failure: Error {
    let message: String
    let exitCode: Int32

    /// Something did not work: exit 1.
    static func failed(_ message: String) -> Failure { Failure(message: message, exitCode: 1) }
    /// Wrong usage or configuration: exit 2.
    static func usage(_ message: String) -> Failure { Failure(message: message, exitCode: 2) }
}
