import CLibPQ
import Glibc
import Logging

/// One libpq connection and everything that blocks on it.
///
/// Not Sendable and not safe for concurrent use: it belongs to one thread at a time, which `PostgresConnection` sees to. The connection is
/// in libpq's non-blocking mode; the only place that waits is `waitForSocket`, where the wish to cancel is heard as well.
final class ServerSession {
    private struct Plan {
        var sql: String
        var parameterTypes: [TypeOID]
        var shape: ResultShape
    }

    /// Logs the server's notices (`RAISE NOTICE`, "relation exists, skipping").
    private final class NoticeSink {
        let logger: Logger
        init(logger: Logger) { self.logger = logger }
    }

    /// The operation under way: whether and when it was cancelled, and by when it must end.
    private struct Operation {
        var token: CancelSignal.Token?
        var deadline: ContinuousClock.Instant?
        var cancelledAt: ContinuousClock.Instant?
        var nextCancelAt: ContinuousClock.Instant?
        var cancelRequests = 0
    }

    /// A server that does not answer a cancel request for this long is taken for dead.
    static let cancelPatience = Duration.seconds(5)

    private let connection: OpaquePointer
    private let signal: CancelSignal
    private let notices: NoticeSink
    private var plans: [String: Plan] = [:]
    private var operation = Operation()
    private var isLost = false
    /// The last chunk of a COPY out was read, but its reader has not yet heard of the end.
    private var copyIsOver = false

    private init(connection: OpaquePointer, signal: CancelSignal, logger: Logger) {
        self.connection = connection
        self.signal = signal
        notices = NoticeSink(logger: logger)
        PQsetNoticeReceiver(
            connection,
            { sink, notice in
                guard let sink, let notice else { return }
                let text = PQresultErrorField(notice, Int32(UInt8(ascii: "M"))).map { String(cString: $0) } ?? ""
                let severity = PQresultErrorField(notice, Int32(UInt8(ascii: "V"))).map { String(cString: $0) } ?? ""
                Unmanaged<NoticeSink>.fromOpaque(sink).takeUnretainedValue().logger
                    .debug("Postgres says: \(text)", metadata: ["severity": "\(severity)"])
            },
            Unmanaged.passUnretained(notices).toOpaque()
        )
    }

    deinit { PQfinish(connection) }

    // MARK: Connecting

    /// Connects, waiting at most `timeout`.
    ///
    /// Of several hosts each gets its share of the time: libpq alone would spend all of it on one that is switched off, and never ask the
    /// one that has taken over.
    static func connect(
        to connectionString: String,
        applicationName: String,
        timeout: Duration,
        signal: CancelSignal,
        token: CancelSignal.Token,
        logger: Logger
    ) throws(PostgresError) -> ServerSession {
        let places = ServerPlace.places(of: connectionString)
        let deadline = ContinuousClock.now + timeout
        var refusals: [PostgresError] = []
        for (number, place) in places.enumerated() {
            let left = places.count == 1 ? timeout : Self.share(until: deadline, places.count - number)
            do throws(PostgresError) {
                return try connect(
                    to: connectionString,
                    at: place,
                    applicationName: applicationName,
                    timeout: min(left, place.connectTimeout ?? left),
                    signal: signal,
                    token: token,
                    logger: logger
                )
            } catch {
                if error.kind == .cancelled { throw error }
                refusals.append(error)
            }
        }
        guard refusals.count > 1, var error = refusals.last else {
            throw refusals.first ?? PostgresError(.connection, "no host to connect to")
        }
        error.message = zip(places, refusals).map { "\($0.description): \($1.message)" }.joined(separator: "; ")
        // What one of several answered is not what all did.
        if Set(refusals.map(\.sqlState)).count > 1 { error.sqlState = nil }
        throw error
    }

    /// Of the time that is left, in whole milliseconds.
    private static func share(until deadline: ContinuousClock.Instant, _ parts: Int) -> Duration {
        .milliseconds(Int(max(.zero, ContinuousClock.now.duration(to: deadline)) / .milliseconds(1)) / parts)
    }

