public import Energy
public import Postgres

/// On which host a CI's runner is, and when: a runner is no host.
///
/// Agents name the runners whose registrations they find. An agent that names one nobody had makes it count from an hour before the
/// earliest reading it sent with it, so that a job which began while the agent was being set up is found. A runner that moves counts
/// from that earliest reading itself, and ends there on the machine where it was. One that an agent names no more has ended.
/// A runner is taken from no machine that is in service and was heard of lately: `contested` tells who else names it. Nor from the time
/// in which another machine had it.
/// What an operator says stands beside that, and comes first.
public enum RunnerMap {
    public enum Origin: String, Sendable {
        case agent, `operator`, `import`, hook
    }

    public struct Entry: Sendable, Hashable {
        public let runner: String
        /// Empty for any CI.
        public let instance: String
        public let hostID: Int32
        public let hostName: String
        public let from: Timestamp
        /// Nil while it lasts.
        public let to: Timestamp?
        public let origin: Origin
    }

    static func report(
        _ runners: [HostFacts.Runner],
        hostID: Int32,
        since: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        let named = Dictionary(
            runners.filter { !$0.name.isEmpty }.map { ([$0.name.lowercased(), HostResolution.bareInstance($0.instance)], $0.concurrent) }
        ) { $1 ?? $0 }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        _ = try await connection.execute(
            Statement(
                "end_runners",
                """
                UPDATE runner_host SET valid_to = greatest($2, valid_from + interval '1 microsecond')
                WHERE host_id = $1 AND origin = 'agent' AND valid_to = 'infinity'
                    AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[], $5::int4[]) AS n (runner, instance, concurrent)
                        WHERE n.runner = runner_host.runner AND n.instance = runner_host.instance
                            -- One that takes another number of jobs from now on is told apart from what it was.
                            AND coalesce(runner_host.concurrent, n.concurrent) = n.concurrent)
                """
            ),
            [
                .int4(hostID), .timestamptz(microseconds: since.microseconds), .textArray(named.map { $0.key[0] }),
                .textArray(named.map { $0.key[1] }), .int4Array(named.map { Int32(clamping: $0.value ?? 0) }),
            ]
        )
        _ = try await connection.execute(
            Statement("note_agent_runners", "UPDATE host SET agent_runners = $2 WHERE host_id = $1 AND agent_runners <> $2"),
            [.int4(hostID), .textArray(named.map { "\($0.key[1]) \($0.key[0])" })]
        )
        for (name, _) in named { try await report(runner: name[0], instance: name[1], hostID: hostID, since: since, connection) }
        _ = try await connection.execute(
            Statement(
                "note_runner_concurrency",
                """
                UPDATE runner_host r SET concurrent = n.concurrent FROM unnest($2::text[], $3::text[], $4::int4[]) AS n (runner, instance, concurrent)
                WHERE r.host_id = $1 AND r.origin = 'agent' AND r.valid_to = 'infinity' AND r.runner = n.runner AND r.instance = n.instance
                    AND r.concurrent IS NULL AND n.concurrent > 0
                """
            ),
            [
                .int4(hostID), .textArray(named.map { $0.key[0] }), .textArray(named.map { $0.key[1] }),
                .int4Array(named.map { Int32(clamping: $0.value ?? 0) }),
            ]
        )
    }

    /// The hosts `o` that hold the runner `$1` of the instance `$2`, by the map or by their name, against any other's agent: in service, and
    /// heard of within a day, or the hour of an enrolled one.
    private static func holders(runner: String, instance: String) -> String {
        """
        SELECT o.host_id, o.name FROM host o
        WHERE o.retired_at IS NULL AND o.seen_at > now() - CASE WHEN o.is_ephemeral THEN interval '1 hour' ELSE interval '24 hours' END
            AND (lower(o.name) = \(runner)
                OR EXISTS (SELECT FROM host_alias a WHERE a.alias = \(runner) AND a.host_id = o.host_id)
                OR EXISTS (SELECT FROM runner_host r
                    WHERE r.runner = \(runner) AND r.instance IN (\(instance), '') AND r.host_id = o.host_id AND r.origin = 'agent'
                        AND r.valid_to = 'infinity'))
        """
    }

