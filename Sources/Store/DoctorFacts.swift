public import Energy
public import Postgres

/// What a look for faults is made from, read in one snapshot. Every list is bounded; where one may be cut its total stands beside it.
public struct DoctorFacts: Sendable {
    /// A name under which jobs wait for their host.
    public struct Waiting: Sendable, Hashable {
        public var name: String?
        /// Whether it is a runner's name, not a host's.
        public var isRunner: Bool
        public var instance: String
        public var jobs: Int64
        public var lastAt: Timestamp

        public init(name: String?, isRunner: Bool, instance: String, jobs: Int64, lastAt: Timestamp) {
            self.name = name
            self.isRunner = isRunner
            self.instance = instance
            self.jobs = jobs
            self.lastAt = lastAt
        }
    }

    /// A name, how often it was met, and a word on it.
    public struct Count: Sendable, Hashable {
        public var name: String
        public var n: Int64
        public var detail: String

        public init(name: String, n: Int64, detail: String = "") {
            self.name = name
            self.n = n
            self.detail = detail
        }
    }

    /// A name that leads to two hosts.
    public struct Claim: Sendable, Hashable {
        public enum Kind: String, Sendable {
            /// An alias of `holder` is the name of `other`.
            case alias
            /// The map says that a runner is on both.
            case runner
            /// The agent of `other` calls its machine by a name that `holder` has.
            case agent
        }

        public var name: String
        public var kind: Kind
        public var instance: String
        public var holder: String
        public var other: String

        public init(name: String, kind: Kind, instance: String, holder: String, other: String) {
            self.name = name
            self.kind = kind
            self.instance = instance
            self.holder = holder
            self.other = other
        }
    }

    public struct Source: Sendable {
        public var source: SourceRow
        public var liveSecrets: Int
        /// When the last of its secrets ends; nil where one has no end.
        public var secretsEndAt: Timestamp?
        /// Events of the last seven days that did not become jobs, by outcome, with the newest one's reason.
        public var faults: [Count]
    }

    public struct Token: Sendable {
        public var name: String
        public var scope: String
        public var hostName: String?
        public var pool: String?
        public var expiresAt: Timestamp?
        public var revokedAt: Timestamp?
        public var lastUsedAt: Timestamp?
        public var usesLeft: Int32?
    }

    public struct PoisonedHour: Sendable, Hashable {
        public var host: String
        public var hour: Timestamp
        public var error: String
        /// Whether it is marked to be accounted again.
        public var isMarked: Bool
    }

    public struct OpenSpan: Sendable, Hashable {
        public var jobID: String
        public var name: String
        public var startedAt: Timestamp
    }

    /// In service and retired; only `hostLimit` of them.
    public var hosts: [HostOverview] = []
    /// Hosts whose jobs of the last seven days shared equally, because nobody said how many slots there are.
    public var hostsSharingEqually: Set<Int32> = []
    /// Sites that hosts in service name and nobody described, with how many stand there.
    public var sitesUndescribed: [Count] = []
    /// Grid zones of hosts for which no intensity is known.
    public var zonesWithoutIntensity: [String] = []
    public var waiting: [Waiting] = []
    public var jobs: Int64 = 0
    public var claimedTwice: [Claim] = []
    public var unknownClasses: [Count] = []
    public var sources: [Source] = []
    public var tokens: [Token] = []
    public var poisoned: [PoisonedHour] = []
    /// Hosts that two machines have reported as within the last day.
    public var rivals: [StreamRivals.Rivalry] = []
    public var openSpans: [OpenSpan] = []
    public var openSpanCount: Int64 = 0
    public var repositoriesWithoutRule: [Count] = []
    public var energy = EnergyAccounts()
    public var databaseBytes: Int64 = 0
    /// The oldest day that has knots in it, and how many days there are that ended at least eight days ago.
    public var oldestKnotDay: Timestamp?
    public var daysUnpacked = 0
    public var oldestRowAt: Timestamp?
    /// Nil where the server does not tell.
    public var dataDirectory: String?
    public var openEvents: Int64 = 0
    public var dirtyHours: Int64 = 0
    /// Other exporters' series of the last seven days that look like energy and became no meter.
    public var unmapped: [TelemetryTable.Unmapped] = []
    /// What is asked of grid providers.
    public var feeds: [GridFeed] = []

    public init() {}

    public static let hostLimit = 5_000
    private static let listLimit: Int64 = 500

