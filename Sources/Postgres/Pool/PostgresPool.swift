public import Logging

/// A bounded number of connections to one database, lent to one task each.
///
/// Connections are opened when needed. When all are out, requests wait in the order of their coming, for a limited time and in a limited
/// number; a request whose task is cancelled leaves the queue. Connections that broke, or come back inside a transaction, are closed.
/// The pool has no task of its own: all it does, it does in the tasks that use it.
public final class PostgresPool: Sendable {
    private typealias State = PoolState<PostgresConnection>
    private typealias Wakeup = CheckedContinuation<State.Grant, any Error>

    private struct Inside {
        var state: State
        /// Those who wait, by ticket. Whoever takes one out, under the lock, resumes it.
        var sleepers: [State.Ticket: Wakeup] = [:]
        /// What a ticket got before its owner had fallen asleep.
        var early: [State.Ticket: Result<State.Grant, PostgresError>] = [:]
        var drainWaiters: [CheckedContinuation<Void, Never>] = []
    }

    /// A connection that lay idle longer than this is looked at before it is lent.
    private static let checkAfterIdle = Duration.seconds(1)

    private let connectionString: String
    private let waitLimit: Duration
    private let connectTimeout: Duration
    private let applicationName: String
    private let sessionSettings: [String]
    private let logger: Logger
    private let inside: Locked<Inside>

    /// - Parameters:
    ///   - connectionString: as in `PostgresConnection.connect`.
    ///   - maximumConnections: at least 1. Mind the server's `max_connections`, all pools together.
    ///   - waitLimit: how long a request waits for a connection to come back.
    ///   - maximumWaiters: how many may wait; more are refused at once.
    ///   - idleLimit: connections idle for longer are closed when another comes back.
    ///   - connectTimeout: for opening one.
    ///   - applicationName: what `pg_stat_activity` shows.
    ///   - sessionSettings: set on each connection once it is made, such as `idle_in_transaction_session_timeout` to `60s`. One that the
    ///     server does not take, because its system lacks what it takes, is left out.
    ///   - logger: gets the server's notices and lost connections.
    public init(
        connectionString: String,
        maximumConnections: Int = 8,
        waitLimit: Duration = .seconds(10),
        maximumWaiters: Int = 1000,
        idleLimit: Duration = .seconds(300),
        connectTimeout: Duration = .seconds(10),
        applicationName: String = "postgres",
        sessionSettings: [String: String] = [:],
        logger: Logger = Logger(label: "postgres", factory: { _ in SwiftLogNoOpLogHandler() })
    ) {
        self.connectionString = connectionString
        self.waitLimit = waitLimit
        self.connectTimeout = connectTimeout
        self.applicationName = applicationName
        self.sessionSettings = sessionSettings.sorted { $0.key < $1.key }.map { "SET \($0.key) = '\($0.value)'" }
        self.logger = logger
        inside = Locked(
            Inside(state: State(maximumConnections: maximumConnections, maximumWaiters: maximumWaiters, idleLimit: idleLimit))
        )
    }

    /// How many connections are lent out or being opened, lie idle, and how many requests wait.
    public var counts: (inUse: Int, idle: Int, waiting: Int) {
        inside.withLock { ($0.state.inUse, $0.state.idleCount, $0.state.waiting) }
    }