    /// For `doctor`: runners that an agent names and that another machine holds. The instance is empty for any CI.
    public static func contested(
        _ connection: PostgresConnection
    ) async throws -> [(runner: String, instance: String, host: String, holder: String)] {
        try await connection.query(
            Statement(
                "contested_runners",
                """
                SELECT n.runner, n.instance, h.name AS host, o.name AS holder
                FROM host h
                CROSS JOIN LATERAL (
                    SELECT split_part(t, ' ', 1) AS instance, substr(t, strpos(t, ' ') + 1) AS runner FROM unnest(h.agent_runners) AS t
                ) n
                CROSS JOIN LATERAL (\(holders(runner: "n.runner", instance: "n.instance"))) o
                WHERE h.retired_at IS NULL AND o.host_id <> h.host_id AND NOT EXISTS (
                    SELECT FROM runner_host r WHERE r.runner = n.runner AND r.instance = n.instance AND r.host_id = h.host_id
                        AND r.origin = 'agent' AND r.valid_to = 'infinity')
                ORDER BY 1, 2, 3, 4
                """
            )
        ).map {
            (try $0.string("runner"), try $0.string("instance"), try $0.string("host"), try $0.string("holder"))
        }
    }

    /// Gives runners to the hosts whose agents name them, once nobody else holds them any more: agents say what has changed only.
    ///
    /// - Returns: how many were tried.
    public static func settleContested(now: Timestamp, _ connection: PostgresConnection) async throws -> Int {
        let waiting = try await connection.query(
            Statement(
                "waiting_runners",
                """
                SELECT n.runner, n.instance, h.host_id
                FROM host h
                CROSS JOIN LATERAL (
                    SELECT split_part(t, ' ', 1) AS instance, substr(t, strpos(t, ' ') + 1) AS runner FROM unnest(h.agent_runners) AS t
                ) n
                WHERE h.retired_at IS NULL AND h.seen_at > now() - interval '1 hour'
                    AND NOT EXISTS (
                        SELECT FROM runner_host r WHERE r.runner = n.runner AND r.instance = n.instance AND r.host_id = h.host_id
                            AND r.origin = 'agent' AND r.valid_to = 'infinity')
                    AND NOT EXISTS (\(holders(runner: "n.runner", instance: "n.instance")) AND o.host_id <> h.host_id)
                ORDER BY 1, 2, h.seen_at DESC
                """
            )
        ).map { (runner: try $0.string("runner"), instance: try $0.string("instance"), hostID: try $0.int32("host_id")) }
        for one in waiting { try await report(runner: one.runner, instance: one.instance, hostID: one.hostID, since: now, connection) }
        return waiting.count
    }

    private static func report(
        runner: String,
        instance: String,
        hostID: Int32,
        since: Timestamp,
        _ connection: PostgresConnection
    ) async throws {
        let open = try await connection.query(
            Statement(
                "open_runner_entries",
                """
                SELECT host_id, valid_from FROM runner_host
                WHERE runner = $1 AND instance = $2 AND origin = 'agent' AND valid_to = 'infinity'
                ORDER BY valid_from DESC FOR UPDATE
                """
            ),
            [.text(runner), .text(instance)]
        ).map { (hostID: try $0.int32("host_id"), from: Timestamp(microseconds: try $0.timestampMicroseconds("valid_from"))) }
        if open.contains(where: { $0.hostID == hostID }) { return }
        let isHeld = try await connection.query(
            Statement("runner_is_held", "SELECT EXISTS (\(holders(runner: "$1", instance: "$2")) AND o.host_id <> $3) AS held"),
            [.text(runner), .text(instance), .int4(hostID)]
        ).only().bool("held")
        if isHeld { return }
        // Until it was last heard of, or named the runner, the other machine had it.
        let free = try await connection.query(
            Statement(
                "runner_is_free_from",
                """
                SELECT max(CASE WHEN r.valid_to < 'infinity' THEN r.valid_to ELSE greatest(h.seen_at, r.valid_from) END) AS free_from
                FROM runner_host r JOIN host h USING (host_id)
                WHERE r.runner = $1 AND r.instance IN ($2, '') AND r.host_id <> $3 AND r.origin = 'agent'
                """
            ),
            [.text(runner), .text(instance), .int4(hostID)]
        ).only().timestampMicrosecondsIfPresent("free_from").map { Timestamp(microseconds: $0) }
        let from = max(open.isEmpty ? since - .hour : since, free ?? since - .hour)
        if !open.isEmpty {
            _ = try await connection.execute(
                Statement(
                    "move_runner",
                    """
                    UPDATE runner_host SET valid_to = greatest($3, valid_from + interval '1 microsecond')
                    WHERE runner = $1 AND instance = $2 AND origin = 'agent' AND valid_to = 'infinity'
                    """
                ),
                [.text(runner), .text(instance), .timestamptz(microseconds: from.microseconds)]
            )
        }
        try await insert(runner: runner, instance: instance, hostID: hostID, from: from, to: nil, origin: .agent, connection)
    }

