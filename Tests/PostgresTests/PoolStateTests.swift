@testable import Postgres
import TestSupport
import Testing

@Suite("The pool's bookkeeping, without sockets, clocks or tasks")
struct PoolStateTests {
    private static let start = ContinuousClock.now

    private func state(connections: Int = 2, waiters: Int = 10) -> PoolState<Int> {
        PoolState(maximumConnections: connections, maximumWaiters: waiters, idleLimit: .seconds(60))
    }

    @Test("Connections are opened up to the bound, then requests wait, then they are refused")
    func bounds() {
        var state = state(connections: 2, waiters: 1)
        for _ in 0..<2 {
            guard case .open = state.request() else {
                Issue.record("expected a place")
                return
            }
        }
        guard case .wait = state.request() else {
            Issue.record("expected to wait")
            return
        }
        guard case .refuse(.queueFull(inUse: 2, waiting: 1)) = state.request() else {
            Issue.record("expected a refusal")
            return
        }
    }

    @Test("Who came first is served first, and nobody overtakes")
    func order() {
        var state = state(connections: 1)
        _ = state.request()
        var tickets: [UInt64] = []
        for _ in 0..<3 {
            if case .wait(let ticket) = state.request() { tickets.append(ticket) }
        }
        var served: [UInt64?] = []
        for _ in 0..<3 { served.append(state.giveBack(7, at: Self.start).wake?.ticket) }
        #expect(served == tickets)
        #expect(state.idleCount == 0 && state.inUse == 1)
        let rest = state.giveBack(7, at: Self.start)
        #expect(rest.wake == nil)
        #expect(state.idleCount == 1 && state.inUse == 0)
    }

    @Test("A broken connection's place goes to the next who waits")
    func brokenPlace() {
        var state = state(connections: 1)
        _ = state.request()
        _ = state.request()
        guard case .open = state.giveUpPlace().wake?.grant else {
            Issue.record("expected a place for the waiter")
            return
        }
        #expect(state.inUse == 1)
        let rest = state.giveUpPlace()
        #expect(rest.wake == nil)
        #expect(state.inUse == 0)
    }

    @Test("A request can be withdrawn once, and only while it waits")
    func withdraw() {
        var state = state(connections: 1)
        _ = state.request()
        guard case .wait(let ticket) = state.request() else {
            Issue.record("expected to wait")
            return
        }
        let (first, second) = (state.withdraw(ticket), state.withdraw(ticket))
        #expect(first && !second)
        let rest = state.giveBack(7, at: Self.start)
        #expect(rest.wake == nil)
    }

    @Test("The warmest connection is lent first, and those that lie idle too long are closed")
    func idle() {
        var state = state(connections: 3)
        for _ in 0..<3 { _ = state.request() }
        for connection in 1...3 { _ = state.giveBack(connection, at: Self.start + .seconds(connection)) }
        guard case .use(3, _) = state.request() else {
            Issue.record("expected the last one back")
            return
        }
        let closed = state.giveBack(3, at: Self.start + .milliseconds(62_500)).close
        #expect(closed == [1, 2])
        #expect(state.idleCount == 1)
    }

    @Test("Whatever is asked in whatever order, the bound holds and nothing is lent twice", arguments: 0..<50 as Range<UInt64>)
    func anyOrder(seed: UInt64) {
        var random = RandomSource(seed: seed)
        var state = state(connections: 3, waiters: 4)
        var lent: Set<Int> = []
        var opening = 0
        var waiting: Set<UInt64> = []
        var nextConnection = 0
        func lend(_ connection: Int) {
            let isNew = lent.insert(connection).inserted
            #expect(isNew)
        }
        func handle(_ followUp: PoolState<Int>.FollowUp) {
            guard let (ticket, grant) = followUp.wake else { return }
            let wasWaiting = waiting.remove(ticket) != nil
            #expect(wasWaiting)
            switch grant {
            case .use(let connection): lend(connection)
            case .open: opening += 1
            }
        }
        for _ in 0..<500 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                switch state.request() {
                case .use(let connection, _): lend(connection)
                case .open: opening += 1
                case .wait(let ticket): waiting.insert(ticket)
                case .refuse: #expect(waiting.count == 4)
                }
            case 2 where opening > 0:
                opening -= 1
                if Bool.random(using: &random) {
                    lent.insert(nextConnection)
                    nextConnection += 1
                } else {
                    handle(state.giveUpPlace())
                }
            case 3:
                if let connection = lent.sorted().randomElement(using: &random) {
                    lent.remove(connection)
                    handle(state.giveBack(connection, at: Self.start))
                }
            case 4:
                if let connection = lent.sorted().randomElement(using: &random) {
                    lent.remove(connection)
                    handle(state.giveUpPlace())
                }
            case 5:
                if let ticket = waiting.sorted().randomElement(using: &random) {
                    waiting.remove(ticket)
                    let isWithdrawn = state.withdraw(ticket)
                    #expect(isWithdrawn)
                }
            default: break
            }
            #expect(state.inUse == lent.count + opening)
            #expect(state.inUse <= 3)
            #expect(waiting.isEmpty || state.inUse == 3, "nobody waits while there is room")
        }
    }
}
