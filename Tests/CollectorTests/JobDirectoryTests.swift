import CIEvents
import Documents
import Energy
import Postgres
import Store
import TestSupport
import Testing
@testable import Collector

/// What CI, hooks and pollers say of one run, and what becomes of it.
@Suite("The directory of jobs")
struct JobDirectoryTests {
    static func event(
        _ id: String,
        _ phase: JobEvent.Phase,
        attempt: Int = 1,
        at second: Double,
        _ fields: [String: JSONValue]
    ) -> JobEvent {
        var all: [String: JSONValue] = [
            "repository": "o/r", "run_id": "17", "job_id": .string(id), "queued_at": .string(RFC3339.format(at(500))),
            "repository_private": .bool(false), "time_resolution_ms": .integer(1_000),
        ]
        all.merge(fields) { $1 }
        return JobEvent(
            instance: "https://github.com",
            id: id,
            attempt: attempt,
            phase: phase,
            eventTime: Farm.start + Microseconds(Int64(second * 1e6)),
            fields: all
        )
    }

    static func time(_ seconds: Double) -> JSONValue { .string(RFC3339.format(at(seconds))) }

    /// Two jobs of a run on one runner, one after the other, a hook's record of the first, and a re-run that takes the second over.
    static var writes: [SpanWrite] {
        get throws {
            let runner: [String: JSONValue] = ["runner": "BW-07", "runner_id": "7"]
            func started(_ name: String, _ t: Double) -> [String: JSONValue] {
                runner.merging(["job": .string(name), "started_at": time(t)]) { $1 }
            }
            func ended(_ name: String, _ t: Double, _ end: Double, _ outcome: String) -> [String: JSONValue] {
                started(name, t).merging(["finished_at": time(end), "outcome": .string(outcome)]) { $1 }
            }
            let hook = """
                {"id": "run/17/bw-07/1", "instance": "https://github.com", "hook": true, "run_id": "17", "runner": "bw-07",
                 "repository": "o/r", "source": "wattle-span", "host": "bremusa", "cpu_share": 0.5,
                 "started_at": "\(RFC3339.format(at(602.25)))", "finished_at": "\(RFC3339.format(at(1_199.5)))",
                 "time_resolution_ms": 0}
                """
            return [
                SpanWrite(event("1", .queued, at: 500, ["job": "build"])),
                SpanWrite(event("1", .started, at: 600, started("build", 600))),
                SpanWrite(event("1", .finished, at: 1_200, ended("build", 600, 1_200, "success"))),
                SpanWrite(event("2", .started, at: 1_210, started("test", 1_210))),
                SpanWrite(event("2", .finished, at: 1_500, ended("test", 1_210, 1_500, "success"))),
                SpanWrite(event("2", .reconciled, at: 1_500, ended("test", 1_210, 1_500, "success"))),
                // The first attempt's second job, sent again under the second attempt.
                SpanWrite(event("3", .finished, attempt: 2, at: 1_500, ended("test", 1_210, 1_500, "success"))),
                // Skipped: no runner, no start.
                SpanWrite(event("4", .finished, at: 1_500, ["job": "deploy", "outcome": "skipped"])),
                // A clock that went backwards.
                SpanWrite(event("5", .finished, at: 1_600, ended("tidy", 1_600, 1_599, "success"))),
                SpanWrite(try SpanDocument(try JSONValue(parsing: Array(hook.utf8)), now: at(4_000))),
            ]
        }
    }

    static func accept(_ write: SpanWrite, _ farm: Farm, source: String = "gh") async throws {
        _ = try await farm.connection.transaction { tx in
            try await SpanIntake(now: { at(4_000) }).accept(write, source: source, tx)
        }
    }

    /// Everything that the directory says, but for who came first.
    static func state(_ farm: Farm) async throws -> [String] {
        try await farm.connection.query(
            Statement(
                "directory_state",
                """
                SELECT concat_ws('|', job_id, coalesce(alias_of, '-'), coalesce(alias_cause, '-'), host_id, started_at, finished_at,
                    repository, runner, is_public, flags, registers, document) AS t FROM span_key ORDER BY job_id
                """
            )
        ).map { try $0.string("t") }
    }

