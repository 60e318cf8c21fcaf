import Energy
import HTTPTypes
import Logging
import Postgres
import Store
import SwiftProtobuf
import TestSupport
import Testing
import Wire

@testable import Collector

/// Many agents' batches in one transaction: as if each had gone by itself.
@Suite struct ReadingsGroupTests {
    private static func record(_ batch: WireReadingsBatch) throws -> ReadingsRecord {
        try ReadingsDecoding.decode(try batch.serializedBytes())
    }

    /// Everything that batches write, host by name.
    private static func dump(_ farm: Farm) async throws -> [String] {
        try await farm.connection.query(
            Statement(
                "dump_readings",
                """
                SELECT h.name || ' knot ' || concat_ws(',', c.name, k.t, k.value, k.flags) AS line
                FROM knot k JOIN curve c USING (host_id, curve_id) JOIN host h USING (host_id)
                UNION ALL
                SELECT h.name || ' tail ' || concat_ws(',', c.name, t.t, t.value, t.complete_until, t.knot_t, t.knot_value)
                FROM curve_tail t JOIN curve c USING (host_id, curve_id) JOIN host h USING (host_id)
                UNION ALL
                SELECT DISTINCT h.name || ' mark ' || concat_ws(',', d.hour, d.reason, d.is_fresh) FROM dirty d JOIN host h USING (host_id)
                UNION ALL
                SELECT h.name || ' stream ' || concat_ws(',', s.boot_id, s.cursor_seq, encode(s.cursor_sha256, 'hex'), s.time_shift_us)
                FROM stream s JOIN host h USING (host_id)
                UNION ALL
                SELECT h.name || ' host ' || concat_ws(',', h.clock_offset_us) FROM host h
                ORDER BY 1
                """
            )
        ).map { try $0.string("line") }
    }

