import Accounting
import Documents
import Energy
import Postgres
import Store
import Testing
import Wire
@testable import Collector

/// Spans that cgroups open by themselves.
@Suite struct ServicesResidentTests {
    typealias Cgroup = WorkloadOwnershipTests.Cgroup

    struct Span: Equatable {
        var id: String
        var start: Timestamp
        var end: Timestamp?
        var service: String?
    }

    static func spans(_ farm: Farm) async throws -> [Span] {
        try await farm.connection.query(
            Statement(
                "test_resident_spans",
                """
                SELECT k.id || CASE WHEN k.attempt > 1 THEN ' #' || k.attempt ELSE '' END AS id, s.started_at, s.finished_at, k.service
                FROM span s JOIN span_key k USING (job_id) WHERE s.source = 'resident' ORDER BY s.started_at, k.id
                """
            )
        ).map { row in
            Span(
                id: try row.string("id"),
                start: Timestamp(microseconds: try row.timestampMicroseconds("started_at")),
                end: try row.timestampMicrosecondsIfPresent("finished_at").map { Timestamp(microseconds: $0) },
                service: try row.stringIfPresent("service")
            )
        }
    }

    @discardableResult
    static func sweep(_ farm: Farm) async throws -> ResidentSpans.Changes {
        try await ResidentSpans(now: { [clock = farm.clock] in clock.now }).sweep(farm.connection)
    }

    static func store(_ rules: String, from: String = "2026-09-01", _ farm: Farm) async throws {
        let file = try ServiceRuleFile(yaml: "from: \(from)\nrules: \(rules)")
        try await ServiceRuleApplication.store(file, who: "operator", farm.connection)
    }

    static func unit(_ name: String) -> (inout WireWorkloadChange) -> Void { { $0.unit = name } }

    static func service(_ name: String, _ born: Double, _ died: Double?, cpus: Double = 0.5) -> Cgroup {
        Cgroup(path: "/system.slice/\(name)", born: born, died: died, cpus: cpus, change: unit(name))
    }

    static let web = #"[{name: web, match: {unit: "web*.service"}, service: www, team: infra}]"#

    @Test func aUnitWithARuleHasASpanThatNobodyPostedAndConservationHolds() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(Self.web, farm)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(
                WorkloadOwnershipTests.batch(
                    &reporter,
                    [
                        Self.service("web.service", 600, nil), Self.service("web-b.service", 900, 1_500),
                        Self.service("sshd.service", 0, nil),
                    ]
                ),
                token: token
            )
            let changes = try await Self.sweep(farm)
            #expect(changes == .init(opened: 2))
            let spans = try await Self.spans(farm)
            #expect(spans.map(\.start) == [at(600), at(900)])
            #expect(spans.map(\.end) == [nil, at(1_500)])
            #expect(spans.map(\.service) == ["www", "www"])
            #expect(spans[0].id == "web.service@\(at(600).microseconds)/2026-09-01")
            // Nothing has changed: nothing is written, by this collector or another one.
            #expect(try await Self.sweep(farm) == .init())

            let job = try await farm.post(WorkloadOwnershipTests.job("j", 1_000, 3_000, #", "cpu_share": 0.25"#)).jobID
            try await farm.account()
            #expect(try await farm.count("poisoned_hour") == 0)
            // Half a CPU of the two that were busy, of 80 W: 20 W for 600 s.
            let ended = try #require(
                try await farm.footprint(SpanKey(source: "resident", instance: "bremusa", id: spans[1].id, attempt: 1).jobID)
            )
            #expect(ended.state == .final)
            #expect(ended.share?.method == .measured)
            let joules = Double(try #require(ended.energy).dynamic.microjoules) / 1e6
            #expect(abs(joules - 12_000) < 50)
            #expect(ended.energy?.idle.microjoules == 0, "it holds no part of the machine for itself")
            #expect(try await farm.footprint(job)?.state == .final)
            // What is charged and what is left is what was metered.
            let ledger = try await farm.connection.query(
                Statement(
                    "ledger_sums",
                    """
                    SELECT count(*) FILTER (WHERE h.job_dynamic_uj <> s.uj) AS wrong, count(*) AS n FROM host_hour h
                    JOIN LATERAL (SELECT coalesce(sum(dynamic_uj), 0) AS uj FROM slice WHERE host_id = h.host_id AND hour = h.hour
                        AND component = h.component) s ON true
                    """
                )
            ).only()
            #expect(try ledger.int64("wrong") == 0)
            #expect(try ledger.int64("n") > 0)
        }
    }

