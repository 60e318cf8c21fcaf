import Energy
public import Postgres

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

public struct HostRow: Sendable, Hashable {
    public let id: Int32
    public let name: String
    public let gridZone: String?
    public let pue: Double
    public let slots: Double?
    public let cpus: Int
    public let cpuModel: String
    public let seenAtMicroseconds: Int64
    public let pool: String?
    /// Nil while it is in service.
    public let retiredAtMicroseconds: Int64?
    /// The host that it turned out to be.
    public let mergedInto: Int32?
}

public enum HostTable {
    static let columns = "host_id, name, grid_zone, pue, slots, cpus, cpu_model, seen_at, pool, retired_at, merged_into"

    public static func find(name: String, _ connection: PostgresConnection) async throws -> HostRow? {
        try await connection.query(Statement("find_host", "SELECT \(columns) FROM host WHERE name = $1"), [.text(name)]).first.map(host)
    }

    public static func find(id: Int32, _ connection: PostgresConnection) async throws -> HostRow? {
        try await connection.query(Statement("find_host_by_id", "SELECT \(columns) FROM host WHERE host_id = $1"), [.int4(id)]).first.map(
            host
        )
    }

    public static func all(_ connection: PostgresConnection) async throws -> [HostRow] {
        try await connection.query(Statement("list_hosts", "SELECT \(columns) FROM host ORDER BY name")).map(host)
    }

    /// The host of that name, made now if it is new, and locked until the transaction ends.
    static func makeAndLock(name: String, _ connection: PostgresConnection) async throws -> HostRow {
        _ = try await connection.execute(
            Statement("make_host", "INSERT INTO host (name) VALUES ($1) ON CONFLICT (name) DO NOTHING"),
            [.text(name)]
        )
        return try host(
            await connection.query(
                Statement("lock_host", "SELECT \(columns) FROM host WHERE name = $1 FOR NO KEY UPDATE"),
                [.text(name)]
            ).only()
        )
    }

    static func update(_ id: Int32, facts: HostFacts, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "update_host_facts",
                """
                UPDATE host SET cpus = $2, cpu_model = $3, arch = $4, os = $5, kernel = $6, memory_bytes = $7, agent_version = $8,
                    grid_zone = coalesce($9, grid_zone)
                WHERE host_id = $1
                """
            ),
            [
                .int4(id), .int4(max(1, facts.cpus)), .text(facts.cpuModel), .text(facts.arch), .text(facts.os), .text(facts.kernel),
                .int8(facts.memoryBytes), .text(facts.agentVersion), facts.gridZone.map { .text($0) },
            ]
        )
    }

    static func seen(_ id: Int32, clockOffset: Int64?, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "host_seen",
                "UPDATE host SET seen_at = now(), clock_offset_us = coalesce($2, clock_offset_us) WHERE host_id = $1"
            ),
            [.int4(id), clockOffset.map { .int8($0) }]
        )
    }

    static func host(_ row: PostgresRow) throws -> HostRow {
        HostRow(
            id: try row.int32("host_id"),
            name: try row.string("name"),
            gridZone: try row.stringIfPresent("grid_zone"),
            pue: try row.double("pue"),
            slots: try row.doubleIfPresent("slots"),
            cpus: Int(try row.int32("cpus")),
            cpuModel: try row.string("cpu_model"),
            seenAtMicroseconds: try row.timestampMicroseconds("seen_at"),
            pool: try row.stringIfPresent("pool"),
            retiredAtMicroseconds: try row.timestampMicrosecondsIfPresent("retired_at"),
            mergedInto: try row.int32IfPresent("merged_into")
        )
    }
}
