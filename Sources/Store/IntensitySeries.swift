public import Carbon
public import Energy
public import Postgres

/// The intensity of a grid zone over a stretch of time, in pieces of one value each, without holes: nil where none is known.
public struct IntensitySeries: Sendable {
    public struct Piece: Sendable, Hashable {
        public let interval: Interval
        public let intensity: StoredIntensity?
    }

    /// A row with all that decides which of several counts.
    struct Candidate: Sendable {
        let stored: StoredIntensity
        let interval: Interval
    }

    public let pieces: [Piece]

    public static func none(over interval: Interval) -> IntensitySeries { IntensitySeries([], over: interval) }

    /// Within each UTC hour one basis only, that of the best figures: figures of two bases are never in one sum. Within a basis actual
    /// before estimated before forecast before yearly, and the latest revision of it.
    init(_ candidates: [Candidate], over interval: Interval) {
        var pieces: [Piece] = []
        for hour in Hour.touching(interval) {
            guard let part = hour.interval.intersection(interval) else { continue }
            let here = candidates.filter { $0.interval.intersection(part) != nil }
            let bases = Dictionary(grouping: here) { $0.stored.value.basis.description }
            let choices = bases.sorted { $0.key < $1.key }.map { Self.cover(part, with: $0.value) }
            let best = choices.min { Self.worst($0) < Self.worst($1) } ?? [Piece(interval: part, intensity: nil)]
            for piece in best {
                if let last = pieces.last, last.intensity == piece.intensity {
                    pieces[pieces.count - 1] = Piece(interval: Interval(last.interval.start, piece.interval.end), intensity: last.intensity)
                } else {
                    pieces.append(piece)
                }
            }
        }
        self.pieces = pieces
    }

    private static func cover(_ part: Interval, with candidates: [Candidate]) -> [Piece] {
        var edges = [part.start, part.end]
        for candidate in candidates {
            edges += [candidate.interval.start, candidate.interval.end].filter { part.start < $0 && $0 < part.end }
        }
        edges = Set(edges).sorted()
        return zip(edges, edges.dropFirst()).map { from, to in
            let there = candidates.filter { $0.interval.start <= from && to <= $0.interval.end }
            return Piece(interval: Interval(from, to), intensity: there.max { precedes($1, $0) }?.stored)
        }
    }

    /// Whether the first counts rather than the second.
    private static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
        let (x, y) = (rank(a.stored), rank(b.stored))
        guard x == y else { return x < y }
        // A revision is a later edition, whichever came in first.
        return (a.stored.version, a.stored.value.provider, a.stored.id) > (b.stored.version, b.stored.value.provider, b.stored.id)
    }

    private static func rank(_ stored: StoredIntensity?) -> Int {
        stored.flatMap { Intensity.Kind.allCases.firstIndex(of: $0.value.kind) } ?? Intensity.Kind.allCases.count
    }

    private static func worst(_ pieces: [Piece]) -> Int { pieces.map { rank($0.intensity) }.max() ?? .max }

    /// What counts at an instant.
    public func intensity(at time: Timestamp) -> StoredIntensity? { pieces.last { $0.interval.start <= time }?.intensity }

    /// The instants within an interval at which another value begins to count.
    public func edges(within interval: Interval) -> [Timestamp] {
        pieces.map(\.interval.start).filter { interval.start < $0 && $0 < interval.end }
    }
}

extension IntensityTable {
    /// A figure of a feed, for a time of its own.
    public struct Row: Sendable, Hashable {
        public var interval: Interval
        public var value: Intensity
        /// The provider's own edition: a revision is another one.
        public var version: String

        public init(interval: Interval, value: Intensity, version: String) {
            self.interval = interval
            self.value = value
            self.version = version
        }
    }

    /// Adds figures that are not there yet, and marks the accounted hours of the hosts of their zones that they fall into.
    ///
    /// - Returns: how many were new.
    @discardableResult
    public static func add(_ rows: [Row], now: Timestamp, _ connection: PostgresConnection) async throws -> Int {
        guard !rows.isEmpty else { return 0 }
        let added = try await connection.query(
            Statement(
                "add_intensities",
                """
                INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version)
                SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::float8[], $5::float8[], $6::float8[], $7::text[],
                    $8::text[], $9::text[], $10::text[])
                ON CONFLICT DO NOTHING RETURNING intensity_id
                """
            ),
            [
                .textArray(rows.map(\.value.zone)), .timestamptzArray(microseconds: rows.map(\.interval.start.microseconds)),
                .timestamptzArray(microseconds: rows.map(\.interval.end.microseconds)),
                .float8Array(rows.map(\.value.gramsPerKilowattHour)), .float8Array(rows.map(\.value.low)),
                .float8Array(rows.map(\.value.high)), .textArray(rows.map(\.value.kind.rawValue)),
                .textArray(rows.map(\.value.basis.description)), .textArray(rows.map(\.value.provider)), .textArray(rows.map(\.version)),
            ]
        ).map { try $0.int64("intensity_id") }
        guard !added.isEmpty else { return 0 }
        // A host's zone in an hour is that of its record then, its agent's where the record says nothing.
        _ = try await connection.execute(
            Statement(
                "mark_hours_of_intensities",
                """
                INSERT INTO dirty (host_id, hour, reason)
                SELECT DISTINCT a.host_id, a.hour, 'intensity'
                FROM intensity i
                JOIN host h ON h.grid_zone = i.zone
                    OR EXISTS (SELECT FROM host_record r WHERE r.host_id = h.host_id AND r.record ->> 'grid_zone' = i.zone)
                JOIN accounted_hour a ON a.host_id = h.host_id AND a.hour < i.to_t AND a.hour > i.from_t - interval '1 hour' AND a.hour < $2
                WHERE i.intensity_id = ANY($1)
                    AND i.zone = coalesce(
                        (SELECT r.record ->> 'grid_zone' FROM host_record r WHERE r.host_id = h.host_id AND r.valid_from <= a.hour
                            ORDER BY r.valid_from DESC LIMIT 1),
                        h.grid_zone)
                """
            ),
            [.int8Array(added), .timestamptz(microseconds: now.hour.start.microseconds)]
        )
        return added.count
    }

    /// What counts in a zone over a stretch of time; never another zone's.
    public static func series(zone: String, _ interval: Interval, _ connection: PostgresConnection) async throws -> IntensitySeries {
        let candidates = try await connection.query(
            Statement(
                "intensity_series",
                """
                SELECT \(joinedColumns), i.from_t AS series_from, i.to_t AS series_to FROM intensity i
                WHERE zone = $1 AND from_t < $3 AND to_t > $2 ORDER BY intensity_id
                """
            ),
            [.text(zone), .timestamptz(microseconds: interval.start.microseconds), .timestamptz(microseconds: interval.end.microseconds)]
        ).compactMap { row -> IntensitySeries.Candidate? in
            guard let stored = try joined(row) else { return nil }
            return IntensitySeries.Candidate(
                stored: stored,
                interval: Interval(
                    Timestamp(microseconds: try row.timestampMicroseconds("series_from")),
                    Timestamp(microseconds: try row.timestampMicroseconds("series_to"))
                )
            )
        }
        return IntensitySeries(candidates, over: interval)
    }
}
