import Carbon
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
import Wire
@testable import Collector

/// Three hours of two hosts of different zones, with a job in the middle of each hour of the first.
@Suite struct LateDataTests {
    private static func fill(_ farm: Farm) async throws -> Reporter {
        farm.clock.now = at(12_000)
        var first = Reporter(host: "bremusa")
        for host in ["bremusa", "other"] {
            let token = try await farm.token(host, host: host)
            var reporter = Reporter(host: host)
            var batch = reporter.batch(
                energy: (0...36).map { (n: Int) -> Knot in knot(Double(n) * 300, Double(n) * 30_000) },
                busy: (0...36).map { (n: Int) -> Knot in knot(Double(n) * 300, Double(n) * 600) }
            )
            if host == "other" { batch.facts.gridZone = "DE" }
            _ = try await farm.commit(batch, token: token)
            if host == "bremusa" { first = reporter }
        }
        for hour in 0..<3 {
            try await farm.post(
                #"{"id": "\#(hour)", "host": "bremusa", "started_at": "\#(text(hour, 20))", "finished_at": "\#(text(hour, 40))", "cpu_share": 0.25}"#
            )
        }
        try await farm.account()
        #expect(try await farm.count("dirty") == 0)
        return first
    }

    private static func text(_ hour: Int, _ minute: Int) -> String { RFC3339.format(at(Double(hour * 3_600 + minute * 60))) }

    /// The marked host-hours, as `bremusa 1`.
    private static func marked(_ farm: Farm) async throws -> [String] {
        let rows = try await farm.connection.query(
            Statement("marked", "SELECT DISTINCT name, hour FROM dirty JOIN host USING (host_id) ORDER BY 1, 2")
        )
        return try rows.map { "\(try $0.string("name")) \((try $0.timestampMicroseconds("hour") - at(0).microseconds) / 3_600_000_000)" }
    }

    struct Change: CustomStringConvertible, Sendable {
        let description: String
        let marks: [String]
        let make: @Sendable (Farm, inout Reporter) async throws -> Void
    }

    private static func intensity(_ from: Double, _ to: Double, zone: String, _ grams: Double) -> IntensityTable.Row {
        IntensityTable.Row(
            interval: Interval(at(from), at(to)),
            value: Intensity(
                zone: zone,
                gramsPerKilowattHour: grams,
                low: grams,
                high: grams,
                kind: .actual,
                basis: Intensity.Basis(scope: "lifecycle", signal: "average", side: "consumption"),
                provider: "test",
                year: 2026
            ),
            version: "\(grams)"
        )
    }

