import Carbon
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

    /// Within each UTC hour one basis only: the one that is stated for its start, else that of the best figures. Figures of two bases are
    /// never in one sum, and those of another basis than the stated one never stand in. Within a basis actual before estimated before
    /// forecast before yearly; of these the first provider's, and the latest revision of it.
    init(_ candidates: [Candidate], stated: [StatedBasis] = [], over interval: Interval) {
        let stated = stated.sorted { $0.from < $1.from }
        var pieces: [Piece] = []
        for hour in Hour.touching(interval) {
            guard let part = hour.interval.intersection(interval) else { continue }
            let here = candidates.filter { $0.interval.intersection(part) != nil }
            let found: [Piece]
            if let said = stated.last(where: { $0.from <= hour.start }) {
                found = Self.cover(part, with: here.filter { $0.stored.value.basis == said.basis }, said.providers)
            } else {
                let bases = Dictionary(grouping: here) { $0.stored.value.basis.description }
                let choices = bases.sorted { $0.key < $1.key }.map { Self.cover(part, with: $0.value, []) }
                found = choices.min { Self.worst($0) < Self.worst($1) } ?? [Piece(interval: part, intensity: nil)]
            }
            for piece in found {
                if let last = pieces.last, last.intensity == piece.intensity {
                    pieces[pieces.count - 1] = Piece(interval: Interval(last.interval.start, piece.interval.end), intensity: last.intensity)
                } else {
                    pieces.append(piece)
                }
            }
        }
        self.pieces = pieces
    }

    private static func cover(_ part: Interval, with candidates: [Candidate], _ providers: [String]) -> [Piece] {
        var edges = [part.start, part.end]
        for candidate in candidates {
            edges += [candidate.interval.start, candidate.interval.end].filter { part.start < $0 && $0 < part.end }
        }
        edges = Set(edges).sorted()
        return zip(edges, edges.dropFirst()).map { from, to in
            let there = candidates.filter { $0.interval.start <= from && to <= $0.interval.end }
            return Piece(interval: Interval(from, to), intensity: there.max { precedes($1, $0, providers) }?.stored)
        }
    }

    /// Whether the first counts rather than the second.
    private static func precedes(_ a: Candidate, _ b: Candidate, _ providers: [String]) -> Bool {
        let (x, y) = (rank(a.stored), rank(b.stored))
        guard x == y else { return x < y }
        func place(_ candidate: Candidate) -> Int { providers.firstIndex(of: candidate.stored.value.provider) ?? providers.count }
        let (p, q) = (place(a), place(b))
        guard p == q else { return p < q }
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
    /// What counts in a zone over a stretch of time: of the basis that is stated for it, never another zone's.
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
        return IntensitySeries(candidates, stated: try await ZoneBasisTable.read(zone: zone, connection), over: interval)
    }
}
