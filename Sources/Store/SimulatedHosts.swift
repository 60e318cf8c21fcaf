public import Postgres

/// Hosts that the simulator made up. Their jobs carry the flag `simulated`, and are public for nobody: the database sees to both
/// (`migrations/m0004_accounting.sql`), whichever way a job comes to its host.
public enum SimulatedHosts {
    /// For ever: what is made up does not become real.
    static func mark(_ hostID: Int32, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement("mark_simulated_host", "UPDATE host SET is_simulated = true WHERE host_id = $1 AND NOT is_simulated"),
            [.int4(hostID)]
        )
    }

    public static func ids(_ connection: PostgresConnection) async throws -> Set<Int32> {
        Set(
            try await connection.query(Statement("simulated_hosts", "SELECT host_id FROM host WHERE is_simulated"))
                .map { try $0.int32("host_id") }
        )
    }
}
