public import Carbon
public import Energy
public import Postgres

/// What is asked of one provider for one zone, and how far that got.
public struct GridFeed: Sendable, Hashable {
    public var provider: String
    public var zone: String
    /// History is wanted from here on, and was asked for up to `filledTo`.
    public var since: Timestamp
    public var filledTo: Timestamp?
    public var askedAt: Timestamp?
    /// When the recent past was last read again for revisions, and the forecast.
    public var revisedAt: Timestamp?
    public var forecastAt: Timestamp?
    /// History that was refused is not asked for again before this.
    public var refillAt: Timestamp
    public var retryAt: Timestamp
    /// In a row.
    public var failures: Int32
    public var failure: String?
    public var findings: [String]
}

/// The feeds of intensities. Any collector may ask; a claim on a zone's first feed keeps two from asking at once.
public enum GridFeedTable {
    /// Makes the feeds of a zone's chain that are not there yet.
    ///
    /// - Parameters:
    ///   - since: history is wanted from then on; nil: as it was said before, else from `first` on.
    public static func configure(
        zone: String,
        providers: [String],
        since: Timestamp?,
        first: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "configure_grid_feeds",
                """
                INSERT INTO grid_feed AS f (provider, zone, since_t)
                SELECT p, $2, coalesce($3, (SELECT min(since_t) FROM grid_feed WHERE zone = $2), $4) FROM unnest($1::text[]) AS p
                ON CONFLICT (provider, zone) DO UPDATE SET since_t = coalesce($3, f.since_t),
                    filled_to = CASE WHEN $3 < f.since_t THEN NULL ELSE f.filled_to END
                """
            ),
            [
                .textArray(providers), .text(zone), since.map { .timestamptz(microseconds: $0.microseconds) },
                .timestamptz(microseconds: first.microseconds),
            ]
        )
    }

    private static let columns = """
        provider, zone, since_t, filled_to, asked_at, revised_at, forecast_at, refill_at, retry_at, failures, failure, findings
        """

    private static func feed(_ row: PostgresRow) throws -> GridFeed {
        func time(_ column: String) throws -> Timestamp? {
            try row.timestampMicrosecondsIfPresent(column).map { Timestamp(microseconds: $0) }
        }
        return GridFeed(
            provider: try row.string("provider"),
            zone: try row.string("zone"),
            since: Timestamp(microseconds: try row.timestampMicroseconds("since_t")),
            filledTo: try time("filled_to"),
            askedAt: try time("asked_at"),
            revisedAt: try time("revised_at"),
            forecastAt: try time("forecast_at"),
            refillAt: Timestamp(microseconds: try row.timestampMicroseconds("refill_at")),
            retryAt: Timestamp(microseconds: try row.timestampMicroseconds("retry_at")),
            failures: try row.int32("failures"),
            failure: try row.stringIfPresent("failure"),
            findings: try row.stringArray("findings")
        )
    }

    public static func read(zone: String, _ connection: PostgresConnection) async throws -> [String: GridFeed] {
        let feeds = try await connection.query(
            Statement("grid_feeds_of_zone", "SELECT \(columns) FROM grid_feed WHERE zone = $1"),
            [.text(zone)]
        ).map(feed)
        return Dictionary(feeds.map { ($0.provider, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// By zone and provider.
    public static func all(_ connection: PostgresConnection) async throws -> [GridFeed] {
        try await connection.query(Statement("grid_feeds", "SELECT \(columns) FROM grid_feed ORDER BY zone, provider")).map(feed)
    }

    /// Forgets feeds that nobody has asked for since an instant. Their figures stay.
    public static func forget(unaskedSince before: Timestamp, _ connection: PostgresConnection) async throws {
        _ = try await connection.execute(
            Statement("forget_grid_feeds", "DELETE FROM grid_feed WHERE asked_at < $1 AND claimed_until < $1"),
            [.timestamptz(microseconds: before.microseconds)]
        )
    }

    /// Takes a feed until an instant, which names the claim.
    ///
    /// - Returns: false where another collector has it, or has asked since `askedBefore`.
    public static func claim(
        provider: String,
        zone: String,
        until: Timestamp,
        askedBefore: Timestamp,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.execute(
            Statement(
                "claim_grid_feed",
                """
                UPDATE grid_feed SET claimed_until = $3 WHERE provider = $1 AND zone = $2 AND claimed_until <= $4
                    AND (asked_at IS NULL OR asked_at <= $5)
                """
            ),
            [
                .text(provider), .text(zone), .timestamptz(microseconds: until.microseconds), .timestamptz(microseconds: now.microseconds),
                .timestamptz(microseconds: askedBefore.microseconds),
            ]
        ) == 1
    }

    /// Holds a claim for longer; false where it ran out and another collector took the feed.
    public static func extend(
        provider: String,
        zone: String,
        claim: Timestamp,
        until: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        try await connection.execute(
            Statement(
                "extend_grid_claim",
                "UPDATE grid_feed SET claimed_until = $4 WHERE provider = $1 AND zone = $2 AND claimed_until = $3"
            ),
            [
                .text(provider), .text(zone), .timestamptz(microseconds: claim.microseconds),
                .timestamptz(microseconds: until.microseconds),
            ]
        ) == 1
    }

    /// Gives a feed back that was asked.
    public static func giveBack(provider: String, zone: String, claim: Timestamp, askedAt: Timestamp?, _ connection: PostgresConnection)
        async throws
    {
        _ = try await connection.execute(
            Statement(
                "give_grid_feed_back",
                """
                UPDATE grid_feed SET claimed_until = '-infinity', asked_at = coalesce($4, asked_at)
                WHERE provider = $1 AND zone = $2 AND claimed_until = $3
                """
            ),
            [
                .text(provider), .text(zone), .timestamptz(microseconds: claim.microseconds),
                askedAt.map { .timestamptz(microseconds: $0.microseconds) },
            ]
        )
    }

    /// Writes down how far a feed got; what it failed with is done with.
    public static func note(_ feed: GridFeed, _ connection: PostgresConnection) async throws {
        func time(_ time: Timestamp?) -> PostgresValue? { time.map { .timestamptz(microseconds: $0.microseconds) } }
        _ = try await connection.execute(
            Statement(
                "note_grid_feed",
                """
                UPDATE grid_feed SET filled_to = $3, asked_at = $4, revised_at = $5, forecast_at = $6, retry_at = $7, failures = $8,
                    failure = $9, findings = $10, refill_at = $11
                WHERE provider = $1 AND zone = $2
                """
            ),
            [
                .text(feed.provider), .text(feed.zone), time(feed.filledTo), time(feed.askedAt), time(feed.revisedAt),
                time(feed.forecastAt), time(feed.retryAt), .int4(feed.failures), feed.failure.map { .text($0) },
                .textArray(feed.findings), time(feed.refillAt),
            ]
        )
    }

    /// The parts of an interval for which no provider of those named has a figure of what was, in order.
    public static func holes(
        in interval: Interval,
        zone: String,
        basis: Intensity.Basis,
        providers: [String],
        _ connection: PostgresConnection
    ) async throws -> [Interval] {
        guard !interval.isEmpty else { return [] }
        return try await connection.query(
            Statement(
                "grid_holes",
                """
                SELECT lower(hole) AS from_t, upper(hole) AS to_t FROM unnest(
                    tstzmultirange(tstzrange($1, $2)) - coalesce((
                        SELECT range_agg(tstzrange(from_t, to_t)) FROM intensity
                        WHERE zone = $3 AND basis = $4 AND provider = ANY($5) AND kind IN ('actual', 'estimated') AND from_t < $2 AND to_t > $1
                    ), tstzmultirange())) AS hole
                ORDER BY 1
                """
            ),
            [
                .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds), .text(zone),
                .text(basis.description), .textArray(providers),
            ]
        ).map {
            Interval(
                Timestamp(microseconds: try $0.timestampMicroseconds("from_t")),
                Timestamp(microseconds: try $0.timestampMicroseconds("to_t"))
            )
        }
    }
}
