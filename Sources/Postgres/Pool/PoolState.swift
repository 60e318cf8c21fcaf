/// The bookkeeping of a pool: who has a connection, who waits, what is to be done next.
///
/// Pure: it neither opens nor closes anything, knows no clock and no task. Each method returns what the caller has to do.
struct PoolState<Connection> {
    /// Numbers a waiting request, in the order of arrival.
    typealias Ticket = UInt64

    /// What a request for a connection gets.
    enum Answer {
        /// This one, idle since the given instant.
        case use(Connection, idleSince: ContinuousClock.Instant)
        /// A place to open a new one in.
        case open
        /// A place in the queue.
        case wait(Ticket)
        case refuse(Refusal)
    }

    enum Refusal: Hashable {
        /// Too many wait already.
        case queueFull(inUse: Int, waiting: Int)
        case shutDown
    }

    /// What a waiting request is woken with.
    enum Grant {
        case use(Connection)
        case open
    }

    /// What to do after a connection or a place came back.
    struct FollowUp {
        /// A waiter to wake, and with what.
        var wake: (ticket: Ticket, grant: Grant)?
        /// Connections to close.
        var close: [Connection] = []
        /// True when the pool is shut down and nothing is out any more.
        var isDrained = false
    }

    fileprivate struct Idle {
        var connection: Connection
        var since: ContinuousClock.Instant
    }

    let maximumConnections: Int
    let maximumWaiters: Int
    /// Idle connections older than this are closed when another comes back.
    let idleLimit: Duration

    /// The one used last is at the end and is used first, so that those not needed grow old.
    private var idle: [Idle] = []
    /// Connections lent out, and places in which one is being opened.
    private(set) var inUse = 0
    private var queue: [Ticket] = []
    private var nextTicket: Ticket = 0
    private(set) var isShutDown = false

    init(maximumConnections: Int, maximumWaiters: Int, idleLimit: Duration) {
        self.maximumConnections = max(1, maximumConnections)
        self.maximumWaiters = max(0, maximumWaiters)
        self.idleLimit = idleLimit
    }

    var idleCount: Int { idle.count }
    var waiting: Int { queue.count }
    var isDrained: Bool { isShutDown && inUse == 0 }

    /// Someone wants a connection.
    mutating func request() -> Answer {
        if isShutDown { return .refuse(.shutDown) }
        // Nobody overtakes those who wait. (While some wait nothing is idle, so this is only a guard.)
        if queue.isEmpty {
            if let last = idle.popLast() {
                inUse += 1
                return .use(last.connection, idleSince: last.since)
            }
            if inUse < maximumConnections {
                inUse += 1
                return .open
            }
        }
        guard queue.count < maximumWaiters else { return .refuse(.queueFull(inUse: inUse, waiting: queue.count)) }
        nextTicket += 1
        queue.append(nextTicket)
        return .wait(nextTicket)
    }

    /// A connection comes back in good order.
    mutating func giveBack(_ connection: Connection, at now: ContinuousClock.Instant) -> FollowUp {
        if isShutDown {
            inUse -= 1
            return FollowUp(close: [connection], isDrained: isDrained)
        }
        if let ticket = dequeue() {
            return FollowUp(wake: (ticket, .use(connection)))
        }
        inUse -= 1
        idle.append(Idle(connection: connection, since: now))
        return FollowUp(close: expireIdle(at: now))
    }

    /// A connection was broken, or could not be opened: its place is free again.
    mutating func giveUpPlace() -> FollowUp {
        if !isShutDown, let ticket = dequeue() {
            return FollowUp(wake: (ticket, .open))
        }
        inUse -= 1
        return FollowUp(isDrained: isDrained)
    }

    /// A waiting request gives up. False when it was served or dropped already.
    mutating func withdraw(_ ticket: Ticket) -> Bool {
        guard let position = queue.firstIndex(of: ticket) else { return false }
        queue.remove(at: position)
        return true
    }

    /// No more requests. Returns the idle connections, to be closed, and those who wait, to be refused.
    mutating func shutDown() -> (close: [Connection], refuse: [Ticket]) {
        isShutDown = true
        let outcome = (idle.map(\.connection), queue)
        idle = []
        queue = []
        return outcome
    }

    private mutating func dequeue() -> Ticket? {
        queue.isEmpty ? nil : queue.removeFirst()
    }

    private mutating func expireIdle(at now: ContinuousClock.Instant) -> [Connection] {
        let expired = idle.prefix { $0.since.duration(to: now) > idleLimit }
        idle.removeFirst(expired.count)
        return expired.map(\.connection)
    }
}

extension PoolState: Sendable where Connection: Sendable {}
extension PoolState.Idle: Sendable where Connection: Sendable {}
extension PoolState.Grant: Sendable where Connection: Sendable {}
extension PoolState.FollowUp: Sendable where Connection: Sendable {}
