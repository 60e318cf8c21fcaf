import Documents
public import Energy
public import Postgres

public struct HostRow: Sendable, Hashable {
    public let id: Int32
    public let name: String
    public internal(set) var gridZone: String?
    public internal(set) var pue: Double
    public internal(set) var slots: Double?
    public internal(set) var cpus: Int
    public let cpuModel: String
    public let seenAtMicroseconds: Int64
    public let pool: String?
    /// Nil while it is in service.
    public let retiredAtMicroseconds: Int64?
    /// `silent`, `operator` or `merged`.
    public let retiredBecause: String?
    /// The host that it turned out to be.
    public let mergedInto: Int32?
    /// The machine that it runs on.
    public let parentID: Int32?
    /// Enrolled by pool: it retires once it has been silent for a day.
    public let isEphemeral: Bool
}

extension HostRow {
    /// With the zone, PUE, slots and CPUs of an operator's record, where it has them.
    func described(by record: JSONValue) -> HostRow {
        var result = self
        let record = record.object ?? [:]
        if let zone = record["grid_zone"]?.string { result.gridZone = zone }
        if let pue = record["pue"]?.double, pue >= 1 { result.pue = pue }
        if let slots = record["slots"]?.double, slots > 0 { result.slots = slots }
        if let threads = record["threads"]?.integer, (1...1_000_000).contains(threads) { result.cpus = Int(threads) }
        return result
    }
}

public enum HostTable {
    static let columns = """
        host_id, name, grid_zone, pue, slots, cpus, cpu_model, seen_at, pool, retired_at, retired_because, merged_into, parent_host_id,
        is_ephemeral
        """

    /// The host of that name or alias, letters in either case; one that bears the name itself comes before one that it is an alias of.
    ///
    /// A host that was merged into another is found under its own name, so that its past can be read.
    public static func find(name: String, _ connection: PostgresConnection) async throws -> HostRow? {
        try await connection.query(
            Statement(
                "find_host",
                """
                SELECT \(columns) FROM host
                JOIN (
                    SELECT host_id, 1 AS step FROM host WHERE lower(name) = lower($1)
                    UNION ALL
                    SELECT host_id, 2 FROM host_alias WHERE alias = lower($1)
                ) found USING (host_id)
                ORDER BY name = $1 DESC, step, retired_at IS NULL DESC, host_id DESC LIMIT 1
                """
            ),
            [.text(name)]
        ).first.map(host)
    }

    public static func find(id: Int32, _ connection: PostgresConnection) async throws -> HostRow? {
        try await connection.query(Statement("find_host_by_id", "SELECT \(columns) FROM host WHERE host_id = $1"), [.int4(id)]).first.map(
            host
        )
    }

    /// A host as its operator describes it for an instant: zone, PUE, slots and CPUs are those of the record that counts then, of its
    /// site's record where that says nothing, and its own where neither does.
    public static func find(id: Int32, at instant: Timestamp, _ connection: PostgresConnection) async throws -> HostRow? {
        guard
            let row = try await connection.query(
                Statement(
                    "find_host_at",
                    """
                    SELECT \(columns), described_host(host_id, $2) AS record FROM host WHERE host_id = $1
                    """
                ),
                [.int4(id), .timestamptz(microseconds: instant.microseconds)]
            ).first
        else { return nil }
        guard let text = try row.jsonIfPresent("record") else { return try host(row) }
        return try host(row).described(by: JSONValue(parsing: Array(text.utf8)))
    }

    /// The machine whose meters measure a host: the outermost one that it runs on, or itself.
    public static func meteringHost(of id: Int32, _ connection: PostgresConnection) async throws -> Int32 {
        try await connection.query(Statement("metering_host", "SELECT metering_host($1) AS host_id"), [.int4(id)]).only().int32("host_id")
    }

    /// Every host as its operator describes it for an instant, by name.
    public static func all(at instant: Timestamp, _ connection: PostgresConnection) async throws -> [HostRow] {
        try await connection.query(
            Statement("list_described_hosts", "SELECT \(columns), described_host(host_id, $1) AS record FROM host ORDER BY name"),
            [.timestamptz(microseconds: instant.microseconds)]
        ).map { row in
            guard let text = try row.jsonIfPresent("record") else { return try host(row) }
            return try host(row).described(by: JSONValue(parsing: Array(text.utf8)))
        }
    }

    public static func all(_ connection: PostgresConnection) async throws -> [HostRow] {
        try await connection.query(Statement("list_hosts", "SELECT \(columns) FROM host ORDER BY name")).map(host)
    }

    /// The host for which an agent reports under a name: by name or alias, and where it was merged into another, that one.
    ///
    /// An alias that another agent gave its own machine does not count: no agent can take another's readings to itself.
    public static func reporting(as name: String, _ connection: PostgresConnection) async throws -> HostRow? {
        let named = try await connection.query(
            Statement(
                "find_reporting_host",
                """
                SELECT \(columns) FROM host
                JOIN (
                    SELECT host_id, 1 AS step FROM host WHERE lower(name) = lower($1)
                    UNION ALL
                    SELECT host_id, 2 FROM host_alias WHERE alias = lower($1) AND origin <> 'agent'
                ) found USING (host_id)
                ORDER BY name = $1 DESC, step, retired_at IS NULL DESC, host_id DESC LIMIT 1
                """
            ),
            [.text(name)]
        ).first.map(host)
        guard let named else { return nil }
        return try await lasting(named, connection)
    }

