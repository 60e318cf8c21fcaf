import Accounting
public import Energy
public import Postgres

/// The idle floors of a host, as learned from the minutes in which nothing ran, by UTC day and component.
///
/// A day's floor is the median of the minutes of the seven days before it; where those hold fewer than thirty, of the last thirty before
/// it; nothing where there are fewer. So it depends on earlier hours only, and on their data whatever order they came in.
public struct IdleFloors: Sendable {
    private let floors: [Component: [Timestamp: UtilisationModel.Point]]

    /// The learned floor of a component in an hour; nil where too few idle minutes came before its day.
    public func floor(of component: Component, in hour: Hour) -> UtilisationModel.Point? {
        floors[component]?[hour.start.startOfDay]
    }

    static let daysOfMinutes: Int64 = 7
    /// The floors of the days that a stretch of time touches.
    ///
    /// - Parameter keeping: store what had to be learned: the accounts that it is read for are kept too.
    public static func read(
        hostID: Int32,
        _ interval: Interval,
        keeping: Bool,
        _ connection: PostgresConnection
    ) async throws -> IdleFloors {
        let days = Set(Hour.touching(interval).map(\.start.startOfDay)).sorted()
        guard let first = days.first, let last = days.last else { return IdleFloors(floors: [:]) }
        let rows = try await connection.query(
            Statement(
                "read_idle_floors",
                """
                SELECT component, day, p_idle_uw, p_idle_low_uw, p_idle_high_uw FROM idle_floor
                WHERE host_id = $1 AND day >= $2 AND day <= $3
                """
            ),
            [.int4(hostID), .timestamptz(microseconds: first.microseconds), .timestamptz(microseconds: last.microseconds)]
        )
        var floors: [Component: [Timestamp: UtilisationModel.Point]] = [:]
        var known: Set<Timestamp> = []
        for row in rows {
            let day = Timestamp(microseconds: try row.timestampMicroseconds("day"))
            known.insert(day)
            guard let best = try row.int64IfPresent("p_idle_uw") else { continue }
            floors[try component(row), default: [:]][day] = UtilisationModel.Point(
                low: Power(microwatts: try row.int64("p_idle_low_uw")),
                best: Power(microwatts: best),
                high: Power(microwatts: try row.int64("p_idle_high_uw"))
            )
        }
        for day in days where !known.contains(day) {
            for component in Component.allCases {
                let learned = try await learn(hostID: hostID, component: component, day: day, connection)
                if let floor = learned.point { floors[component, default: [:]][day] = floor }
                if keeping { try await keep(learned, hostID: hostID, component: component, day: day, connection) }
            }
        }
        return IdleFloors(floors: floors)
    }

    private struct Learned {
        /// In whole µW, as it is stored: what is learned and what is read back are the same.
        var floor: (low: Int64, best: Int64, high: Int64)?
        /// The first instant whose minutes count.
        var since: Timestamp
        var minutes: Int

        var point: UtilisationModel.Point? {
            floor.map {
                UtilisationModel.Point(
                    low: Power(microwatts: $0.low),
                    best: Power(microwatts: $0.best),
                    high: Power(microwatts: $0.high)
                )
            }
        }
    }

