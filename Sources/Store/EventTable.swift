import Documents
public import Energy
public import Postgres

/// A verified event as it came in, with the secrets in it masked.
public struct StoredEvent: Sendable, Hashable {
    public let id: Int64
    public let sourceID: Int32
    public let sourceName: String
    public let kind: String
    public let claims: Claims
    public let name: String
    /// By lower-case name: those that the system keeps.
    public let headers: [String: String]
    /// Nil for a long one, which `EventTable.body` reads.
    public let body: [UInt8]?
    public let receivedAt: Timestamp
    /// How often it was worked on in vain.
    public let attempts: Int32
}

/// What became of an event.
public enum EventOutcome: String, Sendable, CaseIterable {
    case jobs
    case run
    /// Of no concern here.
    case ignored
    /// Signed well, but not understood.
    case unreadable
    /// It says what its source may not.
    case refused
    /// An error here, five times.
    case failed
}

/// Events, each once, until and after they are worked on.
public enum EventTable {
    /// Stores an event; one that is there already, delivered again, is left as it is.
    ///
    /// - Parameters:
    ///   - key: what stays the same when the same event is delivered again.
    ///   - sha256: of the raw body, as it was signed; 32 bytes.
    /// - Returns: its id, and whether it is new.
    public static func insert(
        sourceID: Int32,
        key: String,
        name: String,
        headers: [String: String],
        body: [UInt8],
        sha256: [UInt8],
        receivedAt: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> (id: Int64, isNew: Bool) {
        let inserted = try await connection.query(
            Statement(
                "insert_event",
                """
                INSERT INTO ci_event (source_id, event_key, name, headers, body, sha256, received_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (source_id, event_key, sha256) DO NOTHING RETURNING event_id
                """
            ),
            [
                .int4(sourceID), .text(key), .text(name), .jsonb(try JSONValue.object(headers.mapValues { .string($0) }).text),
                .bytea(body), .bytea(sha256), .timestamptz(microseconds: receivedAt.microseconds),
            ]
        ).first
        if let inserted { return (try inserted.int64("event_id"), true) }
        return (
            try await connection.query(
                Statement("same_event", "SELECT event_id FROM ci_event WHERE source_id = $1 AND event_key = $2 AND sha256 = $3"),
                [.int4(sourceID), .text(key), .bytea(sha256)]
            ).only().int64("event_id"), false
        )
    }

    /// A body longer than this is read only when its turn comes.
    private static let shortBytes = 256 << 10

    /// Locks the next open events for the transaction, oldest first; those that another worker holds are left to it.
    ///
    /// - Parameter id: only this one.
    public static func take(limit: Int, id: Int64? = nil, now: Timestamp, _ connection: PostgresConnection) async throws -> [StoredEvent] {
        try await connection.query(
            Statement(
                "take_events",
                """
                SELECT e.event_id, e.source_id, s.name AS source_name, s.kind, s.claims, e.name, e.headers,
                    CASE WHEN octet_length(e.body) <= $4 THEN e.body END AS body, e.received_at, e.attempts
                FROM ci_event e JOIN source s USING (source_id)
                WHERE e.processed_at IS NULL AND (e.retry_at IS NULL OR e.retry_at <= $2) AND ($3::int8 IS NULL OR e.event_id = $3)
                ORDER BY e.event_id LIMIT $1 FOR UPDATE OF e SKIP LOCKED
                """
            ),
            [
                .int8(Int64(limit)), .timestamptz(microseconds: now.microseconds), id.map { .int8($0) }, .int4(Int32(shortBytes)),
            ]
        ).map(event)
    }

    /// The body as stored.
    public static func body(eventID: Int64, _ connection: PostgresConnection) async throws -> [UInt8] {
        try await connection.query(
            Statement("event_body", "SELECT body FROM ci_event WHERE event_id = $1"),
            [.int8(eventID)]
        ).only().bytes("body")
    }

    public static func finish(
        eventID: Int64,
        outcome: EventOutcome,
        detail: String?,
        at time: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "finish_event",
                "UPDATE ci_event SET processed_at = $4, outcome = $2, detail = $3, retry_at = NULL WHERE event_id = $1"
            ),
            [.int8(eventID), .text(outcome.rawValue), detail.map { .text($0) }, .timestamptz(microseconds: time.microseconds)]
        )
    }

    /// Sets an event aside that could not be worked on: until `retryAt`, or for good where that is nil.
    public static func fail(
        eventID: Int64,
        error: String,
        retryAt: Timestamp?,
        at time: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "fail_event",
                """
                UPDATE ci_event SET attempts = attempts + 1, detail = $2, outcome = 'failed', retry_at = $3,
                    processed_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END
                WHERE event_id = $1
                """
            ),
            [
                .int8(eventID), .text(error), retryAt.map { .timestamptz(microseconds: $0.microseconds) },
                .timestamptz(microseconds: time.microseconds),
            ]
        )
    }

    /// Opens again the events that failed, or that an older version could not read; for an operator. Returns how many.
    public static func reopen(sourceID: Int32, _ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "reopen_events",
                """
                UPDATE ci_event SET processed_at = NULL, outcome = NULL, detail = NULL, attempts = 0, retry_at = NULL
                WHERE source_id = $1 AND outcome IN ('unreadable', 'refused', 'failed')
                """
            ),
            [.int4(sourceID)]
        )
    }

    /// An event for people.
    public struct Summary: Sendable, Hashable {
        public let id: Int64
        public let name: String
        public let receivedAt: Timestamp
        public let isProcessed: Bool
        public let outcome: EventOutcome?
        public let detail: String?
    }

    /// The first event of a source after another; nil where there is none.
    public static func oldest(sourceID: Int32, after eventID: Int64, _ connection: PostgresConnection) async throws -> Summary? {
        try await connection.query(
            Statement(
                "oldest_event",
                """
                SELECT event_id, name, received_at, processed_at, outcome, detail FROM ci_event
                WHERE source_id = $1 AND event_id > $2 ORDER BY event_id LIMIT 1
                """
            ),
            [.int4(sourceID), .int8(eventID)]
        ).first.map { row in
            Summary(
                id: try row.int64("event_id"),
                name: try row.string("name"),
                receivedAt: Timestamp(microseconds: try row.timestampMicroseconds("received_at")),
                isProcessed: try !row.isNull("processed_at"),
                outcome: try row.stringIfPresent("outcome").flatMap(EventOutcome.init(rawValue:)),
                detail: try row.stringIfPresent("detail")
            )
        }
    }

    /// How many events of each outcome a source has sent since an instant; the key `open` counts those not worked on yet.
    public static func counts(
        sourceID: Int32,
        since: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [String: Int64] {
        var counts: [String: Int64] = [:]
        for row in try await connection.query(
            Statement(
                "count_events",
                """
                SELECT CASE WHEN processed_at IS NULL THEN 'open' ELSE outcome END AS what, count(*) AS n FROM ci_event
                WHERE source_id = $1 AND received_at >= $2 GROUP BY 1
                """
            ),
            [.int4(sourceID), .timestamptz(microseconds: since.microseconds)]
        ) { counts[try row.string("what")] = try row.int64("n") }
        return counts
    }

    private static func event(_ row: PostgresRow) throws -> StoredEvent {
        let headers = try JSONValue(parsing: Array(try row.json("headers").utf8))
        return StoredEvent(
            id: try row.int64("event_id"),
            sourceID: try row.int32("source_id"),
            sourceName: try row.string("source_name"),
            kind: try row.string("kind"),
            claims: Claims(json: try JSONValue(parsing: Array(try row.json("claims").utf8))),
            name: try row.string("name"),
            headers: (headers.object ?? [:]).compactMapValues(\.string),
            body: try row.bytesIfPresent("body"),
            receivedAt: Timestamp(microseconds: try row.timestampMicroseconds("received_at")),
            attempts: try row.int32("attempts")
        )
    }
}