    /// The host itself, or the one that it was merged into.
    public static func lasting(_ host: HostRow, _ connection: PostgresConnection) async throws -> HostRow {
        var host = host
        var seen: Set<Int32> = [host.id]
        while let next = host.mergedInto, seen.insert(next).inserted, let other = try await find(id: next, connection) { host = other }
        return host
    }

    /// The host that reports under that name, made now if it is new, and locked until the transaction ends.
    static func makeAndLock(name: String, _ connection: PostgresConnection) async throws -> HostRow {
        let known = try await reporting(as: name, connection)
        if known == nil { try await make(name: name, connection) }
        let id = if let known { known.id } else { try await reporting(as: name, connection)?.id ?? 0 }
        return try host(
            await connection.query(
                Statement("lock_host", "SELECT \(columns) FROM host WHERE host_id = $1 FOR NO KEY UPDATE"),
                [.int4(id)]
            ).only()
        )
    }

    /// Makes a host of that name unless there is one; returns whether it did.
    @discardableResult
    public static func make(name: String, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.execute(
            Statement("make_host", "INSERT INTO host (name) VALUES ($1) ON CONFLICT (name) DO NOTHING"),
            [.text(name)]
        ) > 0
    }

    public static func rename(_ id: Int32, to name: String, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement("rename_host", "UPDATE host SET name = $2 WHERE host_id = $1"),
            [.int4(id), .text(name)]
        )
    }

    /// - Parameters:
    ///   - because: `operator` or `merged`; nil puts it back into service.
    ///   - mergedInto: the host that it turned out to be.
    public static func retire(_ id: Int32, because: String?, mergedInto: Int32? = nil, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "retire_host",
                """
                UPDATE host SET retired_at = CASE WHEN $2::text IS NOT NULL THEN now() END, retired_because = $2, merged_into = $3
                WHERE host_id = $1
                """
            ),
            [.int4(id), because.map { .text($0) }, mergedInto.map { .int4($0) }]
        )
    }

    /// Takes over what the machine's agent says of it.
    ///
    /// - Parameter since: the earliest time of the batch: from when the runners that it names are on this host.
    static func update(_ host: HostRow, facts: HostFacts, since: Timestamp, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "update_host_facts",
                """
                UPDATE host SET cpus = $2, cpu_model = $3, arch = $4, os = $5, kernel = $6, memory_bytes = $7, agent_version = $8,
                    grid_zone = coalesce($9, grid_zone), machine_id_sha256 = coalesce(machine_id_sha256, $10), agent_names = $12,
                    -- An enrolled host's pool is its token's, an imported one's its record's.
                    pool = CASE WHEN is_ephemeral OR EXISTS (SELECT FROM host_record r WHERE r.host_id = host.host_id AND r.record ? 'pool')
                        THEN pool ELSE coalesce($11, pool) END
                WHERE host_id = $1
                """
            ),
            [
                .int4(host.id), .int4(max(1, facts.cpus)), .text(facts.cpuModel), .text(facts.arch), .text(facts.os), .text(facts.kernel),
                .int8(facts.memoryBytes), .text(facts.agentVersion), facts.gridZone.map { .text($0) },
                facts.machineIDSHA256.flatMap(MachineID.bytes).map { .bytea($0) }, facts.pool.map { .text($0) }, .textArray(facts.names),
            ]
        )
        try await HostAliasTable.offer(facts.names, hostID: host.id, connection)
        try await RunnerMap.report(facts.runners, hostID: host.id, since: since, connection)
    }

    /// Notes that a host was heard of. One that had retired because it was silent is back in service.
    static func seen(_ host: HostRow, clockOffset: Int64?, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "host_seen",
                "UPDATE host SET seen_at = now(), clock_offset_us = coalesce($2, clock_offset_us) WHERE host_id = $1"
            ),
            [.int4(host.id), clockOffset.map { .int8($0) }]
        )
        guard host.retiredBecause == "silent" else { return }
        _ = try await connection.execute(
            Statement("host_is_back", "UPDATE host SET retired_at = NULL, retired_because = NULL WHERE host_id = $1"),
            [.int4(host.id)]
        )
    }

    /// Retires the enrolled hosts that have been silent for a day; returns how many.
    public static func retireSilent(_ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "retire_silent_hosts",
                """
                UPDATE host SET retired_at = now(), retired_because = 'silent'
                WHERE is_ephemeral AND retired_at IS NULL AND seen_at < now() - interval '24 hours'
                """
            )
        )
    }

    /// - Parameter pool: nil leaves it as it is.
    public static func place(_ id: Int32, pool: String?, parentID: Int32?, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "place_host",
                """
                UPDATE host SET pool = coalesce($2, pool), parent_host_id = $3
                WHERE host_id = $1 AND (pool, parent_host_id) IS DISTINCT FROM (coalesce($2, pool), $3::int4)
                """
            ),
            [.int4(id), pool.map { .text($0) }, parentID.map { .int4($0) }]
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
            retiredBecause: try row.stringIfPresent("retired_because"),
            mergedInto: try row.int32IfPresent("merged_into"),
            parentID: try row.int32IfPresent("parent_host_id"),
            isEphemeral: try row.bool("is_ephemeral")
        )
    }
}

/// SHA-256 of a machine's id, as agents write it: 64 hex digits.
public enum MachineID {
    /// Nil for anything else.
    public static func bytes(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 64 else { return nil }
        let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}
