public import Energy
public import Postgres

/// Where an agent's stream stands, and how its batches are committed: each exactly once.
public enum StreamTable {
    /// The next sequence number that a stream is expected to send; 1 for one never heard of.
    public static func expectedSequence(
        tokenID: Int32,
        bootID: String,
        incarnation: String,
        _ connection: PostgresConnection
    ) async throws -> Int64 {
        try await connection.query(
            Statement("stream_cursor", "SELECT cursor_seq FROM stream WHERE token_id = $1 AND boot_id = $2 AND incarnation = $3"),
            [.int4(tokenID), .text(bootID), .text(incarnation)]
        ).first.map { try $0.int64("cursor_seq") + 1 } ?? 1
    }

    /// Commits a batch, or says why not; in a transaction of the caller's.
    ///
    /// The first batch accepted of a host makes the host. The host's row is locked for the transaction, which orders the batches of
    /// one host; those of different hosts do not wait for one another.
    ///
    /// - Throws: `ReadingsFault` for content that contradicts the curve's head (nothing is written), `PostgresError`.
    public static func commit(
        _ record: ReadingsRecord,
        tokenID: Int32,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> ReadingsOutcome {
        // Only a batch that is accepted makes a host: one out of order must not.
        if record.sequence != 1, try await HostTable.find(name: record.hostName, connection) == nil { return .expected(sequence: 1) }
        let host = try await HostTable.makeAndLock(name: record.hostName, connection)
        _ = try await connection.execute(
            Statement(
                "make_stream",
                """
                INSERT INTO stream (token_id, host_id, boot_id, incarnation) VALUES ($1, $2, $3, $4)
                ON CONFLICT (token_id, boot_id, incarnation) DO NOTHING
                """
            ),
            [.int4(tokenID), .int4(host.id), .text(record.bootID), .text(record.incarnation)]
        )
        let stream = try await connection.query(
            Statement(
                "lock_stream",
                """
                SELECT stream_id, host_id, cursor_seq, cursor_sha256 FROM stream
                WHERE token_id = $1 AND boot_id = $2 AND incarnation = $3 FOR UPDATE
                """
            ),
            [.int4(tokenID), .text(record.bootID), .text(record.incarnation)]
        ).only()
        let streamID = try stream.int32("stream_id")
        let cursor = try stream.int64("cursor_seq")
        guard try stream.int32("host_id") == host.id else { return .conflict }
        if record.sequence == cursor {
            return try stream.bytesIfPresent("cursor_sha256") == record.sha256 ? .acknowledged(sequence: cursor) : .conflict
        }
        guard record.sequence > cursor else { return .conflict }
        guard record.sequence == cursor + 1 else { return .expected(sequence: cursor + 1) }

        if let facts = record.facts { try await HostTable.update(host.id, facts: facts, connection) }
        try await HostTable.seen(host.id, clockOffset: record.clockOffset?.count, connection)
        try await CurveTable.write(record, host: host, streamID: streamID, now: now, connection)
        _ = try await connection.execute(
            Statement(
                "advance_stream",
                "UPDATE stream SET cursor_seq = $2, cursor_sha256 = $3, acknowledged_at = now() WHERE stream_id = $1"
            ),
            [.int4(streamID), .int8(record.sequence), .bytea(record.sha256)]
        )
        return .acknowledged(sequence: record.sequence)
    }
}