    /// What a connection does that nobody said otherwise of: one whose other end is gone without a word, a machine without power or a cut
    /// network, is noticed within half a minute, not after the kernel's two hours.
    private static let standards = [
        ("keepalives_idle", "10"), ("keepalives_interval", "5"), ("keepalives_count", "3"), ("tcp_user_timeout", "20000"),
    ]

    private static func connect(
        to connectionString: String,
        at place: ServerPlace,
        applicationName: String,
        timeout: Duration,
        signal: CancelSignal,
        token: CancelSignal.Token,
        logger: Logger
    ) throws(PostgresError) -> ServerSession {
        // Of two values the later wins: the string's over the standards, the place's over the string's.
        let parameters =
            standards + [("dbname", connectionString), ("application_name", applicationName), ("client_encoding", "UTF8")]
            + place.parameters
        let started = CStrings(parameters.map(\.0)).withPointers { keywords in
            CStrings(parameters.map(\.1)).withPointers { values in
                // The last argument lets libpq expand the first dbname, which is a conninfo string or a URL.
                PQconnectStartParams(keywords, values, 1)
            }
        }
        guard let connection = started else { throw PostgresError(.connection, "libpq is out of memory") }
        let session = ServerSession(connection: connection, signal: signal, logger: logger)
        session.operation = Operation(token: token, deadline: .now + timeout)
        // Verbose errors carry the SQLSTATE, which libpq keeps to itself when a connection fails.
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        var wanted = PGRES_POLLING_WRITING
        while true {
            guard PQstatus(connection) != CONNECTION_BAD else { throw session.connectFailure() }
            switch wanted {
            case PGRES_POLLING_OK:
                PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
                guard PQsetnonblocking(connection, 1) == 0 else { throw session.connectFailure() }
                return session
            case PGRES_POLLING_READING: try session.waitForConnect(Int16(POLLIN), timeout)
            case PGRES_POLLING_WRITING: try session.waitForConnect(Int16(POLLOUT), timeout)
            default: throw session.connectFailure()
            }
            wanted = PQconnectPoll(connection)
        }
    }

    private func waitForConnect(_ events: Int16, _ timeout: Duration) throws(PostgresError) {
        switch pollOnce(events) {
        case .cancelled:
            throw PostgresError(.cancelled, "the task was cancelled while connecting", sqlState: "57014")
        case .timeUp:
            throw PostgresError(
                .connection,
                "no connection within \(timeout)",
                hint: "Check that the server runs, that host and port are right, and that no firewall drops packets."
            )
        case .failed(let error): throw error
        case .ready, .again: break
        }
    }

    private func connectFailure() -> PostgresError {
        let text = String(cString: PQerrorMessage(connection))
        // Verbose: `... FATAL:  28P01: password authentication failed...`, then a line `LOCATION: ...`.
        var sqlState: String?
        var lines: [String] = []
        for line in text.split(separator: "\n") where !line.hasPrefix("LOCATION:") {
            if let (state, rest) = Self.sqlState(in: line) {
                sqlState = state
                lines.append(rest)
            } else {
                lines.append(String(line))
            }
        }
        return PostgresError(.connection, "no connection: \(lines.joined(separator: " "))", sqlState: sqlState)
    }

