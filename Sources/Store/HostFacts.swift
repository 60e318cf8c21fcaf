/// What an agent says of its machine.
public struct HostFacts: Sendable, Hashable {
    /// A CI runner that is registered on the machine.
    public struct Runner: Sendable, Hashable {
        public let name: String
        /// Where it is registered, without scheme, in lower case: `github.com`; empty where the registration does not tell.
        public let instance: String
        /// `github`, `gitlab`, `buildkite`, `gitea`.
        public let kind: String
        /// The organisation, repository, pool or queue that it takes jobs of; empty where the registration does not tell.
        public let scope: String
        /// Jobs that it takes at a time; nil where the registration does not tell.
        public let concurrent: Int?

        public init(name: String, instance: String, kind: String = "", scope: String = "", concurrent: Int?) {
            self.name = name
            self.instance = instance
            self.kind = kind
            self.scope = scope
            self.concurrent = concurrent
        }
    }

    public var agentVersion = ""
    public var arch = ""
    public var os = ""
    public var kernel = ""
    public var cpuModel = ""
    public var cpus: Int32 = 1
    public var memoryBytes: Int64 = 0
    public var gridZone: String?
    /// What else the machine is called: its hostname, its full name.
    public var names: [String] = []
    /// Runner registrations found on its disks.
    public var runners: [Runner] = []
    /// Hex of SHA-256 of `wattle:` and the machine's id.
    public var machineIDSHA256: String?
    public var pool: String?

    public init() {}
}
