import Documents
import Postgres
import Store
import Synchronization

/// Counts the deliveries that no secret of a source made, for one audit row a minute: written later, so that an answer takes as long for a
/// source that exists as for one that does not.
final class RefusalTally: Sendable {
    private struct Kind: Hashable {
        var source: String
        var cause: String
    }

    private let counts = Mutex<[Kind: Int64]>([:])
    private static let most = 1_000

    /// - Parameter source: one that exists.
    func note(source: String, cause: String) {
        counts.withLock { counts in
            let kind = Kind(source: source, cause: cause)
            guard counts[kind] != nil || counts.count < Self.most else { return }
            counts[kind, default: 0] += 1
        }
    }

    func record(_ connection: PostgresConnection) async throws {
        let taken = counts.withLock { counts in
            defer { counts = [:] }
            return counts
        }
        for (kind, count) in taken.sorted(by: { ($0.key.source, $0.key.cause) < ($1.key.source, $1.key.cause) }) {
            try await AuditLog.add(
                who: kind.source,
                action: "hook.refused",
                subject: kind.cause,
                after: .object(["deliveries": .integer(count)]),
                connection
            )
        }
    }
}
