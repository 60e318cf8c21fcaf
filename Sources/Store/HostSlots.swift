public import Energy
public import Postgres

/// How many jobs a host takes at a time, and who says so: its record, else the runners on it, else its pool; a service that has a host to
/// itself reserves all of it.
public struct HostSlots: Sendable {
    public enum Origin: String, Sendable {
        /// The operator, in the host's dated record.
        case record
        /// The runners that were on the host at a time, each with the jobs that it takes at a time; the most of it in the hour.
        case runners
        /// The operator, of all machines of the pool.
        case pool
        /// One service was all that ran.
        case service
    }

    public struct Answer: Sendable, Hashable {
        public let slots: Double
        public let origin: Origin
    }

    private struct Runner {
        let name: String
        /// Empty for any CI.
        let instance: String
        let interval: Interval
        let concurrent: Int
    }

    private let runners: [Runner]
    /// Oldest first.
    private let pools: [(from: Timestamp, slots: Double)]

    /// What is known for a stretch of time.
    public static func read(host: HostRow, _ interval: Interval, _ connection: PostgresConnection) async throws -> HostSlots {
        let runners = try await connection.query(
            Statement(
                "slots_of_runners",
                """
                SELECT runner, instance, valid_from, valid_to, coalesce(concurrent, 1) AS concurrent FROM runner_host
                WHERE host_id = $1 AND valid_from < $3 AND valid_to > $2 ORDER BY 1, 2, 3
                """
            ),
            [
                .int4(host.id), .timestamptz(microseconds: interval.start.microseconds),
                .timestamptz(microseconds: interval.end.microseconds),
            ]
        ).map { row in
            Runner(
                name: try row.string("runner"),
                instance: try row.string("instance"),
                interval: Interval(
                    Timestamp(microseconds: try row.timestampMicroseconds("valid_from")),
                    Timestamp(microseconds: try row.timestampMicroseconds("valid_to"))
                ),
                concurrent: Int(try row.int32("concurrent"))
            )
        }
        var pools: [(from: Timestamp, slots: Double)] = []
        if let pool = host.pool {
            pools = try await connection.query(
                Statement(
                    "slots_of_pool",
                    "SELECT valid_from, slots FROM pool_record WHERE pool = $1 AND valid_from < $2 ORDER BY valid_from"
                ),
                [.text(pool), .timestamptz(microseconds: interval.end.microseconds)]
            ).map { (Timestamp(microseconds: try $0.timestampMicroseconds("valid_from")), try $0.double("slots")) }
        }
        return HostSlots(runners: runners, pools: pools)
    }

    /// The slots in an hour.
    ///
    /// - Parameters:
    ///   - recorded: what the host's own record says for the hour.
    ///   - spans: all that ran in the hour.
    /// - Returns: nil where nobody said anything.
    public func slots(in hour: Interval, recorded: Double?, spans: some Collection<SpanRow>) -> Answer? {
        if let recorded { return Answer(slots: recorded, origin: .record) }
        let there = runners.filter { $0.interval.intersection(hour) != nil }
        // Runners that follow one another, each for one job, are one slot.
        let most = Set(there.map { max(hour.start, $0.interval.start) }).map { instant in
            Self.jobs(of: there.filter { $0.interval.contains(instant) })
        }.max()
        if let most, most > 0 { return Answer(slots: Double(most), origin: .runners) }
        if let said = pools.last(where: { $0.from <= hour.start }) { return Answer(slots: said.slots, origin: .pool) }
        if let service = spans.first?.service, spans.allSatisfy({ $0.isResident && $0.service == service }) {
            return Answer(slots: 1, origin: .service)
        }
        return nil
    }
}

extension HostSlots {
    /// How many jobs runners take together. One that an operator lists without its CI is the one that the agent found.
    private static func jobs(of runners: [Runner]) -> Int {
        Dictionary(grouping: runners, by: \.name).values.reduce(0) { sum, same in
            let byInstance = Dictionary(grouping: same, by: \.instance).mapValues { $0.map(\.concurrent).max() ?? 1 }
            let named = byInstance.filter { !$0.key.isEmpty }.values.reduce(0, +)
            return sum + max(named, byInstance[""] ?? 0)
        }
    }
}

extension SpanRow {
    /// A service's own cgroup, which nobody posted.
    public var isResident: Bool { source == "resident" }
}
