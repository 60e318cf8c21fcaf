import Accounting
import Documents
import Energy
import Postgres
import SwiftProtobuf
import Testing
import Wire
@testable import Collector
@testable import Store

/// Cgroups that an agent watched, and jobs that only their CI posted.
@Suite struct WorkloadOwnershipTests {
    /// A cgroup with its CPU time, as an agent would tell of it.
    struct Cgroup {
        var path: String
        var born: Double
        var died: Double?
        /// CPUs that it uses all its life.
        var cpus: Double
        var change: (inout WireWorkloadChange) -> Void = { _ in }
    }

    /// 100 W for two hours, 20 W of it idle; two of the host's four CPUs busy; and the cgroups, refs from 10.
    static func batch(_ reporter: inout Reporter, _ cgroups: [Cgroup]) -> WireReadingsBatch {
        var batch = reporter.batch(energy: [knot(0, 0), knot(7_200, 720_000)], busy: [knot(0, 0), knot(7_200, 14_400)])
        for (i, cgroup) in cgroups.enumerated() { add(cgroup, ref: UInt32(10 + i), to: &batch) }
        return batch
    }

    static func add(_ cgroup: Cgroup, ref: UInt32, to batch: inout WireReadingsBatch) {
        var curve = Reporter.busy(ref: ref, origin: 7)
        (curve.name, curve.kind) = ("cgroup\(cgroup.path)#\(cgroup.born)", .workloadCpu)
        batch.curves.append(curve)
        let end = cgroup.died ?? 7_200
        let born = max(0, cgroup.born)
        batch.knots.append(WireKnotColumn(ref: ref, knots: [knot(born, 0), knot(end, (end - born) * cgroup.cpus)]))
        var tail = WireTail()
        (tail.ref, tail.tUs, tail.value) = (ref, at(end).microseconds, Int64((end - born) * cgroup.cpus * 1e6))
        (tail.completeUntilUs, tail.closed) = (at(end).microseconds, cgroup.died != nil)
        batch.tails.append(tail)
        batch.workloads.append(change(cgroup, ref: ref))
    }

    static func change(_ cgroup: Cgroup, ref: UInt32) -> WireWorkloadChange {
        var change = WireWorkloadChange()
        (change.ref, change.cgroup, change.bornUs) = (ref, cgroup.path, at(cgroup.born).microseconds)
        change.diedUs = cgroup.died.map { at($0).microseconds } ?? 0
        cgroup.change(&change)
        return change
    }

