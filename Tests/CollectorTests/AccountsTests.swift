import Accounting
import Carbon
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
import Wire
@testable import Collector

@Suite struct AccountsTests {
    /// 100 W for an hour, 20 W of it idle, half the host's 4 CPUs busy.
    static func hour(_ reporter: inout Reporter) -> WireReadingsBatch {
        reporter.batch(
            energy: [knot(0, 0), knot(3_600, 360_000)],
            busy: [Knot(time: at(0), value: 0), Knot(time: at(3_600), value: 7_200_000_000)]
        )
    }

    static let job = """
        {"id": "1", "host": "bremusa", "started_at": "2026-09-01T09:10:00Z", "finished_at": "2026-09-01T09:20:00Z", "cpu_share": 0.25, "job": "build"}
        """

    @Test func aJobsFootprintIsTheNumberThatOneComputesByHand() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            let job = try await farm.post(Self.job)
            farm.clock.now = at(3_700)
            let live = try #require(try await farm.footprint(job.jobID))
            try await farm.account()
            let settled = try #require(try await farm.footprint(job.jobID))
            for footprint in [live, settled] {
                #expect(footprint.state == .final)
                // 600 s x 80 W x 0.25/0.5 dynamic; 600 s x 20 W x 0.25 reserved.
                #expect(footprint.energy?.dynamic.microjoules == 24_000_000_000)
                #expect(footprint.energy?.idle.microjoules == 3_000_000_000)
                #expect(footprint.energy?.coverage == 1)
                #expect(footprint.share?.method == .declared)
                #expect(footprint.share?.mean == 0.25)
                #expect(footprint.intensity?.zone == "FR")
                let grams = 27_000_000_000 / 3.6e12 * footprint.intensity!.gramsPerKilowattHour
                #expect(abs(footprint.locationGrams!.best - grams) < 1e-9)
            }
            #expect(live.hasOpenHour && !settled.hasOpenHour)
            // Of a job that owns no cgroup nothing more is written.
            #expect(try await farm.count("ownership") == 0)
            #expect(farm.settledFootprints == 1)
        }
    }

    @Test func spansFirstOrReadingsFirstOrLatePartsGiveTheSameLedger() async throws {
        var ledgers: [[String]] = []
        for order in 0..<3 {
            try await Farm.with { farm in
                farm.clock.now = at(4_000)
                let token = try await farm.token("a", host: "bremusa")
                var reporter = Reporter(host: "bremusa")
                let batches = [
                    reporter.batch(energy: [knot(0, 0), knot(1_000, 90_000)], busy: [knot(0, 0), knot(1_000, 1_500)]),
                    reporter.batch(energy: [knot(2_000, 190_000), knot(3_600, 360_000)], busy: [knot(3_600, 7_200)]),
                ]
                let started = #"{"id": "1", "host": "bremusa", "started_at": "2026-09-01T09:10:00Z"}"#
                switch order {
                case 0:
                    for batch in batches { _ = try await farm.commit(batch, token: token) }
                    try await farm.post(Self.job)
                    try await farm.account()
                case 1:
                    try await farm.post(Self.job)
                    try await farm.post(started)
                    try await farm.account()
                    for batch in batches {
                        _ = try await farm.commit(batch, token: token)
                        try await farm.account()
                    }
                default:
                    _ = try await farm.commit(batches[0], token: token)
                    try await farm.post(started)
                    try await farm.account()
                    _ = try await farm.commit(batches[1], token: token)
                    try await farm.account()
                    try await farm.post(Self.job)
                    try await farm.account()
                }
                #expect(try await farm.count("dirty") == 0)
                ledgers.append(try await farm.ledger())
            }
        }
        #expect(ledgers[0].count == 2)
        #expect(ledgers[0] == ledgers[1])
        #expect(ledgers[0] == ledgers[2])
    }

    @Test func aThousandSpansForAnUnknownHostAreJoinedWhenItAppears() async throws {
        func spans(_ farm: Farm) async throws {
            for i in 0..<1_000 {
                let start = RFC3339.format(at(Double(i) * 3))
                let end = RFC3339.format(at(Double(i) * 3 + 10))
                try await farm.post(
                    #"{"id": "\#(i)", "host": "bremusa", "started_at": "\#(start)", "finished_at": "\#(end)", "cpu_share": 0.1}"#
                )
            }
        }
        let late = try await Farm.with { farm in
            farm.clock.now = at(4_000)
            try await spans(farm)
            let waiting = try #require(try await farm.footprint(SpanKey(source: "ci", instance: "", id: "7", attempt: 1).jobID))
            #expect(waiting.state == .unattributed)
            #expect(waiting.missing.contains { $0.field == "energy" && $0.reason == "host_unknown" })
            #expect(try await farm.count("host") == 0)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            try await farm.account()
            #expect(try await farm.count("span") == 1_000)
            return try await farm.ledger()
        }
        let early = try await Farm.with { farm in
            farm.clock.now = at(4_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            try await spans(farm)
            try await farm.account()
            return try await farm.ledger()
        }
        // Who gets a rounded µJ goes by the jobs' ids, not by the order in which they were joined.
        #expect(late == early)
        #expect(late.count > 1_000)
    }

    @Test func aSpanThatMovesLeavesItsOldHost() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            for name in ["bremusa", "other"] {
                let token = try await farm.token(name, host: name)
                var reporter = Reporter(host: name)
                _ = try await farm.commit(Self.hour(&reporter), token: token)
            }
            let job = try await farm.post(Self.job)
            try await farm.account()
            try await farm.post(Self.job.replacing("\"bremusa\"", with: "\"other\", \"revision\": 2"))
            try await farm.account()
            let footprint = try #require(try await farm.footprint(job.jobID))
            #expect(footprint.hostName == "other")
            #expect(footprint.energy?.dynamic.microjoules == 24_000_000_000)
            let lines = try await farm.ledger()
            #expect(lines.contains { $0.hasPrefix("bremusa") && $0.contains("360000000000,0,288000000000,0,72000000000,0,0,0,0") })
        }
    }

    @Test func aDeletedSpanIsGoneForGood() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            let job = try await farm.post(Self.job)
            try await farm.account()
            let intake = SpanIntake(now: { at(4_000) })
            #expect(
                try await farm.connection.transaction { try await intake.delete(jobID: job.jobID, source: "someone-else", $0) } == false
            )
            #expect(try await farm.connection.transaction { try await intake.delete(jobID: job.jobID, source: "ci", $0) })
            try await farm.post(Self.job)
            try await farm.account()
            #expect(try await farm.footprint(job.jobID) == nil)
            #expect(try await farm.count("slice") == 0)
        }
    }

    @Test func theDatabaseRefusesAHostHourThatDoesNotAddUp() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            try await farm.post(Self.job)
            farm.clock.now = at(3_700)
            try await farm.account()
            for (constraint, sql) in [
                ("conservation", "UPDATE host_hour SET idle_uj = idle_uj + 1"),
                ("slices_add_up", "UPDATE host_hour SET job_dynamic_uj = job_dynamic_uj - 1, system_uj = system_uj + 1"),
                ("slices_add_up", "UPDATE slice SET dynamic_uj = dynamic_uj + 1"),
                ("slices_add_up", "UPDATE slice SET idle_reserved_uj = idle_reserved_uj + 1"),
                ("slices_add_up", "DELETE FROM slice"),
                ("slices_add_up", "DELETE FROM host_hour"),
                ("slices_add_up", "DELETE FROM host_hour; DELETE FROM slice WHERE false"),
                ("slices_add_up", "UPDATE slice SET hour = hour + interval '1 hour'"),
                ("slices_add_up", "UPDATE host_hour SET hour = hour + interval '1 hour'"),
                (
                    "slices_add_up",
                    """
                    CREATE TEMP TABLE copied AS SELECT * FROM stored_slice; UPDATE copied SET span_id = 99;
                    INSERT INTO stored_slice SELECT * FROM copied
                    """
                ),
                ("slices_add_up", "UPDATE host_hour SET flags = 0; DELETE FROM slice"),
                ("slices_add_up", "BEGIN; DELETE FROM host_hour; COMMIT"),
                ("intensity_is_kept", "DELETE FROM intensity"),
                ("co2e_all_or_none", "UPDATE host_hour SET co2e_idle_ug = NULL"),
                ("co2e_conservation", "UPDATE host_hour SET co2e_ug = co2e_ug + 1"),
                ("host_hour_idle_busy_uj_check", "UPDATE host_hour SET idle_busy_uj = idle_uj + 1"),
            ] {
                do {
                    try await farm.connection.executeScript(sql)
                    Issue.record("\(sql) was taken")
                } catch let error as PostgresError {
                    #expect(error.isCheckViolation)
                    #expect(error.constraintName == constraint || constraint.hasSuffix("_check"), "\(sql): \(error)")
                }
            }
        }
    }

    @Test func aSliceNamesNoIntensityThatIsNotThere() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            try await farm.post(Self.job)
            farm.clock.now = at(3_700)
            try await farm.account()
            await #expect(throws: PostgresError.self) {
                try await farm.connection.executeScript("UPDATE slice SET intensity_id = 999999")
            }
            // Both of one hour go together, the ledger's row first.
            try await farm.connection.executeScript("DELETE FROM host_hour; DELETE FROM slice")
            #expect(try await farm.count("slice") == 0)
        }
    }

    @Test func aBadHourIsFoundAmongManyAndTheOthersAreAccounted() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(40_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let knots = (0...10).map { knot(Double($0) * 3_600, Double($0) * 360_000) }
            _ = try await farm.commit(reporter.batch(energy: knots), token: token)
            // A gap whose cause is none of ours reaches into the fourth hour only.
            try await farm.connection.executeScript(
                """
                INSERT INTO gap (host_id, curve_id, from_t, to_t, low, high, cause)
                VALUES (1, 1, '2026-09-01T12:10:00Z', '2026-09-01T12:20:00Z', 0, 1, 'odd')
                """
            )
            try await farm.account()
            #expect(try await farm.count("poisoned_hour") == 1)
            #expect(try await farm.count("accounted_hour") == 10)
            #expect(try await farm.count("dirty") == 0)
            let error = try await farm.connection.query(Statement("poison", "SELECT hour, error FROM poisoned_hour")).only()
            #expect(try error.timestampMicroseconds("hour") == at(10_800).microseconds)
            #expect(try error.string("error").contains("odd"))
        }
    }

    @Test func anHourThatCannotBeAccountedIsSetAsideAndStopsNobody() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            for name in ["bad", "good"] {
                let token = try await farm.token(name, host: name)
                var reporter = Reporter(host: name)
                _ = try await farm.commit(Self.hour(&reporter), token: token)
            }
            try await farm.connection.executeScript(
                "ALTER TABLE curve DROP CONSTRAINT curve_quality_check; UPDATE curve SET quality = 'odd' WHERE host_id = 1"
            )
            try await farm.account()
            #expect(try await farm.count("poisoned_hour") == 1)
            #expect(try await farm.ledger().contains { $0.hasPrefix("good") })
            // Who asks for its hours is told, and has the others.
            let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: .reserved)
            let host = try #require(try await HostTable.find(id: 1, farm.connection))
            let hours = try await reader.hours(host: host, interval: Interval(at(0), at(3_600)), withJobs: true)
            #expect(hours.map(\.state) == [.setAside])
            let answer = hours[0].json(parts: [:], sources: [:]).object
            #expect(answer?["state"] == "set_aside" && answer?["metered_uj"] == .null)
            try await farm.connection.executeScript("UPDATE curve SET quality = 'measured' WHERE host_id = 1")
            try await WorkQueue.mark(hostID: 1, hours: [at(0).hour], now: farm.clock.now, reason: "test", farm.connection)
            try await farm.account()
            #expect(try await farm.count("poisoned_hour") == 0)
        }
    }

    @Test func theTimerFindsHoursThatNobodyMarked() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            farm.clock.now = at(1_800)
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0), knot(1_700, 90_000)]), token: token)
            #expect(try await farm.count("dirty") == 0)
            #expect(try await WorkQueue.markForgotten(now: at(3_800), farm.connection) == 0)
            #expect(try await WorkQueue.markForgotten(now: at(3_901), farm.connection) == 1)
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 4, long: 200)) func randomFarmsConserveThroughTheDatabaseAfterAnyOrderOfArrival(seed: Int)
        async throws
    {
        try await Farm.with { farm in
            var random = RandomSource(seed: UInt64(seed))
            farm.clock.now = at(20_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var time = Double.random(in: 0...1_000, using: &random)
            var energy = 0.0
            var busy = 0.0
            var batches: [WireReadingsBatch] = []
            for _ in 0..<8 {
                var knots: [Knot] = []
                var busyKnots: [Knot] = []
                for _ in 0..<10 {
                    time += Double.random(in: 0.5...200, using: &random)
                    energy += Double.random(in: 0...10_000, using: &random)
                    busy += Double.random(in: 0...200, using: &random)
                    knots.append(knot(time, energy))
                    busyKnots.append(knot(time, busy))
                }
                batches.append(reporter.batch(energy: knots, busy: busyKnots))
            }
            var steps: [Int] = Array(repeating: -1, count: batches.count) + Array(0..<40)
            steps.shuffle(using: &random)
            for step in steps {
                if step < 0 {
                    _ = try await farm.commit(batches.removeFirst(), token: token)
                } else {
                    let start = Double.random(in: 0...12_000, using: &random)
                    let end = start + Double.random(in: 0...4_000, using: &random)
                    try await farm.post(
                        #"{"id": "\#(step)", "host": "bremusa", "started_at": "\#(RFC3339.format(at(start)))", "finished_at": "\#(RFC3339.format(at(end)))"}"#
                    )
                }
                if random.chance(0.2) { try await farm.account() }
            }
            try await farm.account()
            let sums = try await farm.connection.query(
                Statement(
                    "sums",
                    """
                    SELECT sum(metered_uj)::int8 AS metered, (SELECT max(value) - min(value) FROM knot WHERE curve_id = 1) AS counted,
                        bool_and(metered_uj = job_dynamic_uj + system_uj + agent_uj + idle_uj + unknown_uj) AS adds_up FROM host_hour
                    """
                )
            ).only()
            #expect(try sums.int64("metered") == sums.int64("counted"))
            #expect(try sums.bool("adds_up"))
        }
    }

    @Test func aSpanWhoseEndWasLostStopsTakingAShare() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.hour(&reporter), token: token)
            let lost = try await farm.post(#"{"id": "lost", "host": "bremusa", "started_at": "2026-08-01T00:00:00Z"}"#)
            let open = try await farm.post(#"{"id": "open", "host": "bremusa", "started_at": "2026-09-01T08:00:00Z", "cpu_share": 0.25}"#)
            try await farm.account()
            let ledger = try await farm.ledger()
            #expect(!ledger.contains { $0.contains(lost.jobID) && $0.contains("2026-09-01") })
            #expect(ledger.contains { $0.contains(open.jobID) && $0.contains("2026-09-01 09") })
        }
    }

    @Test func aLateTailAloneMovesAnHourThatWasSettled() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0), knot(500, 50_000)]), token: token)
            try await farm.account()
            var late = reporter.batch(energy: [])
            var tail = WireTail()
            (tail.ref, tail.tUs, tail.value, tail.completeUntilUs) = (1, at(1_500).microseconds, 150_000_000_000, at(1_500).microseconds)
            late.tails = [tail]
            _ = try await farm.commit(late, token: token)
            try await farm.account()
            #expect(try await farm.ledger().contains { $0.contains("cpu 150000000000,") })
        }
    }

    @Test func aSpanWhoseCgroupHasDiedUsesNothingInTheHoursAfter() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var batch = reporter.batch(
                energy: [knot(0, 0), knot(3_600, 360_000), knot(7_200, 720_000)],
                busy: [knot(0, 0), knot(3_600, 3_600), knot(7_200, 7_200)]
            )
            var curve = Reporter.busy(ref: 3, origin: 7)
            (curve.name, curve.kind) = ("cgroup/job#1", .workloadCpu)
            batch.curves.append(curve)
            batch.knots.append(WireKnotColumn(ref: 3, knots: [knot(600, 0), knot(1_800, 600)]))
            var tail = WireTail()
            (tail.ref, tail.tUs, tail.value, tail.completeUntilUs, tail.closed) = (
                3, at(1_800).microseconds, 600_000_000, at(1_800).microseconds, true
            )
            batch.tails.append(tail)
            var workload = WireWorkloadChange()
            (workload.ref, workload.cgroup, workload.bornUs, workload.diedUs, workload.spanKey) = (
                3, "/job", at(600).microseconds, at(1_800).microseconds, "w"
            )
            batch.workloads = [workload]
            _ = try await farm.commit(batch, token: token)
            let span = try await farm.post(#"{"id": "w", "host": "bremusa", "started_at": "2026-09-01T09:10:00Z"}"#)
            try await farm.account()
            let slices = try await farm.ledger().filter { $0.contains(span.jobID) }
            try #require(slices.count == 2 && slices.allSatisfy { $0.hasSuffix("measured") })
            // 600 s of 3600 s busy: a sixth of 80 W for an hour; then nothing.
            #expect(slices[0].contains(",48000000000,") && slices[1].contains(",0,"))
        }
    }
}
