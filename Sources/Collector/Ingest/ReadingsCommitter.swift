import Energy
import Logging
import Postgres
import ServiceLifecycle
import Store

/// Commits agents' batches in groups: while one group is on its way to the disk, the next one gathers.
struct ReadingsCommitter: Service {
    let queue: ReadingsQueue
    let pool: PostgresPool
    let now: @Sendable () -> Timestamp
    let log: Logger
    /// Groups at a time: while one waits for the disk the other copies.
    var width = 2

    /// How long a batch waits that another collector has at the moment.
    private static let pause = Duration.milliseconds(10)

    func run() async throws {
        await withGracefulShutdownHandler {
            await withTaskGroup(of: Void.self) { tasks in
                for _ in 0..<width {
                    tasks.addTask { while let group = await queue.next() { await commit(group) } }
                }
            }
        } onGracefulShutdown: {
            // HTTP has ended before: nobody is left who could bring more.
            queue.drain()
        }
        queue.close()
    }

    private func commit(_ group: [ReadingsQueue.Entry]) async {
        var postponed: [ReadingsQueue.Entry] = []
        do {
            let results = try await results(group.map(\.delivery))
            for (entry, result) in zip(group, results) {
                if case .waits = result { postponed.append(entry) } else { Self.answer(entry, result) }
            }
        } catch let error as PostgresError where (error.isContentFault || error.isRetryable) && group.count > 1 {
            log.notice("a group is committed one by one", metadata: ["batches": "\(group.count)", "error": "\(error)"])
            for entry in group { if await !commitAlone(entry) { postponed.append(entry) } }
        } catch let error as PostgresError where error.isRetryable {
            postponed = group
        } catch {
            for entry in group { entry.resume(.failure(error)) }
        }
        if postponed.count == group.count {
            // Cancelled, the queue is closed and takes nothing back: its entries are answered there.
            do { try await Task.sleep(for: Self.pause) } catch is CancellationError {} catch { log.error("\(error)") }
        }
        queue.finish(group, postponed: postponed)
    }

    /// What one batch does is its own: no other can fail with it. False where it has to wait.
    private func commitAlone(_ entry: ReadingsQueue.Entry) async -> Bool {
        do {
            guard let result = try await results([entry.delivery]).first else { return false }
            if case .waits = result { return false }
            Self.answer(entry, result)
        } catch let error as PostgresError where error.isRetryable {
            return false
        } catch {
            entry.resume(.failure(error))
        }
        return true
    }

    private func results(_ deliveries: [ReadingsDelivery]) async throws -> [ReadingsGroup.Result] {
        let now = now()
        return try await pool.withConnection { connection in
            try await connection.transaction { tx in try await ReadingsGroup.commit(deliveries, now: now, tx) }
        }
    }

    private static func answer(_ entry: ReadingsQueue.Entry, _ result: ReadingsGroup.Result) {
        switch result {
        case .done(let outcome): entry.resume(.success(outcome))
        case .refused(let fault): entry.resume(.failure(fault))
        case .unstorable(let error): entry.resume(.failure(error))
        case .waits: break
        }
    }
}
