import Documents
import Energy
import HTTPClient
import Postgres
import Store
import Testing
import TestSupport
@testable import Collector

/// Roll-ups over HTTP: who sees what, and what is refused.
@Suite struct RollUpRoutesTests {
    private static func token(_ scope: TokenGrant.Scope, _ name: String, _ farm: Farm) async throws -> String {
        let token = Token()
        _ = try await TokenTable.insert(
            name: name,
            scope: scope,
            sha256: token.sha256,
            hostName: nil,
            expiresAtMicroseconds: nil,
            farm.connection
        )
        return token.text
    }

    private static func groups(_ body: String) throws -> [[String: JSONValue]] {
        try JSONValue(parsing: Array(body.utf8)).object?["groups"]?.array?.compactMap(\.object) ?? []
    }

    private static let day = "from=2026-09-01T00:00:00Z&to=2026-09-02T00:00:00Z"

    @Test func withoutATokenOnlyPublicJobsCountAndShortOnesOnlyTogether() async throws {
        try await Farm.with { farm in
            try await PageTests.metered(farm)
            func post(_ id: String, _ service: String, _ start: Double, _ seconds: Double, isPublic: Bool = true) async throws {
                try await farm.post(
                    """
                    {"id": "\(id)", "host": "bremusa", "service": "\(service)", "cpu_share": 0.1,
                     "started_at": "\(RFC3339.format(at(start)))", "finished_at": "\(RFC3339.format(at(start + seconds)))"
                     \(isPublic ? ", \"visibility\": \"public\"" : "")}
                    """
                )
            }
            try await post("1", "long", 100, 90)
            try await post("2", "secret", 200, 90, isPublic: false)
            // One short job beside a long one, two short ones, three that are too short together, and three that are not.
            try await post("3", "long", 300, 30)
            for i in 0..<2 { try await post("4\(i)", "two", 400 + Double(i) * 60, 40) }
            for i in 0..<3 { try await post("5\(i)", "brief", 700 + Double(i) * 60, 19) }
            for i in 0..<3 { try await post("6\(i)", "three", 900 + Double(i) * 60, 21.5) }
            try await farm.account()
            try await PageTests.Server.with(farm) { server in
                let seen = try await server.get("/v1/services?\(Self.day)")
                #expect(seen.status == 200, "\(seen.body.prefix(400))")
                let groups = try Self.groups(seen.body)
                #expect(Set(groups.compactMap { $0["service"]?.string }) == ["long", "three"], "\(seen.body)")
                for group in groups {
                    let energy = try #require(group["energy"]?.object)
                    #expect(energy["uj"] == .null && energy["dynamic_uj"] == .null)
                    let best = try #require(energy["best_kwh"]?.double)
                    #expect(Digits.coarse(best) == best && best > 0)
                    let jobs = group["jobs"]?.object?["count"]?.integer
                    #expect(jobs == (group["service"] == .string("long") ? 1 : 3))
                }
                #expect(!seen.body.contains("secret") && !seen.body.contains("bremusa"))
                let all = try Self.groups(try await server.page("/v1/services?\(Self.day)"))
                #expect(Set(all.compactMap { $0["service"]?.string }) == ["long", "secret", "two", "brief", "three"])
                for path in ["by=host", "by=pool", "by=service&host=bremusa", "by=service&pool=x", "by=service,team", "service=a&team=b"] {
                    #expect(try await server.get("/v1/rollups?\(path)&\(Self.day)").status == 401, "\(path)")
                }
                #expect(try await server.get("/v1/coverage").status == 401)
                let window = "before=2026-09-01T09:00:00Z/2026-09-01T10:00:00Z&after=2026-09-01T10:00:00Z/2026-09-01T11:00:00Z"
                #expect(try await server.get("/v1/compare?\(window)").status == 200)
            }
        }
    }

