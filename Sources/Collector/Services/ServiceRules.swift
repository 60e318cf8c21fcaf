import Documents
import Energy
import Postgres
import Store

/// Ordered rules from what is known of a span to its service, activity, team, release and visibility.
///
/// The first rule that gives a field wins, field by field; what the span itself posted wins over every rule. Only for visibility both
/// have a say: what either calls private is private.
struct ServiceRules: Sendable, Equatable {
    /// In the file's order.
    var rules: [ServiceRule] = []

    /// What a rule may ask about.
    struct Subject: Sendable, Hashable {
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
    struct Given: Sendable, Equatable {
        var service: String?
        var activity: String?
        var team: String?
        /// A list of objects with `purl` and `relation`, as a span posts it.
        var release: JSONValue?
        var visibility: Claims.Visibility?
        /// The name of the rule that gave the service, else of the first that matched.
        var rule: String?
    }

    func given(for subject: Subject) -> Given {
        var given = Given()
        var matched: String?
        for rule in rules where rule.matches(subject) {
            if matched == nil { matched = rule.name }
            if given.service == nil, let service = rule.service?.text(for: subject) {
                given.service = service
                given.rule = rule.name
            }
            given.activity = given.activity ?? rule.activity?.text(for: subject)
            given.team = given.team ?? rule.team?.text(for: subject)
            given.release = given.release ?? rule.release(for: subject)
            given.visibility = given.visibility ?? rule.visibility
        }
        given.rule = given.rule ?? matched
        return given
    }

    /// The rule by which a cgroup opens a span of its own; nil where none does.
    func opening(for subject: Subject) -> ServiceRule? { rules.first { $0.asksForWorkload && $0.matches(subject) } }

    /// Whether any rule may open a span of its own.
    var opensSpans: Bool { rules.contains(where: \.asksForWorkload) }

    /// The rules in force at an instant; none where no file was applied. One short query; the rules themselves are read only when they
    /// have changed.
    static func at(_ instant: Timestamp, _ connection: PostgresConnection) async throws -> ServiceRules {
        try await DatedServiceRules.current(connection).at(instant)
    }
}

extension ServiceRules.Subject {
    /// What a span's fields say.
    ///
    /// - Parameters:
    ///   - fields: by the names of a span document; `workload` is the cgroup, `systemd_unit` the unit (`unit` is what is counted),
    ///     `workflow` another name of the pipeline.
    ///   - source: under whose name the span is filed.
    ///   - host: the machine's own name where it is known, else what was posted.
    init(fields: [String: JSONValue], source: String?, host: String?, pool: String? = nil) {
        func text(_ name: String) -> String? { fields[name]?.string }
        self.init(
            source: source,
            host: host ?? text("host"),
            pool: pool ?? text("pool"),
            cgroup: text("workload"),
            unit: text("systemd_unit"),
            repository: text("repository"),
            pipeline: text("pipeline") ?? text("workflow"),
            job: text("job"),
            op: text("op"),
            ref: text("ref"),
            labels: fields["labels"]?.array?.compactMap(\.string) ?? []
        )
    }
}