    @Test(
        "delivered three times in random order, a run's events are the same jobs and the same energy",
        arguments: 0..<LongRun.rounds(short: 6, long: 60)
    )
    func anyOrderGivesTheSameJobs(seed: Int) async throws {
        var random = RandomSource(seed: UInt64(seed))
        var states: [[String]] = []
        var ledgers: [[String]] = []
        for round in 0..<2 {
            try await Farm.with { farm in
                farm.clock.now = at(4_000)
                let token = try await farm.token("a", host: "bremusa")
                var reporter = Reporter(host: "bremusa")
                let batch = AccountsTests.hour(&reporter)
                let writes = try Self.writes
                let order = round == 0 ? writes : (writes + writes + writes).shuffled(using: &random)
                let split = round == 0 ? order.count : Int.random(in: 0...order.count, using: &random)
                for write in order[..<split] { try await Self.accept(write, farm) }
                _ = try await farm.commit(batch, token: token)
                try await farm.connection.executeScript(
                    """
                    INSERT INTO runner_host (runner, host_id, valid_from, origin) SELECT 'bw-07', host_id, '2026-01-01', 'operator' FROM host
                    """
                )
                for write in order[split...] { try await Self.accept(write, farm) }
                try await farm.account()
                states.append(try await Self.state(farm))
                ledgers.append(try await farm.ledger())
            }
        }
        #expect(states[0] == states[1])
        #expect(ledgers[0] == ledgers[1])
    }

