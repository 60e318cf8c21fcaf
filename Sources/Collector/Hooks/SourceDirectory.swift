import Postgres
import Store
import Synchronization

/// The sources that count now, read once a second for all who ask: so a look-up takes as long for a name that is unknown as for one that is
/// not, and a secret that was revoked is good for a second at most.
actor SourceDirectory {
    struct Live: Sendable {
        var source: SourceRow
        var secrets: [String]
    }

    private let pool: PostgresPool
    private let age: Duration
    private var known: [String: Live] = [:]
    private var readAt: ContinuousClock.Instant?
    private var reading: Task<[String: Live], any Error>?

    init(pool: PostgresPool, age: Duration = .seconds(1)) {
        self.pool = pool
        self.age = age
    }

    func find(_ name: String) async throws -> Live? { try await all()[name] }

    /// By name.
    func all() async throws -> [String: Live] {
        if let readAt, .now - readAt < age { return known }
        if let reading { return try await reading.value }
        // One look for all who wait; it is awaited by each of them.
        let task = Task { [pool] in
            let rows = try await pool.withConnection { try await SourceTable.live($0) }
            return Dictionary(rows.map { ($0.source.name, Live(source: $0.source, secrets: $0.secrets)) }) { first, _ in first }
        }
        reading = task
        defer { reading = nil }
        let started = ContinuousClock.now
        known = try await task.value
        readAt = started
        return known
    }
}