    /// - Parameter classes: host classes that the program carries.
    public static func read(now: Timestamp, classes: [String], _ connection: PostgresConnection) async throws -> DoctorFacts {
        let week = Timestamp(microseconds: now.microseconds - 7 * Microseconds.day.count)
        let at = PostgresValue.timestamptz(microseconds: week.microseconds)
        var facts = DoctorFacts()
        facts.hosts = try await HostOverview.read(since: week, now: now, limit: hostLimit, connection)
        facts.energy = try await EnergyAccounts.read(Interval(week, now), connection)
        facts.hostsSharingEqually = Set(
            try await connection.query(
                Statement(
                    "doctor_equal",
                    """
                    SELECT h.host_id FROM host h WHERE EXISTS (
                        SELECT FROM slice s WHERE s.host_id = h.host_id AND s.hour >= $1 AND s.share_method = 'equal'
                    )
                    """
                ),
                [at]
            ).map { try $0.int32("host_id") }
        )
        facts.unmapped = try await TelemetryTable.unmapped(since: week, limit: 100, connection)
        for day in try await KnotPartitions.days(connection) where day + .day + .day <= week {
            if try await KnotPartitions.isEmpty(day, connection) { continue }
            facts.daysUnpacked += 1
            facts.oldestKnotDay = facts.oldestKnotDay ?? day
        }
        facts.feeds = try await GridFeedTable.all(connection)
        facts.rivals = try await StreamRivals.recent(connection)
        facts.sitesUndescribed = try await connection.query(
            Statement(
                "doctor_sites",
                """
                SELECT site_key(r.record ->> 'site') AS name, count(*) AS n, min(h.name) AS detail
                FROM host h JOIN LATERAL (
                    SELECT record FROM host_record WHERE host_id = h.host_id AND valid_from <= $1 ORDER BY valid_from DESC LIMIT 1
                ) r ON true
                WHERE h.retired_at IS NULL AND r.record ->> 'site' <> ''
                    AND NOT EXISTS (SELECT FROM site_record s WHERE s.site = site_key(r.record ->> 'site'))
                GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $2
                """
            ),
            [.timestamptz(microseconds: now.microseconds), .int8(listLimit)]
        ).map(count)
        facts.zonesWithoutIntensity = try await connection.query(
            Statement(
                "doctor_zones",
                "SELECT zone FROM unnest($1::text[]) AS z (zone) WHERE NOT EXISTS (SELECT FROM intensity i WHERE i.zone = z.zone) ORDER BY 1"
            ),
            [.textArray(Set(facts.hosts.filter { $0.host.retiredAtMicroseconds == nil }.compactMap(\.host.gridZone)).sorted())]
        ).map { try $0.string("zone") }
        facts.waiting = try await connection.query(
            Statement(
                "doctor_waiting",
                """
                SELECT CASE WHEN lower(host_name) = lower(runner) THEN runner ELSE coalesce(host_name, runner) END AS name,
                    coalesce(lower(host_name) = lower(runner), host_name IS NULL) AS is_runner, max(instance) AS instance, count(*) AS n, max(started_at) AS last_at
                FROM span_key
                WHERE host_id IS NULL AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted AND host_class IS NULL
                    AND started_at >= $1
                GROUP BY 1, 2 ORDER BY n DESC, 1 LIMIT $2
                """
            ),
            [at, .int8(listLimit)]
        ).map {
            Waiting(
                name: try $0.stringIfPresent("name"),
                isRunner: try $0.bool("is_runner"),
                instance: try $0.string("instance"),
                jobs: try $0.int64("n"),
                lastAt: Timestamp(microseconds: try $0.timestampMicroseconds("last_at"))
            )
        }
        facts.jobs = try await connection.query(
            Statement(
                "doctor_jobs",
                """
                SELECT count(*) AS n FROM span_key
                WHERE started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted AND started_at >= $1
                """
            ),
            [at]
        ).only().int64("n")
        facts.claimedTwice = try await connection.query(
            Statement(
                "doctor_claimed_twice",
                """
                SELECT a.alias AS name, 'alias' AS kind, '' AS instance, o.name AS holder, h.name AS other
                FROM host_alias a JOIN host h ON lower(h.name) = a.alias AND h.host_id <> a.host_id JOIN host o ON o.host_id = a.host_id
                WHERE h.merged_into IS DISTINCT FROM a.host_id AND h.retired_at IS NULL AND o.retired_at IS NULL
                UNION ALL
                SELECT r.runner, 'runner', r.instance, min(h.name), max(h.name)
                FROM runner_host r JOIN host h USING (host_id)
                WHERE r.valid_to = 'infinity' AND h.retired_at IS NULL AND NOT EXISTS (
                    SELECT FROM runner_host o
                    WHERE o.runner = r.runner AND o.instance IN (r.instance, '') AND o.origin = 'operator' AND o.valid_to = 'infinity')
                GROUP BY r.runner, r.instance HAVING count(DISTINCT coalesce(h.merged_into, h.host_id)) > 1
                ORDER BY 1, 2 LIMIT $1
                """
            ),
            [.int8(listLimit)]
        ).map { row in
            let kind = try row.string("kind")
            guard let known = Claim.Kind(rawValue: kind) else { throw StoredValueError(what: "kind of claim", found: kind) }
            return Claim(
                name: try row.string("name"),
                kind: known,
                instance: try row.string("instance"),
                holder: try row.string("holder"),
                other: try row.string("other")
            )
        }
        for contested in try await HostAliasTable.contested(connection).prefix(Int(listLimit)) {
            facts.claimedTwice.append(
                Claim(name: contested.name, kind: .agent, instance: "", holder: contested.holder, other: contested.host)
            )
        }
        for contested in try await RunnerMap.contested(connection).prefix(Int(listLimit)) {
            facts.claimedTwice.append(
                Claim(
                    name: contested.runner,
                    kind: .runner,
                    instance: contested.instance,
                    holder: contested.holder,
                    other: contested.host
                )
            )
        }
        facts.unknownClasses = try await connection.query(
            Statement(
                "doctor_classes",
                """
                SELECT host_class AS name, count(*) AS n, '' AS detail FROM span_key k
                WHERE host_class IS NOT NULL AND started_at >= $1 AND NOT is_deleted AND alias_of IS NULL AND lower(host_class) <> ALL($2)
                    AND NOT EXISTS (SELECT FROM host_class c WHERE c.name = lower(k.host_class))
                    -- Those of a cloud's type are modelled by its tables.
                    AND host_class NOT LIKE 'cloud/%'
                GROUP BY 1 ORDER BY 2 DESC LIMIT $3
                """
            ),
            [at, .textArray(classes), .int8(listLimit)]
        ).map(count)
        try await facts.readFrontDoor(now: now, since: at, connection)
        try await facts.readLedgerFaults(now: now, since: at, connection)
        try await facts.readStorage(connection)
        return facts
    }

