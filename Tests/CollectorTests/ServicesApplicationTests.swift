import Documents
import Energy
import Postgres
import Store
import Testing
import Wire
@testable import Collector

/// Files of rules in force from a day on, and what they catch.
@Suite struct ServicesApplicationTests {
    static func file(_ day: String, _ rules: String) throws -> ServiceRuleFile {
        try ServiceRuleFile(yaml: "from: \(day)\nrules: \(rules)")
    }

    static func job(_ id: String, _ day: Int, hour: Int = 9, minutes: Int = 10, _ more: String = "") -> String {
        let start = "2026-09-\(day < 10 ? "0" : "")\(day)T\(hour < 10 ? "0" : "")\(hour):00:00Z"
        let end = "2026-09-\(day < 10 ? "0" : "")\(day)T\(hour < 10 ? "0" : "")\(hour):\(minutes):00Z"
        return #"{"id": "\#(id)", "host": "bremusa", "started_at": "\#(start)", "finished_at": "\#(end)"\#(more)}"#
    }

    static func services(_ farm: Farm) async throws -> [String: String] {
        let rows = try await farm.connection.query(
            Statement("services_of_jobs", "SELECT id, coalesce(service, '-') || ' ' || coalesce(rule, '-') AS s FROM span_key")
        )
        return Dictionary(try rows.map { (try $0.string("id"), try $0.string("s")) }) { $1 }
    }

    static func apply(_ file: ServiceRuleFile, _ farm: Farm) async throws -> ServiceRuleApplication.Finished {
        try await ServiceRuleApplication.store(file, who: "operator", farm.connection)
        return try await ServiceRuleApplication.finish(now: { [clock = farm.clock] in clock.now }, farm.connection)
    }