    /// Finds `:  XXXXX: ` and takes it out of the line.
    private static func sqlState(in line: Substring) -> (String, String)? {
        let bytes = Array(line.utf8)
        guard bytes.count >= 10 else { return nil }
        for start in 0...(bytes.count - 10) where bytes[start...].starts(with: ":  ".utf8) {
            let state = bytes[(start + 3)..<(start + 8)]
            let isState = state.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) }
            guard isState, bytes[(start + 8)...].starts(with: ": ".utf8) else { continue }
            let rest = bytes[..<start] + Array(": ".utf8) + bytes[(start + 10)...]
            return (String(decoding: state, as: UTF8.self), String(decoding: rest, as: UTF8.self))
        }
        return nil
    }

    // MARK: State

    var backendProcessID: Int32 { PQbackendPID(connection) }

    /// False once the connection is lost.
    var isConnected: Bool { !isLost && PQstatus(connection) == CONNECTION_OK }

    /// True when the connection is in no transaction and no operation.
    var isIdle: Bool { isConnected && PQtransactionStatus(connection) == PQTRANS_IDLE }

    /// Looks, without asking the server, whether it has closed an idle connection.
    func noticeClosure() {
        guard isConnected else { return }
        var descriptor = pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0)
        while isConnected, poll(&descriptor, 1, 0) == 1 {
            if PQconsumeInput(connection) == 0 { isLost = true }
            // A last word without a close (57P01) is parsed here; libpq then finds the end of the stream.
            _ = PQisBusy(connection)
        }
    }

    // MARK: Statements

    /// Runs a prepared statement, preparing it first when this connection does not know it.
    func run(
        _ statement: Statement,
        _ parameters: [PostgresValue?],
        token: CancelSignal.Token?
    ) throws(PostgresError) -> (result: ServerResult, shape: ResultShape) {
        try begin(token, statementName: statement.name)
        do {
            return try runOnce(statement, parameters)
        } catch {
            // The plan is of no use after DISCARD ALL (26000) or a change of its tables (0A000). Neither has run, so outside a
            // transaction it is prepared and run anew; inside one, the transaction has failed and the next one will prepare anew.
            guard error.sqlState == "26000" || (error.sqlState == "0A000" && plans[statement.name] != nil) else { throw error }
            plans[statement.name] = nil
            guard isIdle else { throw error }
            if error.sqlState == "0A000" { try deallocate(statement.name) }
            return try runOnce(statement, parameters)
        }
    }

    private func runOnce(
        _ statement: Statement,
        _ parameters: [PostgresValue?]
    ) throws(PostgresError) -> (result: ServerResult, shape: ResultShape) {
        let plan = try plan(for: statement)
        try send(statement, plan, parameters)
        return (try collect(statement.name), plan.shape)
    }

    /// Runs SQL text that takes no parameters; several statements are one implicit transaction.
    @discardableResult
    func runSimple(
        _ sql: String,
        name: String,
        token: CancelSignal.Token?,
        deadline: ContinuousClock.Instant? = nil
    ) throws(PostgresError) -> ServerResult {
        try begin(token, deadline: deadline, statementName: name)
        guard PQsendQuery(connection, sql) == 1 else { throw sendFailure(name) }
        return try collect(name)
    }

    private func plan(for statement: Statement) throws(PostgresError) -> Plan {
        if let plan = plans[statement.name] {
            guard plan.sql == statement.sql else {
                throw PostgresError(
                    .usage,
                    "this connection knows the name with other SQL",
                    hint: "Give each statement a name of its own.",
                    statementName: statement.name
                )
            }
            return plan
        }
        guard !statement.name.isEmpty, statement.name.utf8.count < 64 else {
            throw PostgresError(.usage, "a statement's name has 1 to 63 bytes", statementName: statement.name)
        }
        guard PQsendPrepare(connection, statement.name, statement.sql, 0, nil) == 1 else { throw sendFailure(statement.name) }
        do {
            _ = try collect(statement.name)
        } catch {
            // 42P05: a plan of this name is there that we have given up on, see `run`.
            guard error.sqlState == "42P05", isIdle else { throw error }
            try deallocate(statement.name)
            guard PQsendPrepare(connection, statement.name, statement.sql, 0, nil) == 1 else { throw sendFailure(statement.name) }
            _ = try collect(statement.name)
        }
        guard PQsendDescribePrepared(connection, statement.name) == 1 else { throw sendFailure(statement.name) }
        let description = try collect(statement.name)
        let plan = Plan(
            sql: statement.sql,
            parameterTypes: description.parameterTypes,
            shape: ResultShape(statementName: statement.name, columns: description.shapeColumns)
        )
        plans[statement.name] = plan
        return plan
    }

    private func deallocate(_ name: String) throws(PostgresError) {
        let quoted = "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
        guard PQsendQuery(connection, "DEALLOCATE \(quoted)") == 1 else { throw sendFailure(name) }
        _ = try collect(name)
    }

    private func send(_ statement: Statement, _ plan: Plan, _ parameters: [PostgresValue?]) throws(PostgresError) {
        let bound = try BoundParameters(parameters, types: plan.parameterTypes, statementName: statement.name)
        let sent = bound.bytes.withUnsafeBytes { bytes in
            let base = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            // An empty value needs an address too: no address means NULL.
            let empty = UnsafePointer<CChar>(bitPattern: MemoryLayout<CChar>.alignment)
            let pointers = bound.offsets.map { offset in offset < 0 ? nil : base.map { $0 + offset } ?? empty }
            return PQsendQueryPrepared(
                connection,
                statement.name,
                Int32(truncatingIfNeeded: pointers.count),
                pointers,
                bound.lengths,
                bound.formats,
                1
            )
        }
        guard sent == 1 else { throw sendFailure(statement.name) }
    }

    // MARK: Rows as they come

    /// Starts a statement whose rows are then fetched with `nextRows`.
    func startStream(
        _ statement: Statement,
        _ parameters: [PostgresValue?],
        token: CancelSignal.Token
    ) throws(PostgresError) -> ResultShape {
        try begin(token, statementName: statement.name)
        let plan = try plan(for: statement)
        try send(statement, plan, parameters)
        guard PQsetSingleRowMode(connection) == 1 else { throw sendFailure(statement.name) }
        return plan.shape
    }

    /// Up to `limit` more rows; `isLast` once the statement has ended.
    func nextRows(
        _ limit: Int,
        shape: ResultShape,
        token: CancelSignal.Token
    ) throws(PostgresError) -> (rows: PostgresRows, isLast: Bool) {
        try begin(token, statementName: shape.statementName)
        var fields = ResultFields()
        var count = 0
        while count < limit {
            try waitForResult(shape.statementName)
            guard let result = PQgetResult(connection).map(ServerResult.init) else {
                return (PostgresRows(shape: shape, fields: fields, rowCount: count), true)
            }
            if let error = result.error(statementName: shape.statementName) {
                try finish(after: error)
            }
            // A statement without rows yields PGRES_COMMAND_OK, the end of the rows an empty PGRES_TUPLES_OK.
            if result.status == PGRES_SINGLE_TUPLE {
                result.appendRows(to: &fields)
                count += 1
            }
        }
        return (PostgresRows(shape: shape, fields: fields, rowCount: count), false)
    }

    // MARK: COPY

    /// Sends `rows` in binary COPY; all of them or none. Returns the server's count.
    func copyIn(_ statement: Statement, rows: CopyBuffer, token: CancelSignal.Token) throws(PostgresError) -> Int {
        if let complaint = rows.complaint {
            throw PostgresError(.usage, complaint, statementName: statement.name)
        }
        try begin(token, statementName: statement.name)
        try startCopy(statement, expecting: PGRES_COPY_IN, "COPY ... FROM STDIN (FORMAT binary)")
        let outcome: Result<Void, PostgresError> = rows.withRows { bytes in
            do throws(PostgresError) {
                try CopyBuffer.header.withUnsafeBytesTyped { header throws(PostgresError) in try put(header, statement.name) }
                try put(bytes, statement.name)
                try CopyBuffer.trailer.withUnsafeBytesTyped { trailer throws(PostgresError) in try put(trailer, statement.name) }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        if case .failure(let error) = outcome {
            guard isConnected else { throw error }
            _ = PQputCopyEnd(connection, "the task was cancelled")
            try finish(after: error)
        }
        while true {
            switch PQputCopyEnd(connection, nil) {
            case 0: try flush(statement.name)
            case 1: return try collect(statement.name).affectedRows
            default:
                // The server has failed the copy already; its error waits among the results.
                guard PQstatus(connection) == CONNECTION_OK else { throw lost(statement.name) }
                return try collect(statement.name).affectedRows
            }
        }
    }

    /// In pieces, each flushed before the next, so that libpq never buffers the whole; between them a cancellation is seen.
    private func put(_ bytes: UnsafeRawBufferPointer, _ statementName: String) throws(PostgresError) {
        let pieceSize = 128 * 1024
        var position = 0
        while position < bytes.count {
            let size = min(pieceSize, bytes.count - position)
            let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            switch PQputCopyData(connection, start.map { $0 + position }, Int32(truncatingIfNeeded: size)) {
            case 1: position += size
            case 0: break
            default:
                // Refused while the connection stands: the server has failed the copy, and `copyIn` will find its error.
                guard PQstatus(connection) == CONNECTION_OK else { throw lost(statementName) }
                return
            }
            try flush(statementName)
            if let token = operation.token, signal.isRequested(token) {
                throw PostgresError(.cancelled, "the task was cancelled", sqlState: "57014", statementName: statementName)
            }
        }
    }

    /// Starts a COPY whose data is then fetched with `nextCopyChunk`.
    func startCopyOut(_ statement: Statement, token: CancelSignal.Token) throws(PostgresError) {
        try begin(token, statementName: statement.name)
        copyIsOver = false
        try startCopy(statement, expecting: PGRES_COPY_OUT, "COPY ... TO STDOUT")
    }

    /// The next bytes, at least `size` unless the copy ends; nil after its end.
    func nextCopyChunk(
        atLeast size: Int,
        statementName: String,
        token: CancelSignal.Token
    ) throws(PostgresError) -> [UInt8]? {
        try begin(token, statementName: statementName)
        if copyIsOver { return nil }
        var chunk: [UInt8] = []
        while chunk.count < size {
            var buffer: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(connection, &buffer, 1)
            switch count {
            case 0: try waitForInput(statementName)
            case -1:
                copyIsOver = true
                _ = try collect(statementName)
                return chunk.isEmpty ? nil : chunk
            case -2:
                _ = try collect(statementName)
                throw lost(statementName)
            default:
                chunk.append(contentsOf: UnsafeRawBufferPointer(start: buffer, count: Int(count)))
                PQfreemem(buffer)
            }
        }
        return chunk
    }

    private func startCopy(_ statement: Statement, expecting status: ExecStatusType, _ form: String) throws(PostgresError) {
        guard PQsendQueryParams(connection, statement.sql, 0, nil, nil, nil, nil, 1) == 1 else { throw sendFailure(statement.name) }
        try waitForResult(statement.name)
        guard let result = PQgetResult(connection).map(ServerResult.init) else { throw lost(statement.name) }
        if result.status == status { return }
        if let error = result.error(statementName: statement.name) { try finish(after: error) }
        try refuseCopy(result)
        try finish(after: PostgresError(.usage, "the statement is not of the form \(form)", statementName: statement.name))
    }

    /// Ends whatever is under way and reads what the server still sends, so that the connection can be used again. A server that takes
    /// too long costs the connection.
    func abandon(statementName: String) {
        guard isConnected else { return }
        operation = Operation(token: nil, deadline: .now + Self.cancelPatience)
        requestCancel()
        do throws(PostgresError) {
            _ = try readResults(statementName)
        } catch {
            // Expected: the statement was cancelled. A lost connection shows in `isConnected`.
        }
    }

    // MARK: Results

    /// Reads all results of the command and returns the last; throws the first error.
    private func collect(_ statementName: String) throws(PostgresError) -> ServerResult {
        guard let last = try readResults(statementName) else { throw lost(statementName) }
        return last
    }

    /// Reads what results there still are and returns the last, nil when there are none; throws the first error.
    private func readResults(_ statementName: String) throws(PostgresError) -> ServerResult? {
        var last: ServerResult?
        var firstError: PostgresError?
        while true {
            do throws(PostgresError) {
                try waitForResult(statementName)
            } catch {
                // The server's own last words ("terminating connection due to administrator command") say more than "connection lost".
                throw firstError ?? error
            }
            guard let result = PQgetResult(connection).map(ServerResult.init) else { break }
            if firstError == nil { firstError = result.error(statementName: statementName) }
            do throws(PostgresError) {
                if try refuseCopy(result), firstError == nil {
                    firstError = PostgresError(
                        .usage,
                        "COPY needs copyIn or copyOut",
                        statementName: statementName
                    )
                }
            } catch {
                throw firstError ?? error
            }
            last = result
        }
        if var firstError {
            if PQstatus(connection) != CONNECTION_OK { isLost = true }
            if firstError.sqlState == "25006", onlyReads {
                // It is no longer, or not yet, the server to talk to: the next connection asks anew which is.
                isLost = true
                firstError.kind = .connection
            }
            throw firstError
        }
        return last
    }

    /// Reads the rest of the command's results and throws `error`.
    private func finish(after error: PostgresError) throws(PostgresError) -> Never {
        do throws(PostgresError) {
            _ = try readResults(error.statementName ?? "")
        } catch let later where error.kind == .cancelled && later.kind == .cancelled {
            throw later
        } catch {
            // `error`, the outer one, came first and tells more.
        }
        throw error
    }

    /// Ends a COPY that nobody asked for; true when `result` was the beginning of one.
    @discardableResult
    private func refuseCopy(_ result: ServerResult) throws(PostgresError) -> Bool {
        switch result.status {
        case PGRES_COPY_IN:
            while PQputCopyEnd(connection, "not supported here") == 0 { try flush("") }
            return true
        case PGRES_COPY_OUT:
            while true {
                var buffer: UnsafeMutablePointer<CChar>?
                let count = PQgetCopyData(connection, &buffer, 1)
                if count > 0 { PQfreemem(buffer) } else if count == 0 { try waitForInput("") } else { return true }
            }
        default: return false
        }
    }

    /// Whether the server itself takes no writes; it says so at the beginning and whenever that changes.
    private var onlyReads: Bool {
        func isOn(_ name: String) -> Bool { PQparameterStatus(connection, name).map { String(cString: $0) } == "on" }
        return isOn("in_hot_standby") || isOn("default_transaction_read_only")
    }

    // MARK: Waiting

    private func begin(
        _ token: CancelSignal.Token?,
        deadline: ContinuousClock.Instant? = nil,
        statementName: String
    ) throws(PostgresError) {
        guard isConnected else { throw lost(statementName) }
        operation = Operation(token: token, deadline: deadline)
        if let token, signal.isRequested(token) {
            throw PostgresError(
                .cancelled,
                "the task was cancelled before the statement was sent",
                sqlState: "57014",
                statementName: statementName
            )
        }
    }

    /// Waits until `PQgetResult` would not block.
    private func waitForResult(_ statementName: String) throws(PostgresError) {
        while true {
            let unsent = PQflush(connection)
            if unsent < 0 { throw lost(statementName) }
            if unsent == 0 && PQisBusy(connection) == 0 { return }
            try waitForSocket(Int16(POLLIN) | (unsent > 0 ? Int16(POLLOUT) : 0), statementName)
        }
    }

    private func waitForInput(_ statementName: String) throws(PostgresError) {
        try waitForSocket(Int16(POLLIN), statementName)
    }

    private func flush(_ statementName: String) throws(PostgresError) {
        while true {
            switch PQflush(connection) {
            case 0: return
            // The server may be sending too, and stops reading when nobody takes what it sends.
            case 1: try waitForSocket(Int16(POLLIN) | Int16(POLLOUT), statementName)
            default: throw lost(statementName)
            }
        }
    }

    private func waitForSocket(_ events: Int16, _ statementName: String) throws(PostgresError) {
        switch pollOnce(events) {
        case .ready:
            if PQconsumeInput(connection) == 0 { throw lost(statementName) }
        case .again: break
        case .cancelled:
            if operation.cancelledAt == nil {
                operation.cancelledAt = .now
                operation.deadline = .now + Self.cancelPatience
            }
            requestCancel()
        case .timeUp:
            isLost = true
            throw PostgresError(
                .connection,
                "the server did not end the statement in time; the connection is given up",
                statementName: statementName
            )
        case .failed(let error): throw error
        }
    }

    private enum Poll {
        case ready
        case again
        case cancelled
        case timeUp
        case failed(PostgresError)
    }

    /// Waits for the socket, the cancel signal, the next cancel request or the deadline, whichever comes first.
    private func pollOnce(_ events: Int16) -> Poll {
        var descriptors = (
            pollfd(fd: PQsocket(connection), events: events, revents: 0),
            pollfd(fd: operation.token == nil ? -1 : signal.readEnd, events: Int16(POLLIN), revents: 0)
        )
        var milliseconds: Int32 = -1
        if let until = [operation.deadline, operation.nextCancelAt].compactMap({ $0 }).min() {
            let left = ContinuousClock.now.duration(to: until)
            // One more, lest it wakes just before.
            milliseconds = max(0, Int32(clamping: left / .milliseconds(1) < 1e9 ? Int64(left / .milliseconds(1)) + 1 : 1_000_000_000))
        }
        let count = withUnsafeMutablePointer(to: &descriptors) { pair in
            pair.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, milliseconds) }
        }
        if count < 0 {
            if errno == EINTR { return .again }
            isLost = true
            return .failed(PostgresError(.connection, "poll failed: \(String(cString: strerror(errno)))"))
        }
        if descriptors.1.revents != 0 {
            signal.drain()
            if let token = operation.token, signal.isRequested(token), operation.cancelRequests == 0 { return .cancelled }
        }
        if descriptors.0.revents != 0 { return .ready }
        let now = ContinuousClock.now
        if let deadline = operation.deadline, now >= deadline { return .timeUp }
        if let next = operation.nextCancelAt, now >= next { return .cancelled }
        return .again
    }

    /// Asks the server to end what this connection runs. A request that comes before the server has begun is lost, hence more of them.
    private func requestCancel() {
        operation.cancelRequests += 1
        operation.nextCancelAt = .now + .milliseconds(min(500, 20 << min(operation.cancelRequests, 5)))
        guard let cancel = PQgetCancel(connection) else { return }
        defer { PQfreeCancel(cancel) }
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            _ = PQcancel(cancel, buffer.baseAddress, 256)
        }
    }

    private func sendFailure(_ statementName: String) -> PostgresError {
        if PQstatus(connection) != CONNECTION_OK { return lost(statementName) }
        return PostgresError(
            .usage,
            String(cString: PQerrorMessage(connection)).trimmingTrailingNewlines,
            statementName: statementName
        )
    }

    private func lost(_ statementName: String) -> PostgresError {
        isLost = true
        let text = String(cString: PQerrorMessage(connection)).trimmingTrailingNewlines
        return PostgresError(
            .connection,
            text.isEmpty ? "the connection to the server is lost" : "the connection to the server is lost: \(text)",
            statementName: statementName
        )
    }
}

/// C copies of some strings, with a nil at the end.
private final class CStrings {
    private let copies: [UnsafeMutablePointer<CChar>?]

    init(_ strings: [String]) { copies = strings.map { strdup($0) } }

    deinit { for copy in copies { free(copy) } }

    func withPointers<Value>(_ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Value) -> Value {
        let pointers: [UnsafePointer<CChar>?] = copies.map { $0.map { UnsafePointer($0) } } + [nil]
        return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }
}

extension [UInt8] {
    /// `withUnsafeBytes` with a typed error.
    fileprivate func withUnsafeBytesTyped<Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        let outcome: Result<Void, Failure> = withUnsafeBytes { bytes in
            do throws(Failure) {
                return .success(try body(bytes))
            } catch {
                return .failure(error)
            }
        }
        try outcome.get()
    }
}
