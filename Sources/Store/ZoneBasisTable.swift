public import Carbon
public import Energy
public import Postgres

/// Which basis counts in a zone from an instant on, and whose figures before whose.
public struct StatedBasis: Sendable, Hashable {
    public var from: Timestamp
    public var basis: Intensity.Basis
    /// Of figures of one kind the first provider's count; those of others come after all of these.
    public var providers: [String]

    public init(from: Timestamp, basis: Intensity.Basis, providers: [String] = []) {
        self.from = from
        self.basis = basis
        self.providers = providers
    }
}

/// What was said of zones' bases. Whatever is written here marks the hours of the zone's hosts that it changes.
public enum ZoneBasisTable {
    /// What was said of a zone, by time.
    public static func read(zone: String, _ connection: PostgresConnection) async throws -> [StatedBasis] {
        try await connection.query(
            Statement("zone_basis", "SELECT valid_from, basis, providers FROM zone_basis WHERE zone = $1 ORDER BY valid_from"),
            [.text(zone)]
        ).map { row in
            let basis = try row.string("basis")
            guard let known = Intensity.Basis(basis) else { throw StoredValueError(what: "basis of a zone", found: basis) }
            return StatedBasis(
                from: Timestamp(microseconds: try row.timestampMicroseconds("valid_from")),
                basis: known,
                providers: try row.stringArray("providers")
            )
        }
    }

    /// Says which basis counts in a zone. Saying the same again changes nothing.
    ///
    /// - Parameters:
    ///   - from: from then on it counts, whatever was said of later times; nil: in a zone of which nothing was said from `first` on, in others
    ///     from the hour of `now` on, so that what was before keeps its meaning.
    /// - Returns: what it was until now, where that is another basis.
    @discardableResult
    public static func state(
        _ basis: Intensity.Basis,
        providers: [String],
        zone: String,
        from: Timestamp?,
        first: Timestamp,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Intensity.Basis? {
        try await connection.transaction { tx in
            // Collectors that start together say it one after the other.
            _ = try await tx.query(
                Statement("lock_zone_basis", "SELECT pg_advisory_xact_lock(hashtext('wattle zone basis'), hashtext($1))"),
                [.text(zone)]
            )
            let said = try await read(zone: zone, tx)
            let start: Timestamp
            if let from {
                start = from.hour.start
                let later = said.filter { $0.from > start }
                let there = said.last { $0.from <= start }
                if later.isEmpty, let there, there.basis == basis, there.providers == providers { return nil }
                _ = try await tx.execute(
                    Statement("drop_zone_basis", "DELETE FROM zone_basis WHERE zone = $1 AND valid_from > $2"),
                    [.text(zone), .timestamptz(microseconds: start.microseconds)]
                )
            } else if let last = said.last {
                if last.basis == basis, last.providers == providers { return nil }
                start = now.hour.start
            } else {
                start = first.hour.start
            }
            _ = try await tx.execute(
                Statement(
                    "state_zone_basis",
                    """
                    INSERT INTO zone_basis (zone, valid_from, basis, providers) VALUES ($1, $2, $3, $4)
                    ON CONFLICT (zone, valid_from) DO UPDATE SET basis = excluded.basis, providers = excluded.providers
                    """
                ),
                [.text(zone), .timestamptz(microseconds: start.microseconds), .text(basis.description), .textArray(providers)]
            )
            return said.last.flatMap { $0.basis == basis ? nil : $0.basis }
        }
    }
}
