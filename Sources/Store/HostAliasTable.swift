public import Postgres

/// Other names of hosts. A name belongs to one host at a time.
public enum HostAliasTable {
    /// Who gave the name.
    public enum Origin: String, Sendable {
        case agent, `operator`, `import`, rename, merge
    }

    /// The host in service that has a name, as its own or as an alias; one that was merged into another still holds its names.
    public static func holder(of name: String, _ connection: PostgresConnection) async throws -> HostRow? {
        try await connection.query(
            Statement(
                "holder_of_name",
                """
                SELECT \(HostTable.columns) FROM host
                JOIN (
                    SELECT host_id, 1 AS step FROM host WHERE lower(name) = lower($1)
                    UNION ALL
                    SELECT host_id, 2 FROM host_alias WHERE alias = lower($1)
                ) found USING (host_id)
                WHERE retired_at IS NULL OR merged_into IS NOT NULL
                ORDER BY step, host_id LIMIT 1
                """
            ),
            [.text(name)]
        ).first.map(HostTable.host)
    }

    /// Gives a host another name, unless it has it already; the caller has made sure that no other host in service holds it.
    ///
    /// - Returns: whether anything changed.
    public static func add(
        _ alias: String,
        hostID: Int32,
        origin: Origin,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.execute(
            Statement(
                "add_host_alias",
                """
                INSERT INTO host_alias (alias, host_id, origin)
                SELECT lower($1), $2, $3 WHERE NOT EXISTS (SELECT FROM host WHERE host_id = $2 AND lower(name) = lower($1))
                ON CONFLICT (alias) DO UPDATE SET host_id = excluded.host_id, origin = excluded.origin
                WHERE host_alias.host_id <> excluded.host_id
                """
            ),
            [.text(alias), .int4(hostID), .text(origin.rawValue)]
        ) > 0
    }

    public static func remove(_ alias: String, hostID: Int32, _ connection: PostgresConnection) async throws -> Bool {
        try await connection.execute(
            Statement("remove_host_alias", "DELETE FROM host_alias WHERE alias = lower($1) AND host_id = $2"),
            [.text(alias), .int4(hostID)]
        ) > 0
    }

    /// Takes the names that an agent knows its machine by. A name of another host in service stays that host's: `contested` tells.
    ///
    /// A machine of a pool, which anyone with the pool's token can be, is believed of its own name only, with whatever domain: else it could
    /// take the jobs that wait for another's.
    static func offer(_ names: [String], hostID: Int32, _ connection: PostgresConnection) async throws {
        let names = names.filter { name in
            let name = name.lowercased()
            return !name.isEmpty && name != "localhost" && !name.hasPrefix("localhost.") && name.utf8.count <= 253
        }
        guard !names.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "offer_host_aliases",
                """
                INSERT INTO host_alias (alias, host_id, origin)
                SELECT DISTINCT lower(n), $1::int4, 'agent' FROM unnest($2::text[]) AS n
                WHERE NOT EXISTS (
                    SELECT FROM host h WHERE lower(h.name) = lower(n) AND (h.host_id = $1 OR h.retired_at IS NULL OR h.merged_into IS NOT NULL))
                    AND EXISTS (
                        SELECT FROM host own WHERE own.host_id = $1
                            AND (NOT own.is_ephemeral OR split_part(lower(own.name), '.', 1) = split_part(lower(n), '.', 1)))
                ORDER BY 1
                ON CONFLICT (alias) DO UPDATE SET host_id = excluded.host_id, origin = excluded.origin
                WHERE host_alias.host_id <> excluded.host_id AND EXISTS (
                    SELECT FROM host h WHERE h.host_id = host_alias.host_id AND h.retired_at IS NOT NULL AND h.merged_into IS NULL)
                """
            ),
            [.int4(hostID), .textArray(names)]
        )
    }

    /// A name that an agent calls its machine by and that another host holds.
    public struct Contested: Sendable, Hashable {
        public let name: String
        public let host: String
        public let holder: String
    }

    /// For `doctor`: two machines of one name, or one that was set up twice.
    public static func contested(_ connection: PostgresConnection) async throws -> [Contested] {
        try await connection.query(
            Statement(
                "contested_names",
                """
                SELECT DISTINCT lower(n) AS name, h.name AS host, o.name AS holder
                FROM host h CROSS JOIN unnest(h.agent_names) AS n
                JOIN (SELECT lower(name) AS name, host_id FROM host UNION SELECT alias, host_id FROM host_alias) t ON t.name = lower(n)
                JOIN host o ON o.host_id = t.host_id
                WHERE h.retired_at IS NULL AND o.retired_at IS NULL AND o.host_id <> h.host_id
                    AND NOT lower(n) LIKE 'localhost%'
                ORDER BY 1, 2
                """
            )
        ).map { Contested(name: try $0.string("name"), host: try $0.string("host"), holder: try $0.string("holder")) }
    }

    /// Every host's other names, by host.
    public static func all(_ connection: PostgresConnection) async throws -> [Int32: [String]] {
        let rows = try await connection.query(
            Statement("list_host_aliases", "SELECT host_id, array_agg(alias ORDER BY alias) AS aliases FROM host_alias GROUP BY host_id")
        )
        return Dictionary(uniqueKeysWithValues: try rows.map { (try $0.int32("host_id"), try $0.stringArray("aliases")) })
    }
}