    private static func insert(
        runner: String,
        instance: String,
        hostID: Int32,
        from: Timestamp,
        to: Timestamp?,
        origin: Origin,
        _ connection: PostgresConnection
    ) async throws {
        guard to.map({ from < $0 }) ?? true else { return }
        _ = try await connection.execute(
            Statement(
                "insert_runner_entry",
                """
                INSERT INTO runner_host (runner, instance, host_id, valid_from, valid_to, origin)
                VALUES (lower($1), $2, $3, $4, coalesce($5, 'infinity'::timestamptz), $6)
                """
            ),
            [
                .text(runner), .text(instance), .int4(hostID), .timestamptz(microseconds: from.microseconds),
                to.map { .timestamptz(microseconds: $0.microseconds) }, .text(origin.rawValue),
            ]
        )
    }

    /// Says where a runner was between two instants; what an operator or an import said of that time before gives way.
    ///
    /// - Returns: whether that is news.
    public static func set(
        runner: String,
        instance: String,
        hostID: Int32,
        from: Timestamp,
        to: Timestamp?,
        origin: Origin,
        _ connection: PostgresConnection
    ) async throws -> Bool {
        let instance = HostResolution.bareInstance(instance)
        let values: [PostgresValue?] = [
            .text(runner), .text(instance), .timestamptz(microseconds: from.microseconds),
            to.map { .timestamptz(microseconds: $0.microseconds) },
        ]
        let isKnown = try await connection.query(
            Statement(
                "find_runner_entry",
                """
                SELECT EXISTS (SELECT FROM runner_host WHERE runner = lower($1) AND instance = $2 AND valid_from = $3
                    AND valid_to = coalesce($4, 'infinity'::timestamptz) AND host_id = $5 AND origin IN ('operator', 'import')) AS known
                """
            ),
            values + [.int4(hostID)]
        ).only().bool("known")
        if isKnown { return false }
        let overlapping = "runner = lower($1) AND instance = $2 AND origin IN ('operator', 'import')"
        _ = try await connection.execute(
            Statement(
                "drop_covered_runner_entries",
                "DELETE FROM runner_host WHERE \(overlapping) AND valid_from >= $3 AND valid_to <= coalesce($4, 'infinity'::timestamptz)"
            ),
            values
        )
        // One that lasts beyond both ends goes on behind the new one.
        _ = try await connection.execute(
            Statement(
                "split_runner_entries",
                """
                INSERT INTO runner_host (runner, instance, host_id, valid_from, valid_to, origin)
                SELECT runner, instance, host_id, $4::timestamptz, valid_to, origin FROM runner_host
                WHERE \(overlapping) AND valid_from < $3 AND valid_to > $4::timestamptz
                """
            ),
            values
        )
        _ = try await connection.execute(
            Statement(
                "cut_runner_entries_before",
                "UPDATE runner_host SET valid_to = $3 WHERE \(overlapping) AND valid_from < $3 AND valid_to > $3"
            ),
            Array(values.prefix(3))
        )
        _ = try await connection.execute(
            Statement(
                "cut_runner_entries_behind",
                "UPDATE runner_host SET valid_from = $4 WHERE \(overlapping) AND valid_from >= $3 AND valid_from < $4::timestamptz AND valid_to > $4"
            ),
            values
        )
        try await insert(runner: runner, instance: instance, hostID: hostID, from: from, to: to, origin: origin, connection)
        return true
    }

    /// All entries, or those of one runner or host; newest first.
    public static func entries(
        runner: String? = nil,
        hostID: Int32? = nil,
        _ connection: PostgresConnection
    ) async throws -> [Entry] {
        try await connection.query(
            Statement(
                "list_runner_entries",
                """
                SELECT r.runner, r.instance, r.host_id, h.name, r.valid_from, nullif(r.valid_to, 'infinity') AS valid_to, r.origin
                FROM runner_host r JOIN host h USING (host_id)
                WHERE ($1::text IS NULL OR r.runner = lower($1)) AND ($2::int4 IS NULL OR r.host_id = $2)
                ORDER BY r.runner, r.instance, r.valid_from DESC
                """
            ),
            [runner.map { .text($0) }, hostID.map { .int4($0) }]
        ).map { row in
            let origin = try row.string("origin")
            guard let origin = Origin(rawValue: origin) else { throw StoredValueError(what: "origin of a runner", found: origin) }
            return Entry(
                runner: try row.string("runner"),
                instance: try row.string("instance"),
                hostID: try row.int32("host_id"),
                hostName: try row.string("name"),
                from: Timestamp(microseconds: try row.timestampMicroseconds("valid_from")),
                to: try row.timestampMicrosecondsIfPresent("valid_to").map { Timestamp(microseconds: $0) },
                origin: origin
            )
        }
    }
}
