import Accounting
import Energy
import Logging
import Postgres
import Store
import Testing

@testable import Collector

/// Whoever waits for a late knot or span does not wait for the hundred thousand hours that something else marks.
@Suite struct WorkQueueTests {
    /// Hosts without any readings, each with so many hours marked at once.
    private static func markBulk(hosts: Int, hours: Int, _ farm: Farm) async throws {
        try await farm.connection.executeScript(
            """
            INSERT INTO host (name) SELECT 'bulk-' || n FROM generate_series(1, \(hosts)) AS n;
            INSERT INTO dirty (host_id, hour, reason)
            SELECT host_id, timestamptz '2026-09-01T09:00:00Z' - n * interval '1 hour', 'test' FROM host, generate_series(1, \(hours)) AS n;
            """
        )
        farm.clock.now = at(7_300)
    }

    private static func mark(_ hostID: Int32, as urgency: WorkQueue.Urgency = .fresh, _ farm: Farm) async throws {
        try await WorkQueue.mark(hostID: hostID, hours: [at(0).hour], now: farm.clock.now, reason: "test", as: urgency, farm.connection)
    }

    @Test func ofFourRunsThreeAreFreshAndOneIsTheOldestWhateverItIs() async throws {
        try await Farm.with { farm in
            try await Self.markBulk(hosts: 20, hours: 100, farm)
            for host in 11...20 { try await Self.mark(Int32(host), farm) }
            var line = WaitingLine(pool: farm.pool)
            var order: [Int32] = []
            for _ in 0..<8 {
                let run = try #require(try await line.next())
                order.append(run.hostID)
                // A fresh mark's run has none of what was marked with a thousand others.
                if run.hostID > 10 { #expect(run.hours == [at(0).hour]) } else { #expect(run.hours.count == 48) }
            }
            #expect(order == [11, 12, 13, 1, 14, 15, 16, 2])
        }
    }

    @Test func aFreshMarkThatComesWhileTheBulkIsWorkedOnIsNext() async throws {
        try await Farm.with { farm in
            try await Self.markBulk(hosts: 20, hours: 100, farm)
            var line = WaitingLine(pool: farm.pool)
            var order: [Int32] = []
            for turn in 0..<5 {
                if turn == 2 { try await Self.mark(15, farm) }
                let run = try #require(try await line.next())
                order.append(run.hostID)
                if turn == 2 {
                    // Done; a host's next fresh mark is not passed over for having been there already.
                    let connection = farm.connection
                    let ids = try await connection.transaction { tx in try await WorkQueue.take(run, tx).values.flatMap(\.self) }
                    try await WorkQueue.finish(ids: ids, connection)
                    line.finish(run, accounted: 1)
                    try await Self.mark(15, farm)
                }
            }
            #expect(order == [1, 2, 15, 3, 15])
        }
    }

    @Test func manyMarksAtOnceAreNobodysSingleLateKnot() async throws {
        try await Farm.with { farm in
            try await Self.markBulk(hosts: 1, hours: 0, farm)
            let hours = (1...25).map { Hour(number: at(0).hour.number - $0) }
            try await WorkQueue.mark(hostID: 1, hours: hours, now: farm.clock.now, reason: "test", farm.connection)
            try await Self.mark(1, as: .bulk, farm)
            #expect(try await WorkQueue.runs(.fresh, limit: 8, farm.connection).isEmpty)
            #expect(try await WorkQueue.runs(.bulk, limit: 8, farm.connection).map(\.hours.count) == [26])
        }
    }

    @Test func aHostThatAnotherWorkerHasIsPassedOverAndTheRoundEnds() async throws {
        try await Farm.with { farm in
            try await Self.markBulk(hosts: 3, hours: 2, farm)
            try await Self.mark(2, farm)
            var log = Logger(label: "test")
            log.logLevel = .critical
            let worker = AccountingWorker(
                pool: farm.pool,
                log: log,
                now: { [clock = farm.clock] in clock.now },
                metrics: CollectorMetrics()
            )
            try await farm.connection.transaction { tx in
                let taken = try await WorkQueue.take(WorkQueue.Run(hostID: 2, hours: [at(0).hour]), tx)
                #expect(taken.count == 1)
                #expect(try await worker.accountMarkedHours() == 4)
                #expect(try await worker.accountMarkedHours() == 0)
            }
            #expect(try await worker.accountMarkedHours() == 3)
            #expect(try await farm.count("dirty") == 0)
        }
    }

    @Test func aLateSpanIsSettledWithinASecondBehindAHundredThousandMarks() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            try await farm.account()
            try await Self.markBulk(hosts: 1_000, hours: 100, farm)
            var log = Logger(label: "test")
            log.logLevel = .critical
            let worker = AccountingWorker(
                pool: farm.pool,
                log: log,
                now: { [clock = farm.clock] in clock.now },
                metrics: CollectorMetrics()
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await worker.run() }
                // Well within the work on what was marked at once.
                while try await farm.count("accounted_hour") < 100 { try await Task.sleep(for: .milliseconds(5)) }
                let job = try await farm.post(AccountsTests.job)
                let start = ContinuousClock.now
                while try await Self.statement(job.jobID, farm) == nil, ContinuousClock.now - start < .seconds(20) {
                    try await Task.sleep(for: .milliseconds(5))
                }
                #expect(ContinuousClock.now - start < .seconds(1))
                // The bulk goes on meanwhile, and most of it still waits.
                #expect(try await farm.count("dirty") > 10_000)
                group.cancelAll()
            }
        }
    }

    /// In one step: a worker may settle its hours at any moment.
    private static func statement(_ jobID: String, _ farm: Farm) async throws -> String? {
        try await FootprintReader(farm.connection, now: farm.clock.now, policy: .reserved)
            .settledFootprint(jobID: jobID, for: .everything)?.statement?.digest
    }
}
