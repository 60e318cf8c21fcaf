import Accounting
import Documents
import Energy
import Logging
import Postgres
import Store
import Testing
import TestSupport
import Wire
@testable import Collector

/// The collector's keeper of storage, on the three hours of `PackedHoursTests` and on hosts that go silent and come back.
@Suite struct StorageKeeperTests {
    private static let day = Timestamp(microseconds: Farm.start.microseconds / 86_400_000_000 * 86_400_000_000)

    static func keeper(_ farm: Farm, days: Double = 9, terms: StorageTerms = StorageTerms(), metrics: CollectorMetrics = CollectorMetrics())
        -> StorageKeeper
    {
        var log = Logger(label: "test")
        log.logLevel = .critical
        let time = at(days * 86_400)
        return StorageKeeper(pool: farm.pool, log: log, now: { time }, metrics: metrics, terms: terms)
    }

    /// The hour of the last sample is accounted too.
    private static func fill(_ farm: Farm) async throws {
        try await PackedHoursTests.fill(farm)
        farm.clock.now = at(20_000)
        _ = try await WorkQueue.markForgotten(now: farm.clock.now, farm.connection)
        try await farm.account()
    }

    private static func hasPartition(_ farm: Farm, _ day: Timestamp = day) async throws -> Bool {
        try await KnotPartitions.days(farm.connection).contains(day)
    }