    @Test("one run: the hook's edges win, what ran once counts once, what did not run costs nothing")
    func oneRun() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            try await farm.connection.executeScript(
                """
                INSERT INTO runner_host (runner, host_id, valid_from, origin) SELECT 'bw-07', host_id, '2026-01-01', 'operator' FROM host
                """
            )
            for write in try Self.writes { try await Self.accept(write, farm) }
            try await farm.account()
            func id(_ name: String, attempt: Int = 1) -> String {
                SpanKey(source: "gh", instance: "github.com", id: name, attempt: attempt).jobID
            }
            let first = try #require(try await farm.footprint(id("1")))
            #expect(first.startedAt == at(602.25) && first.finishedAt == at(1_199.5))
            #expect(first.fields["job"] == "build" && first.fields["outcome"] == "success")
            #expect(first.fields["repository"] == "github.com/o/r")
            let second = try #require(try await farm.footprint(id("2")))
            #expect(second.state == .final && second.energy != nil)
            // By either id the same job.
            #expect(try await farm.footprint(id("3", attempt: 2))?.jobID == id("2"))
            #expect(try await farm.footprint(id("run/17/bw-07/1"))?.jobID == id("1"))
            #expect(try await farm.footprint(id("4")) == nil)
            let reversed = try #require(try await farm.footprint(id("5")))
            #expect(reversed.flags == ["clock_anomaly"])
            #expect(reversed.startedAt == reversed.finishedAt)
            #expect((reversed.energy?.total.microjoules ?? 0) == 0)
            let listed = try await JobDirectory.list(JobDirectory.Filter(), farm.connection)
            #expect(Set(listed.map(\.jobID)) == [id("1"), id("2"), id("5")])
            #expect(try await farm.count("span") == 3)
        }
    }

    @Test("a source that may speak of one repository cannot name another, nor another's host or visibility")
    func claimsAreHeldTo() async throws {
        try await Farm.with { farm in
            var claims = Claims()
            claims.repositories = ["github.com/o/r"]
            claims.hosts = ["bw-*"]
            claims.visibility = .private
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            farm.clock.now = at(4_000)
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            try await farm.connection.executeScript(
                """
                INSERT INTO runner_host (runner, host_id, valid_from, origin) SELECT 'bw-07', host_id, '2026-01-01', 'operator' FROM host
                """
            )
            func write(_ fields: [String: JSONValue]) -> SpanWrite {
                SpanWrite(
                    Self.event(
                        "9",
                        .finished,
                        at: 700,
                        fields.merging(["started_at": Self.time(600), "finished_at": Self.time(700)]) { a, _ in a }
                    )
                )
            }
            func accept(_ write: SpanWrite) async throws -> SpanIntake.Accepted {
                try await farm.connection.transaction { tx in
                    try await SpanIntake(now: { at(4_000) }).accept(write, source: "gh", claims: claims, tx)
                }
            }
            for fields: [String: JSONValue] in [["repository": "o/other"], ["repository": "https://gitlab.com/o/r"], ["host": "bremusa"]] {
                await #expect(throws: Claims.Excess.self) { _ = try await accept(write(fields)) }
            }
            // A runner that turns out to be on a host beyond the claim is not put there, and what is said stays private.
            let accepted = try await accept(write(["runner": "bw-07", "visibility": "public", "allowed_runner": .null]))
            let row = try #require(try await JobDirectory.find(jobID: accepted.jobID, farm.connection))
            #expect(row.hostID == nil && row.flags == ["host_not_claimed"] && !row.isPublic)
        }
    }

    @Test("a private job is there for nobody without a token, and one turned private vanishes at once")
    func privateJobsAreThereForNobody() async throws {
        try await Farm.with { farm in
            func post(_ id: String, _ fields: String) async throws -> String {
                try await farm.post(
                    """
                    {"id": "\(id)", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:10:00Z", \(fields)}
                    """
                ).jobID
            }
            let open = try await post("1", #""repository": "github.com/o/open", "visibility": "public""#)
            let closed = try await post("2", #""repository": "github.com/o/closed""#)
            let both = try await post("3", #""repository": "github.com/o/open", "visibility": "public", "repository_private": true"#)
            func seen(by viewer: Viewer) async throws -> Set<String> {
                var filter = JobDirectory.Filter()
                filter.visibility = viewer.visibility(now: at(4_000))
                return Set(try await JobDirectory.list(filter, farm.connection).map(\.jobID))
            }
            #expect(try await seen(by: .anonymous) == [open])
            #expect(try await seen(by: .everything) == [open, closed, both])
            #expect(try await seen(by: .repositories(["github.com/o/cl*"])) == [closed])
            #expect(try await seen(by: .source("ci", repositories: nil)).count == 3)
            #expect(try await seen(by: .source("other", repositories: nil)).isEmpty)
            #expect(try await seen(by: .source("ci", repositories: ["github.com/o/cl*"])) == [closed])
            try await farm.connection.executeScript(
                """
                INSERT INTO repository (name, is_private, stated_at, source) VALUES ('github.com/o/open', true, now(), 'gh')
                """
            )
            #expect(try await seen(by: .anonymous).isEmpty)
        }
    }

    /// A post by the holder of a token that may speak of some repositories only.
    static func post(_ json: String, of repositories: [String], _ farm: Farm) async throws -> SpanIntake.Accepted {
        var claims = Claims()
        claims.repositories = repositories
        let write = SpanWrite(try SpanDocument(try JSONValue(parsing: Array(json.utf8)), now: at(4_000)))
        return try await farm.connection.transaction { [claims] tx in
            try await SpanIntake(now: { at(4_000) }).accept(write, source: "gh", claims: claims, tx)
        }
    }

    @Test("a hook's record of another repository is not the job, and a hook has no say in whose the job is or who may see it")
    func aHookHasNoSayInWhoseTheJobIs() async throws {
        for repository in ["github.com/o/x", "github.com/o/r"] {
            try await Farm.with { farm in
                let job = Self.event(
                    "1",
                    .finished,
                    at: 1_200,
                    [
                        "runner": "bw-07", "job": "build", "started_at": Self.time(600), "finished_at": Self.time(1_200),
                        "repository_private": .bool(true),
                    ]
                )
                try await Self.accept(SpanWrite(job), farm)
                let hook = try await Self.post(
                    """
                    {"id": "run/17/bw-07/1", "instance": "github.com", "hook": true, "run_id": "17", "runner": "bw-07", "repository": "\(repository)",
                     "source": "wattle-span", "visibility": "public", "repository_private": false, "job": "mine", "service": "s",
                     "started_at": "\(RFC3339.format(at(601)))", "finished_at": "\(RFC3339.format(at(1_199)))"}
                    """,
                    of: [repository],
                    farm
                )
                let id = SpanKey(source: "gh", instance: "github.com", id: "1", attempt: 1).jobID
                let row = try #require(try await JobDirectory.find(jobID: id, farm.connection))
                #expect(!row.isPublic && row.repository == "github.com/o/r")
                let fields = try JSONValue(parsing: Array(row.documentJSON.utf8)).object ?? [:]
                #expect(fields["job"] == "build")
                let own = try #require(try await JobDirectory.find(jobID: hook.jobID, farm.connection))
                #expect((own.aliasOf == id) == (repository == "github.com/o/r"))
                #expect(row.startedAt == (own.aliasOf == nil ? at(600) : at(601)))
                #expect(fields["service"] == (own.aliasOf == nil ? nil : "s"))
            }
        }
    }

    @Test("what a token says of another repository's job never counts, whoever comes first", arguments: [false, true])
    func whatOneSaysOfAnothersJobNeverCounts(comesFirst: Bool) async throws {
        try await Farm.with { farm in
            let mine = """
                {"id": "9", "instance": "github.com", "repository": "github.com/o/x", "visibility": "public", "source": "wattle-span", "job": "mine",
                 "started_at": "\(RFC3339.format(at(100)))", "finished_at": "\(RFC3339.format(at(3_000)))"}
                """
            let job = SpanWrite(
                Self.event("9", .finished, at: 700, ["job": "build", "started_at": Self.time(600), "finished_at": Self.time(700)])
            )
            if comesFirst { _ = try await Self.post(mine, of: ["github.com/o/x"], farm) }
            try await Self.accept(job, farm)
            if !comesFirst {
                await #expect(throws: Claims.Excess.self) { _ = try await Self.post(mine, of: ["github.com/o/x"], farm) }
            }
            let id = SpanKey(source: "gh", instance: "github.com", id: "9", attempt: 1).jobID
            let row = try #require(try await JobDirectory.find(jobID: id, farm.connection))
            #expect(row.repository == "github.com/o/r" && row.startedAt == at(600) && row.finishedAt == at(700))
            #expect(try JSONValue(parsing: Array(row.documentJSON.utf8)).object?["job"] == "build")
        }
    }

    @Test("a job that moves to another runner leaves its hook's record, and a deleted one takes it along")
    func hooksFollowTheirJobs() async throws {
        try await Farm.with { farm in
            for write in try Self.writes { try await Self.accept(write, farm) }
            let job = SpanKey(source: "gh", instance: "github.com", id: "1", attempt: 1).jobID
            let hook = SpanKey(source: "gh", instance: "github.com", id: "run/17/bw-07/1", attempt: 1).jobID
            func alias() async throws -> String? { try await JobDirectory.find(jobID: hook, farm.connection)?.aliasOf }
            #expect(try await alias() == job)
            let fields: [String: JSONValue] = [
                "runner": "bw-08", "job": "build", "started_at": Self.time(600), "finished_at": Self.time(1_200),
            ]
            try await Self.accept(SpanWrite(Self.event("1", .reconciled, at: 1_300, fields)), farm)
            #expect(try await alias() == nil)
            let second = SpanKey(source: "gh", instance: "github.com", id: "2", attempt: 1).jobID
            try await Self.accept(
                SpanWrite(Self.event("1", .reconciled, at: 1_400, fields.merging(["runner": "bw-07"]) { $1 })),
                farm
            )
            #expect(try await alias() == job)
            #expect(
                try await farm.connection.transaction { try await SpanIntake(now: { at(4_000) }).delete(jobID: job, source: "gh", $0) }
            )
            let listed = try await JobDirectory.list(JobDirectory.Filter(), farm.connection).map(\.jobID)
            #expect(!listed.contains(job) && !listed.contains(hook) && listed.contains(second))
        }
    }

    @Test("posts of the same runs at the same time all succeed")
    func postsAtTheSameTime() async throws {
        try await Farm.with { farm in
            let pool = farm.pool
            try await withThrowingTaskGroup(of: Void.self) { group in
                for post in 0..<6 {
                    group.addTask {
                        let writes = (0..<60).map { number in
                            SpanWrite(
                                Self.event(
                                    "\((number * 7 + post) % 60)-\(post)",
                                    .started,
                                    at: 600,
                                    [
                                        "run_id": .string("r\((number * 13 + post * 5) % 20)"), "runner": "bw-07",
                                        "started_at": Self.time(600),
                                    ]
                                )
                            )
                        }
                        _ = try await pool.retriedTransaction { tx in
                            try await SpanIntake(now: { at(4_000) }).accept(writes, source: "gh", tx).map { try $0.get() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await farm.count("span_key") == 360)
        }
    }

    @Test("ten thousand runs in one post, and a thousand jobs of one, are taken in seconds")
    func manyRunsAndLargeRuns() async throws {
        try await Farm.with { farm in
            func writes(_ count: Int, _ run: (Int) -> String) -> [SpanWrite] {
                (0..<count).map { number in
                    SpanWrite(
                        Self.event(
                            "\(run(number))-\(number)",
                            .started,
                            at: 600,
                            ["run_id": .string(run(number)), "runner": "bw-07", "started_at": Self.time(Double(number))]
                        )
                    )
                }
            }
            let clock = ContinuousClock()
            let took = try await clock.measure {
                for batch in [writes(LongRun.rounds(short: 2_000, long: 10_000)) { "r\($0)" }, writes(1_000) { _ in "one" }] {
                    _ = try await farm.connection.transaction { tx in
                        try await SpanIntake(now: { at(4_000) }).accept(batch, source: "gh", tx).map { try $0.get() }
                    }
                }
            }
            #expect(took < .seconds(120))
        }
    }
}
