public import Documents
public import Energy
public import Postgres
import Store

/// Brings the sites of a file into the database; a second time changes nothing.
public enum SiteImport {
    private struct DryRun: Error {
        let changes: [HostImport.Change]
    }

    /// - Parameter dryRun: tell what would change and leave everything as it was.
    /// - Returns: what changed, in the file's order. The hours that a changed zone or PUE counts for are accounted anew.
    public static func apply(_ file: SiteFile, dryRun: Bool, _ connection: PostgresConnection) async throws -> [HostImport.Change] {
        do {
            return try await connection.transaction { tx in
                let changes = try await apply(file, tx)
                if dryRun { throw DryRun(changes: changes) }
                return changes
            }
        } catch let dry as DryRun {
            return dry.changes
        }
    }

    private static func apply(_ file: SiteFile, _ connection: PostgresConnection) async throws -> [HostImport.Change] {
        var changes: [HostImport.Change] = []
        for site in file.sites {
            let from = site.from ?? HostRecordTable.always
            let known = try await SiteTable.all(connection).filter { $0.site == site.name }
            let same = known.first { $0.from == from }
            guard same?.record != .object(site.record) else { continue }
            let before = known.last { $0.from <= from }?.record.object ?? [:]
            try await SiteTable.set(.object(site.record), site: site.name, from: from, connection)
            var own: [HostImport.Change] = []
            if same == nil {
                let day = site.from.map { RFC3339.format($0) } ?? "always"
                own.append(HostImport.Change(subject: site.name, field: "record", before: "", after: "from \(day)"))
            }
            for field in Set(before.keys).union(site.record.keys).sorted() where before[field] != site.record[field] {
                own.append(
                    HostImport.Change(
                        subject: site.name,
                        field: field,
                        before: try HostImport.shown(before[field]),
                        after: try HostImport.shown(site.record[field])
                    )
                )
            }
            func side(_ text: (HostImport.Change) -> String) -> JSONValue {
                .object(Dictionary(own.map { ($0.field, .string(text($0))) }) { $1 })
            }
            try await AuditLog.add(
                who: "operator",
                action: "site.import",
                subject: site.name,
                before: side { $0.before },
                after: side { $0.after },
                connection
            )
            changes += own
        }
        return changes
    }
}

/// Sites as they are listed: every record, with how many hosts stand there now.
public enum SiteList {
    public struct Row: Sendable {
        public let site: String
        /// Nil where it always counted; and for a site that only hosts name.
        public let from: Timestamp?
        /// Nil for a site that hosts name and nobody described.
        public let record: JSONValue?
        public let hosts: Int
    }

    public static func rows(_ connection: PostgresConnection) async throws -> [Row] {
        let hosts = try await HostTable.all(connection).filter { $0.retiredAtMicroseconds == nil }
        let records = try await HostRecordTable.latest(connection)
        let named = Dictionary(grouping: hosts.compactMap { records[$0.id]?.object?["site"]?.string.map(SiteTable.key) }) { $0 }
            .mapValues(\.count)
        let entries = try await SiteTable.all(connection)
        let undescribed = Set(named.keys).subtracting(entries.map(\.site)).sorted()
        return entries.map {
            Row(site: $0.site, from: $0.from == HostRecordTable.always ? nil : $0.from, record: $0.record, hosts: named[$0.site] ?? 0)
        } + undescribed.map { Row(site: $0, from: nil, record: nil, hosts: named[$0] ?? 0) }
    }
}
