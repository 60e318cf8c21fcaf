import Energy
import Postgres
import Store

/// In which order one round of a worker takes what waits.
///
/// Of four runs three are of fresh marks, where there are any, and one is the next of the oldest marks whatever they are: somebody waits
/// for a late knot or span, and it must not stand behind the hundred thousand hours that a revised factor marks; nor must those stand
/// still while new ones keep coming. Fresh marks are looked for anew before each run, so one waits for no more than the runs that are
/// being made.
struct WaitingLine {
    /// Runs in a round: then the worker looks around for other work.
    private static let longestRound = 64
    private static let freshOfFour = 3

    private let pool: PostgresPool
    /// Nil until they were looked for.
    private var bulk: [WorkQueue.Run]?
    private var taken = 0
    /// Hosts that this round has in hand, and those that another worker has.
    private var inHand: Set<Int32> = []
    private var passedOver: Set<Int32> = []

    init(pool: PostgresPool) { self.pool = pool }

    /// Nil at the round's end, and while all that waits is in hand.
    mutating func next() async throws -> WorkQueue.Run? {
        guard taken < Self.longestRound else { return nil }
        var run: WorkQueue.Run?
        if taken % (Self.freshOfFour + 1) < Self.freshOfFour { run = try await nextFresh() }
        if run == nil { run = try await nextBulk() }
        if run == nil { run = try await nextFresh() }
        guard let run else { return nil }
        taken += 1
        inHand.insert(run.hostID)
        return run
    }

    /// - Parameter accounted: 0: somebody else has the host; it is passed over until others are done.
    mutating func finish(_ run: WorkQueue.Run, accounted: Int) {
        inHand.remove(run.hostID)
        if accounted == 0 { passedOver.insert(run.hostID) } else { passedOver.removeAll() }
    }

    private mutating func nextFresh() async throws -> WorkQueue.Run? {
        let except = inHand.union(passedOver)
        return try await pool.withConnection { try await WorkQueue.runs(.fresh, limit: 1, except: except, $0) }.first
    }

    /// They are as many as a round can hold, so they are looked for once.
    private mutating func nextBulk() async throws -> WorkQueue.Run? {
        if bulk == nil { bulk = try await pool.withConnection { try await WorkQueue.runs(.bulk, limit: Self.longestRound, $0) } }
        guard let place = bulk?.firstIndex(where: { !inHand.contains($0.hostID) && !passedOver.contains($0.hostID) }) else { return nil }
        return bulk?.remove(at: place)
    }
}
