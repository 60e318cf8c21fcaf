import Accounting
import Crypto
import Documents
import Energy
import HTTPClient
import Postgres
import Store
import SwiftProtobuf
import Testing
import Wire
@testable import Collector

/// A statement names what a footprint was made from: same inputs, same digits, same digest.
@Suite struct StatementTests {
    private static func settle(_ farm: Farm) async throws -> String {
        let token = try await farm.token("a", host: "bremusa")
        var reporter = Reporter(host: "bremusa")
        _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
        let job = try await farm.post(AccountsTests.job).jobID
        farm.clock.now = at(3_700)
        try await farm.account()
        return job
    }

    private static func read(_ farm: Farm, _ jobID: String, _ policy: Policy = .reserved) async throws -> Footprint {
        let reader = FootprintReader(farm.connection, now: farm.clock.now, policy: policy)
        return try #require(try await reader.footprint(jobID: jobID, for: .everything))
    }

    @Test func theDigestIsThatOfTheCanonicalText() async throws {
        try await Farm.with { farm in
            let job = try await Self.settle(farm)
            let statement = try #require(try await Self.read(farm, job).statement)
            let text = try statement.document.text
            let digest = SHA256.hash(data: Array(text.utf8)).map { FootprintStatement.hex($0) }.joined()
            #expect(statement.digest == "sha256:\(digest)")
            // What is read back is what was written.
            let again = try JSONValue(parsing: Array(text.utf8)).text
            #expect(again == text)
            let figures = statement.document.object?["figures"]?.object?["energy"]?.object
            #expect(figures?["uj"] == .string("27000000000"))
            #expect(figures?["dynamic_uj"] == .string("24000000000"))
            #expect(statement.document.object?["hours"]?.array?.count == 1)
            #expect(statement.document.object?["span"]?.object?["cpu_share"] == .number(0.25))
        }
    }

    @Test func untilEveryHourIsSettledThereIsNone() async throws {
        try await Farm.with { farm in
            let token = try await farm.token("a", host: "bremusa")
            var reporter = Reporter(host: "bremusa")
            _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
            let job = try await farm.post(AccountsTests.job).jobID
            farm.clock.now = at(3_700)
            let open = try await Self.read(farm, job)
            #expect(open.state == .final && open.statement == nil)
            #expect(open.allMissing.contains { $0.field == "statement" && $0.reason == "hour_open" })
            try await farm.account()
            let settled = try await Self.read(farm, job)
            #expect(settled.statement != nil)
            #expect(!settled.allMissing.contains { $0.field == "statement" })
        }
    }

    @Test func accountingAnHourAnewChangesNoStatement() async throws {
        try await Farm.with { farm in
            let job = try await Self.settle(farm)
            let before = try #require(try await Self.read(farm, job).statement)
            let hour = Farm.start.hour
            let host = try #require(try await HostTable.find(name: "bremusa", farm.connection))
            for _ in 0..<2 {
                try await WorkQueue.mark(hostID: host.id, hours: [hour], now: farm.clock.now, reason: "test", farm.connection)
                try await farm.account()
                #expect(try await Self.read(farm, job).statement?.digest == before.digest)
            }
        }
    }

