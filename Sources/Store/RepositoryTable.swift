public import Energy
public import Postgres

/// What forges last said of their repositories: one turned private vanishes at once. Names count in either case of letters, and are kept
/// in lower case.
public enum RepositoryTable {
    /// Takes a forge's word; the one stated last wins, whatever the order in which they arrive, and of two at once the private one.
    ///
    /// - Parameters:
    ///   - name: as all sources share it: `github.com/ocaml/dune`.
    ///   - source: who said so.
    /// - Returns: whether it changed what is known.
    @discardableResult
    public static func note(
        name: String,
        isPrivate: Bool,
        statedAt: Timestamp,
        source: String,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.execute(
            Statement(
                "note_repository",
                """
                INSERT INTO repository (name, is_private, stated_at, source) VALUES (lower($1), $2, $3, $4)
                ON CONFLICT (name) DO UPDATE SET is_private = excluded.is_private, stated_at = excluded.stated_at, source = excluded.source
                WHERE (excluded.stated_at, excluded.is_private) > (repository.stated_at, repository.is_private)
                """
            ),
            [.text(name), .bool(isPrivate), .timestamptz(microseconds: statedAt.microseconds), .text(source)]
        ) > 0
    }

    /// Nil where no forge has spoken of it.
    public static func isPrivate(name: String, _ connection: PostgresConnection) async throws -> Bool? {
        try await connection.query(
            Statement("find_repository", "SELECT is_private FROM repository WHERE name = lower($1)"),
            [.text(name)]
        ).first.map { try $0.bool("is_private") }
    }
}
