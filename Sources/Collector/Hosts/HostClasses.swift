import Documents
import Energy
import Postgres
import Store

/// Machines that nobody can meter, by class.
enum HostClasses {
    /// The class of a hosted job; nil where the job may have run on a machine of one's own.
    ///
    /// - Parameters:
    ///   - fields: the span's, by name (`labels`, `runner`, `runner_group`, `host_class`).
    ///   - instance: the CI, `https://github.com`.
    static func named(by fields: [String: JSONValue], instance: String) -> String? { nil }
}
