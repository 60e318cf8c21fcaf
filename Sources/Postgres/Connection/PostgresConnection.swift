public import Logging

/// A connection to a Postgres server.
///
/// An actor on a queue of its own: libpq blocks there and nowhere else. It is meant for one task at a time (`PostgresPool` sees to that):
/// two tasks do no harm to each other's statements, but would share a transaction. Cancelling the task cancels the statement on the
/// server; it then throws an error with `isCancelled`, and the connection stays usable.
///
/// All errors are `PostgresError`; only where a closure of the caller's can throw, the throws are untyped.
public actor PostgresConnection {
    private enum Activity {
        case idle
        /// Rows or COPY data are being fetched; nothing else can run until they end.
        case fetching(String)
    }

    private struct Status {
        var backendProcessID: Int32 = 0
        var isUsable = false
        var isIdle = false
    }

    private let executor = QueueExecutor(label: "postgres-connection")
    private let signal: CancelSignal
    private var session: ServerSession?
    private var activity = Activity.idle
    private nonisolated let status = Locked(Status())

    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private init() throws(PostgresError) {
        signal = try CancelSignal()
    }

    // MARK: Life

    /// Connects.
    ///
    /// - Parameters:
    ///   - connectionString: a libpq conninfo string (`host=/run/x dbname=y`) or URL (`postgresql://...`), of one host or several:
    ///     they are asked in turn, and `target_session_attrs=read-write` passes over those that only read.
    ///   - applicationName: what `pg_stat_activity` shows.
    ///   - connectTimeout: for the whole of it, all hosts together; each has an equal share, or `connect_timeout` of the string where that
    ///     is less.
    ///   - logger: gets the server's notices, at debug level.
    public static func connect(
        to connectionString: String,
        applicationName: String = "postgres",
        connectTimeout: Duration = .seconds(10),
        logger: Logger = Logger(label: "postgres", factory: { _ in SwiftLogNoOpLogHandler() })
    ) async throws(PostgresError) -> PostgresConnection {
        let connection = try PostgresConnection()
        try await connection.open(connectionString, applicationName, connectTimeout, logger)
        return connection
    }

    private func open(
        _ connectionString: String,
        _ applicationName: String,
        _ timeout: Duration,
        _ logger: Logger
    ) async throws(PostgresError) {
        let signal = signal
        session = try await cancellable { token throws(PostgresError) in
            try ServerSession.connect(
                to: connectionString,
                applicationName: applicationName,
                timeout: timeout,
                signal: signal,
                token: token,
                logger: logger
            )
        }
        noteStatus()
        // What a day is, and what comes as text, must not depend on where the server is set up, nor on PGTZ.
        try await executeScript("SET TimeZone TO 'UTC'")
    }

    /// The server process that serves this connection, as in `pg_stat_activity.pid`.
    public nonisolated var backendProcessID: Int32 { status.withLock { $0.backendProcessID } }

    /// False when the connection is closed or lost, as far as the last operation could tell.
    public nonisolated var isUsable: Bool { status.withLock { $0.isUsable } }

    /// True when it can be lent to someone else: usable and in no transaction.
    nonisolated var isReusable: Bool { status.withLock { $0.isUsable && $0.isIdle } }

    /// Closes the connection. The server rolls an open transaction back. Closing twice is fine.
    public func close() {
        session = nil
        activity = .idle
        noteStatus()
    }

    /// Whether the server still is at the other end, as far as can be seen without asking it.
    func looksAlive() -> Bool {
        session?.noticeClosure()
        noteStatus()
        return isUsable
    }

    // MARK: Statements

    /// Runs a statement and returns its rows. All of them lie in memory; for many use `stream`.
    public func query(_ statement: Statement, _ parameters: [PostgresValue?] = []) async throws(PostgresError) -> PostgresRows {
        let session = try available(statement.name)
        let (result, shape) = try await cancellable { token throws(PostgresError) in
            try session.run(statement, parameters, token: token)
        }
        var fields = ResultFields()
        fields.reserve(fields: result.rowCount * shape.columns.count)
        result.appendRows(to: &fields)
        return PostgresRows(shape: shape, fields: fields, rowCount: result.rowCount)
    }

    /// Runs a statement and returns the number of rows it inserted, updated, deleted or selected; 0 for other commands.
    @discardableResult
    public func execute(_ statement: Statement, _ parameters: [PostgresValue?] = []) async throws(PostgresError) -> Int {
        let session = try available(statement.name)
        return try await cancellable { token throws(PostgresError) in
            try session.run(statement, parameters, token: token).result.affectedRows
        }
    }

    /// Runs SQL text of any number of statements, for migrations. They are one transaction, unless the text has its own.
    /// Never build the text from values.
    public func executeScript(_ sql: String) async throws(PostgresError) {
        let session = try available("script")
        _ = try await cancellable { token throws(PostgresError) in
            try session.runSimple(sql, name: "script", token: token)
        }
    }

    // MARK: Transactions

    /// What a transaction sees of others.
    public enum Isolation: String, Sendable {
        case readCommitted = "READ COMMITTED"
        case repeatableRead = "REPEATABLE READ"
        case serializable = "SERIALIZABLE"
    }

    /// Runs `body` in a transaction and commits.
    ///
    /// Rolls back when `body` throws or the task is cancelled; a connection that cannot even roll back is closed. Transactions do not nest.
    /// Also throws when `body` swallowed an error of a statement, because the server then rolls back whatever one asks for. COMMIT itself is
    /// not cancelled: its outcome must be known.
    ///
    /// - Parameter body: gets this connection; is run where the caller runs.
    public nonisolated(nonsending) func transaction<Value>(
        isolation: Isolation = .readCommitted,
        readOnly: Bool = false,
        _ body: nonisolated(nonsending) (_ connection: PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await begin("BEGIN ISOLATION LEVEL \(isolation.rawValue)\(readOnly ? " READ ONLY" : "")")
        let value: Value
        do {
            value = try await body(self)
            if Task.isCancelled {
                throw PostgresError(.cancelled, "the task was cancelled before COMMIT", sqlState: "57014", statementName: "commit")
            }
        } catch {
            await rollBack()
            throw error
        }
        try await commit()
        return value
    }

    private func begin(_ sql: String) async throws(PostgresError) {
        let session = try available("begin")
        guard session.isIdle else {
            throw PostgresError(
                .usage,
                "the connection is in a transaction already, and transactions do not nest",
                statementName: "begin"
            )
        }
        _ = try await cancellable { token throws(PostgresError) in
            try session.runSimple(sql, name: "begin", token: token)
        }
    }

    private func commit() throws(PostgresError) {
        let session = try available("commit")
        defer { noteStatus() }
        do throws(PostgresError) {
            let result = try session.runSimple("COMMIT", name: "commit", token: nil)
            guard result.commandTag == "COMMIT" else {
                throw PostgresError(
                    .server,
                    "the transaction was rolled back, because one of its statements had failed",
                    sqlState: "25P02",
                    hint: "Let the error of the failed statement reach the end of the transaction.",
                    statementName: "commit"
                )
            }
        } catch {
            guard error.kind == .connection else { throw error }
            var error = error
            error.message =
                "the connection was lost while committing, so it is unknown whether the transaction took effect: \(error.message)"
            throw error
        }
    }

    private func rollBack() {
        defer { noteStatus() }
        guard let session, session.isConnected else { return }
        if case .fetching(let name) = activity {
            session.abandon(statementName: name)
            activity = .idle
        }
        do throws(PostgresError) {
            try session.runSimple("ROLLBACK", name: "rollback", token: nil, deadline: .now + ServerSession.cancelPatience)
        } catch {
            // A connection whose transaction cannot be ended is of no use; the server rolls back when it goes.
            self.session = nil
        }
    }

    // MARK: COPY

    /// Writes `rows` by binary COPY, all or none.
    ///
    /// - Parameter statement: `COPY table (columns) FROM STDIN (FORMAT binary)`.
    /// - Returns: the number of rows that the server took.
    @discardableResult
    public func copyIn(_ statement: Statement, rows: CopyBuffer) async throws(PostgresError) -> Int {
        let session = try available(statement.name)
        return try await cancellable { token throws(PostgresError) in
            try session.copyIn(statement, rows: rows, token: token)
        }
    }

    /// Reads what a COPY sends, piece by piece; while `onChunk` works, the server waits.
    ///
    /// - Parameters:
    ///   - statement: `COPY ... TO STDOUT (...)`, in any format.
    ///   - chunkSize: bytes; chunks are at least this large, but for the last.
    ///   - onChunk: gets whole rows (the server sends one message a row). When it throws, the copy is cancelled.
    public nonisolated(nonsending) func copyOut(
        _ statement: Statement,
        chunkSize: Int = 65_536,
        _ onChunk: nonisolated(nonsending) (_ bytes: [UInt8]) async throws -> Void
    ) async throws {
        try await startCopyOut(statement)
        do {
            while let chunk = try await nextCopyChunk(max(1, chunkSize), statement.name) { try await onChunk(chunk) }
        } catch {
            await endFetching(statement.name)
            throw error
        }
    }

    private func startCopyOut(_ statement: Statement) async throws(PostgresError) {
        let session = try available(statement.name)
        try await cancellable { token throws(PostgresError) in try session.startCopyOut(statement, token: token) }
        activity = .fetching(statement.name)
    }

    private func nextCopyChunk(_ size: Int, _ name: String) async throws(PostgresError) -> [UInt8]? {
        let session = try fetching(name)
        let chunk = try await cancellable { token throws(PostgresError) in
            try session.nextCopyChunk(atLeast: size, statementName: name, token: token)
        }
        if chunk == nil { activity = .idle }
        return chunk
    }

    // MARK: Rows as they come

    /// Runs a statement and hands its rows to `body` in batches, as they come from the server. Memory holds one batch; while `body` works,
    /// the server waits. `body` cannot use this connection meanwhile. When it throws, the statement is cancelled.
    public nonisolated(nonsending) func stream(
        _ statement: Statement,
        _ parameters: [PostgresValue?] = [],
        batchSize: Int = 1000,
        _ body: nonisolated(nonsending) (_ rows: PostgresRows) async throws -> Void
    ) async throws {
        let shape = try await startStream(statement, parameters)
        do {
            while true {
                let (rows, isLast) = try await nextRows(max(1, batchSize), shape)
                if !rows.isEmpty { try await body(rows) }
                if isLast { return }
            }
        } catch {
            await endFetching(statement.name)
            throw error
        }
    }

    private func startStream(_ statement: Statement, _ parameters: [PostgresValue?]) async throws(PostgresError) -> ResultShape {
        let session = try available(statement.name)
        let shape = try await cancellable { token throws(PostgresError) in
            try session.startStream(statement, parameters, token: token)
        }
        activity = .fetching(statement.name)
        return shape
    }

    private func nextRows(_ limit: Int, _ shape: ResultShape) async throws(PostgresError) -> (PostgresRows, isLast: Bool) {
        let session = try fetching(shape.statementName)
        let (rows, isLast) = try await cancellable { token throws(PostgresError) in
            try session.nextRows(limit, shape: shape, token: token)
        }
        if isLast { activity = .idle }
        return (rows, isLast)
    }

    // MARK: Inside

    /// Ends a fetch that did not come to its own end. Not cancellable, but bounded in time.
    private func endFetching(_ name: String) {
        if case .fetching = activity { session?.abandon(statementName: name) }
        activity = .idle
        noteStatus()
    }

    private func available(_ name: String) throws(PostgresError) -> ServerSession {
        let session = try opened(name)
        if case .fetching(let other) = activity {
            throw PostgresError(
                .usage,
                "the connection is busy with the rows of \"\(other)\"",
                hint: "Use another connection, or wait for their end.",
                statementName: name
            )
        }
        return session
    }

    private func fetching(_ name: String) throws(PostgresError) -> ServerSession {
        let session = try opened(name)
        guard case .fetching(name) = activity else {
            throw PostgresError(.usage, "the rows were ended by someone else", statementName: name)
        }
        return session
    }

    private func opened(_ name: String) throws(PostgresError) -> ServerSession {
        guard let session else {
            throw PostgresError(.connection, "the connection is closed", statementName: name)
        }
        return session
    }

    /// Runs blocking `work` on this actor's thread, while a cancellation of the task can reach it.
    private func cancellable<Value>(
        _ work: (CancelSignal.Token) throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let token = signal.issue()
        let outcome: Result<Value, PostgresError> = await withTaskCancellationHandler {
            // Not only a check: a closure that does not use `self` is not isolated to it, and would run, and block, on the cooperative pool.
            self.preconditionIsolated()
            do throws(PostgresError) {
                return .success(try work(token))
            } catch {
                return .failure(error)
            }
        } onCancel: { [signal] in
            signal.request(token)
        }
        noteStatus()
        return try outcome.get()
    }

    private func noteStatus() {
        let now = Status(
            backendProcessID: session?.backendProcessID ?? 0,
            isUsable: session?.isConnected ?? false,
            isIdle: session?.isIdle ?? false
        )
        status.withLock { $0 = now }
    }
}
