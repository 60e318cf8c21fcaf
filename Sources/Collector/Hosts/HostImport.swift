public import Documents
public import Energy
public import Postgres
import Store

/// Brings the hosts, classes and pools of a file into the database; a second time changes nothing.
public enum HostImport {
    /// One thing that the file changes.
    public struct Change: Sendable, Hashable {
        /// The host, class or pool.
        public let subject: String
        /// `host`, `alias`, `runner`, `class`, `pool`, or a field of the record.
        public let field: String
        /// Empty for what is new.
        public let before: String
        public let after: String

        public var json: JSONValue {
            .object(["subject": .string(subject), "field": .string(field), "before": .string(before), "after": .string(after)])
        }
    }

    private struct DryRun: Error {
        let changes: [Change]
    }

    /// - Parameter dryRun: tell what would change and leave everything as it was.
    /// - Returns: what changed, in the file's order.
    /// - Throws: `HostFile.Fault`; then nothing has changed.
    public static func apply(
        _ file: HostFile,
        dryRun: Bool,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [Change] {
        do {
            return try await connection.transaction { tx in
                let changes = try await apply(file, now: now, tx)
                if dryRun { throw DryRun(changes: changes) }
                return changes
            }
        } catch let dry as DryRun {
            return dry.changes
        }
    }

    /// What a file leaves unsaid that CO2e needs: hosts at sites that nobody described and without a zone of their own.
    public static func warnings(_ file: HostFile, _ connection: PostgresConnection) async throws -> [String] {
        let described = Set(try await SiteTable.all(connection).map(\.site))
        return file.hosts.compactMap { host in
            guard let site = host.record["site"]?.string, host.record["grid_zone"] == nil, !described.contains(SiteTable.key(site)) else {
                return nil
            }
            return "\(host.place): field site: nobody described \(site), and \(host.name) has no zone of its own: no CO2e there;"
                + " say it with: wattle-collector site import sites.yaml"
        }
    }

    private static func apply(_ file: HostFile, now: Timestamp, _ connection: PostgresConnection) async throws -> [Change] {
        var changes: [Change] = []
        var touched: [(host: HostRow, entry: HostFile.Host)] = []
        for entry in file.hosts {
            if try await HostTable.find(name: entry.name, connection) == nil {
                try await HostTable.make(name: entry.name, connection)
                changes.append(Change(subject: entry.name, field: "host", before: "", after: "added"))
            }
            guard let named = try await HostTable.find(name: entry.name, connection) else { continue }
            let host = try await HostTable.lasting(named, connection)
            touched.append((host, entry))
            changes += try await names(of: entry, host: host, connection)
            changes += try await runners(of: entry, host: host, connection)
            changes += try await record(of: entry, host: host, now: now, connection)
        }
        // A parent may stand behind its child in the file.
        for (host, entry) in touched { try await HostPlace.settle(host, now: now, place: entry.place, connection) }
        for one in file.classes { changes += try await hostClass(one, connection) }
        for one in file.pools { changes += try await pool(one, connection) }
        for (subject, list) in Dictionary(grouping: changes, by: \.subject).sorted(by: { $0.key < $1.key }) {
            func side(_ text: (Change) -> String) -> JSONValue {
                .object(Dictionary(grouping: list, by: \.field).mapValues { .string($0.map(text).joined(separator: "; ")) })
            }
            try await AuditLog.add(
                who: "operator",
                action: list.contains { $0.field == "class" }
                    ? "host_class.import" : list.contains { $0.field == "pool" } ? "pool.import" : "host.import",
                subject: subject,
                before: side { $0.before },
                after: side { $0.after },
                connection
            )
        }
        return changes
    }

    private static func names(of entry: HostFile.Host, host: HostRow, _ connection: PostgresConnection) async throws -> [Change] {
        var changes: [Change] = []
        for alias in entry.aliases {
            if let holder = try await HostAliasTable.holder(of: alias, connection), holder.id != host.id, holder.mergedInto != host.id {
                throw HostFile.Fault(
                    description: "\(entry.place): field aliases: expected names that no other host has, found \(alias), which is one of"
                        + " \(holder.name); take it off with: wattle-collector host alias \(holder.name) \(alias) --remove,"
                        + " or if both are one machine: wattle-collector host merge \(holder.name) \(host.name)"
                )
            }
            if try await HostAliasTable.add(alias, hostID: host.id, origin: .import, connection) {
                changes.append(Change(subject: host.name, field: "alias", before: "", after: alias.lowercased()))
            }
        }
        return changes
    }

    private static func runners(of entry: HostFile.Host, host: HostRow, _ connection: PostgresConnection) async throws -> [Change] {
        var changes: [Change] = []
        for runner in entry.runners {
            let from = runner.from ?? entry.from ?? HostRecordTable.always
            let isNew = try await RunnerMap.set(
                runner: runner.name,
                instance: runner.instance,
                hostID: host.id,
                from: from,
                to: runner.to,
                origin: .import,
                connection
            )
            guard isNew else { continue }
            let instance = HostResolution.bareInstance(runner.instance)
            let until = runner.to.map { " to \(RFC3339.format($0))" } ?? ""
            let text = "\(runner.name.lowercased())\(instance.isEmpty ? "" : "@\(instance)") from \(RFC3339.format(from))\(until)"
            changes.append(Change(subject: host.name, field: "runner", before: "", after: text))
        }
        return changes
    }

    /// What the figures of an hour depend on.
    private static let accountedFields = ["grid_zone", "pue", "slots", "threads", "parent", "pool"]

    private static func record(
        of entry: HostFile.Host,
        host: HostRow,
        now: Timestamp,
        _ connection: PostgresConnection
    ) async throws -> [Change] {
        guard !entry.record.isEmpty else { return [] }
        let from = entry.from ?? HostRecordTable.always
        let records = try await HostRecordTable.all(hostID: host.id, connection)
        let standing = records.last { $0.from <= from }
        let same = records.first { $0.from == from }
        guard same?.record != .object(entry.record) else { return [] }
        let before = standing?.record.object ?? [:]
        let differing = Set(before.keys).union(entry.record.keys).filter { before[$0] != entry.record[$0] }.sorted()
        try await HostRecordTable.set(
            .object(entry.record),
            hostID: host.id,
            from: from,
            now: now,
            marking: differing.contains { accountedFields.contains($0) },
            connection
        )
        var changes: [Change] = []
        if same == nil {
            let day = entry.from.map { RFC3339.format($0) } ?? "always"
            changes.append(Change(subject: host.name, field: "record", before: "", after: "from \(day)"))
        }
        for name in differing {
            changes.append(
                Change(subject: host.name, field: name, before: try shown(before[name]), after: try shown(entry.record[name]))
            )
        }
        return changes
    }

    private static func hostClass(_ one: HostFile.Class, _ connection: PostgresConnection) async throws -> [Change] {
        let from = one.from ?? HostRecordTable.always
        let name = one.fields["class"]?.string?.lowercased() ?? ""
        let before = try await HostClassTable.record(name: name, from: from, connection)
        guard before != .object(one.fields) else { return [] }
        try await HostClassTable.set(one.fields, from: from, connection)
        return [Change(subject: name, field: "class", before: try shown(before), after: try shown(.object(one.fields)))]
    }

    private static func pool(_ one: HostFile.Pool, _ connection: PostgresConnection) async throws -> [Change] {
        let from = one.from ?? HostRecordTable.always
        let before = try await PoolTable.set(one.name, slots: one.slots, from: from, connection)
        guard before != one.slots else { return [] }
        let day = one.from.map { " from \(RFC3339.format($0))" } ?? ""
        return [Change(subject: one.name, field: "pool", before: before.map { "slots \($0)" } ?? "", after: "slots \(one.slots)\(day)")]
    }

    static func shown(_ value: JSONValue?) throws -> String {
        guard let value else { return "" }
        return try value.string ?? value.text
    }
}

/// A host's pool and parent, which its record gives.
enum HostPlace {
    /// Takes over what the record says that counts now.
    ///
    /// - Throws: `HostFile.Fault` for a parent that is not known or that runs on the host itself.
    static func settle(_ host: HostRow, now: Timestamp, place: String, _ connection: PostgresConnection) async throws {
        let record = try await HostRecordTable.all(hostID: host.id, connection).last { $0.from <= now }?.record.object ?? [:]
        var parent: HostRow?
        if let name = record["parent"]?.string {
            if let named = try await HostTable.find(name: name, connection) { parent = try await HostTable.lasting(named, connection) }
            guard let parent else {
                throw HostFile.Fault(
                    description: "\(place): field parent: expected the name of a host, found \(name), which nobody has; list it too"
                )
            }
            var above: HostRow? = parent
            var passed: Set<Int32> = []
            while let one = above, passed.insert(one.id).inserted {
                if one.id == host.id {
                    throw HostFile.Fault(
                        description: "\(place): field parent: expected a machine that \(host.name) runs on, found \(name), which runs on"
                            + " \(host.name)"
                    )
                }
                above = if let id = one.parentID { try await HostTable.find(id: id, connection) } else { nil }
            }
        }
        try await HostTable.place(host.id, pool: record["pool"]?.string, parentID: parent?.id, connection)
    }
}