    /// As a webhook posts it: whole seconds, no cgroup.
    static func job(_ id: String, _ start: Double, _ end: Double?, _ more: String = "") -> String {
        let finished = end.map { #", "finished_at": "\#(RFC3339.format(at($0)))""# } ?? ""
        return
            #"{"id": "\#(id)", "host": "bremusa", "started_at": "\#(RFC3339.format(at(start)))"\#(finished), "time_resolution_ms": 1000\#(more)}"#
    }

    /// A farm whose one host sends the batch, before or after the jobs are posted; both orders must come to the same.
    static func footprints(
        _ cgroups: [Cgroup],
        _ jobs: [String],
        readingsFirst: Bool,
        check: (Farm, [Footprint]) async throws -> Void
    ) async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let batch = Self.batch(&reporter, cgroups)
            if readingsFirst { _ = try await farm.commit(batch, token: token) }
            var ids: [String] = []
            for job in jobs { ids.append(try await farm.post(job).jobID) }
            if !readingsFirst {
                _ = try await farm.commit(batch, token: token)
                try await farm.account()
            }
            // Before they are accounted and after: the same numbers.
            var live: [Footprint] = []
            for id in ids { live.append(try #require(try await farm.footprint(id))) }
            try await farm.account()
            var settled: [Footprint] = []
            for id in ids { settled.append(try #require(try await farm.footprint(id))) }
            #expect(live.map { $0.energy?.dynamic } == settled.map { $0.energy?.dynamic })
            #expect(live.map(\.workload) == settled.map(\.workload))
            #expect(settled.allSatisfy { $0.state == .final && !$0.hasOpenHour })
            #expect(try await farm.count("poisoned_hour") == 0)
            try await check(farm, settled)
        }
    }

    /// Asserts that two jobs that ran for the same energy per CPU come out `ratio` to one in dynamic energy per second.
    static func expectThreeToOne(_ footprints: [Footprint], _ rule: OwnershipRule, seconds: [Double]) throws {
        #expect(footprints.map { $0.share?.method } == [.measured, .measured])
        #expect(footprints.map { $0.workload?.decision.ownership?.rule } == [rule, rule])
        #expect(footprints.map(\.attributionMode) == [.cgroup, .cgroup])
        let watts = try zip(footprints, seconds).map { Double(try #require($0.energy).dynamic.microjoules) / 1e6 / $1 }
        #expect(abs(watts[0] / watts[1] - 3) < 0.06, "\(watts)")
        // 80 W dynamic over 2 busy CPUs: 40 W a CPU.
        #expect(abs(watts[0] - 60) < 1.2)
    }

    @Test(arguments: [true, false])
    func twoJobsKnownOnlyByWebhookAreMeasuredThreeToOne(readingsFirst: Bool) async throws {
        try await Self.footprints(
            [
                Cgroup(path: "/jobs/outer", born: 600.4, died: 1_800.3, cpus: 1.5),
                Cgroup(path: "/jobs/inner", born: 900.7, died: 1_500.2, cpus: 0.5),
                Cgroup(path: "/system.slice/cron", born: 1_000, died: 1_010, cpus: 0.1),
                Cgroup(path: "/system.slice/sshd", born: 0, died: nil, cpus: 0.1),
            ],
            [Self.job("o", 600, 1_800), Self.job("i", 900, 1_500)],
            readingsFirst: readingsFirst
        ) { farm, footprints in
            try Self.expectThreeToOne(footprints, .alone, seconds: [1_199.9, 599.5])
            // The accounts go by the cgroups' edges, the posted ones stay.
            #expect(footprints[0].workload?.decision.ownership?.interval == Interval(at(600.4), at(1_800.3)))
            #expect(footprints[0].startedAt == at(600))
            #expect(try await farm.ledger().contains { $0.contains("2026-09-01 09:10:00.4+00,2026-09-01 09:30:00.3+00") })
            let share = footprints[1].json(baseURL: "").object?["share"]?.object?["workload"]?.object
            #expect(share?["cgroup"] == "/jobs/inner" && share?["by"] == "alone" && share?["unit"] == .null)
            #expect(share?["snapped_started_at"] == .string(RFC3339.format(at(900.7))))
            // Recorded, once each.
            let recorded = try await farm.connection.query(
                Statement("recorded_rules", "SELECT rule, cardinality(curve_ids) AS n FROM ownership ORDER BY span_id")
            )
            #expect(try recorded.map { try $0.string("rule") } == ["alone", "alone"])
        }
    }

    @Test(arguments: [true, false])
    func twoRunnersUnitsAreMeasuredThreeToOne(readingsFirst: Bool) async throws {
        func unit(_ name: String) -> (inout WireWorkloadChange) -> Void { { $0.unit = "actions.runner.ocaml-dune.\(name).service" } }
        try await Self.footprints(
            [
                Cgroup(path: "/system.slice/one", born: -5_000, died: nil, cpus: 1.5, change: unit("one")),
                Cgroup(path: "/system.slice/two", born: -5_000, died: nil, cpus: 0.5, change: unit("two")),
            ],
            [
                Self.job("o", 600, 1_800, #", "runner": "one""#), Self.job("i", 900, 1_500, #", "runner_name": "two""#),
            ],
            readingsFirst: readingsFirst
        ) { _, footprints in
            try Self.expectThreeToOne(footprints, .unit, seconds: [1_200, 600])
            let share = footprints[0].json(baseURL: "").object?["share"]?.object?["workload"]?.object
            #expect(share?["unit"] == "actions.runner.ocaml-dune.one.service" && share?["by"] == "unit")
            #expect(footprints[0].workload?.decision.ownership?.interval == Interval(at(600), at(1_800)))
        }
    }

    @Test func gitLabsContainersAreKnownByTheirLabel() async throws {
        func label(_ id: String) -> (inout WireWorkloadChange) -> Void {
            {
                $0.labels = [WatchedCgroup.jobLabelName: id]
                $0.containerID = "c0ffee-\(id)"
                $0.memoryMaxBytes = 1 << 30
            }
        }
        try await Self.footprints(
            [
                // The runner's own helper, then the build.
                Cgroup(path: "/docker/clone", born: 605, died: 1_000, cpus: 1.5, change: label("4711")),
                Cgroup(path: "/docker/build", born: 1_000, died: 1_799, cpus: 1.5, change: label("4711")),
                Cgroup(path: "/docker/other", born: 900, died: 1_500, cpus: 0.5, change: label("4712")),
            ],
            [Self.job("ci.example.org/opam/4711", 600, 1_800), Self.job("x", 900, 1_500, #", "job_id": 4712"#)],
            readingsFirst: true
        ) { _, footprints in
            try Self.expectThreeToOne(footprints, .container, seconds: [1_194, 600])
            let json = footprints[0].json(baseURL: "").object
            let share = json?["share"]?.object?["workload"]?.object
            #expect(share?["container_id"] == "c0ffee-4711" && share?["cgroups"]?.array?.count == 2)
            #expect(json?["usage"]?.object?["memory_max_bytes"] == "1073741824")
            #expect(json?["attribution_mode"] == "cgroup")
        }
    }

    @Test func aJobWhoseCgroupNobodyCanTellGetsNoneAndSaysWhy() async throws {
        try await Self.footprints(
            [
                Cgroup(path: "/a", born: 600.4, died: 1_800.3, cpus: 1), Cgroup(path: "/b", born: 600.6, died: 1_800.1, cpus: 0.5),
            ],
            [Self.job("o", 600, 1_800), Self.job("i", 2_000, 2_500)],
            readingsFirst: true
        ) { _, footprints in
            #expect(footprints.allSatisfy { $0.share?.method == .equal && $0.attributionMode == .monitorOnly })
            let missing = footprints.map { $0.allMissing.first { $0.field == "share.workload" }?.reason }
            #expect(missing == ["ambiguous_cgroup", "no_cgroup"])
            #expect(footprints[0].json(baseURL: "").object?["share"]?.object?["workload"] == .null)
        }
    }

    @Test func aSpanAskedForByItselfIsDecidedWithItsNeighbours() async throws {
        try await Self.footprints(
            [
                Cgroup(path: "/a", born: 600.4, died: 1_800.3, cpus: 1.5), Cgroup(path: "/b", born: 610.6, died: 1_790.1, cpus: 0.5),
                Cgroup(path: "/c", born: 620.6, died: 1_780.1, cpus: 0.5),
            ],
            [
                // Of a coarse clock, so that all three fit; the second fits two; the third one.
                Self.job("o", 600, 1_800).replacing("1000}", with: "30000}"), Self.job("i", 615, 1_785).replacing("1000}", with: "6000}"),
                Self.job("x", 620, 1_780),
            ],
            readingsFirst: false
        ) { _, footprints in
            #expect(footprints.map { $0.workload?.cgroups.map(\.path) } == [["/a"], ["/b"], ["/c"]])
            #expect(footprints.allSatisfy { $0.workload?.decision.ownership?.rule == .alone })
        }
    }

    @Test func aPodNamedAsTheRunnerAndWhatWattleRunMadeAreTheSpansOwn() async throws {
        try await Self.footprints(
            [
                Cgroup(path: "/kubepods/p1", born: 610, died: 1_790, cpus: 1.5) { $0.pod = "ci/runner-x7" },
                Cgroup(path: "/wattle/run-1", born: 910, died: 1_490, cpus: 0.5) { $0.spanKey = "i" },
            ],
            [Self.job("o", 600, 1_800, #", "runner": "runner-x7""#), Self.job("i", 900, 1_500)],
            readingsFirst: true
        ) { _, footprints in
            #expect(footprints.map { $0.workload?.decision.ownership?.rule } == [.pod, .run])
            #expect(footprints.allSatisfy { $0.share?.method == .measured })
            let share = footprints[0].json(baseURL: "").object?["share"]?.object?["workload"]?.object
            #expect(share?["by"] == "pod" && share?["pod"] == "ci/runner-x7")
        }
    }

    @Test func aLateLabelMovesTheEnergyOfHoursThatWereSettled() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            // In two hours, and not born with the job: only its label can tell.
            let container = Cgroup(path: "/docker/c", born: 3_000, died: 5_000, cpus: 1.5)
            _ = try await farm.commit(Self.batch(&reporter, [container]), token: token)
            let job = try await farm.post(Self.job("4711", 2_900, 5_100))
            try await farm.account()
            let before = try #require(try await farm.footprint(job.jobID))
            #expect(before.share?.method == .equal)
            #expect(before.allMissing.contains { $0 == ("share.workload", "no_cgroup") })

            var late = reporter.batch(energy: [])
            var change = Self.change(container, ref: 10)
            change.labels = [WatchedCgroup.jobLabelName: "4711"]
            late.workloads = [change]
            _ = try await farm.commit(late, token: token)
            #expect(try await farm.count("dirty") == 2)
            try await farm.account()
            let after = try #require(try await farm.footprint(job.jobID))
            #expect(after.share?.method == .measured && after.workload?.decision.ownership?.rule == .container)
            #expect(!after.hasOpenHour)
            // 2000 s at 1.5 CPUs, 40 W each.
            #expect(abs(Double(after.energy?.dynamic.microjoules ?? 0) / 1e6 - 120_000) < 1)
            // The same again is no news.
            var again = reporter.batch(energy: [])
            again.workloads = [change]
            _ = try await farm.commit(again, token: token)
            #expect(try await farm.count("dirty") == 0)
        }
    }

    @Test func aLateDeathMeasuresAJobThatWasAnEqualPart() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let living = Cgroup(path: "/c", born: 600.2, died: nil, cpus: 1)
            _ = try await farm.commit(Self.batch(&reporter, [living]), token: token)
            let job = try await farm.post(Self.job("1", 600, 7_199))
            try await farm.account()
            #expect(try await farm.footprint(job.jobID)?.share?.method == .equal)
            var late = reporter.batch(energy: [])
            var dead = living
            dead.died = 7_199.5
            late.workloads = [Self.change(dead, ref: 10)]
            _ = try await farm.commit(late, token: token)
            try await farm.account()
            let footprint = try #require(try await farm.footprint(job.jobID))
            #expect(footprint.share?.method == .measured && footprint.workload?.decision.ownership?.rule == .alone)
        }
    }

    @Test func aSpanThatTakesACgroupFromAnotherReachesAllHoursOfBoth() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let unit = Cgroup(path: "/system.slice/r", born: -10, died: nil, cpus: 1) { $0.unit = "actions.runner.o-r.bremusa.service" }
            _ = try await farm.commit(Self.batch(&reporter, [unit]), token: token)
            let long = try await farm.post(Self.job("long", 600, 7_000, #", "runner": "bremusa""#))
            try await farm.account()
            #expect(try await farm.footprint(long.jobID)?.share?.method == .measured)
            // In the second hour only, but the first was accounted with the unit too.
            try await farm.post(Self.job("short", 6_000, 6_500, #", "runner": "bremusa""#))
            try await farm.account()
            let footprint = try #require(try await farm.footprint(long.jobID))
            #expect(footprint.share?.method == .equal)
            #expect(footprint.allMissing.contains { $0 == ("share.workload", "runner_ran_others") })
            let slices = try await farm.ledger().filter { $0.contains(long.jobID) }
            #expect(slices.count == 2 && slices.allSatisfy { $0.hasSuffix("equal") })
        }
    }

    @Test func aSpanThatEndsAtTheHourRunsAsFarIntoTheNextAsItsCgroup() async throws {
        try await Self.footprints(
            [Cgroup(path: "/c", born: 3_000.5, died: 3_600.8, cpus: 1)],
            [Self.job("1", 3_000, 3_600)],
            readingsFirst: false
        ) { farm, footprints in
            let slices = try await farm.ledger().filter { $0.contains(footprints[0].jobID) }
            #expect(slices.count == 2)
            // 600.3 s at 40 W.
            #expect(abs(Double(footprints[0].energy?.dynamic.microjoules ?? 0) / 1e6 - 24_012) < 0.1)
            #expect(footprints[0].energy?.coverage == 1)
        }
    }

    @Test func twoSpansOfOneCgroupAreChargedItOnce() async throws {
        try await Self.footprints(
            [Cgroup(path: "/session", born: 0, died: nil, cpus: 1)],
            [
                Self.job("1", 600, 1_600, #", "workload": "/session""#), Self.job("2", 1_100, 2_100, #", "workload": "/session""#),
            ],
            readingsFirst: true
        ) { farm, footprints in
            let joules = footprints.map { Double($0.energy?.dynamic.microjoules ?? 0) / 1e6 }
            // 500 s alone and half of 500 s together, at 40 W.
            #expect(joules.allSatisfy { abs($0 - 30_000) < 1 }, "\(joules)")
            let flags = try await farm.connection.query(Statement("flags", "SELECT bool_or(flags & 32 = 32) AS shared FROM host_hour"))
                .only()
            #expect(try flags.bool("shared"))
        }
    }

    @Test(arguments: [true, false])
    func aCgroupThatNobodyReadAsItDiedIsALowerLimit(isLast: Bool) async throws {
        // Half a CPU up to the last reading at 1,500 s; the agent ends the curve at the death with that count.
        let cgroup = Cgroup(path: "/c", born: 600.5, died: 1_800.5, cpus: 0.5) { $0.ending = isLast ? "last" : "settled" }
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var batch = Self.batch(&reporter, [cgroup])
            let column = try #require(batch.knots.firstIndex { $0.ref == 10 })
            batch.knots[column] = WireKnotColumn(ref: 10, knots: [knot(600.5, 0), knot(1_500.5, 450), knot(1_800.5, 450)])
            batch.tails[try #require(batch.tails.firstIndex { $0.ref == 10 })].value = 450_000_000
            _ = try await farm.commit(batch, token: token)
            let job = try await farm.post(Self.job("1", 600, 1_800))
            let live = try #require(try await farm.footprint(job.jobID))
            try await farm.account()
            let footprint = try #require(try await farm.footprint(job.jobID))
            #expect(live.energy?.bounds.high == footprint.energy?.bounds.high)
            let energy = try #require(footprint.energy)
            let idle = Double(energy.idle.microjoules) / 1e6
            // 450 CPU-s at 40 J; in the last 300 s both busy CPUs may have been its own: 24,000 J.
            #expect(abs(Double(energy.dynamic.microjoules) / 1e6 - 18_000) < 1)
            // Nobody says how many jobs the machine takes: none of the idle energy may be the job's.
            #expect(abs(energy.bounds.low / 1e6 - 18_000) < 20, "\(energy.bounds)")
            #expect(abs(energy.bounds.high / 1e6 - idle - (isLast ? 42_000 : 18_000)) < 20, "\(energy.bounds)")
            #expect(energy.quality == (isLast ? .partial : .measured) && footprint.share?.method == .measured)
            let workload = footprint.json(baseURL: "").object?["share"]?.object?["workload"]?.object
            #expect(workload?["cpu_time_partial"] == .bool(isLast))
            let flags = try await farm.connection.query(Statement("flags", "SELECT bool_or(flags & 64 = 64) AS partial FROM host_hour"))
                .only()
            #expect(try flags.bool("partial") == isLast)
        }
    }

    /// 5,000 spans and 2,000 cgroups of a busy day's two hours; far below the API's limit of a minute, however slow the machine.
    @Test func thousandsOfSpansAndCgroupsAreMatchedInSeconds() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(Self.batch(&reporter, []), token: token)
            let host = try #require(try await HostTable.find(name: "bremusa", farm.connection))
            _ = try await farm.connection.execute(
                Statement(
                    "many_spans",
                    """
                    INSERT INTO span (host_id, job_id, started_at, finished_at, time_resolution_us, workload, workload_key, source, runner,
                        job_ids)
                    SELECT $1, lpad(i::text, 26, '0'), $2::timestamptz + i * interval '1.4 s', $2::timestamptz + (i + 60) * interval '1.4 s',
                        CASE WHEN i % 20 = 0 THEN 30000000 ELSE 1000000 END, CASE WHEN i % 3 = 0 THEN '/job/' || i END, 'k' || i, 'ci',
                        'runner' || i % 8, ARRAY['k' || i]
                    FROM generate_series(1, 5000) AS i
                    """
                ),
                [.int4(host.id), .timestamptz(microseconds: at(0).microseconds)]
            )
            func cgroups(_ numbers: Range<Int>) -> [Cgroup] {
                numbers.map { i in
                    let span = Double(i * 2)
                    return Cgroup(path: "/job/\(i * 2)", born: span * 1.4 + 0.3, died: (span + 60) * 1.4 + 0.2, cpus: 0.01) {
                        if i % 5 == 0 { $0.labels = [WatchedCgroup.jobLabelName: "k\(i * 2)"] }
                        if i % 5 == 1 { $0.pod = "ci/runner\(i % 8)" }
                        if i % 5 == 2 { $0.spanKey = "k\(i * 2)" }
                    }
                }
            }
            var before = reporter.batch(energy: [])
            for (i, cgroup) in cgroups(1..<1_601).enumerated() { Self.add(cgroup, ref: UInt32(10 + i), to: &before) }
            _ = try await farm.commit(before, token: token)
            _ = try await farm.connection.execute(Statement("analyze", "ANALYZE"))
            var more = reporter.batch(energy: [])
            for (i, cgroup) in cgroups(1_601..<2_001).enumerated() { Self.add(cgroup, ref: UInt32(2_000 + i), to: &more) }
            let all = try await farm.connection.query(
                Statement("all_workloads", "SELECT curve_id FROM workload WHERE host_id = $1"),
                [.int4(host.id)]
            ).map { try $0.int32("curve_id") }
            let matching = try await ContinuousClock().measure {
                try await WorkloadOwnership.markSpans(of: all, hostID: host.id, now: farm.clock.now, farm.connection)
            }
            let ingest = try await ContinuousClock().measure { _ = try await farm.commit(more, token: token) }
            var owned = 0
            let hour = try await ContinuousClock().measure {
                let inputs = try await HourInputs.read(host: host, hour: at(0).hour, now: farm.clock.now, farm.connection)
                owned = inputs.workloads.values.filter { $0.decision.ownership != nil }.count
            }
            #expect(owned > 1_000)
            #expect(matching < .seconds(3) && ingest < .seconds(6) && hour < .seconds(6), "\(matching), \(ingest), \(hour)")
        }
    }

    @Test func aMemoryCurveIsKeptAndMarksTheHoursThatItIsIn() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var batch = Self.batch(&reporter, [Cgroup(path: "/c", born: 600, died: 1_200, cpus: 1)])
            var memory = Reporter.busy(ref: 20, origin: 7)
            (memory.name, memory.kind) = ("memory/c", .workloadMemory)
            batch.curves.append(memory)
            batch.workloads[0].memoryRef = 20
            batch.workloads[0].ending = "settled"
            _ = try await farm.commit(batch, token: token)
            try await farm.account()
            var more = reporter.batch(energy: [])
            more.knots = [WireKnotColumn(ref: 20, knots: [knot(600, 0), knot(1_200, 5e6)])]
            _ = try await farm.commit(more, token: token)
            // The memory's own meter goes by it.
            #expect(try await farm.count("dirty") == 1)
            let row = try await farm.connection.query(
                Statement(
                    "memory_of",
                    """
                    SELECT w.ending, m.kind, (SELECT max(value) FROM knot k WHERE k.curve_id = m.curve_id) AS value
                    FROM workload w JOIN curve m ON m.curve_id = w.memory_curve_id
                    """
                )
            ).only()
            #expect(try row.string("ending") == "settled" && row.string("kind") == "workload_memory")
            #expect(try row.int64("value") == 5_000_000_000_000)
            // A workload's memory is no meter.
            var wrong = reporter.batch(energy: [])
            wrong.workloads = [batch.workloads[0]]
            wrong.workloads[0].memoryRef = 1
            await #expect(throws: ReadingsFault.self) { try await farm.commit(wrong, token: token) }
        }
    }

    @Test(arguments: [Zone.module, .io])
    func theNewZonesAreStored(zone: Zone) async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var batch = reporter.batch(energy: [knot(0, 0), knot(10, 500)])
            batch.curves[0].zone = zone.rawValue
            #expect(try await farm.commit(batch, token: token) == .acknowledged(sequence: 1))
        }
    }

    static let spoilers: [(field: String, spoil: @Sendable (inout WireWorkloadChange) -> Void)] = [
        ("labels", { change in for i in 0...32 { change.labels["l\(i)"] = "x" } }),
        ("labels", { $0.labels["l"] = String(repeating: "x", count: 1_001) }),
        ("labels", { $0.labels[""] = "x" }),
        ("labels", { $0.labels["l"] = "a\0b" }),
        ("unit", { $0.unit = String(repeating: "x", count: 513) }),
        ("container_id", { $0.containerID = "a\0" }),
        ("pod", { $0.pod = String(repeating: "x", count: 1_001) }),
        ("memory_max_bytes", { $0.memoryMaxBytes = .max }),
        ("ending", { $0.ending = "happily" }),
    ]

    @Test(arguments: spoilers.indices)
    func aSenselessWorkloadIsRefusedNamingTheField(index: Int) throws {
        let (field, spoil) = Self.spoilers[index]
        var reporter = Reporter(host: "bremusa")
        var batch = Self.batch(&reporter, [Cgroup(path: "/c", born: 1, died: 2, cpus: 1)])
        spoil(&batch.workloads[0])
        let bytes: [UInt8] = try batch.serializedBytes()
        do {
            _ = try ReadingsDecoding.decode(bytes)
            Issue.record("expected a refusal")
        } catch let problem as Problem {
            #expect(problem.detail.contains(field))
        }
    }
}
