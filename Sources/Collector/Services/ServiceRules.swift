import Documents
import Energy
import Postgres
import Store

/// Ordered rules from what is known of a span to its service, activity, team, release and visibility. The first rule that gives a field
/// wins; what the span itself posted wins over every rule, but for visibility, where a rule may only say less.
struct ServiceRules: Sendable {
    /// What a rule may ask about.
    struct Subject: Sendable {
        var source: String?
        var host: String?
        var pool: String?
        var cgroup: String?
        var unit: String?
        /// As `RepositoryName` writes it.
        var repository: String?
        /// Workflow or pipeline.
        var pipeline: String?
        var job: String?
        /// OCurrent's op.
        var op: String?
        var ref: String?
        var labels: [String] = []
    }

    /// What the rules give; nil where none does.
    struct Given: Sendable {
        var service: String?
        var activity: String?
        var team: String?
        var release: JSONValue?
        var visibility: Claims.Visibility?
        /// The name of the rule that gave the service, else of the first that matched.
        var rule: String?
    }

    func given(for subject: Subject) -> Given { Given() }

    /// The rules in force at an instant; none where no file was applied.
    static func at(_ instant: Timestamp, _ connection: PostgresConnection) async throws -> ServiceRules { ServiceRules() }
}
