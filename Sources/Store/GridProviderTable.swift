public import Postgres

/// Who published intensities, and under which terms.
public enum GridProviderTable {
    public struct Terms: Sendable, Hashable {
        public var provider: String
        public var source: String
        public var licence: String
        public var mayBeRedistributed: Bool

        public init(provider: String, source: String, licence: String, mayBeRedistributed: Bool) {
            self.provider = provider
            self.source = source
            self.licence = licence
            self.mayBeRedistributed = mayBeRedistributed
        }
    }

    /// What was said last counts.
    public static func put(_ terms: [Terms], _ connection: PostgresConnection) async throws {
        guard !terms.isEmpty else { return }
        _ = try await connection.execute(
            Statement(
                "put_grid_providers",
                """
                INSERT INTO grid_provider AS p (provider, source, licence, may_be_redistributed)
                SELECT DISTINCT ON (provider) * FROM unnest($1::text[], $2::text[], $3::text[], $4::bool[])
                    AS t (provider, source, licence, may_be_redistributed) ORDER BY provider
                ON CONFLICT (provider) DO UPDATE SET source = excluded.source, licence = excluded.licence,
                    may_be_redistributed = excluded.may_be_redistributed
                WHERE (p.source, p.licence, p.may_be_redistributed)
                    IS DISTINCT FROM (excluded.source, excluded.licence, excluded.may_be_redistributed)
                """
            ),
            [
                .textArray(terms.map(\.provider)), .textArray(terms.map(\.source)), .textArray(terms.map(\.licence)),
                .boolArray(terms.map(\.mayBeRedistributed)),
            ]
        )
    }

    /// By name.
    public static func all(_ connection: PostgresConnection) async throws -> [Terms] {
        try await connection.query(
            Statement("grid_providers", "SELECT provider, source, licence, may_be_redistributed FROM grid_provider ORDER BY provider")
        ).map {
            Terms(
                provider: try $0.string("provider"),
                source: try $0.string("source"),
                licence: try $0.string("licence"),
                mayBeRedistributed: try $0.bool("may_be_redistributed")
            )
        }
    }

    /// Providers whose figures may not be handed on: public data have their id, source and date, and no value.
    public static func withheld(_ connection: PostgresConnection) async throws -> Set<String> {
        Set(try await all(connection).filter { !$0.mayBeRedistributed }.map(\.provider))
    }
}