    private mutating func readFrontDoor(now: Timestamp, since at: PostgresValue, _ connection: PostgresConnection) async throws {
        let secrets = try await connection.query(
            Statement(
                "doctor_secrets",
                """
                SELECT source_id, count(*) AS n, CASE WHEN count(*) FILTER (WHERE expires_at IS NULL) = 0 THEN max(expires_at) END AS end_at
                FROM source_secret WHERE expires_at IS NULL OR expires_at > $1 GROUP BY 1
                """
            ),
            [.timestamptz(microseconds: now.microseconds)]
        ).map { (try $0.int32("source_id"), Int(try $0.int64("n")), try $0.timestampMicrosecondsIfPresent("end_at")) }
        let faults = try await connection.query(
            Statement(
                "doctor_events",
                """
                SELECT source_id, outcome AS name, count(*) AS n, coalesce((array_agg(detail ORDER BY event_id DESC))[1], '') AS detail
                FROM ci_event WHERE received_at >= $1 AND outcome IN ('unreadable', 'refused', 'failed') GROUP BY 1, 2 ORDER BY 1, 2
                """
            ),
            [at]
        ).map { (try $0.int32("source_id"), try Self.count($0)) }
        sources = try await SourceTable.all(connection).map { source in
            let secret = secrets.first { $0.0 == source.id }
            return Source(
                source: source,
                liveSecrets: secret?.1 ?? 0,
                secretsEndAt: secret?.2.map { Timestamp(microseconds: $0) },
                faults: faults.filter { $0.0 == source.id }.map(\.1)
            )
        }
        openEvents = try await connection.query(
            Statement("doctor_open_events", "SELECT count(*) AS n FROM ci_event WHERE processed_at IS NULL")
        ).only().int64("n")
        tokens = try await connection.query(
            Statement(
                "doctor_tokens",
                """
                SELECT name, scope, host_name, pool, expires_at, revoked_at, last_used_at, uses_left FROM token
                WHERE expires_at IS NOT NULL OR revoked_at IS NOT NULL OR uses_left IS NOT NULL ORDER BY token_id DESC LIMIT 5000
                """
            )
        ).map { row in
            func time(_ name: String) throws -> Timestamp? {
                try row.timestampMicrosecondsIfPresent(name).map { Timestamp(microseconds: $0) }
            }
            return Token(
                name: try row.string("name"),
                scope: try row.string("scope"),
                hostName: try row.stringIfPresent("host_name"),
                pool: try row.stringIfPresent("pool"),
                expiresAt: try time("expires_at"),
                revokedAt: try time("revoked_at"),
                lastUsedAt: try time("last_used_at"),
                usesLeft: try row.int32IfPresent("uses_left")
            )
        }
        repositoriesWithoutRule = try await connection.query(
            Statement(
                "doctor_repositories",
                """
                SELECT repository AS name, count(*) AS n, '' AS detail FROM span_key
                WHERE service IS NULL AND repository IS NOT NULL AND started_at >= $1 AND alias_of IS NULL AND NOT is_deleted
                GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $2
                """
            ),
            [at, .int8(Self.listLimit)]
        ).map(Self.count)
    }