    private static func group(
        _ batches: [(batch: WireReadingsBatch, token: Int32)],
        _ farm: Farm
    ) async throws -> [ReadingsGroup.Result] {
        let deliveries = try batches.map { ReadingsDelivery(record: try record($0.batch), tokenID: $0.token) }
        let now = farm.clock.now
        return try await farm.connection.transaction { tx in try await ReadingsGroup.commit(deliveries, now: now, tx) }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 3, long: 60)) func aGroupWritesWhatItsBatchesWriteOneByOne(seed: Int) async throws {
        var dumps: [[String]] = []
        for isGrouped in [true, false] {
            dumps.append(
                try await Farm.with { farm in
                    var random = RandomSource(seed: UInt64(seed))
                    var reporters: [Reporter] = []
                    var tokens: [Int32] = []
                    for host in 0..<6 {
                        reporters.append(Reporter(host: "host-\(host)", incarnation: String(repeating: "\(host)", count: 32)))
                        tokens.append(try await farm.token("t\(host)", host: "host-\(host)"))
                    }
                    var joules = [Double](repeating: 0, count: 6)
                    var times = [Double](repeating: -7_200, count: 6)
                    for _ in 0..<5 {
                        var round: [(WireReadingsBatch, Int32)] = []
                        for host in 0..<6 where random.chance(0.8) {
                            var knots: [Knot] = []
                            for _ in 0..<Int.random(in: 0...5, using: &random) {
                                times[host] += Double.random(in: 0.1...900, using: &random)
                                joules[host] += Double.random(in: 0...5_000, using: &random)
                                knots.append(knot(times[host], joules[host]))
                            }
                            var batch = reporters[host].batch(energy: knots, busy: random.chance(0.5) ? [] : nil)
                            if random.chance(0.3) { batch.clockOffsetUs = Int64.random(in: -1_000...1_000, using: &random) }
                            round.append((batch, tokens[host]))
                        }
                        if isGrouped {
                            for result in try await Self.group(round, farm) {
                                guard case .done(.acknowledged) = result else {
                                    Issue.record("expected an acknowledgement, found \(result)")
                                    continue
                                }
                            }
                        } else {
                            for (batch, token) in round { _ = try await farm.commit(batch, token: token) }
                        }
                    }
                    return try await Self.dump(farm)
                }
            )
        }
        #expect(dumps[0] == dumps[1])
        #expect(dumps[0].count > 20)
    }

    @Test func whatIsWrongWithOneBatchIsNoOthersConcern() async throws {
        try await Farm.with { farm in
            var reporters = (0..<8).map { Reporter(host: "host-\($0)", incarnation: String(repeating: "\($0)", count: 32)) }
            var tokens: [Int32] = []
            for host in 0..<8 { tokens.append(try await farm.token("t\(host)", host: "host-\(host)")) }
            var first: [(WireReadingsBatch, Int32)] = []
            for host in 0..<8 { first.append((reporters[host].batch(energy: [knot(0, 0), knot(10, 500)]), tokens[host])) }
            _ = try await Self.group(first, farm)
            var second = (0..<8).map { (batch: reporters[$0].batch(energy: [knot(20, 900)]), token: tokens[$0]) }
            // Falls; names a curve that nobody announced; has a time out of reach; comes too early; is another spool's; came before.
            second[1].batch.knots = [WireKnotColumn(ref: 1, knots: [knot(20, 400)])]
            second[2].batch.knots = [WireKnotColumn(ref: 9, knots: [knot(20, 900)])]
            second[3].batch.knots = [WireKnotColumn(ref: 1, knots: [knot(1e8, 900)])]
            second[4].batch.seq = 5
            second[5].batch.seq = 1
            second[6] = (first[6].0, tokens[6])
            let results = try await Self.group(second, farm)
            let words = results.map { result in
                switch result {
                case .done(let outcome): "\(outcome)"
                case .refused(let fault): "refused \(fault.field)"
                case .unstorable: "unstorable"
                case .waits: "waits"
                }
            }
            #expect(
                words == [
                    "acknowledged(sequence: 2)", "refused knots[1].value_delta", "refused ref", "refused t_us", "expected(sequence: 2)",
                    "conflict", "acknowledged(sequence: 1)", "acknowledged(sequence: 2)",
                ]
            )
            #expect(try await farm.count("knot") == 18)
        }
    }

    @Test func aHostThatAnotherTransactionHasWaitsAndTheOthersGoOn() async throws {
        try await Farm.with { farm in
            var a = Reporter(host: "a")
            var b = Reporter(host: "b")
            let tokens = (try await farm.token("a", host: "a"), try await farm.token("b", host: "b"))
            _ = try await Self.group([(a.batch(energy: [knot(0, 0)]), tokens.0), (b.batch(energy: [knot(0, 0)]), tokens.1)], farm)
            let next = [(a.batch(energy: [knot(9, 9)]), tokens.0), (b.batch(energy: [knot(9, 9)]), tokens.1)]
            let deliveries = try next.map { ReadingsDelivery(record: try Self.record($0.0), tokenID: $0.1) }
            let now = farm.clock.now
            try await farm.connection.executeScript("BEGIN; SELECT 1 FROM host WHERE name = 'a' FOR UPDATE")
            let results = try await farm.pool.transaction { tx in try await ReadingsGroup.commit(deliveries, now: now, tx) }
            try await farm.connection.executeScript("COMMIT")
            guard case .waits = results[0], case .done(.acknowledged(2)) = results[1] else {
                Issue.record("expected a to wait and b to be acknowledged, found \(results)")
                return
            }
            guard case .done(.acknowledged(2)) = try await Self.group([next[0]], farm)[0] else {
                Issue.record("expected a to be acknowledged once its host is free")
                return
            }
        }
    }

    /// A committer for a while.
    private static func committing<T: Sendable>(
        _ farm: Farm,
        queues: [ReadingsQueue],
        _ body: @Sendable @escaping () async throws -> T
    ) async throws -> T {
        let clock = farm.clock
        let pool = farm.pool
        var log = Logger(label: "test")
        log.logLevel = .critical
        return try await withThrowingTaskGroup(of: T?.self) { tasks in
            for queue in queues {
                let committer = ReadingsCommitter(queue: queue, pool: pool, now: { clock.now }, log: log, width: 1)
                tasks.addTask {
                    try await committer.run()
                    return nil
                }
            }
            tasks.addTask { try await body() }
            defer { tasks.cancelAll() }
            while let next = try await tasks.next() { if let next { return next } }
            throw Farm.Differs(description: "the committers ended before the test did")
        }
    }

    @Test func contentThatNoCheckForesawFailsItsOwnBatchOnly() async throws {
        try await Farm.with { farm in
            let queue = ReadingsQueue()
            var reporters = (0..<5).map { Reporter(host: "host-\($0)", incarnation: String(repeating: "\($0)", count: 32)) }
            var tokens: [Int32] = []
            for host in 0..<5 {
                tokens.append(try await farm.token("t\(host)", host: "host-\(host)"))
                _ = try await farm.commit(reporters[host].batch(energy: [knot(0, 0), knot(10, 500)]), token: tokens[host])
            }
            // A knot beyond its curve's head, which no agent could have sent.
            try await farm.connection.executeScript(
                """
                INSERT INTO knot (host_id, curve_id, t, value)
                SELECT h.host_id, 1, '2026-09-01T09:00:20Z', 1 FROM host h WHERE h.name = 'host-2'
                """
            )
            let deliveries = try (0..<5).map {
                ReadingsDelivery(record: try Self.record(reporters[$0].batch(energy: [knot(20, 900)])), tokenID: tokens[$0])
            }
            let outcomes = try await Self.committing(farm, queues: [queue]) {
                await withTaskGroup(of: (Int, String).self) { tasks in
                    for (index, delivery) in deliveries.enumerated() {
                        tasks.addTask {
                            do {
                                return (index, "\(try await queue.commit(delivery))")
                            } catch let error as PostgresError {
                                return (index, error.sqlState ?? "")
                            } catch {
                                return (index, "\(error)")
                            }
                        }
                    }
                    var words = [String](repeating: "", count: deliveries.count)
                    for await (index, word) in tasks { words[index] = word }
                    return words
                }
            }
            let taken = "acknowledged(sequence: 2)"
            #expect(outcomes == [taken, taken, "23505", taken, taken])
        }
    }

    @Test func aFullQueuePutsOffAndALargeBatchStillGoesByItself() async throws {
        try await Farm.with { farm in
            let queue = ReadingsQueue(limits: ReadingsQueue.Limits(knots: 200, groupKnots: 100, groupBatches: 10))
            var reporter = Reporter(host: "a")
            let token = try await farm.token("a", host: "a")
            let large = try Self.record(reporter.batch(energy: (0..<300).map { knot(Double($0), Double($0)) }))
            var other = Reporter(host: "b")
            let small = try Self.record(other.batch(energy: [knot(0, 0)]))
            // Nobody commits yet: the large one fills the queue.
            async let first = queue.commit(ReadingsDelivery(record: large, tokenID: token))
            while queue.depth == 0 { try await Task.sleep(for: .milliseconds(1)) }
            #expect(queue.isFull)
            do {
                _ = try await queue.commit(ReadingsDelivery(record: small, tokenID: token))
                Issue.record("expected 429")
            } catch let problem as Problem {
                #expect(problem.status == .tooManyRequests)
                #expect(problem.fields[.retryAfter] == "1")
            }
            _ = try await Self.committing(farm, queues: [queue]) {
                while queue.knots > 0 { try await Task.sleep(for: .milliseconds(1)) }
            }
            #expect(try await first == .acknowledged(sequence: 1))
        }
    }

    /// Agents whose answers get lost, that repeat, rewind and start again from an old number, through two collectors at once.
    @Test(arguments: 0..<LongRun.rounds(short: 4, long: 100)) func whateverIsLostOrRepeatedTheEnergyIsWhatWasSent(seed: Int) async throws {
        try await Farm.with { farm in
            let queues = [ReadingsQueue(), ReadingsQueue()]
            var agents: [(batches: [WireReadingsBatch], token: Int32, last: Knot)] = []
            var random = RandomSource(seed: UInt64(seed))
            for host in 0..<5 {
                var reporter = Reporter(host: "host-\(host)", incarnation: String(repeating: "\(host)", count: 32))
                let token = try await farm.token("t\(host)", host: "host-\(host)")
                var batches: [WireReadingsBatch] = []
                var last = knot(-3_000, 0)
                for _ in 0..<Int.random(in: 3...10, using: &random) {
                    var knots: [Knot] = []
                    for _ in 0..<Int.random(in: 1...6, using: &random) {
                        last.time = last.time + Microseconds(Int64.random(in: 1...60_000_000, using: &random))
                        last.value += Int64.random(in: 0...9_000_000_000, using: &random)
                        knots.append(last)
                    }
                    batches.append(reporter.batch(energy: knots))
                }
                agents.append((batches, token, last))
            }
            let sent = agents
            try await Self.committing(farm, queues: queues) {
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for (number, agent) in sent.enumerated() {
                        tasks.addTask {
                            var random = RandomSource(seed: UInt64(seed * 100 + number))
                            try await Self.deliver(agent.batches, token: agent.token, over: queues, &random)
                        }
                    }
                    try await tasks.waitForAll()
                }
            }
            for (number, agent) in sent.enumerated() {
                let row = try await farm.connection.query(
                    Statement(
                        "sent_energy",
                        """
                        SELECT count(*) AS n, max(value) AS most, max(t) AS last FROM knot k JOIN host h USING (host_id) WHERE h.name = $1
                        """
                    ),
                    [.text("host-\(number)")]
                ).only()
                let knots = try agent.batches.flatMap { try $0.knots.flatMap { try $0.knots() } }
                #expect(try row.int64("n") == Int64(knots.count))
                #expect(try row.int64("most") == agent.last.value)
                #expect(try row.timestampMicroseconds("last") == agent.last.time.microseconds)
            }
            #expect(try await farm.count("gap") == 0)
        }
    }

    /// An agent that loses one answer in four, now and then repeats or skips, and goes where it is told to.
    private static func deliver(
        _ batches: [WireReadingsBatch],
        token: Int32,
        over queues: [ReadingsQueue],
        _ random: inout RandomSource
    ) async throws {
        var next = 1
        while next <= batches.count {
            var sequence = next
            if random.chance(0.15) { sequence = Int.random(in: 1...batches.count, using: &random) }
            let delivery = ReadingsDelivery(record: try record(batches[sequence - 1]), tokenID: token)
            let queue = queues[Int.random(in: 0..<queues.count, using: &random)]
            let outcome: ReadingsOutcome
            if random.chance(0.1) {
                // Both collectors have it at once: a proxy that tried again.
                async let one = queues[0].commit(delivery)
                async let two = queues[1].commit(delivery)
                (outcome, _) = (try await one, try await two)
            } else {
                outcome = try await queue.commit(delivery)
            }
            if random.chance(0.25) { continue }
            switch outcome {
            case .acknowledged(let taken): next = Int(taken) + 1
            case .expected(let expected): next = Int(expected)
            // An old batch again: the collector has later ones.
            case .conflict: #expect(sequence < batches.count)
            case .otherMachine: Issue.record("one machine was taken for two")
            }
        }
    }
}
