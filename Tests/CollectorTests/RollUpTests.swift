import Accounting
import Documents
import Energy
import Postgres
import Store
import Testing
import TestSupport
@testable import Collector

/// What groups of jobs cost: the same whichever way it is summed.
@Suite struct RollUpTests {
    static let evening = 3 * 86_400.0

    /// Two hosts over three days, with jobs of several services, releases and repositories across hours and midnight.
    static func fill(_ farm: Farm, seed: UInt64 = 5, jobs: Int = 40) async throws {
        var random = RandomSource(seed: seed)
        for (index, name) in ["one", "two"].enumerated() {
            let token = try await farm.token(name, host: name)
            var reporter = Reporter(host: name)
            var energy = [knot(0, 0)]
            var busy = [Knot(time: at(0), value: 0)]
            for hour in 1...72 {
                energy.append(knot(Double(hour) * 3_600, energy[hour - 1].value.joules + 150_000 + Double(random.below(150_000))))
                busy.append(
                    Knot(time: at(Double(hour) * 3_600), value: busy[hour - 1].value + 7_000_000_000 + Int64(random.below(5_000_000_000)))
                )
            }
            farm.clock.now = at(Self.evening + 60)
            _ = try await farm.commit(
                reporter.batch(energy: energy, busy: busy, idleWatts: 20 + Double(index)),
                token: token
            )
        }
        for job in 0..<jobs {
            let start = Double(random.below(70 * 3_600)) + 0.25
            let length = 120 + Double(random.below(job % 7 == 0 ? 30_000 : 3_000))
            var fields: [String: JSONValue] = [
                "id": .string("\(job)"), "host": .string(job % 3 == 0 ? "two" : "one"), "started_at": .string(RFC3339.format(at(start))),
                "finished_at": .string(RFC3339.format(min(at(start + length), at(Self.evening)))), "cpus": .number(0.5),
                "outcome": .string(job % 5 == 0 ? "failure" : "success"), "job": .string("build-\(job % 2)"),
                "repository": .string("github.com/a/\(job % 3)"),
            ]
            if job % 4 != 0 { fields["service"] = .string("service-\(job % 3)") }
            if job % 6 == 0 {
                fields["release"] = .array(["1", "2"].map { .object(["purl": .string("pkg:opam/x@\($0)"), "relation": .string("test")]) })
            }
            if job % 10 == 1 { fields["release"] = .object(["purl": .string("pkg:opam/x@1"), "relation": .string("build")]) }
            try await farm.post(try JSONValue.object(fields).text)
        }
        try await farm.post(
            #"{"id": "waiting", "started_at": "2026-09-01T10:00:00Z", "finished_at": "2026-09-01T10:30:00Z", "service": "service-1"}"#
        )
        try await farm.account()
    }

    static func window(_ from: Double = 0, _ to: Double = evening) -> Interval { Interval(at(from), at(to)) }

    static func answer(_ farm: Farm, _ change: (inout RollUpQuestion) -> Void = { _ in }) async throws -> RollUpAnswer {
        var question = RollUpQuestion(window())
        change(&question)
        let clock = farm.clock
        let asked = question
        return try await farm.connection.transaction(isolation: .repeatableRead, readOnly: true) { tx in
            try await RollUpReader(tx, now: clock.now).answer(asked)
        }
    }