    @Test func aTimersThreeRunsAreThreeSpans() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(#"[{name: backup, match: {timer: restic.timer}, service: "{timer}"}]"#, farm)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let runs = [(600.0, 660.0), (1_200, 1_290.5), (1_800, 1_830)]
            _ = try await farm.commit(
                WorkloadOwnershipTests.batch(&reporter, runs.map { Self.service("restic.service", $0.0, $0.1, cpus: 1) }),
                token: token
            )
            try await Self.sweep(farm)
            let spans = try await Self.spans(farm)
            #expect(spans.map(\.start) == runs.map { at($0.0) })
            #expect(spans.map(\.end) == runs.map { at($0.1) })
            #expect(spans.map(\.service) == ["restic.timer", "restic.timer", "restic.timer"])
            try await farm.account()
            for (span, run) in zip(spans, runs) {
                let key = SpanKey(source: "resident", instance: "bremusa", id: span.id, attempt: 1)
                let footprint = try #require(try await farm.footprint(key.jobID))
                let joules = Double(try #require(footprint.energy).dynamic.microjoules) / 1e6
                let expected = 40.0 * (run.1 - run.0)
                #expect(abs(joules - expected) < 40, "each run its own: \(joules)")
            }
        }
    }

    /// Lives from 09:10 on; readings come until a time.
    static func later(_ farm: Farm, _ reporter: inout Reporter, until end: Double, died: Double? = nil, token: Int32) async throws {
        var batch = reporter.batch(energy: [knot(end, end * 100)], busy: [knot(end, end * 2)])
        var tail = WireTail()
        let last = died ?? end
        (tail.ref, tail.tUs, tail.value) = (10, at(last).microseconds, Int64((last - 600) * 0.5e6))
        (tail.completeUntilUs, tail.closed) = (at(last).microseconds, died != nil)
        batch.knots.append(WireKnotColumn(ref: 10, knots: [knot(last, (last - 600) * 0.5)]))
        batch.tails.append(tail)
        if let died { batch.workloads.append(WorkloadOwnershipTests.change(service("web.service", 600, died), ref: 10)) }
        farm.clock.now = at(end + 60)
        _ = try await farm.commit(batch, token: token)
    }

