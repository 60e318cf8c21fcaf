import Documents
public import Energy
public import Postgres
import Store

/// What an operator does to hosts, each with its audit row. Jobs that a change puts elsewhere are placed anew.
public struct HostEdits: Sendable {
    /// Why nothing was changed: what was expected, what was found, what to do.
    public struct Refusal: Error, CustomStringConvertible, Hashable {
        public let description: String
    }

    let now: @Sendable () -> Timestamp

    public init(now: @escaping @Sendable () -> Timestamp) { self.now = now }

    // MARK: Names

    /// - Returns: false when nothing was to be done.
    public func addAlias(_ alias: String, to name: String, _ connection: PostgresConnection) async throws -> Bool {
        guard HostName.isUsable(alias) else { throw Refusal(description: "expected \(HostName.expectation), found \"\(alias)\"") }
        return try await connection.transaction { tx in
            let host = try await found(name, tx)
            try await refuseIfHeld(alias, by: host, tx)
            guard try await HostAliasTable.add(alias, hostID: host.id, origin: .operator, tx) else { return false }
            try await audit("host.alias", host.name, before: nil, after: ["alias": .string(alias.lowercased())], tx)
            return true
        }
    }

    /// Jobs that were found by the name stay where they are.
    public func removeAlias(_ alias: String, from name: String, _ connection: PostgresConnection) async throws {
        try await connection.transaction { tx in
            let host = try await found(name, tx)
            guard try await HostAliasTable.remove(alias, hostID: host.id, tx) else {
                let names = try await HostAliasTable.all(tx)[host.id] ?? []
                throw Refusal(
                    description: "expected an alias of \(host.name) (\(names.isEmpty ? "it has none" : names.joined(separator: ", "))),"
                        + " found \"\(alias)\""
                )
            }
            try await audit("host.alias", host.name, before: ["alias": .string(alias.lowercased())], after: nil, tx)
        }
    }

    /// The old name becomes an alias: agents, tokens and jobs that use it go on as before.
    public func rename(_ old: String, to new: String, _ connection: PostgresConnection) async throws {
        guard HostName.isUsable(new) else { throw Refusal(description: "expected \(HostName.expectation), found \"\(new)\"") }
        try await connection.transaction { tx in
            let host = try await found(old, tx)
            guard host.name != new else { throw Refusal(description: "the host is called \(new) already") }
            try await refuseIfHeld(new, by: host, tx)
            if let other = try await HostTable.find(name: new, tx), other.id != host.id, other.name.lowercased() == new.lowercased() {
                throw Refusal(
                    description: "expected a new name, found \(new), which is that of a host out of service; choose another, or if both are"
                        + " one machine: wattle-collector host merge \(other.name) \(host.name)"
                )
            }
            _ = try await HostAliasTable.remove(new, hostID: host.id, tx)
            try await HostTable.rename(host.id, to: new, tx)
            _ = try await HostAliasTable.add(host.name, hostID: host.id, origin: .rename, tx)
            try await audit("host.rename", new, before: ["name": .string(host.name)], after: ["name": .string(new)], tx)
        }
    }

    // MARK: Merging and retiring

    /// One machine that was known as two hosts: every name of the first is the second's from now on, and so are its jobs, but for those
    /// in hours that the first metered itself.
    ///
    /// What was broken off goes on when it is said again: the jobs that are still where they were move.
    ///
    /// - Returns: how many jobs moved.
    public func merge(_ from: String, into: String, _ connection: PostgresConnection) async throws -> Int {
        let source = try await connection.transaction { tx in
            let source = try await found(from, tx)
            let target = try await found(into, tx)
            guard source.id != target.id else {
                throw Refusal(description: "expected two hosts, found that \(from) and \(into) are both \(source.name)")
            }
            if source.mergedInto == target.id { return source }
            if source.mergedInto != nil { throw Refusal(description: "\(source.name) was merged into another host before") }
            if target.mergedInto != nil {
                throw Refusal(description: "\(target.name) was merged into another host itself; merge into that one")
            }
            try await HostTable.retire(source.id, because: "merged", mergedInto: target.id, tx)
            try await audit("host.merge", source.name, before: nil, after: ["merged_into": .string(target.name)], tx)
            return source
        }
        let jobs = try await connection.query(
            Statement(
                "jobs_to_move",
                """
                SELECT job_id FROM span_key
                WHERE host_id = $1 AND started_at IS NOT NULL AND alias_of IS NULL AND NOT is_deleted
                    AND NOT host_is_metered($1, started_at)
                """
            ),
            [.int4(source.id)]
        ).map { try $0.string("job_id") }
        try await place(jobs, connection)
        return jobs.count
    }

