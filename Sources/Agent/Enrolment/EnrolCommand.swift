import HTTPClient
import Meters

/// `wattle-agent enrol`: gets this machine a token of its own and keeps it where `run` finds it.
public enum EnrolCommand {
    /// - Returns: the host's name and where the token is kept.
    public static func run(_ settings: AgentSettings, enrolToken: String) async throws -> (host: String, path: String) {
        guard let collector = settings.collector else { throw SettingsFault(description: "collector: expected its URL, found nothing") }
        let client = HTTPClient(
            connection: settings.connection,
            maximumBodyBytes: 1 << 20,
            maximumConnections: 1,
            userAgent: "wattle-agent/\(AgentProgram.version)"
        )
        let request = EnrolmentRequest(
            collector: collector,
            host: settings.host,
            pool: settings.pool,
            identity: MachineIdentity(roots: settings.roots),
            transport: { request in
                do throws(HTTPError) { return .success(try await client.send(request)) } catch { return .failure(error) }
            }
        )
        let file = EnrolmentFile(stateDirectory: settings.stateDirectory)
        try file.prepare()
        try file.write(try await request.send(enrolToken: enrolToken))
        return (settings.host, file.path)
    }
}
