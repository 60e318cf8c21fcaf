import Documents
import Energy
import Postgres
import Store
import Synchronization

/// All files of rules that were applied; each counts from its day until the next one's.
struct DatedServiceRules: Sendable {
    /// What changes whenever one of them does.
    let version: String
    /// The oldest first.
    let sets: [(validFrom: Timestamp, rules: ServiceRules)]

    func at(_ instant: Timestamp) -> ServiceRules { sets.last { $0.validFrom <= instant }?.rules ?? ServiceRules() }

    /// From when on a cgroup may open a span of its own; nil for never.
    var firstOpening: Timestamp? { sets.first { $0.rules.opensSpans }?.validFrom }

    /// Those in force now. The version is asked for each time, so that no change is missed; the rules are read when it has changed.
    static func current(_ connection: PostgresConnection) async throws -> DatedServiceRules {
        let version = try await RuleSetTable.version(connection)
        if let known = cache.withLock({ $0[version] }) { return known }
        let sets = try await RuleSetTable.all(connection).map { row in
            // A set of a newer version of the collector may say more than this one understands: nothing is better than half.
            (row.validFrom, try ServiceRuleFile(json: JSONValue(parsing: Array(row.documentJSON.utf8))).rules)
        }
        let rules = DatedServiceRules(version: version, sets: sets)
        // Another writer may have come between the two queries.
        guard try await RuleSetTable.version(connection) == version else { return rules }
        cache.withLock { cache in
            // A few databases at most; old versions are of no use.
            if cache.count >= 16 { cache.removeAll() }
            cache[version] = rules
        }
        return rules
    }

    private static let cache = Mutex<[String: DatedServiceRules]>([:])
}