    private static let changes: [Change] = [
        Change(description: "a late knot, since the curve's last one", marks: ["bremusa 3"]) { farm, reporter in
            farm.clock.now = at(15_000)
            _ = try await farm.commit(reporter.batch(energy: [knot(10_900, 1_090_000)]), token: 1)
        },
        Change(description: "a late span", marks: ["bremusa 1"]) { farm, _ in
            try await farm.post(
                #"{"id": "late", "host": "bremusa", "started_at": "\#(text(1, 10))", "finished_at": "\#(text(1, 50))", "cpu_share": 0.1}"#
            )
        },
        Change(description: "an end that moves into the next hour", marks: ["bremusa 0", "bremusa 1"]) { farm, _ in
            try await farm.post(
                #"{"id": "0", "host": "bremusa", "started_at": "\#(text(0, 20))", "finished_at": "\#(text(1, 5))", "cpu_share": 0.25, "revision": 2}"#
            )
        },
        Change(description: "a deleted span", marks: ["bremusa 2"]) { farm, _ in
            let id = SpanKey(source: "ci", instance: "", id: "2", attempt: 1).jobID
            let now = farm.clock.now
            _ = try await farm.connection.transaction { try await SpanIntake(now: { now }).delete(jobID: id, source: "ci", $0) }
        },
        Change(description: "the same span again", marks: []) { farm, _ in
            try await farm.post(
                #"{"id": "1", "host": "bremusa", "started_at": "\#(text(1, 20))", "finished_at": "\#(text(1, 40))", "cpu_share": 0.25}"#
            )
        },
        Change(description: "a span of another host", marks: ["other 1"]) { farm, _ in
            try await farm.post(#"{"id": "o", "host": "other", "started_at": "\#(text(1, 20))", "finished_at": "\#(text(1, 40))"}"#)
        },
        Change(description: "an intensity of an hour and a half", marks: ["bremusa 0", "bremusa 1"]) { farm, _ in
            try await IntensityTable.add([intensity(1_800, 7_200, zone: "FR", 20)], now: farm.clock.now, farm.connection)
        },
        Change(description: "the other zone's intensity", marks: ["other 2"]) { farm, _ in
            try await IntensityTable.add([intensity(7_200, 10_800, zone: "DE", 300)], now: farm.clock.now, farm.connection)
        },
        Change(description: "an intensity that is there already", marks: []) { farm, _ in
            let row = intensity(0, 3_600, zone: "FR", 20)
            try await IntensityTable.add([row], now: farm.clock.now, farm.connection)
            try await farm.account()
            #expect(try await IntensityTable.add([row], now: farm.clock.now, farm.connection) == 0)
        },
        Change(description: "a host with another name", marks: []) { farm, _ in
            try await HostEdits(now: { at(12_000) }).rename("bremusa", to: "bremusa2", farm.connection)
        },
        Change(description: "a host that turns out to be another", marks: ["alias-of-it 1", "bremusa 1"]) { farm, _ in
            try await farm.connection.executeScript("INSERT INTO host (name) VALUES ('alias-of-it')")
            try await farm.post(#"{"id": "m", "host": "alias-of-it", "started_at": "\#(text(1, 20))", "finished_at": "\#(text(1, 40))"}"#)
            try await farm.account()
            #expect(try await HostEdits(now: { at(12_000) }).merge("alias-of-it", into: "bremusa", farm.connection) == 1)
        },
    ]

    @Test(arguments: changes) func aChangeMarksWhatItTouchesAndNothingElse(_ change: Change) async throws {
        try await Farm.with { farm in
            var reporter = try await Self.fill(farm)
            let marks = change.marks
            try await change.make(farm, &reporter)
            #expect(try await Self.marked(farm) == marks)
            let versions = try await farm.count("accounted_version")
            let before = try await farm.ledger()
            try await farm.account()
            #expect(try await farm.count("dirty") == 0)
            // Whatever changes has a new version; accounting it all again changes nothing, and makes none.
            if !marks.isEmpty { #expect(try await farm.count("accounted_version") > versions) }
            let after = try await farm.ledger()
            if marks.isEmpty { #expect(after.count == before.count) }
            let settled = try await farm.count("accounted_version")
            try await PackedHoursTests.markAll(farm)
            try await farm.account()
            #expect(try await farm.ledger() == after)
            #expect(try await farm.count("accounted_version") == settled)
        }
    }

    @Test(arguments: 0..<LongRun.rounds(short: 3, long: 100)) func whateverTheOrderOfArrivalTheLedgerAndItsDigestsAreTheSame(seed: Int)
        async throws
    {
        var results: [[String]] = []
        for order in 0..<2 {
            try await Farm.with { farm in
                var random = RandomSource(seed: UInt64(seed))
                farm.clock.now = at(20_000)
                let token = try await farm.token("a", host: "bremusa")
                var reporter = Reporter(host: "bremusa")
                var batches: [WireReadingsBatch] = []
                let cpus = Double(seed % 7 + 20) / 10
                for part in 0..<6 {
                    var energy: [Knot] = []
                    var busy: [Knot] = []
                    for n in part * 20..<part * 20 + 20 {
                        energy.append(knot(Double(n) * 90, Double(n) * 4_000))
                        busy.append(knot(Double(n) * 90, Double(n) * 90 * cpus))
                    }
                    batches.append(reporter.batch(energy: energy, busy: busy))
                }
                var spans: [String] = []
                for n in 0..<30 {
                    let start = Double.random(in: 0...10_000, using: &random)
                    let end = start + Double.random(in: 0...3_000, using: &random)
                    let share: String = random.chance(0.5) ? #", "cpu_share": 0.0\#(n % 9 + 1)"# : ""
                    let times = #""started_at": "\#(RFC3339.format(at(start)))", "finished_at": "\#(RFC3339.format(at(end)))""#
                    spans.append(#"{"id": "\#(n)", "host": "bremusa", \#(times)\#(share)}"#)
                }
                let rows: [IntensityTable.Row] = (0..<12).map { (n: Int) -> IntensityTable.Row in
                    Self.intensity(Double(n) * 900, Double(n + 1) * 900, zone: "FR", 20 + Double(n))
                }
                var steps = Array(0..<(6 + spans.count + rows.count))
                if order == 1 { steps.shuffle(using: &random) }
                for step in steps {
                    if step < 6 {
                        // An agent's own come in their order.
                        _ = try await farm.commit(batches.removeFirst(), token: token)
                    } else if step - 6 < spans.count {
                        try await farm.post(spans[step - 6])
                    } else {
                        try await IntensityTable.add([rows[step - 6 - spans.count]], now: farm.clock.now, farm.connection)
                    }
                    if order == 1, random.chance(0.1) { try await farm.account() }
                }
                try await farm.account()
                var lines = try await farm.ledger()
                lines += try await farm.connection.query(
                    Statement("digests", "SELECT hour || ' ' || encode(inputs_sha256, 'hex') AS line FROM accounted_hour ORDER BY hour")
                ).map { try $0.string("line") }
                results.append(lines)
            }
        }
        #expect(results[0].count > 30)
        let differences = results[1].difference(from: results[0])
        #expect(differences.isEmpty, "\(Array(differences.prefix(8)))")
    }

    @Test func slicesEndWhereAnotherIntensityBeginsToCountAndEachHasItsOwn() async throws {
        try await Farm.with { farm in
            _ = try await Self.fill(farm)
            let rows: [IntensityTable.Row] = (0..<4).map { (n: Int) -> IntensityTable.Row in
                Self.intensity(Double(n) * 900, Double(n + 1) * 900, zone: "FR", 100 + Double(n))
            }
            try await IntensityTable.add(rows, now: farm.clock.now, farm.connection)
            try await farm.account()
            let slices = try await farm.connection.query(
                Statement(
                    "slices_with_intensity",
                    """
                    SELECT s.from_t, g_per_kwh FROM slice s LEFT JOIN intensity USING (intensity_id)
                    WHERE hour = '2026-09-01T09:00:00Z' ORDER BY s.from_t
                    """
                )
            )
            // From 20 to 40 minutes past the hour: two quarters, then one that the yearly figure covers no more.
            #expect(try slices.map { try $0.double("g_per_kwh") } == [101, 102])
            #expect(try slices.map { try $0.timestampMicroseconds("from_t") } == [at(1_200), at(1_800)].map(\.microseconds))
            let row = try await farm.connection.query(
                Statement(
                    "hour_with_intensities",
                    "SELECT co2e_ug, metered_uj, cardinality(intensity_ids) AS n FROM host_hour WHERE host_id = 1 AND hour = '2026-09-01T09:00:00Z'"
                )
            ).only()
            #expect(try row.int32("n") == 4)
            // 100 W all the hour: the mean of the four.
            #expect(abs(try row.int64("co2e_ug") - Int64(Double(try row.int64("metered_uj")) * 101.5 / 3.6e6)) <= 1)
        }
    }

    @Test func oneLateSpanAmongManyHostsShowsAtOnce() async throws {
        try await Farm.with { farm in
            _ = try await Self.fill(farm)
            for n in 0..<20 {
                let token = try await farm.token("h\(n)", host: "h\(n)")
                var reporter = Reporter(host: "h\(n)")
                _ = try await farm.commit(
                    reporter.batch(energy: (0...100).map { (n: Int) -> Knot in knot(Double(n) * 100, Double(n) * 9_000) }),
                    token: token
                )
            }
            try await farm.account()
            let late = try await ContinuousClock().measure {
                let job = try await farm.post(
                    #"{"id": "late", "host": "bremusa", "started_at": "\#(Self.text(1, 10))", "finished_at": "\#(Self.text(1, 50))", "cpu_share": 0.1}"#
                )
                let footprint = try #require(try await farm.footprint(job.jobID))
                #expect(footprint.state == .final && footprint.energy != nil && footprint.hasOpenHour)
            }
            #expect(late < .seconds(1))
        }
    }
}