    private mutating func readLedgerFaults(now: Timestamp, since at: PostgresValue, _ connection: PostgresConnection) async throws {
        poisoned = try await connection.query(
            Statement(
                "doctor_poisoned",
                """
                SELECT h.name, p.hour, p.error,
                    EXISTS (SELECT FROM dirty d WHERE d.host_id = p.host_id AND d.hour = p.hour) AS is_marked
                FROM poisoned_hour p JOIN host h USING (host_id) ORDER BY p.hour DESC, h.name LIMIT $1
                """
            ),
            [.int8(Self.listLimit)]
        ).map {
            PoisonedHour(
                host: try $0.string("name"),
                hour: Timestamp(microseconds: try $0.timestampMicroseconds("hour")),
                error: try $0.string("error"),
                isMarked: try $0.bool("is_marked")
            )
        }
        let old = PostgresValue.timestamptz(microseconds: (now - .day).microseconds)
        let open = """
            FROM span_key WHERE started_at IS NOT NULL AND finished_at IS NULL AND alias_of IS NULL AND NOT is_deleted
                AND source <> 'resident' AND started_at < $1 AND started_at >= $2
            """
        let quarter = PostgresValue.timestamptz(microseconds: now.microseconds - 92 * Microseconds.day.count)
        openSpanCount = try await connection.query(
            Statement("doctor_open_count", "SELECT count(*) AS n \(open)"),
            [old, quarter]
        ).only().int64("n")
        openSpans = try await connection.query(
            Statement(
                "doctor_open",
                "SELECT job_id, coalesce(document ->> 'job', id) AS name, started_at \(open) ORDER BY started_at LIMIT 20"
            ),
            [old, quarter]
        ).map {
            OpenSpan(
                jobID: try $0.string("job_id"),
                name: try $0.string("name"),
                startedAt: Timestamp(microseconds: try $0.timestampMicroseconds("started_at"))
            )
        }
        dirtyHours = try await connection.query(
            Statement("doctor_dirty", "SELECT count(*) AS n FROM (SELECT DISTINCT host_id, hour FROM dirty LIMIT 100000) d")
        ).only().int64("n")
    }

    private mutating func readStorage(_ connection: PostgresConnection) async throws {
        // `SHOW data_directory` fails where the role may not see it; the view then has no row.
        let row = try await connection.query(
            Statement(
                "doctor_storage",
                """
                SELECT pg_database_size(current_database()) AS bytes,
                    least((SELECT min(created_at) FROM host), (SELECT min(applied_at) FROM schema_migration)) AS oldest,
                    (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS directory
                """
            )
        ).only()
        databaseBytes = try row.int64("bytes")
        oldestRowAt = try row.timestampMicrosecondsIfPresent("oldest").map { Timestamp(microseconds: $0) }
        dataDirectory = try row.stringIfPresent("directory")
    }

    private static func count(_ row: PostgresRow) throws -> Count {
        Count(name: try row.string("name"), n: try row.int64("n"), detail: try row.string("detail"))
    }

    /// Marks every hour that was set aside with an error, so that it is accounted again. Returns how many.
    public static func retryPoisonedHours(_ connection: PostgresConnection) async throws -> Int {
        try await connection.execute(
            Statement(
                "retry_poisoned_hours",
                """
                INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'retry' FROM poisoned_hour p
                WHERE NOT EXISTS (SELECT FROM dirty d WHERE d.host_id = p.host_id AND d.hour = p.hour)
                """
            )
        )
    }
}