    @Test func aWeekOldDayIsPackedAndDroppedAndChangesNoDigit() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let before = try await PackedHoursTests.everything(farm)
            let early = try await Self.keeper(farm, days: 6.9).keep()
            #expect(early.packed == 0 && early.released == 0)
            #expect(try await Self.hasPartition(farm))
            #expect(try await farm.count("knot") == 723)
            let metrics = CollectorMetrics()
            // Seven days after its first hours; the last sample's hour is packed too, since the host said nothing since.
            let done = try await Self.keeper(farm, metrics: metrics).keep()
            #expect(done.packed == 8 && done.released == 723 && done.dropped > 0 && done.failed == 0)
            #expect(metrics.knotsReleased.total == 723 && metrics.curveHoursPacked.total == 8)
            #expect(try await farm.count("knot") == 0)
            #expect(try await !Self.hasPartition(farm))
            #expect(try await PackedHoursTests.everything(farm) == before)
            try await PackedHoursTests.markAll(farm)
            try await farm.account()
            #expect(try await PackedHoursTests.everything(farm) == before)
            #expect(try await Self.keeper(farm).keep() == StorageKeeper.Done())
        }
    }

    @Test func aDayWithOneHourThatIsNotPackedStays() async throws {
        for obstacle in [
            "INSERT INTO dirty (host_id, hour, reason) VALUES (1, '2026-09-01T10:00:00Z', 'test')",
            "INSERT INTO poisoned_hour (host_id, hour, error) VALUES (1, '2026-09-01T10:00:00Z', 'test')",
            "DELETE FROM host_hour; DELETE FROM accounted_hour WHERE hour = '2026-09-01T10:00:00Z'",
        ] {
            try await Farm.with { farm in
                try await Self.fill(farm)
                if obstacle.hasPrefix("DELETE") {
                    try await farm.connection.executeScript("BEGIN; DELETE FROM stored_slice; \(obstacle); COMMIT")
                } else {
                    try await farm.connection.executeScript(obstacle)
                }
                _ = try await Self.keeper(farm).keep()
                #expect(try await Self.hasPartition(farm))
                #expect(try await farm.count("knot") == 240)
            }
        }
    }

    @Test func aDayWithADamagedPackedHourStaysAndTheOthersGoOn() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            #expect(try await PackedHours.pack(hostID: 1, hour: at(3_600).hour, farm.connection) == 2)
            try await farm.connection.executeScript("UPDATE curve_hour SET sha256 = sha256(sha256) WHERE curve_id = 2")
            let knots = try await farm.count("knot")
            let done = try await Self.keeper(farm).keep()
            #expect(done.failed == 1)
            #expect(try await Self.hasPartition(farm))
            #expect(try await farm.count("knot") == 240 && knots == 723)
            // The right row again, as from a backup.
            try await farm.connection.executeScript("UPDATE curve_hour SET sha256 = sha256(knots) WHERE sha256(knots) <> sha256")
            _ = try await Self.keeper(farm).keep()
            #expect(try await !Self.hasPartition(farm))
        }
    }

    @Test func whatCanStillBeSeenBySomebodyIsNotDropped() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            try await farm.connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in
                // A snapshot older than all packing, that has not looked at the knots yet.
                _ = try await tx.query(Statement("a_look", "SELECT count(*) FROM host"))
                let done = try await Self.keeper(farm).keep()
                #expect(done.released == 723)
                let seen = try await CurveReading.read(hostID: 1, curveIDs: [1], around: Interval(at(0), at(3_600)), tx)
                #expect(seen[1]?.curve.knots.count == 121)
            }
            #expect(try await Self.hasPartition(farm))
            #expect(try await Self.keeper(farm).keep().dropped > 0)
            #expect(try await !Self.hasPartition(farm))
        }
    }

    @Test func aKnotThatComesWhileADayIsLookedAtIsKept() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            for hour in Hour.touching(Interval(at(0), at(14_400))) { _ = try await PackedHoursTests.pack(hour, farm) }
            #expect(try await farm.count("knot") == 0)
            try await farm.connection.transaction { tx in
                _ = try await tx.execute(
                    Statement("late_knot", "INSERT INTO knot (host_id, curve_id, t, value) VALUES (1, 1, $1, 99)"),
                    [.timestamptz(microseconds: at(11).microseconds)]
                )
                // Nobody else sees it yet: whoever would drop the day waits for it, and not for long.
                let done = try await Self.keeper(farm).keep()
                #expect(done.dropped == 0 || done.dropped < 5)
            }
            #expect(try await Self.hasPartition(farm))
            #expect(try await farm.count("knot") == 1)
        }
    }

    @Test(arguments: [false, true]) func whoComesBackAfterItsDaysWereDroppedHasTheSameTotals(isKept: Bool) async throws {
        // The same is told with and without a keeper; the second time round it is held against the first.
        let lines = try await Self.silentHost(isKept: isKept)
        #expect(lines.count > 20)
        if isKept { #expect(try await Self.silentHost(isKept: false) == lines) }
    }

    private static func silentHost(isKept: Bool) async throws -> [String] {
        try await Farm.with { farm in
            try await Self.fill(farm)
            if isKept {
                _ = try await keeper(farm).keep()
                #expect(try await !hasPartition(farm))
                #expect(try await farm.count("knot") == 0)
            }
            // Nine days later the host hands in what it had kept of that day.
            farm.clock.now = at(9 * 86_400)
            var reporter = Reporter(host: "bremusa")
            reporter.sequence = 4
            let last = try await farm.connection.query(
                Statement("last_values", "SELECT value FROM curve_tail ORDER BY curve_id")
            ).map { Double(try $0.int64("value")) / 1e6 }
            _ = try await farm.commit(
                reporter.batch(
                    energy: [knot(12_600, last[0] + 7_000), knot(14_500, last[0] + 200_000), knot(40_000, last[0] + 900_000)],
                    busy: [knot(12_700, last[1] + 5), knot(14_500, last[1] + 300)]
                ),
                token: 1
            )
            var before: [String] = []
            try await farm.account()
            if isKept {
                before = try await PackedHoursTests.everything(farm)
                #expect(try await farm.count("knot_default") == 5)
                let done = try await keeper(farm).keep()
                #expect(done.remade == 1 && done.released == 5 && done.dropped == 1)
                #expect(try await farm.count("knot") == 0)
                let versions = try await farm.connection.query(Statement("newest", "SELECT max(version) AS v FROM curve_hour"))
                #expect(try versions.only().int32("v") == 2)
                #expect(try await PackedHoursTests.everything(farm) == before)
            }
            try await PackedHoursTests.markAll(farm)
            try await farm.account()
            let after = try await PackedHoursTests.everything(farm)
            if isKept { #expect(after == before) }
            return after
        }
    }

    @Test func twoKeepersAtOnceDoEachThingOnce() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let before = try await PackedHoursTests.everything(farm)
            let keepers = [Self.keeper(farm), Self.keeper(farm), Self.keeper(farm)]
            let done = try await withThrowingTaskGroup(of: StorageKeeper.Done.self) { group in
                for keeper in keepers { group.addTask { try await keeper.keep() } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let last = try await Self.keeper(farm).keep()
            let all = done + [last]
            #expect(all.reduce(0) { $0 + $1.packed } == 8)
            #expect(all.reduce(0) { $0 + $1.released } == 723)
            #expect(try await farm.count("curve_hour") == 8)
            #expect(try await !Self.hasPartition(farm))
            #expect(try await PackedHoursTests.everything(farm) == before)
        }
    }

    /// Batches, late knots and accounts in one random order; with a keeper at work in between, which is stopped wherever it is.
    private static func story(seed: Int, isKept: Bool) async throws -> [[String]] {
        try await Farm.with { farm in
            var random = RandomSource(seed: UInt64(seed))
            // What only one of the two farms does has random numbers of its own.
            var own = RandomSource(seed: UInt64(seed) + 1_000)
            farm.clock.now = at(9 * 86_400)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var told: [[String]] = []
            var (energy, busy, second) = (0.0, 0.0, 0.0)
            for part in 0..<5 {
                var knots: [Knot] = []
                var busyKnots: [Knot] = []
                for _ in 0..<25 {
                    knots.append(knot(second, energy))
                    busyKnots.append(knot(second, busy))
                    let step = Double(Int.random(in: 10...260, using: &random))
                    second += step
                    energy += step * Double(Int.random(in: 30...90, using: &random))
                    busy += step * 0.8
                }
                _ = try await farm.commit(reporter.batch(energy: knots, busy: busyKnots), token: token)
                let start = at(second * 0.6)
                try await farm.post(
                    """
                    {"id": "\(part)", "host": "bremusa", "started_at": "\(RFC3339.format(start))", \
                    "finished_at": "\(RFC3339.format(start + .seconds(900)))", "cpu_share": 0.3}
                    """
                )
                if random.chance(0.7) { try await farm.account() }
                if isKept { try await disturb(farm, &own) }
                // A source without cursors hands in a knot above the line.
                let late = Int.random(in: 1...Int(second) - 300, using: &random)
                let around = Interval(at(Double(late)), at(Double(late) + 1))
                if random.chance(0.7),
                    let value = try await CurveReading.read(hostID: 1, curveIDs: [1], around: around, farm.connection)[1]?.curve.value(
                        at: at(Double(late) + 0.7)
                    )
                {
                    let time = at(Double(late) + 0.3)
                    try await farm.connection.transaction { tx in
                        _ = try await tx.execute(
                            Statement("late_knot", "INSERT INTO knot (host_id, curve_id, t, value) VALUES (1, 1, $1, $2)"),
                            [.timestamptz(microseconds: time.microseconds), .int8(Int64(value))]
                        )
                        try await WorkQueue.mark(hostID: 1, hours: [time.hour], now: farm.clock.now, reason: "test", tx)
                    }
                }
                if isKept { try await disturb(farm, &own) }
                try await farm.account()
                told.append(try await PackedHoursTests.everything(farm))
            }
            if isKept {
                _ = try await keeper(farm, days: 20).keep()
                #expect(try await farm.count("knot") == 0)
                #expect(try await !hasPartition(farm))
            }
            try await PackedHoursTests.markAll(farm)
            try await farm.account()
            told.append(try await PackedHoursTests.everything(farm))
            return told
        }
    }

    private static func disturb(_ farm: Farm, _ random: inout RandomSource) async throws {
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            switch Int.random(in: 0..<4, using: &random) {
            case 0: _ = try await keeper(farm, days: 20).keep()
            case 1:
                // Stopped by whoever stops it: between two steps, or in one.
                let work = Task { [keeper = keeper(farm, days: 20)] in try await keeper.keep() }
                try await Task.sleep(for: .milliseconds(Int.random(in: 1...60, using: &random)))
                work.cancel()
                _ = await work.result
            case 2:
                // Its connections are cut.
                let work = Task { [keeper = keeper(farm, days: 20)] in try await keeper.keep() }
                try await Task.sleep(for: .milliseconds(Int.random(in: 1...60, using: &random)))
                _ = try await farm.connection.query(
                    Statement(
                        "cut",
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'test'
                        """
                    )
                )
                _ = await work.result
                // Whoever has one of them next is told so, once.
                for _ in 0..<6 { do { try await farm.pool.withConnection { try await $0.executeScript("SELECT 1") } } catch {} }
            default:
                // One step of many.
                let hour = Hour(number: at(0).hour.number + Int64.random(in: 0..<4, using: &random))
                try await PackedHours.pack(hostID: 1, hour: hour, farm.connection)
            }
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 4, long: 200))
    func whateverIsPackedDroppedAndReopenedInWhateverOrderTheFiguresStay(seed: Int) async throws {
        let kept = try await Self.story(seed: seed, isKept: true)
        let plain = try await Self.story(seed: seed, isKept: false)
        #expect(kept.count == plain.count && kept.allSatisfy { $0.count > 6 })
        for (number, (a, b)) in zip(kept, plain).enumerated() where a != b {
            Issue.record("part \(number): \(Array(a.difference(from: b).prefix(4)))")
        }
    }

    @Test func whatIsOldIsDeletedAndNothingElse() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            try await farm.connection.executeScript(
                """
                INSERT INTO source (name, kind) VALUES ('forge', 'github');
                INSERT INTO ci_event (source_id, event_key, name, headers, body, sha256, received_at, processed_at)
                SELECT 1, n::text, 'push', '{}', '', sha256(n::text::bytea), t, CASE WHEN n <> 3 THEN t END
                FROM (VALUES (1, timestamptz '2026-06-01'), (2, '2026-06-20'), (3, '2026-06-01')) AS e (n, t)
                """
            )
            let tables = ["curve_hour", "host_hour", "stored_slice", "accounted_hour", "accounted_version", "span", "curve", "gap"]
            _ = try await Self.keeper(farm, terms: StorageTerms(["events_days": "forever"])).keep()
            #expect(try await farm.count("ci_event") == 3)
            var before: [Int64] = []
            for table in tables { before.append(try await farm.count(table)) }
            // Ninety days before 10 September are 12 June; what was not worked on stays.
            #expect(try await Self.keeper(farm).keep().events == 1)
            #expect(try await Self.keeper(farm).keep().events == 0)
            #expect(try await farm.count("ci_event") == 2)
            for (table, count) in zip(tables, before) { #expect(try await farm.count(table) == count, "\(table)") }
            // Forty days later: the first two of four hours are old.
            let terms = try StorageTerms(["ledger_days": 40, "packed_days": 40])
            let done = try await Self.keeper(farm, days: 40 + 7_199.0 / 86_400, terms: terms).keep()
            #expect(done.ledgerHoursDeleted == 2 && done.packedHoursDeleted == 4)
            let hours = try await farm.connection.query(
                Statement(
                    "left_hours",
                    "SELECT DISTINCT hour FROM host_hour UNION SELECT hour FROM accounted_hour UNION SELECT hour FROM curve_hour ORDER BY 1"
                )
            ).map { try $0.timestampMicroseconds("hour") }
            #expect(hours == [7_200, 10_800].map { at($0).microseconds })
            #expect(try await farm.count("span") == before[5])
        }
    }

    @Test func hoursWhoseCurvesAreKeptNoMoreKeepTheirFigures() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            _ = try await Self.keeper(farm).keep()
            let before = try await farm.ledger()
            // As where another worker had the host while its ledger was to go.
            #expect(try await Retention.deletePackedHours(hostID: 1, before: at(60 * 86_400), farm.connection) == 8)
            #expect(try await farm.count("curve_hour") == 0)
            // A span that is moved, a factor that is revised: whatever marks such an hour.
            try await PackedHoursTests.markAll(farm)
            try await farm.account()
            #expect(try await farm.count("dirty") == 0)
            #expect(try await farm.count("poisoned_hour") == 0)
            #expect(try await farm.ledger() == before)
        }
    }

    @Test func termsAreReadAndRefusedByName() throws {
        #expect(StorageTerms().values.map(\.value) == ["7", "90", "forever", "forever"])
        let terms = try StorageTerms(["pack_after_days": 3, "events_days": "forever", "packed_days": 800, "ledger_days": 730])
        #expect(terms.values.map(\.value) == ["3", "forever", "800", "730"])
        for (wrong, name) in [
            (["events_days": "90 d"], "events_days"), (["pack_after_days": "forever"], "pack_after_days"), (["colour": "red"], "colour"),
            (["pack_after_days": 0], "pack_after_days"), (["ledger_days": 20], "ledger_days"), (["packed_days": 400], "packed_days"),
            (["packed_days": 400, "ledger_days": 500], "packed_days"),
        ] as [([String: Any], String)] {
            do {
                _ = try StorageTerms(wrong)
                Issue.record("\(wrong) was taken")
            } catch let fault as StorageTerms.Fault {
                #expect(fault.description.hasPrefix("storage.\(name): expected "), "\(fault)")
            }
        }
    }

    @Test func theReportSaysWhatTheNextRoundDoes() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let now = at(9 * 86_400)
            let report = try await StorageReport.make(terms: StorageTerms(), now: now, farm.connection)
            #expect(report.days.first { $0.start == Self.day }?.plan == .pack)
            #expect(report.rows.contains { $0.table == "knot" && $0.bytes > 0 && $0.bytesPerHostYear == nil })
            #expect(try await farm.count("knot") == 723)
            var log = Logger(label: "test")
            log.logLevel = .critical
            let done = try await StorageReport.keep(terms: StorageTerms(), pool: farm.pool, now: { now }, log: log)
            #expect(done.first { $0.name == "knots_released" }?.count == 723)
            let after = try await StorageReport.make(terms: StorageTerms(), now: now, farm.connection)
            #expect(after.days.allSatisfy { $0.start > Self.day } && after.lateKnots == 0)
            #expect(after.rows.first { $0.table == "curve_hour" }?.bytesPerHostYear ?? 0 > 0)
            #expect(after.text.contains("curve_hour"))
            #expect(try after.json.text.contains("bytes_per_host_year"))
        }
    }
}