    @Test func aFileRelabelsHistoryFromItsDayOnlyAndUntilTheNext() async throws {
        try await Farm.with { farm in
            farm.clock.now = Farm.start + Microseconds(20 * Microseconds.day.count)
            for day in [2, 5, 6, 10, 12] { try await farm.post(Self.job("d\(day)", day, #", "repository": "github.com/o/r""#)) }
            try await farm.post(Self.job("own", 6, #", "repository": "github.com/o/r", "service": "mine""#))
            #expect(try await Self.services(farm)["d6"] == "- -")

            let old = try await Self.apply(try Self.file("2026-09-05", #"[{name: a, match: {repository: "*"}, service: old}]"#), farm)
            #expect(old.placed == 5)
            #expect(
                try await Self.services(farm)
                    == ["d2": "- -", "d5": "old a", "d6": "old a", "d10": "old a", "d12": "old a", "own": "mine a"]
            )
            _ = try await Self.apply(try Self.file("2026-09-10", #"[{name: b, match: {repository: "*"}, service: new}]"#), farm)
            #expect(
                try await Self.services(farm)
                    == ["d2": "- -", "d5": "old a", "d6": "old a", "d10": "new b", "d12": "new b", "own": "mine a"]
            )
            // In place of the one of the same day; the next one's time is not touched.
            let again = try await Self.apply(try Self.file("2026-09-05", #"[{name: c, match: {repository: "*"}, service: mid}]"#), farm)
            #expect(again.placed == 3)
            #expect(
                try await Self.services(farm)
                    == ["d2": "- -", "d5": "mid c", "d6": "mid c", "d10": "new b", "d12": "new b", "own": "mine c"]
            )
            // What comes from now on has its day's rules.
            try await farm.post(Self.job("late", 7, #", "repository": "github.com/o/r""#))
            #expect(try await Self.services(farm)["late"] == "mid c")
            // Rules that say nothing take their labels back.
            _ = try await Self.apply(try Self.file("2026-09-05", "[]"), farm)
            #expect(try await Self.services(farm)["d6"] == "- -")
            #expect(try await Self.services(farm)["own"] == "mine -")
        }
    }

    @Test func everyApplicationIsAuditedWithWhatWasBefore() async throws {
        try await Farm.with { farm in
            let first = try Self.file("2026-09-05", "[{name: a, match: {}, service: x}]")
            let second = try Self.file("2026-09-05", "[{name: a, match: {}, service: y}]")
            for file in [first, second] { _ = try await Self.apply(file, farm) }
            let rows = try await farm.connection.query(
                Statement("audit_rows", "SELECT who, action, subject, before, after FROM audit ORDER BY audit_id")
            )
            let documents = try rows.map { row in
                (
                    try row.jsonIfPresent("before").map { try JSONValue(parsing: Array($0.utf8)) },
                    try JSONValue(parsing: Array(row.json("after").utf8))
                )
            }
            #expect(try rows.map { try $0.string("action") } == ["services.apply", "services.apply"])
            #expect(try rows.map { try $0.string("subject") } == ["2026-09-05", "2026-09-05"])
            #expect(documents.map(\.0) == [nil, first.document])
            #expect(documents.map(\.1) == [first.document, second.document])
            let plan = try await ServiceRuleApplication.plan(first, farm.connection)
            #expect(plan.replacesOther == true)
            #expect(try await farm.count("audit") == 2, "a plan changes nothing")
        }
    }

    @Test func labellingGoesOnWhereItStopped() async throws {
        try await Farm.with { farm in
            farm.clock.now = Farm.start + Microseconds(20 * Microseconds.day.count)
            for index in 0..<250 { try await farm.post(Self.job("j\(index)", 6, hour: index % 20)) }
            let now: @Sendable () -> Timestamp = { [clock = farm.clock] in clock.now }
            try await ServiceRuleApplication.store(
                try Self.file("2026-09-05", "[{name: a, match: {}, service: x}]"),
                who: "o",
                farm.connection
            )
            func labelled() async throws -> Int { try await Self.services(farm).values.count { $0 == "x a" } }
            #expect(try await ServiceRuleApplication.relabel(now: now, farm.connection) == 100)
            #expect(try await labelled() == 100)
            // Another process.
            let finished = try await ServiceRuleApplication.finish(now: now, farm.connection)
            #expect(finished.placed == 150)
            #expect(try await labelled() == 250)
            // It began while others may still have held the old rules: it is not done yet.
            #expect(try await RuleSetTable.all(farm.connection).map(\.isWalked) == [false])
            try await farm.connection.executeScript("UPDATE rule_set SET created_at = created_at - interval '1 minute'")
            #expect(try await ServiceRuleApplication.finish(now: now, farm.connection).placed == 250)
            #expect(try await RuleSetTable.all(farm.connection).map(\.isWalked) == [true])
            #expect(try await ServiceRuleApplication.finish(now: now, farm.connection).placed == 0)
        }
    }

    @Test func aRuleMaySayPublicOrPrivateAndPrivateWins() async throws {
        try await Farm.with { farm in
            farm.clock.now = Farm.start + Microseconds(20 * Microseconds.day.count)
            for (id, more) in [("none", ""), ("public", #", "visibility": "public""#), ("private", #", "visibility": "private""#)] {
                try await farm.post(Self.job("a-\(id)", 6, #", "job": "a""# + more))
                try await farm.post(Self.job("b-\(id)", 6, #", "job": "b""# + more))
                try await farm.post(Self.job("c-\(id)", 6, #", "job": "c""# + more))
            }
            _ = try await Self.apply(
                try Self.file(
                    "2026-09-05",
                    "[{name: a, match: {job: a}, visibility: public}, {name: b, match: {job: b}, visibility: private}]"
                ),
                farm
            )
            let open = try await farm.connection.query(Statement("public_jobs", "SELECT id FROM span_key WHERE is_public ORDER BY id"))
                .map { try $0.string("id") }
            #expect(open == ["a-none", "a-public", "c-public"])
        }
    }

    @Test func whatRulesCatchAndWhatNoneDoesAddUpToTheWeeksJobEnergy() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(7_300)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(
                reporter.batch(energy: [knot(0, 0), knot(7_200, 720_000)], busy: [knot(0, 0), knot(7_200, 14_400)]),
                token: token
            )
            for (index, more) in [
                #", "repository": "github.com/o/a", "pipeline": "p""#, #", "repository": "github.com/o/a", "pipeline": "p""#,
                #", "repository": "github.com/o/b", "pipeline": "q""#, #", "repository": "github.com/o/c", "service": "mine""#,
                #", "repository": "github.com/o/d", "service": "mine""#,
            ].enumerated() {
                try await farm.post(Self.job("j\(index)", 1, minutes: 10 + 7 * index, more + #", "cpu_share": 0.2"#))
            }
            try await farm.account()
            let total = try await farm.connection.query(
                Statement("job_energy", "SELECT sum(dynamic_uj + idle_reserved_uj)::int8 AS uj FROM slice")
            ).only().int64("uj")
            #expect(total > 0)
            let file = try Self.file(
                "2026-12-01",
                #"""
                [{name: a, match: {repository: "*/a"}, service: "{pipeline}"}, {name: never, match: {host: nowhere}, service: x},
                 {name: d, match: {repository: "*/d"}, service: theirs}]
                """#
            )
            let before = try await farm.ledger()
            let week = Interval(at(0) - Microseconds(7 * Microseconds.day.count), at(7_300))
            let trial = try await ServiceRuleTrial.run(file, week, farm.connection)
            #expect(trial.totalMicrojoules == Int128(total))
            #expect(trial.jobs == 5)
            let parts = trial.rules.map(\.caught.microjoules) + [trial.ownWord.microjoules, trial.nothing.microjoules]
            #expect(parts.reduce(0, +) == Int128(total))
            #expect(trial.rules.map(\.rule) == ["a", "never", "d"])
            #expect(trial.rules.map(\.caught.jobs) == [2, 0, 1])
            #expect(trial.rules.map(\.caught.services) == [["p"], [], ["mine"]], "what the job says itself stands")
            #expect((trial.ownWord.jobs, trial.nothing.jobs) == (1, 1))
            #expect(trial.uncaught.map(\.repository) == ["github.com/o/b"])
            #expect(trial.uncaught.map(\.microjoules).reduce(0, +) == trial.nothing.microjoules)

            // Tried, not applied.
            #expect(try await farm.count("rule_set") == 0)
            #expect(try await farm.ledger() == before)
            let stored = try await ServiceRuleTrial.run(nil, week, farm.connection)
            #expect(stored.rules.isEmpty)
            #expect(stored.nothing.jobs == 3)
            #expect(stored.uncaught.map(\.microjoules) == stored.uncaught.map(\.microjoules).sorted(by: >), "the most energy first")
            #expect(Set(stored.uncaught.map(\.repository)) == ["github.com/o/a", "github.com/o/b"])
        }
    }
}
