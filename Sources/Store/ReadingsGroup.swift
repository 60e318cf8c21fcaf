public import Energy
public import Postgres

/// A batch that waits to be committed, and whose it is.
public struct ReadingsDelivery: Sendable {
    public let record: ReadingsRecord
    public let tokenID: Int32

    public init(record: ReadingsRecord, tokenID: Int32) {
        self.record = record
        self.tokenID = tokenID
    }
}

/// Batches of many agents committed together: one COPY, one update of each kind, one flush of the disk.
public enum ReadingsGroup {
    public enum Result: Sendable {
        case done(ReadingsOutcome)
        /// The batch contradicts what is known of its curves.
        case refused(ReadingsFault)
        /// The server refused the batch's data.
        case unstorable(PostgresError)
        /// Another transaction has its stream or host: it belongs into a later group.
        case waits
    }

    /// Commits what can be committed, in a transaction of the caller's; nothing of a batch is written before it was held against its
    /// curves' heads.
    ///
    /// Batches of nothing but knots and tails, nearly all there are, go together. One that opens a stream or announces, brings facts, gaps
    /// or workloads, goes by itself behind a savepoint, as `StreamTable.commit` writes it.
    ///
    /// - Parameter deliveries: at most one of a stream.
    /// - Returns: a result for each.
    /// - Throws: `PostgresError`; one of SQLSTATE class 21, 22 or 23 says that some batch has content that no check foresaw, and that each
    ///   should be tried by itself.
    public static func commit(
        _ deliveries: [ReadingsDelivery],
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [Result] {
        var results = [Result?](repeating: nil, count: deliveries.count)
        let locked = try await lock(deliveries, connection)
        var members: [Member] = []
        var alone: Set<Int> = Set(deliveries.indices).subtracting(locked.map(\.index))
        var hosts: Set<Int32> = []
        for stream in locked {
            let record = deliveries[stream.index].record
            if let outcome = stream.cursor.outcome(of: record) {
                // The host's name decides whether this is its stream: that is looked up where anything but the name itself fits.
                if stream.isOf(record.hostName) { results[stream.index] = .done(outcome) } else { alone.insert(stream.index) }
            } else if !record.isPlain || !stream.isOf(record.hostName) || !stream.isLatest
                || record.outruns(stream.timeShift, now: now)
            {
                alone.insert(stream.index)
            } else if !hosts.insert(stream.hostID).inserted {
                results[stream.index] = .waits
            } else {
                do throws(ReadingsFault) {
                    let record = record.shifted(by: stream.timeShift)
                    try record.checkTimes(now: now)
                    members.append(Member(stream: stream, record: record))
                } catch {
                    results[stream.index] = .refused(error)
                }
            }
        }
        for (index, result) in try await write(members, now: now, connection) { results[index] = result }
        if !alone.isEmpty {
            let ordered = alone.sorted { (deliveries[$0].record.hostName, $0) < (deliveries[$1].record.hostName, $1) }
            // Two collectors that wait for each other's hosts would wait until the server notices.
            _ = try await connection.execute(Statement("bound_lock_wait", "SET LOCAL lock_timeout = '100ms'"))
            for index in ordered { results[index] = try await commitAlone(deliveries[index], now: now, connection) }
        }
        return results.map { $0 ?? .waits }
    }

    private struct LockedStream {
        let index: Int
        let streamID: Int32
        let hostID: Int32
        let hostName: String
        /// In service, and not merged into another host.
        let isHostLasting: Bool
        let parentID: Int32?
        let cursor: StreamCursor
        let timeShift: Microseconds
        /// No other stream of the host was opened later.
        let isLatest: Bool

        func isOf(_ name: String) -> Bool { isHostLasting && hostName == name }
    }

    private struct Member {
        let stream: LockedStream
        let record: ReadingsRecord
    }

    /// Locks streams and their hosts until the transaction ends, in the order of streams, passing over those that another one has.
    private static func lock(_ deliveries: [ReadingsDelivery], _ connection: PostgresConnection) async throws -> [LockedStream] {
        try await connection.query(
            Statement(
                "lock_streams",
                """
                SELECT a.place, s.stream_id, s.host_id, s.cursor_seq, s.cursor_sha256, s.time_shift_us, h.name, h.parent_host_id,
                    h.merged_into IS NULL AND h.retired_at IS NULL AS is_lasting,
                    NOT EXISTS (SELECT FROM stream o WHERE o.host_id = s.host_id AND o.stream_id > s.stream_id
                        AND o.cursor_seq > 0) AS is_latest
                FROM unnest($1::int4[], $2::text[], $3::text[]) WITH ORDINALITY AS a (token_id, boot_id, incarnation, place)
                JOIN stream s USING (token_id, boot_id, incarnation) JOIN host h USING (host_id)
                ORDER BY s.stream_id FOR UPDATE OF s SKIP LOCKED FOR NO KEY UPDATE OF h SKIP LOCKED
                """
            ),
            [
                .int4Array(deliveries.map(\.tokenID)), .textArray(deliveries.map(\.record.bootID)),
                .textArray(deliveries.map(\.record.incarnation)),
            ]
        ).map { row in
            LockedStream(
                index: Int(try row.int64("place")) - 1,
                streamID: try row.int32("stream_id"),
                hostID: try row.int32("host_id"),
                hostName: try row.string("name"),
                isHostLasting: try row.bool("is_lasting"),
                parentID: try row.int32IfPresent("parent_host_id"),
                cursor: StreamCursor(sequence: try row.int64("cursor_seq"), sha256: try row.bytesIfPresent("cursor_sha256")),
                timeShift: Microseconds(try row.int64("time_shift_us")),
                isLatest: try row.bool("is_latest")
            )
        }
    }

    private static func write(
        _ members: [Member],
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [(Int, Result)] {
        guard !members.isEmpty else { return [] }
        let heads = try await readHeads(members, connection)
        var results: [(Int, Result)] = []
        var rows = ReadingsRows(reservingKnots: members.reduce(0) { $0 + $1.record.knotCount })
        var marks = WorkQueue.Marks(now: now)
        var taken: [Member] = []
        for member in members {
            let index = member.stream.index
            do throws(ReadingsFault) {
                let heads = heads[member.stream.streamID] ?? [:]
                guard Set(heads.values.map(\.curveID)).count == heads.count else {
                    throw ReadingsFault(field: "ref", expected: "one ref for each curve in a batch", found: "two for one")
                }
                let placement = try ReadingsPlacement(member.record, heads: heads, now: now)
                rows.add(placement, hostID: member.stream.hostID)
                marks.add(hostID: member.stream.hostID, hours: placement.hours, reason: "readings")
                if let parentID = member.stream.parentID { marks.add(hostID: parentID, hours: placement.hours, reason: "child") }
                taken.append(member)
                results.append((index, .done(.acknowledged(sequence: member.record.sequence))))
            } catch {
                results.append((index, .refused(error)))
            }
        }
        guard !taken.isEmpty else { return results }
        try await rows.write(connection)
        try await marks.write(connection)
        _ = try await connection.execute(
            Statement(
                "advance_streams",
                """
                UPDATE stream SET cursor_seq = a.seq, cursor_sha256 = a.sha256, acknowledged_at = now()
                FROM unnest($1::int4[], $2::int8[], $3::bytea[]) AS a (stream_id, seq, sha256) WHERE stream.stream_id = a.stream_id
                """
            ),
            [
                .int4Array(taken.map(\.stream.streamID)), .int8Array(taken.map(\.record.sequence)),
                .byteaArray(taken.map(\.record.sha256)),
            ]
        )
        _ = try await connection.execute(
            Statement(
                "hosts_seen",
                """
                UPDATE host SET seen_at = now(), clock_offset_us = coalesce(a.clock_offset_us, host.clock_offset_us)
                FROM unnest($1::int4[], $2::int8[]) AS a (host_id, clock_offset_us) WHERE host.host_id = a.host_id
                """
            ),
            [.int4Array(taken.map(\.stream.hostID)), .int8Array(taken.map { $0.record.clockOffset?.count })]
        )
        return results
    }

    /// The heads of all curves that the batches name, by stream and ref.
    private static func readHeads(_ members: [Member], _ connection: PostgresConnection) async throws -> [Int32: [Int32: CurveHead]] {
        var streamIDs: [Int32] = []
        var refs: [Int32] = []
        for member in members {
            for ref in Set(member.record.columns.map(\.ref) + member.record.tails.map(\.ref)) {
                streamIDs.append(member.stream.streamID)
                refs.append(ref)
            }
        }
        var heads: [Int32: [Int32: CurveHead]] = [:]
        let rows = try await connection.query(
            Statement(
                "read_group_heads",
                """
                SELECT s.stream_id, \(CurveHead.columns)
                FROM unnest($1::int4[], $2::int4[]) AS a (stream_id, ref) JOIN stream_curve s USING (stream_id, ref)
                JOIN curve c USING (host_id, curve_id) LEFT JOIN curve_tail t USING (host_id, curve_id)
                """
            ),
            [.int4Array(streamIDs), .int4Array(refs)]
        )
        for row in rows { heads[try row.int32("stream_id"), default: [:]][try row.int32("ref")] = try CurveHead(row) }
        return heads
    }

    /// A batch by itself, behind a savepoint: whatever is wrong with it, the group's transaction goes on.
    private static func commitAlone(
        _ delivery: ReadingsDelivery,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Result {
        _ = try await connection.execute(Statement("before_batch", "SAVEPOINT batch"))
        let result: Result
        do {
            result = .done(try await StreamTable.commit(delivery.record, tokenID: delivery.tokenID, now: now, connection))
        } catch let fault as ReadingsFault {
            result = .refused(fault)
        } catch let error as PostgresError where error.isContentFault {
            result = .unstorable(error)
        } catch let error as PostgresError where error.isLockNotAvailable {
            result = .waits
        }
        switch result {
        case .done: _ = try await connection.execute(Statement("after_batch", "RELEASE SAVEPOINT batch"))
        case .refused, .unstorable, .waits: _ = try await connection.execute(Statement("undo_batch", "ROLLBACK TO SAVEPOINT batch"))
        }
        return result
    }
}
