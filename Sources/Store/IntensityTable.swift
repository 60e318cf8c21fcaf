public import Carbon
public import Energy
public import Postgres

/// An intensity with the row it is kept in.
public struct StoredIntensity: Sendable, Hashable {
    public let id: Int64
    public let value: Intensity
    /// When it counts; a yearly one at all times.
    public let interval: Interval
    /// The provider's own edition, which tells a revision from what it replaced.
    public let version: String

    public init(
        id: Int64,
        value: Intensity,
        interval: Interval = Interval(Timestamp(microseconds: .min), Timestamp(microseconds: .max)),
        version: String = ""
    ) {
        self.id = id
        self.value = value
        self.interval = interval
        self.version = version
    }
}

/// Grid intensities, kept append-only.
public enum IntensityTable {
    static let joinedColumns = """
        i.intensity_id AS i_id, i.zone AS i_zone, i.g_per_kwh, i.low_g_per_kwh, i.high_g_per_kwh, i.kind AS i_kind, i.basis AS i_basis,
        i.provider AS i_provider, i.version AS i_version, i.from_t AS i_from, i.to_t AS i_to
        """

    /// Adds the rows of a yearly table that are not there yet; valid at any time, because a yearly average stands in for every hour.
    public static func addYearly(_ rows: [Intensity], version: String, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement(
                "add_yearly_intensities",
                """
                INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version)
                SELECT zone, '-infinity', 'infinity', g, low, high, 'yearly', basis, provider, year || ' ' || $7
                FROM unnest($1::text[], $2::float8[], $3::float8[], $4::float8[], $5::text[], $6::text[], $8::int4[])
                    AS r (zone, g, low, high, basis, provider, year)
                ON CONFLICT DO NOTHING
                """
            ),
            [
                .textArray(rows.map(\.zone)), .float8Array(rows.map(\.gramsPerKilowattHour)), .float8Array(rows.map(\.low)),
                .float8Array(rows.map(\.high)), .textArray(rows.map(\.basis.description)), .textArray(rows.map(\.provider)), .text(version),
                .int4Array(rows.map { Int32($0.year) }),
            ]
        )
    }

    /// The intensity in use for a zone at a time: of its stated basis; actual before estimated, forecast and yearly, the latest version of
    /// it. Nil where none is known; never another place's.
    public static func find(zone: String, at time: Timestamp, _ connection: PostgresConnection) async throws -> StoredIntensity? {
        try await series(zone: zone, time.hour.interval, connection).intensity(at: time)
    }

    static func joined(_ row: PostgresRow) throws -> StoredIntensity? {
        guard let id = try row.int64IfPresent("i_id") else { return nil }
        let kind = try row.string("i_kind")
        let basis = try row.string("i_basis")
        guard let knownKind = Intensity.Kind(rawValue: kind) else { throw StoredValueError(what: "intensity kind", found: kind) }
        guard let knownBasis = Intensity.Basis(basis) else { throw StoredValueError(what: "intensity basis", found: basis) }
        let version = try row.string("i_version")
        return StoredIntensity(
            id: id,
            value: Intensity(
                zone: try row.string("i_zone"),
                gramsPerKilowattHour: try row.double("g_per_kwh"),
                low: try row.double("low_g_per_kwh"),
                high: try row.double("high_g_per_kwh"),
                kind: knownKind,
                basis: knownBasis,
                provider: try row.string("i_provider"),
                year: version.split(separator: " ").first.flatMap { Int($0) } ?? 0
            ),
            interval: Interval(
                Timestamp(microseconds: try row.timestampMicroseconds("i_from")),
                Timestamp(microseconds: try row.timestampMicroseconds("i_to"))
            ),
            version: version
        )
    }
}
