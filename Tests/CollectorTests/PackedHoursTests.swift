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

/// Three hours of a host with a meter, its busy time, jobs across the edges of hours and one cgroup.
@Suite struct PackedHoursTests {
    /// What every policy says of every job, what every hour was made of, and the ledger.
    static func everything(_ farm: Farm) async throws -> [String] {
        var lines = try await farm.ledger()
        for row in try await farm.connection.query(
            Statement("all_job_ids", "SELECT job_id FROM span ORDER BY job_id")
        ) {
            for policy in Policy.allCases {
                let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: policy)
                let footprint = try await reader.footprint(jobID: try row.string("job_id"), for: .everything)
                lines.append(try footprint?.json(baseURL: "").text ?? "nothing")
            }
        }
        lines += try await farm.connection.query(
            Statement("digests", "SELECT hour || ' ' || encode(inputs_sha256, 'hex') AS line FROM accounted_hour ORDER BY hour")
        ).map { try $0.string("line") }
        return lines
    }

    static func fill(_ farm: Farm) async throws {
        farm.clock.now = at(12_000)
        let token = try await farm.token("a", host: "bremusa")
        var reporter = Reporter(host: "bremusa")
        var random = RandomSource(seed: 5)
        var (energy, busy) = (0.0, 0.0)
        for part in 0..<3 {
            var knots: [Knot] = []
            var busyKnots: [Knot] = []
            for second in stride(from: part * 3_600, to: part * 3_600 + 3_600, by: 30) {
                knots.append(knot(Double(second), energy))
                busyKnots.append(knot(Double(second), busy))
                energy += Double.random(in: 900...3_000, using: &random)
                busy += Double.random(in: 10...100, using: &random)
            }
            _ = try await farm.commit(reporter.batch(energy: knots, busy: busyKnots), token: token)
        }
        _ = try await farm.commit(
            reporter.batch(energy: [knot(10_800, energy), knot(11_900, energy + 9)], busy: [knot(10_800, busy)]),
            token: token
        )
        for (n, (start, end)) in [(100, 900), (600, 5_000), (3_000, 10_700), (7_200, 7_300)].enumerated() {
            try await farm.post(
                """
                {"id": "\(n)", "host": "bremusa", "started_at": "\(text(start))", "finished_at": "\(text(end))", "cpu_share": 0.\(n + 1)}
                """
            )
        }
        try await farm.account()
    }

    private static func text(_ seconds: Int) -> String {
        let minutes = 540 + seconds / 60
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        return "2026-09-01T\(two(minutes / 60)):\(two(minutes % 60)):\(two(seconds % 60))Z"
    }

    static func markAll(_ farm: Farm) async throws {
        try await farm.connection.executeScript(
            "INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'test' FROM accounted_hour"
        )
    }

    /// Packs an hour, and deletes the knots that are packed.
    static func pack(_ hour: Hour, _ farm: Farm) async throws -> Int {
        let packed = try await PackedHours.pack(hostID: 1, hour: hour, farm.connection)
        try await PackedHours.release(hostID: 1, hour: hour, farm.connection)
        return packed
    }

    static func packAll(_ farm: Farm) async throws -> Int {
        var packed = 0
        for hour in Hour.touching(Interval(at(0), at(10_800))) {
            packed += try await pack(hour, farm)
        }
        return packed
    }

    @Test func packingEverythingAndAccountingItAnewChangesNoDigit() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let before = try await Self.everything(farm)
            #expect(before.count > 20)
            #expect(try await Self.packAll(farm) == 6)
            #expect(try await farm.count("knot") == 3)
            #expect(try await Self.everything(farm) == before)
            try await Self.markAll(farm)
            // While a mark waits the same is computed on reading; then from the packed hours for good.
            try await farm.account()
            #expect(try await Self.everything(farm) == before)
            #expect(try await farm.count("accounted_version") == 3)
            // Each packed hour is the one that the hour's inputs name.
            let sums = try await farm.connection.query(
                Statement("packed_sums", "SELECT knots, sha256, length(knots) AS size FROM curve_hour")
            )
            for row in sums { #expect(try PackedHour(bytes: try row.bytes("knots")).bytes == row.bytes("knots")) }
        }
    }

    @Test func aRevisedIntensityGivesTheSameDigitsFromPackedHoursAsFromKnots() async throws {
        var answers: [[String]] = []
        for isPacked in [false, true] {
            try await Farm.with { farm in
                try await Self.fill(farm)
                if isPacked { #expect(try await Self.packAll(farm) == 6) }
                try await IntensityTable.add(
                    [
                        IntensityTable.Row(
                            interval: Interval(at(1_800), at(9_000)),
                            value: Intensity(
                                zone: "FR",
                                gramsPerKilowattHour: 31,
                                low: 30,
                                high: 33,
                                kind: .actual,
                                basis: Intensity.Basis(scope: "lifecycle", signal: "average", side: "consumption"),
                                provider: "test",
                                year: 2026
                            ),
                            version: "1"
                        )
                    ],
                    now: farm.clock.now,
                    farm.connection
                )
                #expect(try await farm.count("dirty") == 3)
                try await farm.account()
                answers.append(try await Self.everything(farm))
            }
        }
        #expect(answers[0] == answers[1])
    }

    @Test func lateKnotsReopenAPackedHourAsAnotherVersion() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let hour = at(0).hour
            let before = try await Self.everything(farm)
            #expect(try await Self.pack(hour, farm) == 2)
            #expect(try await Self.pack(hour, farm) == 0)
            // A source without cursors hands in a knot that was missing, above the line.
            let late = at(607)
            let curve = try await CurveReading.read(hostID: 1, curveIDs: [1], around: Interval(at(600), at(630)), farm.connection)[1]!.curve
            let value = Int64(curve.value(at: at(630))!)
            _ = try await farm.connection.execute(
                Statement("late_knot", "INSERT INTO knot (host_id, curve_id, t, value) VALUES (1, 1, $1, $2)"),
                [.timestamptz(microseconds: late.microseconds), .int8(value)]
            )
            try await WorkQueue.mark(hostID: 1, hours: [hour], now: farm.clock.now, reason: "test", farm.connection)
            #expect(try await Self.pack(hour, farm) == 0)
            try await farm.account()
            let after = try await Self.everything(farm)
            #expect(after != before)
            #expect(try await Self.pack(hour, farm) == 1)
            #expect(try await Self.everything(farm) == after)
            let versions = try await farm.connection.query(
                Statement("packed_versions", "SELECT curve_id, max(version) AS v FROM curve_hour GROUP BY 1 ORDER BY 1")
            ).map { try $0.int32("v") }
            #expect(versions == [2, 1])
            #expect(try await farm.count("accounted_version") == 4)
        }
    }

    @Test func anHourIsPackedOnceItIsAccountedAndItsKnotsGoOnceThatIsReadBack() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(reporter.batch(energy: [knot(0, 0), knot(1_800, 90_000)], busy: [knot(0, 0)]), token: token)
            let hour = at(0).hour
            #expect(try await PackedHours.pack(hostID: 1, hour: hour, farm.connection) == 0)
            try await farm.account()
            #expect(try await PackedHours.release(hostID: 1, hour: hour, farm.connection) == 0)
            #expect(try await PackedHours.pack(hostID: 1, hour: hour, farm.connection) == 2)
            #expect(try await PackedHours.pack(hostID: 1, hour: hour, farm.connection) == 0)
            #expect(try await farm.count("knot") == 3)
            #expect(try await PackedHours.release(hostID: 1, hour: hour, farm.connection) == 3)
            #expect(try await PackedHours.release(hostID: 1, hour: hour, farm.connection) == 0)
            #expect(try await farm.count("knot") == 0)
        }
    }

    @Test func aKnotThatCameAfterItsHourWasPackedIsNotDeletedWithTheOthers() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let hour = at(0).hour
            #expect(try await PackedHours.pack(hostID: 1, hour: hour, farm.connection) == 2)
            _ = try await farm.connection.execute(
                Statement("late_knot", "INSERT INTO knot (host_id, curve_id, t, value) VALUES (1, 1, $1, $2)"),
                [.timestamptz(microseconds: at(607).microseconds), .int8(1)]
            )
            // The other curve has nothing new.
            #expect(try await PackedHours.release(hostID: 1, hour: hour, farm.connection) == 120)
            #expect(try await PackedHours.pack(hostID: 1, hour: hour, farm.connection) == 1)
            #expect(try await PackedHours.release(hostID: 1, hour: hour, farm.connection) == 121)
        }
    }

    @Test func aCurveThatWasPackedUpToItsLastSampleGoesOnAsIfItHadNotBeen() async throws {
        var answers: [[String]] = []
        for isPacked in [false, true] {
            try await Farm.with { farm in
                farm.clock.now = at(4_000)
                let token = try await farm.token("a", host: "bremusa")
                var reporter = Reporter(host: "bremusa")
                var batch = reporter.batch(energy: [knot(0, 0), knot(1_800, 90_000)], busy: [knot(0, 0)])
                // The last sample is no knot: a line through it would be another.
                batch.tails[0].tUs = at(2_000).microseconds
                batch.tails[0].value = 95_000_000_000
                _ = try await farm.commit(batch, token: token)
                try await farm.account()
                if isPacked { #expect(try await Self.pack(at(0).hour, farm) == 2) }
                try await Self.markAll(farm)
                try await farm.account()
                var lines = try await Self.everything(farm)
                farm.clock.now = at(9_000)
                _ = try await farm.commit(
                    reporter.batch(energy: [knot(2_700, 100_000), knot(8_000, 300_000)], busy: [knot(7_000, 900)]),
                    token: token
                )
                try await farm.account()
                lines += try await Self.everything(farm)
                if isPacked { #expect(try await Self.pack(at(0).hour, farm) == 1) }
                try await Self.markAll(farm)
                try await farm.account()
                lines += try await Self.everything(farm)
                answers.append(lines)
            }
        }
        #expect(answers[0].count > 6)
        #expect(answers[0] == answers[1])
    }

    @Test(arguments: ["knots = set_byte(knots, length(knots) / 2, 7 # get_byte(knots, length(knots) / 2))", "sha256 = sha256(sha256)"])
    func noKnotGoesForAPackedHourThatIsNotWhatWasWritten(_ damage: String) async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let hour = at(0).hour
            #expect(try await PackedHours.pack(hostID: 1, hour: hour, farm.connection) == 2)
            let knots = try await farm.count("knot")
            try await farm.connection.executeScript("UPDATE curve_hour SET \(damage) WHERE curve_id = 1")
            for _ in 0..<2 {
                await #expect(throws: PackedHours.Corrupted.self) {
                    try await PackedHours.release(hostID: 1, hour: hour, farm.connection)
                }
                await #expect(throws: PackedHours.Corrupted.self) {
                    try await PackedHours.pack(hostID: 1, hour: hour, farm.connection)
                }
            }
            #expect(try await farm.count("knot") == knots)
        }
    }
}
