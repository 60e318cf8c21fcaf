public import Energy
public import Postgres

/// What a service made in a time: packages served, updates made.
public struct UnitsRow: Sendable, Hashable {
    public var id: String
    public var service: String
    public var activity: String?
    public var unit: String
    public var count: Double
    public var interval: Interval

    public init(id: String, service: String, activity: String?, unit: String, count: Double, interval: Interval) {
        self.id = id
        self.service = service
        self.activity = activity
        self.unit = unit
        self.count = count
        self.interval = interval
    }
}

public enum UnitsTable {
    /// Keeps what a source says; the same id again says it anew.
    ///
    /// - Returns: by row, whether its id was not there before.
    public static func put(_ rows: [UnitsRow], source: String, _ connection: PostgresConnection) async throws -> [Bool] {
        var isNew: [Bool] = []
        for row in rows {
            let values: [PostgresValue?] = [
                .text(source), .text(row.id), .text(row.service), row.activity.map { .text($0) }, .text(row.unit), .float8(row.count),
                .timestamptz(microseconds: row.interval.start.microseconds), .timestamptz(microseconds: row.interval.end.microseconds),
            ]
            isNew.append(
                try await connection.query(
                    Statement(
                        "put_units",
                        """
                        INSERT INTO units (source, id, service, activity, unit, count, from_t, to_t) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                        ON CONFLICT (source, id) DO UPDATE SET service = $3, activity = $4, unit = $5, count = $6, from_t = $7, to_t = $8,
                            received_at = now()
                        RETURNING xmax = 0 AS is_new
                        """
                    ),
                    values
                ).only().bool("is_new")
            )
        }
        return isNew
    }
}

extension RollUpTable {
    /// What was posted of the services that a question is about, spread evenly over the time it was made in.
    public struct Units: Sendable {
        public var group: [String?]
        public var bucket: Timestamp?
        public var unit: String
        public var count: Double
    }

    /// Nothing where the question is by or about what units do not tell: they have a service and an activity only.
    public static func units(_ question: RollUpQuestion, _ connection: PostgresConnection) async throws -> [Units] {
        var other = question.filter
        (other.service, other.activity, other.source) = (nil, nil, nil)
        guard other.count == 0, question.keys.allSatisfy({ $0 == .service || $0 == .activity }) else { return [] }
        var source: String?
        switch question.visibility {
        case .everything: source = question.filter.source
        case .source(let own, repositories: nil): source = own
        default: return []
        }
        let fields = question.fields.map { "coalesce('=' || u.\($0), '')" }.joined(separator: ", ")
        return try await connection.query(
            question.statement(
                "units",
                """
                SELECT cell, bucket, unit, sum(part) AS count FROM (
                    SELECT ARRAY[\(fields)]::text[] AS cell, u.unit, b.from_t AS bucket,
                        u.count * extract(epoch FROM least(u.to_t, b.to_t, $2) - greatest(u.from_t, b.from_t, $1))::float8
                            / extract(epoch FROM u.to_t - u.from_t)::float8 AS part
                    FROM units u CROSS JOIN LATERAL (
                        SELECT NULL::timestamptz AS from_t, NULL::timestamptz AS to_t WHERE $3::text IS NULL
                        UNION ALL
                        SELECT g AT TIME ZONE 'UTC', (g + ('1 ' || $3)::interval) AT TIME ZONE 'UTC' FROM generate_series(
                            date_trunc($3, greatest(u.from_t, $1) AT TIME ZONE 'UTC'),
                            least(u.to_t, $2) AT TIME ZONE 'UTC' - interval '1 microsecond', ('1 ' || $3)::interval) g
                        WHERE $3 IS NOT NULL
                    ) b
                    WHERE u.from_t < $2 AND u.to_t > $1 AND ($4::text IS NULL OR u.service = $4) AND ($5::text IS NULL OR u.activity = $5)
                        AND ($6::text IS NULL OR u.source = $6)
                ) x GROUP BY cell, bucket, unit ORDER BY unit
                """
            ),
            [
                .timestamptz(microseconds: question.interval.start.microseconds),
                .timestamptz(microseconds: question.interval.end.microseconds), question.bucket.map { .text($0.rawValue) },
                question.filter.service.map { .text($0) }, question.filter.activity.map { .text($0) }, source.map { .text($0) },
            ]
        ).map { row in
            Units(group: try group(row), bucket: try bucket(row), unit: try row.string("unit"), count: try row.double("count"))
        }
    }
}
