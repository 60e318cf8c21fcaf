import Agent
import ArgumentParser
import Glibc
import Logging

@main
struct WattleAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wattle-agent",
        abstract: "Measures the energy of this machine and sends it to a Wattle collector.",
        discussion: """
            Examples:
              wattle-agent detect
              wattle-agent run --collector https://wattle.example.org --token-file /etc/wattle/token
            """,
        version: AgentProgram.version,
        subcommands: [Run.self, Enrol.self, Runners.self, Detect.self, SelfTest.self, Replay.self, Demo.self]
    )

    /// Exit codes: 0 done, 1 failed, 2 usage or configuration.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let fault as SettingsFault {
            finish("configuration: \(fault)", 2)
        } catch  where exitCode(for: error) == .success || error is ExitCode {
            exit(withError: error)
        } catch  where exitCode(for: error) == .validationFailure {
            StandardError.write(fullMessage(for: error) + "\n")
            Glibc.exit(2)
        } catch {
            finish("\(error)", 1)
        }
    }

    private static func finish(_ message: String, _ code: Int32) -> Never {
        StandardError.write("wattle-agent: \(message)\n")
        Glibc.exit(code)
    }
}