    private static func learn(
        hostID: Int32,
        component: Component,
        day: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> Learned {
        let weekAgo = day - Microseconds(daysOfMinutes * Microseconds.day.count)
        // The newest hours first, as far back as it takes.
        let rows = try await connection.query(
            Statement(
                "idle_minutes_before",
                """
                SELECT hour, mean_uw FROM (
                    SELECT hour, mean_uw,
                        sum(cardinality(mean_uw)) OVER (ORDER BY hour DESC) - cardinality(mean_uw) AS newer
                    FROM idle_minutes WHERE host_id = $1 AND component = $2 AND hour < $3
                ) m WHERE hour >= $4 OR newer < \(IdleFloor.leastMinutes) ORDER BY hour
                """
            ),
            [
                .int4(hostID), .text(component.rawValue), .timestamptz(microseconds: day.microseconds),
                .timestamptz(microseconds: weekAgo.microseconds),
            ]
        )
        let powers = try rows.flatMap { try $0.int64Array("mean_uw").map { Power(microwatts: $0) } }
        guard let first = rows.first, powers.count >= IdleFloor.leastMinutes else {
            // Any minute that turns up before the day may be what is missing.
            return Learned(floor: nil, since: .distantPast, minutes: powers.count)
        }
        let oldest = Timestamp(microseconds: try first.timestampMicroseconds("hour"))
        let floor = IdleFloor.median(of: powers).map { ($0.low.microwatts, $0.best.microwatts, $0.high.microwatts) }
        return Learned(floor: floor, since: min(oldest, weekAgo), minutes: powers.count)
    }

    private static func keep(
        _ learned: Learned,
        hostID: Int32,
        component: Component,
        day: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        _ = try await connection.execute(
            Statement(
                "keep_idle_floor",
                """
                INSERT INTO idle_floor (host_id, component, day, since_t, p_idle_uw, p_idle_low_uw, p_idle_high_uw, minutes)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                ON CONFLICT (host_id, component, day) DO UPDATE SET since_t = excluded.since_t, p_idle_uw = excluded.p_idle_uw,
                    p_idle_low_uw = excluded.p_idle_low_uw, p_idle_high_uw = excluded.p_idle_high_uw, minutes = excluded.minutes
                """
            ),
            [
                .int4(hostID), .text(component.rawValue), .timestamptz(microseconds: day.microseconds),
                .timestamptz(microseconds: learned.since.microseconds), learned.floor.map { .int8($0.best) },
                learned.floor.map { .int8($0.low) }, learned.floor.map { .int8($0.high) },
                .int4(Int32(clamping: learned.minutes)),
            ]
        )
    }

    /// Keeps the idle minutes that accounted hours had. Where they are others than before, the floors made of them are learned anew, and
    /// the hours of the days whose floor is another now are marked. (A median seldom moves with one minute more.)
    public static func note(
        _ minutes: [Hour: [Component: [Power]]],
        hostID: Int32,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        var hours: [Int64] = []
        var components: [String] = []
        var texts: [String] = []
        for hour in minutes.keys.sorted() {
            for component in Component.allCases {
                hours.append(hour.start.microseconds)
                components.append(component.rawValue)
                let powers = minutes[hour]?[component] ?? []
                texts.append("{\(powers.map { String($0.microwatts) }.joined(separator: ","))}")
            }
        }
        guard !hours.isEmpty else { return }
        let changed = try await connection.query(
            Statement(
                "note_idle_minutes",
                """
                WITH said AS (
                    SELECT hour, component, mean_uw::bigint[] AS mean_uw
                    FROM unnest($2::timestamptz[], $3::text[], $4::text[]) AS s (hour, component, mean_uw)
                ), gone AS (
                    DELETE FROM idle_minutes m USING said s
                    WHERE m.host_id = $1 AND m.hour = s.hour AND m.component = s.component AND s.mean_uw = '{}'
                    RETURNING m.hour, m.component
                ), news AS (
                    INSERT INTO idle_minutes AS m (host_id, hour, component, mean_uw)
                    SELECT $1, hour, component, mean_uw FROM said WHERE mean_uw <> '{}'
                    ON CONFLICT (host_id, hour, component) DO UPDATE SET mean_uw = excluded.mean_uw
                        WHERE m.mean_uw <> excluded.mean_uw
                    RETURNING m.hour, m.component
                )
                SELECT hour, component FROM gone UNION SELECT hour, component FROM news ORDER BY 1, 2
                """
            ),
            [.int4(hostID), .timestamptzArray(microseconds: hours), .textArray(components), .textArray(texts)]
        )
        guard !changed.isEmpty else { return }
        let made = try await connection.query(
            Statement(
                "idle_floors_made_of",
                """
                SELECT component, day, p_idle_uw, p_idle_low_uw, p_idle_high_uw FROM idle_floor f
                WHERE f.host_id = $1 AND EXISTS (
                    SELECT FROM unnest($2::timestamptz[], $3::text[]) AS c (hour, component)
                    WHERE f.component = c.component AND f.day > c.hour AND f.since_t <= c.hour)
                ORDER BY day, component
                """
            ),
            [
                .int4(hostID), .timestamptzArray(microseconds: try changed.map { try $0.timestampMicroseconds("hour") }),
                .textArray(try changed.map { try $0.string("component") }),
            ]
        )
        var days: Set<Timestamp> = []
        for row in made {
            let (component, day) = (try component(row), Timestamp(microseconds: try row.timestampMicroseconds("day")))
            let learned = try await learn(hostID: hostID, component: component, day: day, connection)
            try await keep(learned, hostID: hostID, component: component, day: day, connection)
            let before = try ["p_idle_low_uw", "p_idle_uw", "p_idle_high_uw"].map { try row.int64IfPresent($0) }
            if before != [learned.floor?.low, learned.floor?.best, learned.floor?.high] { days.insert(day) }
        }
        guard !days.isEmpty else { return }
        let affected = days.flatMap { Hour.touching(Interval($0, $0 + .day)) }
        let accounted = try await connection.query(
            Statement("accounted_among", "SELECT hour FROM markable_hour WHERE host_id = $1 AND hour = ANY($2)"),
            [.int4(hostID), .timestamptzArray(microseconds: affected.map(\.start.microseconds).sorted())]
        ).map { Hour(containing: Timestamp(microseconds: try $0.timestampMicroseconds("hour"))) }
        try await WorkQueue.mark(hostID: hostID, hours: accounted, now: now, reason: "idle floor", as: .bulk, connection)
    }

    private static func component(_ row: PostgresRow) throws -> Component {
        let text = try row.string("component")
        guard let component = Component(rawValue: text) else { throw StoredValueError(what: "component", found: text) }
        return component
    }
}

extension Timestamp {
    /// Midnight UTC before or at the instant.
    fileprivate var startOfDay: Timestamp {
        let day = Microseconds.day.count
        let past = microseconds % day
        return Timestamp(microseconds: microseconds - (past < 0 ? past + day : past))
    }

    /// Before all data.
    fileprivate static let distantPast = Timestamp(microseconds: -8_000_000_000_000_000)
}