    /// Takes a host out of service; its past stays. `undo` puts it back.
    public func retire(_ name: String, undo: Bool, _ connection: PostgresConnection) async throws {
        try await connection.transaction { tx in
            let host = try await found(name, tx)
            if host.mergedInto != nil { throw Refusal(description: "\(host.name) was merged into another host, which cannot be undone") }
            guard (host.retiredAtMicroseconds == nil) != undo else {
                throw Refusal(description: "\(host.name) is \(undo ? "in" : "out of") service already")
            }
            try await HostTable.retire(host.id, because: undo ? nil : "operator", tx)
            func state(_ isRetired: Bool) -> [String: JSONValue] { ["in_service": .bool(!isRetired)] }
            try await audit("host.retire", host.name, before: state(undo), after: state(!undo), tx)
        }
    }

    // MARK: Runners

    /// Says on which host a runner was, from an instant to another.
    ///
    /// - Returns: how many jobs were placed anew; nil when that was known.
    public func setRunner(
        _ runner: String,
        host name: String,
        instance: String,
        from: Timestamp?,
        to: Timestamp?,
        _ connection: PostgresConnection
    ) async throws -> Int? {
        let from = from ?? HostRecordTable.always
        guard (1...512).contains(runner.utf8.count) else { throw Refusal(description: "expected a runner's name, found \"\(runner)\"") }
        if let to, to <= from { throw Refusal(description: "expected --to after --from, found it before") }
        let isNews = try await connection.transaction { tx in
            let host = try await found(name, tx)
            let isNews = try await RunnerMap.set(
                runner: runner,
                instance: instance,
                hostID: host.id,
                from: from,
                to: to,
                origin: .operator,
                tx
            )
            if isNews {
                try await audit(
                    "host.runner",
                    host.name,
                    before: nil,
                    after: [
                        "runner": .string(runner.lowercased()), "instance": .string(HostResolution.bareInstance(instance)),
                        "from": .string(RFC3339.format(from)), "to": to.map { .string(RFC3339.format($0)) } ?? .null,
                    ],
                    tx
                )
            }
            return isNews
        }
        // Those that wait are found by the runner's name on their own. What was known may have been broken off: placing anew what is in
        // its place changes nothing.
        let jobs = try await connection.query(
            Statement(
                "jobs_of_runner",
                """
                SELECT job_id FROM span_key
                WHERE lower(runner) = lower($1) AND started_at >= $2 AND ($3::timestamptz IS NULL OR started_at < $3)
                    AND alias_of IS NULL AND NOT is_deleted
                """
            ),
            [.text(runner), .timestamptz(microseconds: from.microseconds), to.map { .timestamptz(microseconds: $0.microseconds) }]
        ).map { try $0.string("job_id") }
        try await place(jobs, connection)
        return isNews ? jobs.count : nil
    }

    // MARK: Parts

    private static let jobsAtOnce = 200

    private func place(_ jobIDs: [String], _ connection: PostgresConnection) async throws {
        let intake = SpanIntake(now: now)
        let ordered = jobIDs.sorted()
        for start in stride(from: 0, to: ordered.count, by: Self.jobsAtOnce) {
            let some = ordered[start..<min(start + Self.jobsAtOnce, ordered.count)]
            var tries = 1
            while true {
                do {
                    try await connection.transaction { tx in try await intake.place(jobIDs: Array(some), tx) }
                    break
                } catch let error as PostgresError where error.isRetryable && tries < 5 {
                    tries += 1
                } catch is SpanIntake.Moved where tries < 5 {
                    tries += 1
                }
            }
        }
    }

    private func found(_ name: String, _ connection: PostgresConnection) async throws -> HostRow {
        if let host = try await HostTable.find(name: name, connection) { return host }
        throw Refusal(description: "expected the name or an alias of a host, found \"\(name)\"; wattle-collector host list shows them")
    }

    private func refuseIfHeld(_ name: String, by host: HostRow, _ connection: PostgresConnection) async throws {
        guard let holder = try await HostAliasTable.holder(of: name, connection), holder.id != host.id, holder.mergedInto != host.id else {
            return
        }
        throw Refusal(
            description: "expected a name that no other host has, found \(name), which is one of \(holder.name); if both are one machine:"
                + " wattle-collector host merge \(holder.name) \(host.name)"
        )
    }

    private func audit(
        _ action: String,
        _ subject: String,
        before: [String: JSONValue]?,
        after: [String: JSONValue]?,
        _ connection: PostgresConnection
    ) async throws {
        try await AuditLog.add(
            who: "operator",
            action: action,
            subject: subject,
            before: before.map { .object($0) },
            after: after.map { .object($0) },
            connection
        )
    }
}