    @Test func spansAreCutAtMidnightAndEndWithTheirCgroup() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(Self.web, farm)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(WorkloadOwnershipTests.batch(&reporter, [Self.service("web.service", 600, nil)]), token: token)
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).map(\.end) == [nil])
            // 09:00 + 15 h is midnight. A host that is silent has not lived beyond it, whatever the time is.
            let midnight = 15 * 3_600.0
            farm.clock.now = at(midnight + 7_200)
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).map(\.end) == [nil])

            try await Self.later(farm, &reporter, until: midnight + 1_000, token: token)
            #expect(try await Self.sweep(farm) == .init(opened: 1, finished: 1))
            #expect(try await Self.spans(farm).map(\.start) == [at(600), at(midnight)])
            #expect(try await Self.spans(farm).map(\.end) == [at(midnight), nil])

            // Two midnights on, in one look: a collector that was away.
            let end = midnight + 2 * 86_400 + 500
            try await Self.later(farm, &reporter, until: end, died: end - 100, token: token)
            try await Self.sweep(farm)
            let spans = try await Self.spans(farm)
            let midnights = [0.0, 1, 2].map { at(midnight + $0 * 86_400) }
            #expect(spans.map(\.start) == [at(600)] + midnights)
            #expect(spans.map(\.end) == midnights + [at(end - 100)])
            #expect(Set(spans.map(\.id)).count == 4)
            #expect(try await Self.sweep(farm) == .init())
            try await farm.account()
            #expect(try await farm.count("poisoned_hour") == 0)
        }
    }

    @Test func aFileOpensAndWithdrawsSpansOfItsTimeOnly() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(WorkloadOwnershipTests.batch(&reporter, [Self.service("web.service", 600, nil)]), token: token)
            try await Self.later(farm, &reporter, until: 3 * 86_400, token: token)
            #expect(try await Self.sweep(farm) == .init(), "without rules nothing is opened")
            func days() async throws -> [String] { try await Self.spans(farm).map { String(RFC3339.format($0.start).prefix(10)) } }

            try await Self.store(Self.web, from: "2026-09-03", farm)
            try await Self.sweep(farm)
            #expect(try await days() == ["2026-09-03", "2026-09-04"])
            try await Self.store(#"[{name: x, match: {job: "*"}, service: x}]"#, from: "2026-09-04", farm)
            try await Self.sweep(farm)
            #expect(try await days() == ["2026-09-03"])
            // Back again, under another attempt: what was deleted stays deleted.
            try await Self.store(Self.web, from: "2026-09-04", farm)
            try await Self.sweep(farm)
            #expect(try await days() == ["2026-09-03", "2026-09-04"])
            #expect(try await Self.spans(farm).last?.id.hasSuffix("/2026-09-04 #2") == true)
            #expect(try await Self.sweep(farm) == .init())
            try await Self.store("[]", from: "2026-09-03", farm)
            try await Self.store("[]", from: "2026-09-04", farm)
            try await Self.sweep(farm)
            #expect(try await days() == [])
        }
    }

    /// What names a cgroup as a posted job's.
    @Test(arguments: ["workload", "key", "label", "edges", "below"], [true, false])
    func aCgroupOfAPostedJobHasNoSpanOfItsOwn(means: String, postedFirst: Bool) async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(#"[{name: all, match: {cgroup: "/jobs/*"}, service: all}]"#, farm)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            var cgroups = [Cgroup(path: "/jobs/one", born: 600.2, died: 1_200.1, cpus: 0.5)]
            var more = ""
            switch means {
            case "workload": more = #", "workload": "/jobs/one""#
            case "key": cgroups[0].change = { $0.spanKey = "j" }
            case "label": cgroups[0].change = { $0.labels = [WatchedCgroup.jobLabelName: "77"] }; more = #", "job_id": 77"#
            case "below":
                cgroups.append(Cgroup(path: "/ci", born: 600.2, died: 1_200.1, cpus: 1))
                cgroups[0].path = "/ci/jobs/one"
                try await Self.store(#"[{name: all, match: {cgroup: "*/jobs/*"}, service: all}]"#, farm)
                more = #", "workload": "/ci""#
            default: break
            }
            let batch = WorkloadOwnershipTests.batch(&reporter, cgroups)
            let post = WorkloadOwnershipTests.job("j", 600, 1_200, more)
            var id = ""
            if postedFirst { id = try await farm.post(post).jobID }
            _ = try await farm.commit(batch, token: token)
            if postedFirst { try await farm.account() }
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).count == (postedFirst ? 0 : 1))
            if !postedFirst { id = try await farm.post(post).jobID }
            try await farm.account()
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).isEmpty, "withdrawn as soon as somebody says whose it is")
            try await farm.account()
            let footprint = try #require(try await farm.footprint(id))
            #expect(footprint.share?.method == .measured)
            let joules = Double(try #require(footprint.energy).dynamic.microjoules) / 1e6
            let watts = means == "below" ? 40.0 : 20.0
            #expect(abs(joules - watts * 600) < 60, "all of it is the job's: \(joules)")
            #expect(try await Self.sweep(farm) == .init())
        }
    }

    @Test func theCgroupAroundJobsIsChargedWhatTheyLeave() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(#"[{name: runner, match: {unit: gitlab-runner.service}, service: runner}]"#, farm)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(
                WorkloadOwnershipTests.batch(
                    &reporter,
                    [
                        Self.service("gitlab-runner.service", 0, nil, cpus: 1.5),
                        Cgroup(path: "/system.slice/gitlab-runner.service/job", born: 600, died: 1_200, cpus: 1),
                    ]
                ),
                token: token
            )
            let job = try await farm.post(
                WorkloadOwnershipTests.job("j", 600, 1_200, #", "workload": "/system.slice/gitlab-runner.service/job""#)
            ).jobID
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).map(\.service) == ["runner"])
            try await farm.account()
            #expect(try await Self.sweep(farm) == .init())
            let joules = Double(try #require(try await farm.footprint(job)?.energy).dynamic.microjoules) / 1e6
            #expect(abs(joules - 40 * 600) < 60)
            let runner = try await farm.connection.query(
                Statement(
                    "runner_energy",
                    "SELECT sum(dynamic_uj)::int8 AS uj FROM slice JOIN span USING (host_id, span_id) WHERE source = 'resident'"
                )
            ).only().int64("uj")
            // 1.5 CPUs for two hours less the job's one for ten minutes, at 40 W a CPU.
            let expected = 40.0 * (1.5 * 7_200 - 600)
            #expect(abs(Double(runner) / 1e6 - expected) < 200)
        }
    }

    @Test func aRuleMeansAllOfACgroupAndAnotherRuleAPartOfIt() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(
                #"[{name: db, match: {cgroup: "*/postgres"}, service: db}, {name: pod, match: {cgroup: "/pods/*"}, service: "{cgroup}"}]"#,
                farm
            )
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(
                WorkloadOwnershipTests.batch(
                    &reporter,
                    ["/pods/a", "/pods/a/x", "/pods/a/x/y", "/pods/a/postgres", "/podsless"].map {
                        Cgroup(path: $0, born: 100, died: nil, cpus: 0.1)
                    }
                ),
                token: token
            )
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).map(\.service).sorted { $0 ?? "" < $1 ?? "" } == ["/pods/a", "db"])
        }
    }

    @Test func theUnitOfAGitHubRunnerIsItsJobs() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            try await Self.store(#"[{name: all, match: {unit: "*.service"}, service: "{unit}"}]"#, farm)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(
                WorkloadOwnershipTests.batch(&reporter, [Self.service("actions.runner.o-r.w1.service", 0, nil)]),
                token: token
            )
            try await Self.sweep(farm)
            #expect(try await Self.spans(farm).isEmpty)
        }
    }
}