    /// Lends a connection to `body`, which must not keep it.
    ///
    /// Throws `PostgresError` with kind `pool` when none came back in time, and whatever `body` throws.
    public nonisolated(nonsending) func withConnection<Value>(
        _ body: nonisolated(nonsending) (_ connection: PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await lease()
        do {
            let value = try await body(connection)
            await giveBack(connection)
            return value
        } catch {
            await giveBack(connection)
            throw error
        }
    }

    /// Lends a connection to `body` inside a transaction, see `PostgresConnection.transaction`.
    public nonisolated(nonsending) func transaction<Value>(
        isolation: PostgresConnection.Isolation = .readCommitted,
        readOnly: Bool = false,
        _ body: nonisolated(nonsending) (_ connection: PostgresConnection) async throws -> Value
    ) async throws -> Value {
        try await withConnection { connection in
            try await connection.transaction(isolation: isolation, readOnly: readOnly, body)
        }
    }

    /// Refuses new requests and those that wait, closes idle connections, and returns when all that are lent out have come back.
    public func shutDown() async {
        let (close, sleepers) = inside.withLock { inside in
            let (close, refused) = inside.state.shutDown()
            return (close, refused.compactMap { Self.rouse($0, .failure(Self.shutDownError), &inside) })
        }
        for sleeper in sleepers { sleeper.resume(throwing: Self.shutDownError) }
        for connection in close { await connection.close() }
        await withCheckedContinuation { continuation in
            let isDrained = inside.withLock { inside in
                if inside.state.isDrained { return true }
                inside.drainWaiters.append(continuation)
                return false
            }
            if isDrained { continuation.resume() }
        }
    }

    // MARK: Lending

    private func lease() async throws -> PostgresConnection {
        while true {
            switch inside.withLock({ $0.state.request() }) {
            case .use(let connection, let since):
                if since.duration(to: .now) < Self.checkAfterIdle { return connection }
                if await connection.looksAlive() { return connection }
                logger.debug("An idle connection was closed by the server", metadata: ["backend": "\(connection.backendProcessID)"])
                await follow(inside.withLock { $0.state.giveUpPlace() })
            case .open:
                return try await open()
            case .wait(let ticket):
                switch try await wait(ticket) {
                case .use(let connection): return connection
                case .open: return try await open()
                }
            case .refuse(.shutDown):
                throw Self.shutDownError
            case .refuse(.queueFull(let inUse, let waiting)):
                throw PostgresError(
                    .pool,
                    "all \(inUse) connections of the pool are in use and \(waiting) requests wait already",
                    hint: "Send less at a time, or give the pool more connections."
                )
            }
        }
    }

    private func open() async throws -> PostgresConnection {
        do {
            let connection = try await PostgresConnection.connect(
                to: connectionString,
                applicationName: applicationName,
                connectTimeout: connectTimeout,
                logger: logger
            )
            do throws(PostgresError) {
                try await set(sessionSettings, connection)
            } catch {
                await connection.close()
                throw error
            }
            return connection
        } catch {
            await follow(inside.withLock { $0.state.giveUpPlace() })
            throw error
        }
    }

    private func set(_ settings: [String], _ connection: PostgresConnection) async throws(PostgresError) {
        for setting in settings {
            do throws(PostgresError) {
                try await connection.executeScript(setting)
            } catch {
                guard error.kind == .server else { throw error }
                logger.debug("A setting of the session was left out", metadata: ["setting": "\(setting)", "error": "\(error)"])
            }
        }
    }

    private func giveBack(_ connection: PostgresConnection) async {
        if connection.isReusable {
            await follow(inside.withLock { $0.state.giveBack(connection, at: .now) })
        } else {
            await connection.close()
            await follow(inside.withLock { $0.state.giveUpPlace() })
        }
    }

    private func follow(_ followUp: State.FollowUp) async {
        if let (ticket, grant) = followUp.wake {
            inside.withLock { Self.rouse(ticket, .success(grant), &$0) }?.resume(returning: grant)
        }
        for connection in followUp.close { await connection.close() }
        if followUp.isDrained {
            let waiters = inside.withLock { inside in
                defer { inside.drainWaiters = [] }
                return inside.drainWaiters
            }
            for waiter in waiters { waiter.resume() }
        }
    }

    // MARK: Waiting

    private func wait(_ ticket: State.Ticket) async throws -> State.Grant {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await Task.sleep(for: self.waitLimit)
                self.withdraw(ticket) { counts in
                    PostgresError(
                        .pool,
                        "no connection came back within \(self.waitLimit): \(counts.inUse) in use, \(counts.waiting) more requests wait",
                        hint: "Look for long transactions in pg_stat_activity, or give the pool more connections."
                    )
                }
            }
            defer { group.cancelAll() }
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (continuation: Wakeup) in
                    let early = inside.withLock { inside in
                        if let early = inside.early.removeValue(forKey: ticket) { return early as Result<State.Grant, PostgresError>? }
                        inside.sleepers[ticket] = continuation
                        return nil
                    }
                    if let early { continuation.resume(with: early) }
                }
            } onCancel: {
                withdraw(ticket) { _ in
                    PostgresError(.cancelled, "the task was cancelled while it waited for a connection", sqlState: "57014")
                }
            }
        }
    }

    /// Takes a request out of the queue and fails it, unless it was served already.
    private func withdraw(_ ticket: State.Ticket, _ error: ((inUse: Int, waiting: Int)) -> PostgresError) {
        let roused = inside.withLock { inside -> (sleeper: Wakeup, error: PostgresError)? in
            guard inside.state.withdraw(ticket) else { return nil }
            let error = error((inside.state.inUse, inside.state.waiting))
            return Self.rouse(ticket, .failure(error), &inside).map { ($0, error) }
        }
        if let roused { roused.sleeper.resume(throwing: roused.error) }
    }

    /// Takes out the sleeper, for the caller to resume; leaves a note when there is none yet.
    ///
    /// It must be resumed outside the lock. Resuming takes the lock of the sleeper's task, which the runtime holds while it runs a
    /// cancellation handler, which takes ours: the other way round the two would wait for each other.
    private static func rouse(
        _ ticket: State.Ticket,
        _ outcome: Result<State.Grant, PostgresError>,
        _ inside: inout Inside
    ) -> Wakeup? {
        let sleeper = inside.sleepers.removeValue(forKey: ticket)
        if sleeper == nil { inside.early[ticket] = outcome }
        return sleeper
    }

    private static var shutDownError: PostgresError {
        PostgresError(.pool, "the pool is shut down", hint: "Finish the work before shutting the pool down.")
    }
}
