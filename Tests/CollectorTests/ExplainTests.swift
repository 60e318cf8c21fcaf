import Accounting
import Documents
import Energy
import Foundation
import Postgres
import Store
import TestSupport
import Testing
import Tracker
import Wire
@testable import Collector

/// The steps behind a number lead to that number.
@Suite struct ExplainTests {
    private static func explain(_ farm: Farm, _ jobID: String, _ policy: Policy = .reserved) async throws -> JobExplanation {
        try #require(
            try await JobExplanation.read(jobID: jobID, for: .everything, now: farm.clock.now, policy: policy, farm.connection)
        )
    }

    private static func printed(_ explanation: JobExplanation) throws -> String {
        ExplanationText.text(try JSONDecoder().decode(Explanation.self, from: Data(try explanation.json(baseURL: "").bytes)))
    }

    @Test func aDeclaredJobIsFollowedByHand() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            let job = try await farm.post(AccountsTests.job).jobID
            farm.clock.now = at(3_700)
            for isSettled in [false, true] {
                if isSettled { try await farm.account() }
                let explanation = try await Self.explain(farm, job)
                #expect((explanation.footprint.statement != nil) == isSettled)
                let slice = try #require(explanation.slices.first)
                #expect(explanation.slices.count == 1 && slice.detail == .stretches && slice.stretches.count == 1)
                #expect(slice.metering?.energy == 60_000e6 && slice.metering?.floor == 12_000e6)
                let stretch = slice.stretches[0]
                #expect(stretch.busy == 0.5 && stretch.own == 0.25 && stretch.share == 0.5 && stretch.idlePart(.reserved) == 0.25)
                #expect(slice.walked.dynamic == 24_000e6 && slice.walked.idle == 3_000e6)
                // The curve's value at the job's edges lies on the lines between these.
                let meter = try #require(explanation.curves.first { $0.name == "powercap/intel-rapl:0" })
                let curve = Curve(knots: meter.knots)
                #expect(meter.unit == "uj" && meter.count == meter.knots.count)
                #expect(curve.increase(over: Interval(slice.row.slice.interval.start, slice.row.slice.interval.end)) == 60_000e6)
                #expect(explanation.curves.map(\.name) == ["powercap/intel-rapl:0", "busy"])
            }
        }
    }

    /// Hosts of all kinds: busy known or not, several jobs that declare and overlap, knots wherever they fall.
    @Test func forRandomHostsTheStepsAddUpToTheEnginesFigures() throws {
        var random = RandomSource(seed: 5)
        var followed = 0
        for _ in 0..<LongRun.rounds(short: 150, long: 3_000) {
            let window = Interval(at(0), at(3_600))
            func curve(_ most: Double) -> Curve {
                var (t, value) = (0.0, 0.0)
                var knots = [knot(0, 0)]
                while t < 3_600 {
                    let step = Double.random(in: 20...900, using: &random)
                    t = min(3_600, t + step)
                    value += step * Double.random(in: 0...most, using: &random)
                    knots.append(knot(t, value))
                }
                return Curve(knots: knots)
            }
            let cpus = Int.random(in: 1...8, using: &random)
            let spans = (0..<Int.random(in: 1...5, using: &random)).map { id in
                let start = Double.random(in: 0...3_000, using: &random)
                let end = start + Double.random(in: 1...600, using: &random)
                var span = SpanInput(id: Int64(id), interval: Interval(at(start), at(end)))
                switch Int.random(in: 0...4, using: &random) {
                case 0: span.cpuShare = Double.random(in: 0...1, using: &random)
                case 1: span.cpus = Double.random(in: 0.5...9, using: &random)
                case 2: span.weight = Double.random(in: 0.5...2, using: &random)
                case 3:
                    span.workload = SpanInput.Workload(
                        curve: Curve(knots: [knot(start, 0), knot((start + end) / 2, 0.2 * (end - start)), knot(end, (end - start) / 2)]),
                        isClosed: true
                    )
                default: break
                }
                return span
            }
            let meters = [
                MeterInput(
                    name: "package",
                    component: .cpu,
                    quality: .measured,
                    curve: curve(90),
                    idle: UtilisationModel.Point(low: Power(watts: 1), best: Power(watts: 4), high: Power(watts: 9))
                ),
                MeterInput(name: "dram", component: .dram, quality: .measured, curve: curve(9)),
            ]
            let host = HostInput(
                window: window,
                cpus: cpus,
                slots: random.chance(0.5) ? 4 : nil,
                meters: meters,
                busy: random.chance(0.7) ? curve(Double(cpus)) : nil,
                agent: random.chance(0.5) ? curve(0.05) : nil,
                spans: spans
            )
            for accounts in Sweep.accounts(of: host) where accounts.flags.isDisjoint(with: [.clamped, .idleFloorHigh]) {
                #expect(!accounts.slices.isEmpty)
                for slice in accounts.slices {
                    for policy in Policy.allCases {
                        let row = SliceRow(hour: window.start.hour, slice: slice, pue: 1, intensity: nil)
                        let explained = ExplainedSlice(
                            row,
                            policy: policy,
                            accounts: accounts,
                            input: host,
                            member: slice.spanID,
                            stretchesLeft: 1_000
                        )
                        #expect(explained.detail == .stretches || explained.detail == .sums, "\(slice) \(explained.walked)")
                        followed += 1
                    }
                }
            }
        }
        #expect(followed > 500)
    }

    @Test func theSlicesAddUpToTheFootprintDigitByDigit() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(11_000)
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let batch = reporter.batch(
                energy: [knot(0, 0), knot(777.7, 81_234.567_891), knot(3_600, 361_234.567), knot(9_000, 912_345.678_9)],
                busy: [
                    Knot(time: at(0), value: 0), Knot(time: at(2_000), value: 2_123_456_789), Knot(time: at(9_000), value: 19_123_456_789),
                ],
                idleWatts: 21.345
            )
            _ = try await farm.commit(batch, token: token)
            let job = try await farm.post(
                #"{"id": "1", "host": "bremusa", "started_at": "2026-09-01T09:10:00.123457Z", "finished_at": "2026-09-01T10:20:07.654321Z", "cpu_share": 0.234567}"#
            ).jobID
            try await farm.post(
                #"{"id": "2", "host": "bremusa", "started_at": "2026-09-01T09:20:00Z", "finished_at": "2026-09-01T10:00:00Z", "cpu_share": 0.7}"#
            )
            try await farm.account()
            for policy in Policy.allCases {
                let explanation = try await Self.explain(farm, job, policy)
                #expect(explanation.slices.count == 2)
                #expect(explanation.slices.allSatisfy { $0.detail == .stretches })
                let document = try #require(explanation.json(baseURL: "").object)
                func sum(_ name: String) -> Int64 {
                    (document["slices"]?.array ?? []).reduce(0) { $0 + ($1.object?[name]?.wholeNumber ?? 0) }
                }
                let totals = try #require(document["totals"]?.object)
                for name in ["dynamic_uj", "idle_uj", "uj"] { #expect(totals[name]?.wholeNumber == sum(name), "\(name)") }
                let energy = try #require(document["footprint"]?.object?["energy"]?.object)
                for name in ["dynamic_uj", "idle_uj", "uj"] { #expect(energy[name] == totals[name], "\(name)") }
                // The document hashes to the digest beside it.
                let statement = try #require(document["statement"]?.object)
                #expect(statement["sha256"] == document["footprint"]?.object?["statement"])
                // In print every line can be redone, and they end where the footprint does.
                let text = try Self.printed(explanation)
                let equations = Equations(text)
                #expect(equations.count > 15 && equations.faults == [], "\(text)")
                #expect(text.contains("dynamic and idle; \(sum("uj")) µJ"))
                // Another job is a count here, never a name.
                let all = try explanation.json(baseURL: "").text
                #expect(!all.contains("ci/-/2/1"))
                let grams = (document["slices"]?.array ?? []).reduce(0) { $0 + ($1.object?["co2e_g"]?.double ?? 0) }
                #expect(abs(grams - (totals["co2e_g"]?.double ?? 0)) < 1e-9)
            }
        }
    }

    @Test func itIsNeverShownWithoutATokenAndNeverOfAnothersJob() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            let post = AccountsTests.job.replacing(
                "\"job\"",
                with: "\"visibility\": \"public\", \"repository\": \"github.com/a/b\", \"job\""
            )
            let job = try await farm.post(post).jobID
            farm.clock.now = at(7_300)
            try await farm.account()
            let other = Token()
            var draft = TokenTable.Draft(name: "other", scope: .read)
            draft.readRepositories = ["github.com/c/*"]
            _ = try await TokenTable.insert(draft, sha256: other.sha256, farm.connection)
            let own = Token()
            draft.name = "own"
            draft.readRepositories = ["github.com/a/*"]
            _ = try await TokenTable.insert(draft, sha256: own.sha256, farm.connection)
            try await PageTests.Server.with(farm) { server in
                let path = "/v1/jobs/\(job)/explain"
                #expect(try await server.get("/v1/jobs/\(job)").status == 200)
                #expect(try await server.get(path).status == 401)
                #expect(try await server.get(path, token: other.text).status == 404)
                // Its own reader sees the job, and not what the machine drew for others.
                #expect(try await server.get("/v1/jobs/\(job)", token: own.text).status == 200)
                #expect(try await server.get(path, token: own.text).status == 403)
                #expect(try await server.page(path).contains("\"stretches\""))
                #expect(try await server.page("/v1/jobs/01j7xk2m4nq8rv5tw9yz3abcde/explain", 404).contains("no job"))
                let shown = try await server.get("/jobs/\(job)")
                #expect(shown.status == 200 && !shown.body.contains("/explain"))
                #expect(try await server.page("/jobs/\(job)").contains("/v1/jobs/\(job)/explain"))
            }
        }
    }

    @Test func aJobThatIsNotFinalSaysSo() async throws {
        try await Farm.with { farm in
            let job = try await farm.post(#"{"id": "1", "host": "nowhere", "started_at": "2026-09-01T09:10:00Z"}"#).jobID
            let document = try await Self.explain(farm, job).json(baseURL: "").object
            #expect(document?["slices"] == .array([]) && document?["totals"] == .null && document?["statement"] == .null)
            let fields = document?["missing"]?.array?.compactMap { $0.object?["field"]?.string } ?? []
            for field in ["totals", "span", "host", "statement"] { #expect(fields.contains(field), "\(field)") }
        }
    }

    @Test func ofALongJobTheFirstHoursAreFollowed() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            let hours = JobExplanation.mostHours + 3
            let end = Double(hours) * 3_600
            farm.clock.now = at(end + 3_700)
            _ = try await farm.commit(
                reporter.batch(energy: [knot(0, 0), knot(end, end * 100)], busy: [knot(0, 0), knot(end, end * 2)]),
                token: token
            )
            let job = try await farm.post(
                #"{"id": "1", "host": "bremusa", "started_at": "\#(RFC3339.format(at(0)))", "finished_at": "\#(RFC3339.format(at(end)))", "cpu_share": 0.25}"#
            ).jobID
            try await farm.account()
            let explanation = try await Self.explain(farm, job)
            #expect(
                explanation.slices.map(\.detail) == Array(repeating: .stretches, count: hours - 3) + Array(repeating: .ledger, count: 3)
            )
            let text = try Self.printed(explanation)
            #expect(text.contains("what the ledger keeps"))
            #expect(Equations(text).faults == [])
            #expect(explanation.slices.reduce(0) { $0 + $1.row.slice.dynamic } == explanation.footprint.energy?.dynamic.microjoules)
        }
    }
}
