import Agent
import ArgumentParser
import Meters

/// `wattle-agent runners`: the CI runners that are registered on this machine.
struct Runners: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the CI runners whose registrations are found on this machine's disks.",
        discussion: """
            Names and addresses only: tokens that stand in the same files are passed over unread. An agent that is not root takes what
            only root can read from \(RunnerFiles.listOfRoot), which its systemd unit writes with this command.

            Examples:
              wattle-agent runners
              wattle-agent runners --format json
              wattle-agent runners --output \(RunnerFiles.listOfRoot)
            """
    )

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @OptionGroup var configuration: ConfigurationOptions

    @Option(help: ArgumentHelp("Look there too; whole paths, parted by commas, * for a part of a name.", valueName: "paths"))
    var runnerDirectories: String?

    @Option(help: ArgumentHelp("table or json.", valueName: "format"))
    var format = Format.table

    @Option(help: ArgumentHelp("Write the list there as JSON, for an agent that is not root.", valueName: "file"))
    var output: String?

    func run() throws {
        let settings = try configuration.settings(flags: [.runnerDirectories: runnerDirectories])
        let identity = MachineIdentity(roots: settings.roots)
        let files = RunnerFiles(root: settings.roots.root, hostName: identity.hostName, directories: settings.runnerDirectories)
        if let output {
            return try RunnerList.write(files.registrations(withListOfRoot: false), to: output)
        }
        let found = files.registrations()
        switch format {
        case .json: print(String(decoding: try RunnerRegistration.encoded(found), as: UTF8.self), terminator: "")
        case .table: print(RunnerList.table(found), terminator: "")
        }
    }
}
