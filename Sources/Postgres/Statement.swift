/// One SQL statement and the name under which a connection keeps it prepared.
///
/// The name is also what errors, logs and `pg_stat_activity` speak of, so that nobody needs to print SQL or its parameters.
/// The same name must always mean the same SQL: a connection refuses a name it already knows with other text.
public struct Statement: Hashable, Sendable {
    /// A short name, unique within the program: `insert_span`.
    public var name: String
    /// One SQL command with `$1`, `$2`... for parameters. Never put values into it.
    public var sql: String

    /// Names `sql`.
    public init(_ name: String, _ sql: String) {
        self.name = name
        self.sql = sql
    }
}
