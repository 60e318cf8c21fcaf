public import Energy
public import Postgres

/// Two machines that report as one host: a cloned image, an agent key on two disks. They are told apart, not merged.
///
/// One machine's streams follow one another: its agent sends a stream to its end before it opens the next, and a machine is switched on
/// after its last boot has ended. So there are two where an earlier stream goes on after a later one began, and where a boot began while
/// another one still sampled.
public enum StreamRivals {
    /// A host that two machines report as.
    public struct Rivalry: Sendable, Hashable {
        public let hostName: String
        public let keptBootID: String
        public let refusedBootID: String
        public let since: Timestamp
        public let lastAt: Timestamp
        public let refusedBatches: Int64
    }

    /// How much of two boots' overlap is put down to clocks that are a little off.
    static let tolerance = Microseconds.seconds(60)

    /// Whether a batch, the next of its stream, is of another machine than the one that reports as the host; keeps a note of it.
    ///
    /// - Returns: since when there have been two; nil for one.
    static func note(
        _ record: ReadingsRecord,
        streamID: Int32,
        host: HostRow,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Timestamp? {
        guard
            let other = try await connection.query(
                Statement(
                    "latest_other_stream",
                    """
                    SELECT stream_id, boot_id, time_shift_us, acknowledged_at > now() - interval '15 minutes' AS is_reporting
                    FROM stream WHERE host_id = $1 AND stream_id <> $2 AND cursor_seq > 0 ORDER BY stream_id DESC LIMIT 1
                    """
                ),
                [.int4(host.id), .int4(streamID)]
            ).first
        else { return nil }
        let otherID = try other.int32("stream_id")
        if otherID < streamID {
            // One that has been silent for long may have been replaced by this one.
            guard record.sequence == 1, try other.boolIfPresent("is_reporting") ?? false, try other.string("boot_id") != record.bootID,
                let booted = record.bootedAt, let offset = record.clockOffset,
                let sampled = try await lastSample(streamID: otherID, host: host, connection),
                sampled - Microseconds(try other.int64("time_shift_us")) > booted + offset + tolerance
            else { return nil }
        }
        return try await connection.query(
            Statement(
                "note_rival",
                """
                INSERT INTO host_rival (host_id, kept_boot_id, refused_boot_id) VALUES ($1, $2, $3)
                ON CONFLICT (host_id) DO UPDATE SET kept_boot_id = excluded.kept_boot_id, refused_boot_id = excluded.refused_boot_id,
                    last_at = now(), refused_batches = host_rival.refused_batches + 1
                RETURNING since
                """
            ),
            [.int4(host.id), .text(try other.string("boot_id")), .text(record.bootID)]
        ).first.map { Timestamp(microseconds: try $0.timestampMicroseconds("since")) }
    }

    /// The latest sample of a stream's curves on the collector's clock, with the stream's shift still in it.
    private static func lastSample(
        streamID: Int32,
        host: HostRow,
        _ connection: PostgresConnection
    ) async throws -> Timestamp? {
        try await connection.query(
            Statement(
                "last_sample_of_stream",
                """
                SELECT max(t.t) + coalesce(max(h.clock_offset_us), 0) * interval '1 microsecond' AS t
                FROM stream_curve s JOIN curve_tail t USING (host_id, curve_id) JOIN host h USING (host_id)
                WHERE s.stream_id = $1 AND s.host_id = $2
                """
            ),
            [.int4(streamID), .int4(host.id)]
        ).first.flatMap { try $0.timestampMicrosecondsIfPresent("t").map(Timestamp.init(microseconds:)) }
    }

    /// Those of the last day, by host.
    public static func recent(_ connection: PostgresConnection) async throws -> [Rivalry] {
        try await connection.query(
            Statement(
                "recent_rivals",
                """
                SELECT h.name, r.kept_boot_id, r.refused_boot_id, r.since, r.last_at, r.refused_batches
                FROM host_rival r JOIN host h USING (host_id) WHERE r.last_at > now() - interval '1 day' ORDER BY h.name
                """
            )
        ).map { row in
            Rivalry(
                hostName: try row.string("name"),
                keptBootID: try row.string("kept_boot_id"),
                refusedBootID: try row.string("refused_boot_id"),
                since: Timestamp(microseconds: try row.timestampMicroseconds("since")),
                lastAt: Timestamp(microseconds: try row.timestampMicroseconds("last_at")),
                refusedBatches: try row.int64("refused_batches")
            )
        }
    }
}
