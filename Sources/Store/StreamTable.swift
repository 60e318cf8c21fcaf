public import Energy
public import Postgres

/// How far a stream has come: the last batch that was committed.
struct StreamCursor {
    let sequence: Int64
    let sha256: [UInt8]?

    /// What becomes of a batch that is not the next one; nil for the next.
    func outcome(of record: ReadingsRecord) -> ReadingsOutcome? {
        if record.sequence == sequence { return sha256 == record.sha256 ? .acknowledged(sequence: sequence) : .conflict }
        guard record.sequence > sequence else { return .conflict }
        return record.sequence == sequence + 1 ? nil : .expected(sequence: sequence + 1)
    }
}

extension ReadingsRecord {
    /// - Throws: `ReadingsFault` for times that would put the curves' heads out of everybody's reach.
    /// Whether a stream's shift, guessed with its first batch, puts this one into the future: a machine whose clock was never set measured for
    /// hours before anybody heard of it. What is known by now is better; knots that then lie before the curve's head are left out, and
    /// their energy is in the later ones.
    func outruns(_ shift: Microseconds, now: Timestamp) -> Bool {
        guard let latestTime else { return false }
        return latestTime < StreamTable.leastPlausible && latestTime + shift > now + .hour
    }

    func checkTimes(now: Timestamp) throws(ReadingsFault) {
        guard let latest = latestTime, latest > now + .hour else { return }
        throw ReadingsFault(field: "t_us", expected: "times at most an hour from now", found: "\(latest.microseconds)")
    }
}

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
        let known = try await HostTable.reporting(as: record.hostName, connection)
        if record.sequence != 1, known == nil { return .expected(sequence: 1) }
        let streamsHost = try await connection.query(
            Statement(
                "host_of_stream",
                "SELECT host_id FROM stream WHERE token_id = $1 AND boot_id = $2 AND incarnation = $3"
            ),
            [.int4(tokenID), .text(record.bootID), .text(record.incarnation)]
        ).first.map { try $0.int32("host_id") }
        // A renamed host's stream goes on; that of one merged into another begins anew there.
        if let streamsHost, streamsHost != known?.id { return .conflict }
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
                SELECT stream_id, host_id, cursor_seq, cursor_sha256, time_shift_us FROM stream
                WHERE token_id = $1 AND boot_id = $2 AND incarnation = $3 FOR UPDATE
                """
            ),
            [.int4(tokenID), .text(record.bootID), .text(record.incarnation)]
        ).only()
        let streamID = try stream.int32("stream_id")
        let cursor = StreamCursor(sequence: try stream.int64("cursor_seq"), sha256: try stream.bytesIfPresent("cursor_sha256"))
        if let outcome = cursor.outcome(of: record) { return outcome }
        if let since = try await StreamRivals.note(record, streamID: streamID, host: host, now: now, connection) {
            return .otherMachine(since: since)
        }

        var shift = Microseconds(try stream.int64("time_shift_us"))
        if record.sequence == 1 || record.outruns(shift, now: now) { shift = Self.timeShift(for: record, now: now) }
        let record = record.shifted(by: shift)
        try record.checkTimes(now: now)
        if let facts = record.facts {
            try await HostTable.update(host, facts: facts, since: record.earliestTime ?? now, connection)
        }
        if record.isSimulated { try await SimulatedHosts.mark(host.id, connection) }
        try await HostTable.seen(host, clockOffset: record.clockOffset?.count, connection)
        try await CurveTable.write(record, host: host, streamID: streamID, now: now, connection)
        _ = try await connection.execute(
            Statement(
                "advance_stream",
                "UPDATE stream SET cursor_seq = $2, cursor_sha256 = $3, time_shift_us = $4, acknowledged_at = now() WHERE stream_id = $1"
            ),
            [.int4(streamID), .int8(record.sequence), .bytea(record.sha256), .int8(shift.count)]
        )
        return .acknowledged(sequence: record.sequence)
    }

    /// 2020-01-01: a clock that says less was never set.
    static let leastPlausible = Timestamp(microseconds: 1_577_836_800_000_000)

    /// What to add to a stream's times, decided with its first batch: nothing, unless the agent's clock is off by more than an hour.
    ///
    /// Below that the host's own clock holds, because spans that its `wattle run` posts carry the same one.
    ///
    /// An agent's times are those of one clock reading for a whole boot. One whose clock was years off at that moment would put its
    /// curves out of everybody's reach; readings are not refused for their clock.
    static func timeShift(for record: ReadingsRecord, now: Timestamp) -> Microseconds {
        let tolerated = Microseconds.hour
        if let offset = record.clockOffset { return offset > tolerated || offset < .zero - tolerated ? offset : .zero }
        guard let latest = record.latestTime ?? record.sealedAt else { return .zero }
        if latest < leastPlausible {
            // The clock was never set, and nobody had told the agent the time: the batch was sealed not long before it came.
            let sealed = record.sealedAt.flatMap { $0 < leastPlausible ? $0 : nil } ?? latest
            return now - max(latest, sealed)
        }
        return latest > now + tolerated ? now - latest : .zero
    }
}
