/// As the collector's own, which lies beside SQL: whatever the decoder fills in. What is missing here does not compile.
public struct HostFacts: Sendable, Hashable {
    public struct Runner: Sendable, Hashable {
        public let name: String
        public let instance: String
        public let kind: String
        public let scope: String
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
    public var names: [String] = []
    public var runners: [Runner] = []
    public var machineIDSHA256: String?
    public var pool: String?

    public init() {}
}
