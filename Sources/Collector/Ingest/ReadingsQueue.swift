import HTTPTypes
import Store
import Synchronization

/// Decoded batches that wait for a committer, bounded by what they hold in memory.
///
/// A group takes at most one batch of a host, and a host's next one waits until its last is committed: what a host sends twice meets itself
/// in order, and no committer waits for a row that another one of this collector has.
final class ReadingsQueue: Sendable {
    struct Entry: Sendable {
        let delivery: ReadingsDelivery
        let weight: Int
        fileprivate let answer: CheckedContinuation<ReadingsOutcome, any Error>

        func resume(_ result: Result<ReadingsOutcome, any Error>) { answer.resume(with: result) }
    }

    struct Limits: Sendable {
        /// Knots that wait or are being committed; a knot takes 24 bytes, and 48 more on its way into the database.
        var knots = 400_000
        /// Of one group.
        var groupKnots = 64_000
        var groupBatches = 512
    }

    private struct State {
        var waiting: [Entry] = []
        var weight = 0
        /// Hosts whose batch is being committed.
        var busy: Set<String> = []
        var sleepers: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextSleeper = 0
        var isClosed = false
        var isDraining = false
    }

    private let limits: Limits
    private let state = Mutex(State())

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Batches that wait.
    var depth: Int { state.withLock { $0.waiting.count } }
    var knots: Int { state.withLock { $0.weight } }
    var isFull: Bool { state.withLock { $0.weight >= limits.knots } }

    /// What a batch counts as, in knots.
    static func weight(of record: ReadingsRecord) -> Int {
        record.knotCount + 4 * record.tails.count
            + 20 * (1 + record.announcements.count + record.gaps.count + record.workloads.count)
    }

    /// Waits until the batch is committed or refused.
    ///
    /// - Throws: `ReadingsFault`, `PostgresError`, or `Problem` 429 where the queue is full.
    func commit(_ delivery: ReadingsDelivery) async throws -> ReadingsOutcome {
        try await withCheckedThrowingContinuation { continuation in
            let entry = Entry(delivery: delivery, weight: Self.weight(of: delivery.record), answer: continuation)
            let (problem, sleepers) = state.withLock { state -> (Problem?, [CheckedContinuation<Void, Never>]) in
                if state.isClosed { return (Self.stopping, []) }
                // One that is larger than the limit by itself goes when nothing else waits.
                if state.weight > 0, state.weight + entry.weight > limits.knots { return (Problem.busy, []) }
                state.weight += entry.weight
                state.waiting.append(entry)
                return (nil, Self.wake(&state))
            }
            for sleeper in sleepers { sleeper.resume() }
            if let problem { continuation.resume(throwing: problem) }
        }
    }

    /// The next group; waits for one. Nil once the queue is closed, or drains and is empty.
    func next() async -> [Entry]? {
        while true {
            let (group, isOver) = state.withLock { state -> ([Entry], Bool) in
                let group = state.isClosed ? [] : takeGroup(&state)
                return (group, state.isClosed || (state.isDraining && state.waiting.isEmpty && group.isEmpty))
            }
            if !group.isEmpty { return group }
            if isOver { return nil }
            await sleep()
        }
    }

    /// The batches of a group have their answers; those that could not go yet come to the front.
    func finish(_ group: [Entry], postponed: [Entry]) {
        let (lost, sleepers) = state.withLock { state in
            for entry in group { state.busy.remove(entry.delivery.record.hostName) }
            state.weight -= group.reduce(0) { $0 + $1.weight } - postponed.reduce(0) { $0 + $1.weight }
            if !state.isClosed { state.waiting.insert(contentsOf: postponed, at: 0) }
            return (state.isClosed ? postponed : [], Self.wake(&state))
        }
        for sleeper in sleepers { sleeper.resume() }
        for entry in lost { entry.resume(.failure(Self.stopping)) }
    }

    /// No more will come: committers end once all that wait are done.
    func drain() {
        let sleepers = state.withLock { state in
            state.isDraining = true
            return Self.wake(&state)
        }
        for sleeper in sleepers { sleeper.resume() }
    }

    /// Refuses all that wait and all that come.
    func close() {
        let (waiting, sleepers) = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return (state.waiting, Self.wake(&state))
        }
        for sleeper in sleepers { sleeper.resume() }
        for entry in waiting { entry.resume(.failure(Self.stopping)) }
    }

    private func takeGroup(_ state: inout State) -> [Entry] {
        var group: [Entry] = []
        var rest: [Entry] = []
        var knots = 0
        // A host's batches stay in order: one that is passed over holds back those behind it.
        var passed: Set<String> = []
        for (index, entry) in state.waiting.enumerated() {
            if group.count == limits.groupBatches || (knots >= limits.groupKnots && !group.isEmpty) {
                rest += state.waiting[index...]
                break
            }
            let host = entry.delivery.record.hostName
            let fits = group.isEmpty || knots + entry.weight <= limits.groupKnots
            guard fits, !passed.contains(host), state.busy.insert(host).inserted else {
                passed.insert(host)
                rest.append(entry)
                continue
            }
            knots += entry.weight
            group.append(entry)
        }
        state.waiting = rest
        return group
    }

    private func sleep() async {
        let number = state.withLock { state in
            state.nextSleeper += 1
            return state.nextSleeper
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isAwake = state.withLock { state in
                    // Something came between looking and lying down.
                    let isAwake = Task.isCancelled || state.isClosed || state.isDraining && state.waiting.isEmpty || canTake(state)
                    if !isAwake { state.sleepers[number] = continuation }
                    return isAwake
                }
                if isAwake { continuation.resume() }
            }
        } onCancel: {
            close()
        }
    }

    private func canTake(_ state: State) -> Bool { state.waiting.contains { !state.busy.contains($0.delivery.record.hostName) } }

    private static func wake(_ state: inout State) -> [CheckedContinuation<Void, Never>] {
        defer { state.sleepers = [:] }
        return Array(state.sleepers.values)
    }

    private static let stopping = Problem(
        type: "stopping",
        title: "The collector stops",
        detail: "try again in a few seconds",
        status: .serviceUnavailable,
        fields: [.retryAfter: "2"]
    )
}

extension Problem {
    /// More comes than can be committed.
    static let busy = Problem(
        type: "busy",
        title: "Too much at once",
        detail: "expected less to be under way; try again after the time in Retry-After",
        status: .tooManyRequests,
        fields: [.retryAfter: "1"]
    )
}
