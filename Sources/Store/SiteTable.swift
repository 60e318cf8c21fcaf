public import Documents
public import Energy
public import Postgres

/// What an operator says of the sites that machines stand at, each from an instant on until the next record of the same site.
///
/// A record's fields: `grid_zone`, `pue`, `wue_l_per_kwh`, `contracts` (a list of `share`, `g_per_kwh` and, where known, `low_g_per_kwh`,
/// `high_g_per_kwh`, `instrument`, `source`), `residual_mix` (`g_per_kwh`, `low_g_per_kwh`, `high_g_per_kwh`, `source`) and `notes`.
public enum SiteTable {
    public struct Entry: Sendable, Hashable {
        /// As `key` has it.
        public let site: String
        public let from: Timestamp
        public let record: JSONValue
    }

    /// A site's name as it is found by: upper and lower case of the 26 letters are one, as `site_key` has it in the database, whatever the
    /// server's locale says of others.
    public static func key(_ name: String) -> String {
        String(String.UnicodeScalarView(name.unicodeScalars.map { ("A"..."Z").contains($0) ? UnicodeScalar(UInt8($0.value) + 32) : $0 }))
    }

    /// Every record of every site, by site and then by time.
    public static func all(_ connection: PostgresConnection) async throws -> [Entry] {
        try await connection.query(
            Statement("list_site_records", "SELECT site, valid_from, record FROM site_record ORDER BY site, valid_from")
        ).map {
            Entry(
                site: try $0.string("site"),
                from: Timestamp(microseconds: try $0.timestampMicroseconds("valid_from")),
                record: try JSONValue(parsing: Array(try $0.json("record").utf8))
            )
        }
    }

    /// Replaces the record of a site that begins at that instant; the hours that it counts for are accounted anew.
    public static func set(_ record: JSONValue, site: String, from: Timestamp, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "set_site_record",
                """
                INSERT INTO site_record (site, valid_from, record) VALUES (site_key($1), $2, $3)
                ON CONFLICT (site, valid_from) DO UPDATE SET record = excluded.record
                """
            ),
            [.text(site), .timestamptz(microseconds: from.microseconds), .jsonb(try record.text)]
        )
    }
}
