public import Energy
public import Postgres

/// Finds the host that a span ran on, from the names it gives.
public enum HostResolution {
    /// The names by which a span's host may be known.
    public struct Names: Sendable, Hashable {
        /// Posted as the host.
        public var host: String?
        /// What the machine calls itself, perhaps with its domain.
        public var hostname: String?
        /// The runner's name at its CI.
        public var runner: String?
        /// The CI, without its scheme: `github.com`.
        public var instance: String
        /// When the span started: names are dated.
        public var at: Timestamp

        public init(host: String?, hostname: String?, runner: String?, instance: String, at: Timestamp) {
            self.host = host
            self.hostname = hostname
            self.runner = runner
            self.instance = instance
            self.at = at
        }

        /// Every name, in lower case: if one of them appears, the span is worth another look.
        public var candidates: [String] {
            var names: Set<String> = []
            for name in [host, hostname, runner] {
                guard let name = name?.lowercased(), !name.isEmpty else { continue }
                names.insert(name)
                if let short = name.split(separator: ".").first.map(String.init) { names.insert(short) }
            }
            return names.sorted()
        }
    }

    /// How a host was found.
    public enum Means: String, Sendable {
        case host, hostname
        case runnerMap = "runner_map"
        case runnerName = "runner_name"
    }

    public static func find(_ names: Names, _ connection: PostgresConnection) async throws -> (host: HostRow, by: Means)? {
        if let name = names.host, let host = try await HostTable.find(name: name, connection) { return (host, .host) }
        return nil
    }
}