    @Test func whicheverWayTheInputsCameTheStatementIsTheSame() async throws {
        var digests: Set<String> = []
        for order in 0..<3 {
            try await Farm.with { farm in
                farm.clock.now = at(4_000)
                let token = try await farm.token("a", host: "bremusa")
                var reporter = Reporter(host: "bremusa")
                let batches = [
                    reporter.batch(energy: [knot(0, 0), knot(1_000, 90_000)], busy: [knot(0, 0), knot(1_000, 1_500)]),
                    reporter.batch(energy: [knot(2_000, 190_000), knot(3_600, 360_000)], busy: [knot(3_600, 7_200)]),
                ]
                if order == 0 { try await farm.post(AccountsTests.job) }
                for batch in batches {
                    _ = try await farm.commit(batch, token: token)
                    if order == 1 { try await farm.account() }
                }
                let job = try await farm.post(AccountsTests.job).jobID
                try await farm.account()
                digests.insert(try #require(try await Self.read(farm, job).statement).digest)
            }
        }
        #expect(digests.count == 1)
    }

    @Test func anotherPolicyIsAnotherStatementAndTouchesNothing() async throws {
        try await Farm.with { farm in
            let job = try await Self.settle(farm)
            let before = try await Self.rows(farm)
            var digests: [Policy: String] = [:]
            for policy in Policy.allCases {
                let footprint = try await Self.read(farm, job, policy)
                let idle: Int64 = [.reserved: 3_000_000_000, .busy: 12_000_000_000, .equal: 12_000_000_000][policy] ?? 0
                #expect(footprint.energy?.dynamic.microjoules == 24_000_000_000)
                #expect(footprint.energy?.idle.microjoules == idle, "\(policy)")
                digests[policy] = try #require(footprint.statement).digest
            }
            #expect(Set(digests.values).count == Policy.allCases.count)
            try await PageTests.Server.with(farm) { [digests] server in
                for (policy, digest) in digests {
                    let answer = try await server.page("/v1/jobs/\(job)?policy=\(policy.rawValue)")
                    #expect(answer.contains(digest))
                }
            }
            #expect(try await Self.rows(farm) == before)
        }
    }

    /// Each row of the ledger and of what it was made from, with the transaction that wrote it.
    private static func rows(_ farm: Farm) async throws -> [String] {
        var lines: [String] = []
        for table in [
            "accounted_hour", "accounted_version", "dirty", "host_hour", "intensity", "knot", "ownership", "span", "span_key",
            "stored_slice",
        ] {
            lines += try await farm.connection.query(
                Statement("rows_\(table)", "SELECT '\(table) ' || t.xmin::text || ' ' || t::text AS line FROM \(table) t ORDER BY 1")
            ).map { try $0.string("line") }
        }
        return lines
    }

    @Test func aRevisedIntensityIsAnotherStatement() async throws {
        try await Farm.with { farm in
            let job = try await Self.settle(farm)
            let before = try await Self.read(farm, job)
            _ = try await farm.connection.execute(
                Statement(
                    "revise",
                    """
                    INSERT INTO intensity (zone, from_t, to_t, g_per_kwh, low_g_per_kwh, high_g_per_kwh, kind, basis, provider, version)
                    SELECT zone, $1, $2, 17, 16, 18, 'actual', basis, 'test', '2026 first'
                    FROM intensity WHERE zone = 'FR' LIMIT 1
                    """
                ),
                [
                    .timestamptz(microseconds: Farm.start.microseconds),
                    .timestamptz(microseconds: (Farm.start + .hour).microseconds),
                ]
            )
            let host = try #require(try await HostTable.find(name: "bremusa", farm.connection))
            try await WorkQueue.mark(hostID: host.id, hours: [Farm.start.hour], now: farm.clock.now, reason: "test", farm.connection)
            try await farm.account()
            let after = try await Self.read(farm, job)
            #expect(after.energy?.total == before.energy?.total)
            #expect(after.statement?.digest != before.statement?.digest)
            let intensity = after.statement?.document.object?["intensities"]?.array?.first?.object
            #expect(intensity?["g_per_kwh"] == .number(17) && intensity?["version"] == .string("2026 first"))
            #expect(intensity?["from"] == .string("2026-09-01T09:00:00Z") && intensity?["to"] == .string("2026-09-01T10:00:00Z"))
        }
    }

    @Test func lateReadingsMakeAnotherStatementAndWhatTheOlderOneNamesIsSaidToBeSuperseded() async throws {
        try await Farm.with { farm in
            farm.clock.now = at(4_000)
            let agent = Token()
            _ = try await TokenTable.insert(
                name: "agent",
                scope: .agent,
                sha256: agent.sha256,
                hostName: "bremusa",
                expiresAtMicroseconds: nil,
                farm.connection
            )
            var reporter = Reporter(host: "bremusa")
            let batches: [[UInt8]] = [
                try reporter.batch(energy: [knot(0, 0), knot(500, 50_000)]).serializedBytes(),
                try reporter.batch(energy: [knot(1_500, 170_000)]).serializedBytes(),
            ]
            let job = try await farm.post(
                #"{"id": "j", "host": "bremusa", "cpu_share": 0.5, "started_at": "2026-09-01T09:01:00Z", "finished_at": "2026-09-01T09:05:00Z"}"#
            ).jobID
            try await PageTests.Server.with(farm) { server in
                var seen: [JSONValue] = []
                for batch in batches {
                    let answer = try await server.client.send(
                        HTTPRequest(
                            method: "POST",
                            url: server.url + "/v1/readings",
                            headers: [("Authorization", "Bearer \(agent.text)"), ("Content-Type", "application/x-protobuf")],
                            body: batch
                        )
                    )
                    #expect(answer.status == 200, "\(String(decoding: answer.body, as: UTF8.self))")
                    let start = ContinuousClock.now
                    while ContinuousClock.now - start < .seconds(20) {
                        let (status, body) = try await server.get("/v1/jobs/\(job)/explain", token: server.readToken)
                        let document = status == 200 ? try JSONValue(parsing: Array(body.utf8)) : .null
                        if let statement = document.object?["statement"]?.object, statement["sha256"] != Self.digest(seen.last) {
                            seen.append(document)
                            break
                        }
                        try await Task.sleep(for: .milliseconds(20))
                    }
                }
                try #require(seen.count == 2)
                let hours = try seen.map { try #require($0.object?["hours"]?.array?.first?.object) }
                // The hour may have been accounted before the first readings came: then they made its second version.
                let first = try #require(hours[0]["version"]?.integer)
                #expect(hours[1]["version"]?.integer == first + 1 && hours[1]["inputs_sha256"] != hours[0]["inputs_sha256"])
                // The older statement names its hour by these inputs, which are named as what the newer ones came after.
                let older = seen[0].object?["statement"]?.object?["document"]?.object?["hours"]?.array?.first?.object
                let superseded = hours[1]["superseded"]?.array?.compactMap(\.object).first { $0["version"]?.integer == first }
                #expect(older?["inputs_sha256"] != nil && older?["inputs_sha256"] == superseded?["inputs_sha256"])
                #expect(hours[0]["superseded"]?.array?.count == Int(first) - 1)
            }
        }
    }

    private static func digest(_ explanation: JSONValue?) -> JSONValue? {
        explanation?.object?["statement"]?.object?["sha256"]
    }

    @Test func withoutATokenADigestThatCouldBeGuessedFromIsNotTold() async throws {
        try await Farm.with { farm in
            let job = try await Self.settle(farm)
            var footprint = try await Self.read(farm, job)
            let origin = FootprintStatement.Origin(
                interval: Interval(at(600), at(1_200)),
                terms: SpanTerms(timeResolution: .zero, cpuShare: 0.25, cpus: nil, weight: nil, cpuTime: nil),
                hours: [AccountedHour(hour: Farm.start.hour, version: 1, inputsSHA256: nil, software: "")],
                slices: [],
                hostTerms: .unknown
            )
            footprint.statement = try FootprintStatement(footprint, origin: origin)
            #expect(footprint.publicView.statement == nil)
            #expect(footprint.publicView.allMissing.contains { $0.field == "statement" && $0.reason == "token_needed" })
            #expect(JobsCSV.record(footprint).contains("sha256:") && !JobsCSV.record(footprint, isPublic: true).contains("sha256:"))
            var sealed = origin
            sealed.hours = [AccountedHour(hour: Farm.start.hour, version: 1, inputsSHA256: Array(repeating: 7, count: 32), software: "")]
            footprint.statement = try FootprintStatement(footprint, origin: sealed)
            #expect(footprint.publicView.statement != nil)
        }
    }
}
