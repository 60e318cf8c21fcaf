import Agent
import ArgumentParser
import Glibc

/// `wattle-agent enrol`: trade an enrol token for the agent's own.
struct Enrol: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Get this machine a token of its own from a collector.",
        discussion: """
            The enrol token comes from `wattle-collector token create --scope enrol` and may serve many machines. It is read from a file,
            from standard input as -, or from WATTLE_ENROL_TOKEN, never from the command line, which everyone on the machine can see.
            The machine's own token is kept in the state directory, for the agent's user only; `wattle-agent run` finds it there, with
            the collector's address.

            Examples:
              wattle-agent enrol https://wattle.example.org /root/enrol-token
              pass show wattle/enrol | wattle-agent enrol https://wattle.example.org -
              WATTLE_ENROL_TOKEN=wtl_... wattle-agent enrol https://wattle.example.org --pool linux-x86_64
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    @Argument(help: ArgumentHelp("The collector's address.", valueName: "url"))
    var collector: String

    @Argument(help: ArgumentHelp("A file with the enrol token, or - for standard input.", valueName: "token-file"))
    var source: String?

    @Option(help: ArgumentHelp("The same as the second argument.", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("The name to enrol under; by default the machine's own.", valueName: "name"))
    var host: String?

    @Option(help: ArgumentHelp("The pool of machines that this one belongs to.", valueName: "name"))
    var pool: String?

    @Option(name: [.customLong("state-dir"), .customLong("state")], help: ArgumentHelp("Where the token is kept.", valueName: "dir"))
    var stateDir: String?

    func run() async throws {
        let settings = try configuration.settings(flags: [
            .collector: collector, .host: host, .pool: pool, .stateDirectory: stateDir,
        ])
        let (name, path) = try await EnrolCommand.run(settings, enrolToken: try token())
        print("enrolled as \(name); the token is kept in \(path)")
    }

    private func token() throws -> String {
        switch source ?? tokenFile {
        case "-"?: return try TokenFile.token(in: Array(try InputText.read("-", most: 1 << 16).utf8), of: "standard input")
        case let word?:
            // Somebody's habit: the token itself where a file is expected.
            if word.hasPrefix("wtl_"), access(word, F_OK) != 0 {
                StandardError.write(
                    "wattle-agent: a token as an argument can be seen by everyone on this machine; give it in a file or on standard input\n"
                )
                return word
            }
            return try TokenFile.read(word)
        case nil:
            guard let value = getenv("WATTLE_ENROL_TOKEN") else {
                throw ValidationError(
                    "no enrol token: expected a file with it, - for standard input, or WATTLE_ENROL_TOKEN; "
                        + "`wattle-collector token create --scope enrol` makes one"
                )
            }
            return try TokenFile.token(in: Array(String(cString: value).utf8), of: "WATTLE_ENROL_TOKEN")
        }
    }
}
