import Agent
import ArgumentParser
import Logging

/// `wattle-agent run`: measure and upload.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure this machine and send what was measured to a collector.",
        discussion: """
            Settings come from flags, then the environment (WATTLE_URL, WATTLE_TOKEN, WATTLE_ZONE, ...), then files, then defaults;
            --show-config prints which won. Without a collector only the local socket is served, and no connection is made.

            Examples:
              wattle-agent run --collector https://wattle.example.org --token-file /etc/wattle/token --zone FR
              wattle-agent run --collector https://wattle.example.org --enrol-token-file /etc/wattle/enrol-token --pool linux-x86_64
              wattle-agent run --rate 50 --epsilon 0.5
              wattle-agent run --root /tmp/fixture --state-dir /tmp/state --socket /tmp/agent.sock
              wattle-agent run --show-config
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    @Option(help: ArgumentHelp("The collector's address.", valueName: "url"))
    var collector: String?

    @Option(help: ArgumentHelp("The agent's token. Others can see it in the list of processes: prefer --token-file.", valueName: "token"))
    var token: String?

    @Option(help: ArgumentHelp("A file with the agent's token.", valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp("A file with an enrol token: an agent without a token of its own gets one with it, once.", valueName: "file")
    )
    var enrolTokenFile: String?

    @Option(help: ArgumentHelp("The pool of machines that this one belongs to.", valueName: "name"))
    var pool: String?

    @Option(help: ArgumentHelp("The host's name; by default its own.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("The grid zone that the machine stands in, such as FR.", valueName: "zone"))
    var zone: String?

    @Option(help: ArgumentHelp("Where counts and unsent batches are kept.", valueName: "dir"))
    var stateDir: String?

    @Option(help: ArgumentHelp("The local socket.", valueName: "path"))
    var socket: String?

    @Option(help: ArgumentHelp("Readings of energy sensors a second, 1 to 1000.", valueName: "hz"))
    var rate: String?

    @Option(help: ArgumentHelp("The most that a reading may be off the line that is sent.", valueName: "joules"))
    var epsilon: String?

    @Option(help: ArgumentHelp("The longest time between two batches.", valueName: "seconds"))
    var batchInterval: String?

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel: String?

    @Flag(help: "Print each setting with its value and where it came from, and stop.")
    var showConfig = false

    func run() async throws {
        let settings = try configuration.settings(flags: [
            .collector: collector, .token: token, .tokenFile: tokenFile, .host: host, .zone: zone, .stateDirectory: stateDir,
            .socket: socket, .rate: rate, .epsilon: epsilon, .batchInterval: batchInterval, .logLevel: logLevel,
            .enrolTokenFile: enrolTokenFile, .pool: pool,
        ])
        if showConfig {
            print(settings.table, terminator: "")
            return
        }
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var log = Logger(label: "wattle-agent")
        log.logLevel = Logger.Level(rawValue: settings.logLevel) ?? .info
        try await AgentProgram.run(settings, log: log)
    }
}
