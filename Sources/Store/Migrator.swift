import Crypto
public import Logging
import Migrations
public import Postgres

/// Brings a database's schema up to date.
public enum Migrator {
    public struct Mismatch: Error, CustomStringConvertible {
        public let description: String
    }

    /// Applies the missing steps in order, each in a transaction of its own, under an advisory lock, so that several collectors may
    /// start at once. Returns the names of the steps applied.
    ///
    /// - Throws: `Mismatch` when a recorded step differs from the one this program carries, or is unknown to it; `PostgresError`.
    @discardableResult
    public static func migrate(_ connection: PostgresConnection, log: Logger) async throws -> [String] {
        // A session-level lock: it is held over several transactions, and falls with the connection. The key names this product.
        _ = try await connection.query(Statement("lock_schema", "SELECT pg_advisory_lock(7305825109)"))
        let result: Result<[String], any Error>
        do {
            result = .success(try await apply(connection, log: log))
        } catch {
            result = .failure(error)
        }
        if connection.isUsable { _ = try await connection.query(Statement("unlock_schema", "SELECT pg_advisory_unlock(7305825109)")) }
        return try result.get()
    }

    private static func apply(_ connection: PostgresConnection, log: Logger) async throws -> [String] {
        try await connection.executeScript(
            """
            CREATE TABLE IF NOT EXISTS schema_migration (
                number int PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
            """
        )
        var recorded: [Int: (name: String, sha256: [UInt8])] = [:]
        for row in try await connection.query(Statement("read_migrations", "SELECT number, name, sha256 FROM schema_migration")) {
            recorded[Int(try row.int32("number"))] = (try row.string("name"), try row.bytes("sha256"))
        }
        if let unknown = recorded.keys.filter({ number in !Migrations.all.contains { $0.number == number } }).max() {
            throw Mismatch(
                description:
                    "the database has migration \(unknown) (\(recorded[unknown]!.name)), which this program does not know: expected at most"
                    + " \(Migrations.all.last?.number ?? 0). It was migrated by a newer version; run that one"
            )
        }
        var applied: [String] = []
        for migration in Migrations.all {
            let sha256 = Array(SHA256.hash(data: Array(migration.sql.utf8)))
            if let known = recorded[migration.number] {
                guard known.sha256 == sha256 else {
                    throw Mismatch(
                        description:
                            "migration \(migration.number) (\(migration.name)) was applied with another text than this program carries;"
                            + " a released migration is never edited. Run the version that applied it, or restore a backup"
                    )
                }
                continue
            }
            try await connection.transaction { tx in
                try await tx.executeScript(migration.sql)
                _ = try await tx.execute(
                    Statement("record_migration", "INSERT INTO schema_migration (number, name, sha256) VALUES ($1, $2, $3)"),
                    [.int4(Int32(migration.number)), .text(migration.name), .bytea(sha256)]
                )
            }
            log.info("migration applied", metadata: ["number": "\(migration.number)", "name": "\(migration.name)"])
            applied.append(migration.name)
        }
        return applied
    }
}
