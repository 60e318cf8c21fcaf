public import Energy
public import Postgres

/// What an operator says of a pool's machines, from an instant on until the next time.
public enum PoolTable {
    /// Says how many jobs each machine of a pool takes at a time.
    ///
    /// - Returns: what was said for that instant before; nil where nothing was.
    public static func set(_ pool: String, slots: Double, from: Timestamp, _ connection: PostgresConnection) async throws -> Double? {
        let before = try await connection.query(
            Statement("find_pool_record", "SELECT slots FROM pool_record WHERE pool = $1 AND valid_from = $2"),
            [.text(pool), .timestamptz(microseconds: from.microseconds)]
        ).first.map { try $0.double("slots") }
        guard before != slots else { return before }
        _ = try await connection.execute(
            Statement(
                "set_pool_record",
                """
                INSERT INTO pool_record (pool, valid_from, slots) VALUES ($1, $2, $3)
                ON CONFLICT (pool, valid_from) DO UPDATE SET slots = excluded.slots
                """
            ),
            [.text(pool), .timestamptz(microseconds: from.microseconds), .float8(slots)]
        )
        return before
    }
}