    @Test(arguments: Policy.allCases) func theSumIsTheSameWhicheverWayItIsMade(policy: Policy) async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let whole = try await Self.answer(farm) { $0.policy = policy }
            #expect(whole.total.energy > 0)
            #expect(whole.openHours == 0)
            for keys in [[RollUpKey.service], [.host], [.repository], [.job], [.pipeline], [.service, .team], [.activity], [.pool]] {
                for bucket in [nil, RollUpBucket.hour, .day, .month] {
                    let answer = try await Self.answer(farm) {
                        ($0.keys, $0.bucket, $0.policy) = (keys, bucket, policy)
                    }
                    let rows = answer.rows.values
                    #expect(rows.reduce(0) { $0 + $1.energy } == whole.total.energy, "\(keys) \(String(describing: bucket))")
                    #expect(rows.reduce(0) { $0 + $1.dynamic } == whole.total.dynamic)
                    #expect(rows.reduce(0) { $0 + ($1.jobs?.jobs ?? 0) } == whole.total.jobs?.jobs)
                    #expect(answer.total.energy == whole.total.energy)
                    #expect(answer.rows.values.allSatisfy { $0.energy == $0.byMethod.values.reduce(0, +) })
                }
            }
            // Job by job.
            let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: policy)
            let all = try await JobDirectory.list(
                {
                    var f = JobDirectory.Filter(); f.limit = 1_000; return f
                }(),
                farm.connection
            )
            let footprints = try await reader.footprints(of: all)
            #expect(footprints.reduce(Int128(0)) { $0 + Int128($1.energy?.total.microjoules ?? 0) } == whole.total.energy)
            // And with the hosts' own accounts.
            let ledger = try #require(whole.ledger?.first)
            #expect(ledger.jobs == whole.total.energy)
            #expect(ledger.metered == ledger.jobs + ledger.idleLeft + ledger.system + ledger.agent + ledger.nested + ledger.unknown)
        }
    }

    @Test func aJobOfTwoReleasesCountsForBothAndOnceInTheTotal() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let answer = try await Self.answer(farm) { $0.keys = [.release] }
            let rows = Dictionary(uniqueKeysWithValues: answer.rows.map { ($0.key.group, $0.value) })
            let test1 = try #require(rows[["pkg:opam/x@1", "test"]])
            let test2 = try #require(rows[["pkg:opam/x@2", "test"]])
            #expect(test1.energy == test2.energy && test1.energy > 0)
            #expect(test1.jobs?.shared == test1.jobs?.jobs && (test1.jobs?.jobs ?? 0) > 0)
            #expect(rows[["pkg:opam/x@1", "build"]]?.jobs?.shared == 0)
            let sum = answer.rows.values.reduce(Int128(0)) { $0 + $1.energy }
            #expect(sum == answer.total.energy + test2.energy)
            let filtered = try await Self.answer(farm) { $0.filter.release = "pkg:opam/x@1" }
            #expect(filtered.total.energy == test1.energy + (rows[["pkg:opam/x@1", "build"]]?.energy ?? 0))
        }
    }

    @Test func openHoursCountAsSettledOnesWill() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let settled = try await Self.answer(farm) {
                $0.keys = [.service]; $0.bucket = .hour
            }
            // Half of the hours wait for their accounts to be made anew.
            try await farm.connection.executeScript(
                "INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'test' FROM accounted_hour WHERE extract(epoch FROM hour)::bigint / 3600 % 7 = 0"
            )
            let open = try await Self.answer(farm) {
                $0.keys = [.service]; $0.bucket = .hour
            }
            #expect((open.openHours ?? 0) > 10 && (open.openHours ?? 0) <= RollUpReader.mostComputed)
            #expect(open.rows.values.contains { $0.isOpen } && open.rows.values.contains { !$0.isOpen })
            for (place, figures) in settled.rows {
                let now = try #require(open.rows[place])
                #expect(now.energy == figures.energy && now.dynamic == figures.dynamic)
                guard figures.hasEnergy else { continue }
                let (a, b) = (figures.uncertain.energy(), now.uncertain.energy())
                #expect(abs(a.low - b.low) <= 1e-6 * a.best + 2 && abs(a.high - b.high) <= 1e-6 * a.best + 2, "\(place)")
                #expect(abs(a.boundHigh - b.boundHigh) <= 1e-6 * a.best + 2)
                // Grams are kept to a millionth.
                let (g, h) = (try #require(figures.uncertain.grams()), try #require(now.uncertain.grams()))
                #expect(abs(g.low - h.low) <= 1e-6 * g.best + 4e-6 && abs(g.high - h.high) <= 1e-6 * g.best + 4e-6, "\(place) \(g) \(h)")
                #expect(
                    abs(g.boundLow - h.boundLow) <= 1e-6 * g.best + 4e-6 && abs(g.boundHigh - h.boundHigh) <= 1e-6 * g.best + 4e-6,
                    "\(g) \(h)"
                )
            }
            // With too many of them the ledger's own figures count, and what it has not is left out and told.
            try await farm.connection.executeScript(
                "INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'test' FROM accounted_hour; "
                    + "DELETE FROM accounted_hour WHERE hour = '2026-09-01T12:00Z'"
            )
            let many = try await Self.answer(farm)
            #expect(many.leftOutHours == 2)
        }
    }

    @Test func anIntervalIsThatOfTheSlicesWithTheirCommonErrors() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let day = Self.window(0, 86_400)
            let answer = try await Self.answer(farm) {
                $0.interval = day; $0.keys = [.service]
            }
            // The same from each slice by itself.
            var sums: [[String?]: UncertainSum] = [:]
            for host in try await HostTable.all(farm.connection) {
                let rows = Dictionary(
                    grouping: try await HourLedger.read(hostID: host.id, day, farm.connection),
                    by: { "\($0.hour.number) \($0.accounts.component)" }
                )
                let slices = try await HourLedger.slices(hostID: host.id, day, farm.connection)
                let members = try await RollUpTable.members(
                    answer.question,
                    hostID: host.id,
                    spanIDs: Set(slices.map(\.slice.spanID)).sorted(),
                    farm.connection
                )
                let ratios = try await farm.connection.query(
                    Statement(
                        "ratios",
                        "SELECT hour, component, meter_error_ratio AS m, floor_error_ratio AS f FROM host_hour WHERE host_id = $1"
                    ),
                    [.int4(host.id)]
                ).map {
                    (
                        "\(try $0.timestampMicroseconds("hour") / 3_600_000_000) \(try $0.string("component"))",
                        (try $0.double("m"), try $0.double("f"))
                    )
                }
                let errors = Dictionary(uniqueKeysWithValues: ratios)
                for slice in slices {
                    let key = "\(slice.hour.number) \(slice.slice.component)"
                    var whole = HourFigures(try #require(rows[key]?.first).accounts, policy: .reserved)
                    let ratio = try #require(errors[key])
                    whole.meterErrorRatio = ratio.0 > 0 ? ratio.0 : MeterAccuracy.unknown
                    whole.floorErrorRatio = ratio.1 > 0 ? ratio.1 : MeterAccuracy.unknownFloor
                    let group = try #require(members.first { $0.spanID == slice.slice.spanID }).groups[0]
                    sums[group, default: UncertainSum()].add(
                        SliceFigures(
                            slice.slice,
                            host: host.id,
                            hour: slice.hour,
                            policy: .reserved,
                            whole: whole,
                            pue: PUEFigure(slice.pue, site: nil, host: host.id),
                            intensity: slice.intensity.map { IntensityFigure($0.value) }
                        )
                    )
                }
            }
            #expect(sums.count == answer.rows.count && sums.count == 4)
            for (place, figures) in answer.rows {
                let (a, b) = (figures.uncertain.energy(), try #require(sums[place.group]).energy())
                #expect(a.best == b.best && a.low < a.best && a.best < a.high)
                for (x, y) in [(a.low, b.low), (a.high, b.high), (a.boundLow, b.boundLow), (a.boundHigh, b.boundHigh)] {
                    #expect(abs(x - y) <= 1e-6 * a.best + 2, "\(place): \(a), expected \(b)")
                }
            }
            // Longer windows keep errors by the day; the interval of the same days is nearly the same.
            let fine = try await Self.answer(farm) { $0.bucket = .hour }.total.uncertain.energy()
            let coarse = try await Self.answer(farm).total.uncertain.energy()
            #expect(fine.best == coarse.best && abs(fine.halfWidth - coarse.halfWidth) < 0.03 * fine.halfWidth, "\(fine) \(coarse)")
        }
    }

    @Test func whatIsTakenFromAnotherTimeIsFreeOfTheirCommonErrors() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm, jobs: 120)
            func total(_ from: Double, _ to: Double) async throws -> UncertainSum {
                try await Self.answer(farm) { $0.interval = Self.window(from, to) }.total.uncertain
            }
            let (one, two) = (try await total(0, 86_400), try await total(86_400, 172_800))
            let difference = UncertainComparison(two, one).energy
            let apart = (one.energy().halfWidth * one.energy().halfWidth + two.energy().halfWidth * two.energy().halfWidth).squareRoot()
            #expect(difference.best == two.energy().best - one.energy().best)
            #expect(difference.halfWidth < 0.9 * apart)
        }
    }

    @Test func unitsAreSpreadOverTheirTimeAndDivideTheEnergy() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let row = UnitsRow(
                id: "a",
                service: "service-1",
                activity: nil,
                unit: "package",
                count: 720,
                interval: Self.window(0, 72 * 3_600)
            )
            #expect(try await UnitsTable.put([row], source: "ci", farm.connection) == [true])
            #expect(try await UnitsTable.put([row], source: "ci", farm.connection) == [false])
            let hours = try await Self.answer(farm) {
                $0.keys = [.service]; $0.bucket = .hour
            }
            let own = hours.rows.filter { $0.key.group == ["service-1"] }
            #expect(own.count == 72 && own.values.allSatisfy { abs(($0.units["package"] ?? 0) - 10) < 1e-9 })
            let whole = try await Self.answer(farm) { $0.keys = [.service] }
            let figures = try #require(whole.rows.first { $0.key.group == ["service-1"] }?.value)
            #expect(abs((figures.units["package"] ?? 0) - 720) < 1e-9)
            let json = try #require(RollUpJSON(isPublic: false).fields(figures)["units"]?.array?.first?.object)
            let best = try #require(json["kwh_per_unit"]?.object?["best"]?.double)
            #expect(abs(best - Double(figures.energy) / 3.6e12 / 720) < 1e-3 * best)
            // Units say nothing of repositories.
            #expect(try await Self.answer(farm) { $0.keys = [.repository] }.rows.values.allSatisfy { $0.units.isEmpty })
        }
    }

    @Test func coverageIsOfAllTheirTimeAndJobsWithoutAHostAreCounted() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let answer = try await Self.answer(farm) { $0.keys = [.service] }
            let with = try #require(answer.rows.first { $0.key.group == ["service-1"] }?.value)
            let without = try #require(answer.rows.first { $0.key.group == ["service-2"] }?.value)
            #expect(with.jobs?.withoutHost == 1 && without.jobs?.withoutHost == 0)
            #expect(without.coverage == 1)
            #expect((with.coverage ?? 1) < 1 && (with.coverage ?? 0) > 0.5)
            #expect(with.jobs?.unmetered == .seconds(1_800))
        }
    }

    @Test func aHostOnAHostIsCountedOnce() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            _ = try await HostImport.apply(
                try HostFile(text: "hosts: [{name: big, slots: 4}, {name: vm, parent: big, threads: 2}]", name: "hosts.yaml"),
                dryRun: false,
                now: farm.clock.now,
                farm.connection
            )
            for (name, joules, busy) in [("big", 360_000.0, 7_200.0), ("vm", 9_999, 3_600)] {
                var reporter = Reporter(host: name)
                let batch = reporter.batch(energy: [knot(0, 0), knot(3_600, joules)], busy: [knot(0, 0), knot(3_600, busy)])
                _ = try await farm.commit(batch, token: try await farm.token(name, host: name))
            }
            try await farm.post(
                """
                {"id": "j", "host": "vm", "cpu_share": 0.5, "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:30:00Z"}
                """
            )
            let open = try await Self.answer(farm) { $0.keys = [.host] }
            try await farm.account()
            let settled = try await Self.answer(farm) { $0.keys = [.host] }
            for answer in [open, settled] {
                #expect(answer.rows.filter { $0.value.hasEnergy }.map(\.key.group) == [["vm"]])
                #expect(answer.total.energy == 81_000_000_000)
                let ledger = try #require(answer.ledger?.first)
                #expect(ledger.metered == 360_000_000_000 && ledger.nested == 180_000_000_000 && ledger.jobs == 0)
                #expect(ledger.metered == ledger.nested + ledger.idleLeft + ledger.system + ledger.agent + ledger.unknown)
            }
        }
    }

    @Test func anHourThatCouldNotBeAccountedIsSaidAndCountsWithWhatWasKnown() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            let before = try await Self.answer(farm) { ($0.keys, $0.bucket) = ([.host], .hour) }
            #expect(before.setAsideHours == 0 && before.rows.values.allSatisfy { !$0.isOpen })
            // An hour with jobs of the first host; one that nobody has accounted of the second; and one of another time.
            let place = try #require(before.rows.first { $0.key.group == ["one"] && $0.value.energy > 0 }?.key)
            let bucket = RFC3339.format(try #require(place.bucket))
            try await farm.connection.executeScript(
                """
                INSERT INTO poisoned_hour (host_id, hour, error) VALUES (1, '\(bucket)', 'odd'), (2, '2026-09-01T15:00:00Z', 'odd'),
                    (2, '2026-08-01T15:00:00Z', 'odd');
                DELETE FROM slice_table WHERE host_id = 2 AND hour = '2026-09-01T15:00:00Z';
                DELETE FROM host_hour WHERE host_id = 2 AND hour = '2026-09-01T15:00:00Z';
                DELETE FROM accounted_hour WHERE host_id = 2 AND hour = '2026-09-01T15:00:00Z';
                """.replacing("slice_table", with: try await LedgerChecksTests.tableOfSlices(farm))
            )
            let after = try await Self.answer(farm) { ($0.keys, $0.bucket) = ([.host], .hour) }
            #expect(after.openHours == 2 && after.setAsideHours == 2 && after.leftOutHours == 1)
            #expect(after.rows.filter(\.value.isOpen).map(\.key) == [place])
            #expect(after.rows[place]?.energy == before.rows[place]?.energy)
            #expect(after.total.isOpen)
            let json = after.json(isPublic: false, withTotal: true).object
            #expect(json?["set_aside_hours"] == .integer(2))
            #expect(json?["total"]?.object?["settled"] == .bool(false))
            // Of one host.
            let own = try await Self.answer(farm) { $0.filter.hostID = 2 }
            #expect(own.openHours == 1 && own.leftOutHours == 1)
        }
    }

    @Test func whereTooManyHoursWaitTheirGroupsSayThatTheyMayMove() async throws {
        try await Farm.with { farm in
            try await Self.fill(farm)
            try await farm.connection.executeScript(
                "INSERT INTO dirty (host_id, hour, reason) SELECT host_id, hour, 'test' FROM accounted_hour WHERE host_id = 2"
            )
            let answer = try await Self.answer(farm) { $0.keys = [.host] }
            #expect((answer.openHours ?? 0) > RollUpReader.mostComputed && answer.leftOutHours == 0)
            #expect(answer.rows.filter { $0.value.hasEnergy }.allSatisfy { $0.value.isOpen == ($0.key.group == ["two"]) })
        }
    }

    @Test func aGuestsHourIsOpenWhileItsMachinesIs() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(3_700)
            _ = try await HostImport.apply(
                try HostFile(text: "hosts: [{name: big, slots: 4}, {name: vm, parent: big, threads: 2}]", name: "hosts.yaml"),
                dryRun: false,
                now: farm.clock.now,
                farm.connection
            )
            for (name, joules, busy) in [("big", 360_000.0, 7_200.0), ("vm", 9_999, 3_600)] {
                var reporter = Reporter(host: name)
                let batch = reporter.batch(energy: [knot(0, 0), knot(3_600, joules)], busy: [knot(0, 0), knot(3_600, busy)])
                _ = try await farm.commit(batch, token: try await farm.token(name, host: name))
            }
            try await farm.account()
            func open() async throws -> [Int32] {
                try await RollUpTable.openHours(at(0).hour.interval, now: farm.clock.now, farm.connection).map(\.place.hostID)
            }
            #expect(try await open() == [])
            try await WorkQueue.mark(hostID: 1, hours: [at(0).hour], now: farm.clock.now, reason: "test", farm.connection)
            #expect(try await open() == [1, 2])
            #expect(try await RollUpTable.openHours(at(0).hour.interval, hostID: 2, now: farm.clock.now, farm.connection).count == 1)
        }
    }

    @Test func monthsAndDaysBeginWhereTheCalendarSays() {
        for (text, month, next) in [
            ("2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2026-12-31T12:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("1969-12-31T23:00:00Z", "1969-12-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            let start = RFC3339.parse(text).map { RollUpBucket.month.start(of: $0) }
            #expect(start.map(RFC3339.format) == month)
            #expect(start.map { RFC3339.format(RollUpBucket.month.next(after: $0)) } == next)
        }
    }
}

extension RandomSource {
    fileprivate mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &self) }
}

extension Int64 {
    fileprivate var joules: Double { Double(self) / 1e6 }
}