    @Test func questionsThatMakeNoSenseAreRefusedWithTheirParameter() async throws {
        try await Farm.with { farm in
            try await PageTests.metered(farm)
            try await PageTests.Server.with(farm) { server in
                for (query, status, word) in [
                    ("services?group=week", 400, "hour, day or month"), ("services?group=hour&from=2026-01-01T00:00:00Z", 422, "31 days"),
                    ("services?from=2020-01-01T00:00:00Z", 422, "366 days"), ("rollups?by=colour", 400, "service, activity"),
                    ("rollups?by=service,team,pool,host", 400, "one to 3"), ("services?limit=0", 400, "1 to 1000"),
                    ("rollups?host=nobody", 404, "host"), ("releases?release=x", 400, "purl"),
                    (
                        "compare?before=2026-09-01T09:00:00Z/2026-09-01T11:00:00Z&after=2026-09-01T10:00:00Z/2026-09-01T12:00:00Z", 422,
                        "no hour"
                    ),
                    ("compare?before=2026-09-01T09:00:00Z/2026-09-01T11:00:00Z", 400, "after"),
                    ("compare?before=&after=", 400, "FROM/TO"),
                    (
                        "compare?before=2026-02-30T00:00:00Z/2026-03-01T00:00:00Z&after=2026-03-02T00:00:00Z/2026-03-03T00:00:00Z", 422,
                        "before"
                    ),
                ] {
                    let body = try await server.page("/v1/\(query)", status)
                    #expect(body.contains(word), "\(query): \(body)")
                }
            }
        }
    }

    @Test func groupsGoOnPageByPageAndTheTotalIsOfAll() async throws {
        try await Farm.with { farm in
            try await RollUpTests.fill(farm)
            try await PageTests.Server.with(farm) { server in
                let window = "from=2026-09-01T09:00:00Z&to=2026-09-04T09:00:00Z"
                let whole = try JSONValue(parsing: Array(try await server.page("/v1/services?\(window)").utf8)).object
                var names: [JSONValue] = []
                for page in 0..<4 {
                    let cursor = page == 0 ? "" : "&cursor=\(page)"
                    let part = try JSONValue(parsing: Array(try await server.page("/v1/services?\(window)&limit=1\(cursor)").utf8)).object
                    #expect(part?["total"] == whole?["total"])
                    names += part?["groups"]?.array?.compactMap { $0.object?["service"] } ?? []
                }
                #expect(names == whole?["groups"]?.array?.compactMap { $0.object?["service"] })
                #expect(names.count == 4)
                let coverage = try JSONValue(
                    parsing: Array(try await server.page("/v1/coverage?\(window)").utf8)
                ).object
                let hosts = coverage?["hosts"]?.array?.compactMap(\.object) ?? []
                #expect(hosts.count == 2 && hosts.allSatisfy { $0["metered"]?.double == 1 })
                #expect(hosts[0]["meters"]?.array?.first?.object?["sensor"] == .string("powercap"))
            }
        }
    }

    @Test func unitsAreTakenOnceAndRefusedByField() async throws {
        try await Farm.with { farm in
            let ci = try await Self.token(.ci, "poster", farm)
            let read = try await Self.token(.read, "looker", farm)
            try await PageTests.Server.with(farm) { server in
                func post(_ body: String, _ token: String) async throws -> (status: Int, body: String) {
                    let answer = try await server.client.send(
                        HTTPRequest(
                            method: "POST",
                            url: server.url + "/v1/units",
                            headers: [("Authorization", "Bearer \(token)"), ("Content-Type", "application/json")],
                            body: Array(body.utf8)
                        )
                    )
                    return (answer.status, String(decoding: answer.body, as: UTF8.self))
                }
                let good =
                    #"{"id": "a", "service": "s", "unit": "package", "count": 5, "from": "2026-09-01T00:00:00Z", "to": "2026-09-01T05:00:00Z"}"#
                #expect(try await post(good, read).status == 403)
                let first = try await post(good, ci)
                #expect(first.status == 202 && first.body.contains("new"), "\(first.body)")
                let second = try await post("[\(good)]", ci)
                #expect(second.status == 202 && second.body.contains("replaced"))
                for (field, wrong) in [
                    ("count", good.replacing("5,", with: "-1,")), ("to", good.replacing("T05", with: "T00")),
                    ("service", good.replacing("\"s\"", with: "\"\"")), ("colour", good.replacing("\"id\"", with: "\"colour\": 1, \"id\"")),
                    ("from", good.replacing("2026-09-01T00", with: "yesterday")),
                ] {
                    let answer = try await post("[\(good), \(wrong)]", ci)
                    #expect(
                        answer.status == 422 && answer.body.contains("\"field\":\"\(field)\"") && answer.body.contains("\"index\":1"),
                        "\(answer.body)"
                    )
                }
            }
            #expect(try await farm.count("units") == 1)
        }
    }
}
