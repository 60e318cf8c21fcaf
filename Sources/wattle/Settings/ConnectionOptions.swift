import ArgumentParser
import HTTPClient
import Tracker

/// The collector and how it is reached.
struct CollectorOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The collector's URL (WATTLE_URL).", valueName: "url"))
    var collector: String?

    @Option(
        help: ArgumentHelp("A token for it (WATTLE_TOKEN); a file or the environment keeps it out of process lists.", valueName: "token")
    )
    var token: String?

    @Flag(name: .customLong("show-config"), help: "Print the settings in effect, and where each came from, and do nothing else.")
    var showConfig = false
}

/// The local agent.
struct AgentOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The agent's socket (WATTLE_SOCKET; default \(AgentSocket.defaultPath)).", valueName: "path"))
    var socket: String?
}

extension Settings {
    /// The collector, or why none can be spoken to.
    func collector() throws -> CollectorClient {
        guard let url = url.value else {
            throw Failure.usage(
                "no collector is configured: expected --collector URL, WATTLE_URL or `url:` in ~/.config/wattle/config.yaml"
                    + (complaints.isEmpty ? "" : "\n" + complaints.joined(separator: "\n"))
            )
        }
        do throws(CollectorError) {
            return try CollectorClient(url: url, token: token.value, http: HTTPClient(userAgent: "wattle"))
        } catch {
            throw Failure.usage("\(self.url.origin): \(error.description)")
        }
    }
}
