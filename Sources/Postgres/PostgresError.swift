/// What went wrong between this program and Postgres.
///
/// `description` holds no parameter values, so it may be logged: it leaves out `detail`, and for data exceptions (SQLSTATE class 22) also the
/// server's message, because those quote the offending value. `debugDescription` tells all.
public struct PostgresError: Error, Hashable, Sendable {
    /// Who found the error.
    public enum Kind: Hashable, Sendable {
        /// The server refused or failed the statement; `sqlState` is set.
        case server
        /// The connection could not be made, or was lost.
        case connection
        /// The task was cancelled, or someone asked the server to cancel the statement; `sqlState` is `57014`.
        case cancelled
        /// The caller asked for something impossible: a wrong number or type of parameters, a nested transaction.
        case usage
        /// A result was not of the type that the caller asked for.
        case decoding
        /// The pool had no connection to give.
        case pool
        /// The embedded cluster could not be made, started or stopped.
        case cluster
    }

    public var kind: Kind
    /// The five characters of SQLSTATE, nil when the server never answered.
    public var sqlState: String?
    /// The primary message. May quote values of parameters when `kind` is `server`.
    public var message: String
    /// The server's detail. Often quotes values.
    public var detail: String?
    /// The server's hint, or ours.
    public var hint: String?
    public var constraintName: String?
    public var tableName: String?
    public var columnName: String?
    /// `Statement.name`, nil when no statement was involved.
    public var statementName: String?

    public init(
        _ kind: Kind,
        _ message: String,
        sqlState: String? = nil,
        detail: String? = nil,
        hint: String? = nil,
        constraintName: String? = nil,
        tableName: String? = nil,
        columnName: String? = nil,
        statementName: String? = nil
    ) {
        self.kind = kind
        self.message = message
        self.sqlState = sqlState
        self.detail = detail
        self.hint = hint
        self.constraintName = constraintName
        self.tableName = tableName
        self.columnName = columnName
        self.statementName = statementName
    }
}

extension PostgresError {
    /// 23505: another row has this key.
    public var isUniqueViolation: Bool { sqlState == "23505" }
    /// 23503: the row refers to one that is not there, or is referred to.
    public var isForeignKeyViolation: Bool { sqlState == "23503" }
    /// 23514: a CHECK constraint said no; `constraintName` says which.
    public var isCheckViolation: Bool { sqlState == "23514" }
    /// 23502: NULL in a NOT NULL column; `columnName` says which.
    public var isNotNullViolation: Bool { sqlState == "23502" }
    /// 40001: concurrent transactions could not be put in an order; run the transaction again.
    public var isSerializationFailure: Bool { sqlState == "40001" }
    /// 40P01: two transactions waited for each other; run the transaction again.
    public var isDeadlock: Bool { sqlState == "40P01" }
    /// True when the same transaction, run again, may well succeed.
    public var isRetryable: Bool { isSerializationFailure || isDeadlock }
    /// Class 53: the server has no room for it at the moment: disk, memory, connections.
    public var isOutOfResources: Bool { sqlState?.hasPrefix("53") ?? false }
    /// 55P03: a lock was not to be had at once (`NOWAIT`, `lock_timeout`).
    public var isLockNotAvailable: Bool { sqlState == "55P03" }
    /// 42P01: no such table.
    public var isUndefinedTable: Bool { sqlState == "42P01" }
    /// 57014, or cancelled before anything was sent.
    public var isCancelled: Bool { kind == .cancelled }
    /// The connection is gone: it could not be made, broke (class 08), the server ended it (57P01 to 57P05), or is one that only reads
    /// (25006 with kind `connection`; in a transaction that was begun to read it is the caller's mistake).
    public var isConnectionLost: Bool {
        if kind == .connection { return true }
        guard let sqlState else { return false }
        return sqlState.hasPrefix("08") || (sqlState.hasPrefix("57P") && sqlState != "57P04")
    }
    /// The server refused the data themselves (classes 21, 22 and 23), which no repetition mends.
    public var isContentFault: Bool { ["21", "22", "23"].contains { sqlState?.hasPrefix($0) == true } }
    /// Class 22: a value that the type or function cannot take.
    public var isDataException: Bool { sqlState?.hasPrefix("22") ?? false }
}

extension PostgresError: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String { text(withValues: false) }

    /// Everything, values included. Not for logs.
    public var debugDescription: String { text(withValues: true) }

    private func text(withValues: Bool) -> String {
        var text = "Postgres"
        if let sqlState { text += " \(sqlState)" }
        if let statementName { text += " in \"\(statementName)\"" }
        text += ": "
        if isDataException && kind == .server && !withValues {
            text += "a value is not valid for its type or function (the server's words are withheld, they quote the value)"
        } else {
            text += message
        }
        if let tableName { text += ", table \(tableName)" }
        if let columnName { text += ", column \(columnName)" }
        if let constraintName { text += ", constraint \(constraintName)" }
        if withValues, let detail { text += ". Detail: \(detail)" }
        if let hint { text += ". \(hint)" }
        return text
    }
}
