import Accounting
import Documents
import Energy
import HTTPClient
import Logging
import Postgres
import ServiceLifecycle
import Store
import Testing
import TestSupport
@testable import Collector

/// Pages, asked for over HTTP.
@Suite("Pages") struct PageTests {
    /// A running collector over a farm's database.
    struct Server {
        let url: String
        let client: HTTPClient
        let readToken: String

        func get(_ path: String, token: String? = nil) async throws -> (status: Int, body: String) {
            let headers = token.map { [("Cookie", "wattle_token=\($0)")] } ?? []
            let answer = try await client.send(HTTPRequest(method: "GET", url: url + path, headers: headers))
            return (answer.status, String(decoding: answer.body, as: UTF8.self))
        }

        /// As somebody who may see everything.
        func page(_ path: String, _ status: Int = 200) async throws -> String {
            let answer = try await get(path, token: readToken)
            #expect(answer.status == status, "\(path): \(answer.body.prefix(600))")
            return answer.body
        }

        static func with(_ farm: Farm, _ body: @escaping @Sendable (Server) async throws -> Void) async throws {
            let token = Token()
            _ = try await TokenTable.insert(
                name: "reader",
                scope: .read,
                sha256: token.sha256,
                hostName: nil,
                expiresAtMicroseconds: nil,
                farm.connection
            )
            var log = Logger(label: "test")
            log.logLevel = .critical
            let (ports, port) = AsyncStream.makeStream(of: Int.self)
            let clock = farm.clock
            let collector = try CollectorServices(
                pool: farm.pool,
                host: "127.0.0.1",
                port: 0,
                baseURL: "http://collector.example.org",
                log: log,
                now: { clock.now },
                onListening: { port.yield($0) }
            )
            let group = ServiceGroup(configuration: .init(services: collector.services, logger: log))
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await group.run() }
                guard let number = await ports.first(where: { _ in true }) else { return }
                let result: Result<Void, any Error>
                do {
                    result = .success(
                        try await body(Server(url: "http://127.0.0.1:\(number)", client: HTTPClient(), readToken: token.text))
                    )
                } catch {
                    result = .failure(error)
                }
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
                try result.get()
            }
        }
    }

    /// A metered hour on bremusa, and a clock an hour later.
    static func metered(_ farm: Farm) async throws {
        let token = try await farm.token("a", host: "bremusa")
        var reporter = Reporter(host: "bremusa")
        _ = try await farm.commit(AccountsTests.hour(&reporter), token: token)
        farm.clock.now = at(7_300)
    }

    /// Names that would end an attribute, open an element or turn the line around, each in its own way.
    static let evil = [
        "<script>alert(1)</script>", "\" onmouseover=\"alert(1)", "\"\u{338} onmouseover=alert(1) x=\"\u{338}", "<\u{338}b>",
        "'\"><img src=x onerror=alert(1)>", "{{style}}{{{base_url}}}", "a/b@c%2F%00?d=e&f#g", "two\nlines", "naïve-日本-\u{202E}gnp",
        "</td></table>",
    ]

    @Test func namesOfAnyKindAreTextOnEveryPageAndLinksFindTheirJobs() async throws {
        try await Farm.with { farm in
            try await Self.metered(farm)
            var ids: [String] = []
            for (i, name) in Self.evil.enumerated() {
                var fields: [String: JSONValue] = ["id": .string(name), "host": .string("bremusa"), "outcome": .string(name)]
                for field in ["job", "service", "activity", "team", "repository", "runner", "pool", "commit"] {
                    fields[field] = .string(name)
                }
                fields["started_at"] = .string(RFC3339.format(at(600 + Double(i))))
                fields["finished_at"] = .string(RFC3339.format(at(700 + Double(i))))
                fields["release"] = .array([.object(["purl": .string("pkg:opam/\(name)@1"), "relation": .string("test")])])
                ids.append(try await farm.post(try JSONValue.object(fields).text, source: "ci").jobID)
                fields["host"] = .string(name)
                fields["id"] = .string("waiting \(name)")
                try await farm.post(try JSONValue.object(fields).text, source: name.replacing("/", with: "_"))
            }
            try await farm.account()
            let jobIDs = ids
            try await Server.with(farm) { server in
                var pages = [
                    "/", "/jobs", "/jobs?from=2026-09-01&to=2026-09-02&service=&host=", "/jobs?state=hostless", "/hosts", "/services",
                ]
                pages += jobIDs.map { "/jobs/\($0)" }
                for name in Self.evil {
                    pages += ["service", "repository", "runner", "release", "source", "host"].map { "/jobs?\($0)=\(name.percentEncoded)" }
                }
                for path in pages {
                    let html = try await server.page(path, path.contains("%00") ? 422 : 200)
                    for forbidden in ["<script", "<img", "<b>", "<\u{338}", "</td></table>", "onmouseover=\"", "\u{202E}"] {
                        #expect(!html.unicodeScalars.contains(forbidden.unicodeScalars), "\(path) has \(forbidden)")
                    }
                    // The quote before the combining mark is the one that grapheme-wise escaping lets through.
                    #expect(!html.unicodeScalars.contains("\"\u{338}".unicodeScalars), "\(path)")
                    #expect(html.contains("Content") || html.contains("<h2>"))
                }
                for (id, name) in zip(jobIDs, Self.evil) {
                    let list = try await server.page("/jobs?service=\(name.percentEncoded)&host=bremusa")
                    #expect(list.contains("/jobs/\(id)"), "\(name)")
                    #expect(list.components(of: "<a href=\"/jobs/").count == 2, "\(name)")
                }
            }
        }
    }

    @Test func withoutATokenNoPageHasAWordOfAPrivateJob() async throws {
        try await Farm.with { farm in
            try await Self.metered(farm)
            func post(_ name: String, _ extra: String) async throws -> String {
                try await farm.post(
                    """
                    {"id": "\(name)", "job": "\(name)", "host": "bremusa", "service": "service-\(name)", "runner": "runner-of-\(name)",
                     "repository": "github.com/o/\(name)", "started_at": "2026-09-01T09:10:00Z",
                     "finished_at": "2026-09-01T09:20:00Z", "cpu_share": 0.25\(extra)}
                    """
                ).jobID
            }
            let hidden = try await post("clandestine", "")
            try await farm.account()
            try await Server.with(farm) { server in
                for path in ["/", "/hosts", "/services", "/jobs?host=bremusa", "/jobs?runner=runner-of-clandestine"] {
                    let answer = try await server.get(path)
                    #expect(answer.status == 401, "\(path)")
                    #expect(answer.body.contains("name=\"token\"") && !answer.body.contains("clandestine\""))
                }
                let list = try await server.get("/jobs")
                #expect(list.status == 200 && !list.body.contains("clandestine"))
                #expect(try await server.get("/jobs/\(hidden)").status == 404)
                #expect(try await server.get("/jobs?service=service-clandestine").body.components(of: "/jobs/\(hidden)").count == 1)
                #expect(try await server.get("/jobs", token: "wtl_" + String(repeating: "a", count: 32)).status == 401)
                #expect(try await server.page("/jobs/\(hidden)").contains("bremusa"))
            }
            let shown = try await post("shown", ", \"visibility\": \"public\"")
            try await farm.account()
            try await Server.withSecondReader(farm) { server in
                for path in ["/", "/jobs", "/jobs/\(shown)"] {
                    let answer = try await server.get(path)
                    #expect(answer.status == 200 && answer.body.contains("shown"), "\(path)")
                    for secret in ["clandestine", "bremusa", "runner-of-shown", "27000000000"] {
                        #expect(!answer.body.contains(secret), "\(path) has \(secret)")
                    }
                }
            }
        }
    }

    @Test func theOverviewSaysWhoseTheMeteredEnergyIs() async throws {
        try await Farm.with { farm in
            try await Self.metered(farm)
            try await farm.post(AccountsTests.job)
            try await farm.post(
                #"{"id": "w", "host": "no-such-machine", "runner": "r-9", "started_at": "2026-09-01T09:10:00Z", "finished_at": "2026-09-01T09:20:00Z"}"#
            )
            try await farm.account()
            try await farm.connection.executeScript("INSERT INTO host (name, retired_at) VALUES ('gone', now())")
            try await Server.with(farm) { server in
                let html = try await server.page("/")
                // 27 kJ of 360 kJ, all declared.
                #expect(html.contains("<strong>7.5 %</strong>"))
                #expect(html.contains("declared") && html.contains("that no job reserved"))
                #expect(html.contains("/jobs?state=hostless"))
                let waiting = try await server.page("/jobs?state=hostless")
                #expect(waiting.contains("nobody is named no-such-machine"))
                #expect(waiting.components(of: "<td data-name=\"Job\">").count == 2)
                let hosts = try await server.page("/hosts")
                #expect(!hosts.contains("[&quot;"), "a row shows what is around it")
                #expect(hosts.contains("7.5 %") && hosts.contains("retired "))
                let services = try await server.page("/services?days=30")
                #expect(services.contains("0.0075 kWh") && services.contains("declared 100 %") && services.contains("1 without a host"))
                #expect(try await server.page("/services?days=4", 422).contains("expected 1, 7 or 30"))
                let wrong = try await server.page("/jobs?from=yesterday", 422)
                #expect(wrong.contains("expected an RFC 3339 time") && wrong.contains("value=\"yesterday\""))
            }
        }
    }

    @Test func sumsOfServicesHaveTheLimitsOfTheirFootprints() async throws {
        try await Farm.with { farm in
            try await Self.metered(farm)
            let job = try await farm.post(AccountsTests.job)
            try await farm.account()
            let footprint = try #require(try await farm.footprint(job.jobID)?.energy)
            let sum = try await RollUpTests.answer(farm) { ($0.keys, $0.interval) = ([.service], Interval(at(0), at(3_600))) }
            #expect(sum.rows.count == 1)
            #expect(sum.total.energy == Int128(footprint.total.microjoules))
            let limits = sum.total.uncertain.energy()
            #expect(abs(limits.boundLow - footprint.bounds.low) < 1)
            #expect(abs(limits.boundHigh - footprint.bounds.high) < 1)
            #expect(sum.total.byMethod[.declared] == Int128(footprint.total.microjoules))
        }
    }

    @Test func listsGoOnPageByPageWithTheirFilters() async throws {
        try await Farm.with { farm in
            for i in 0..<7 {
                let service = i == 6 ? "other" : "a&b=c"
                try await farm.post(
                    """
                    {"id": "\(i)", "job": "job-\(i)", "service": "\(service)", "started_at": "\(RFC3339.format(at(Double(i * 60))))"}
                    """
                )
            }
            try await Server.with(farm) { server in
                var path: String? = "/jobs?limit=2&service=a%26b%3Dc"
                var seen: [String] = []
                var pages = 0
                while let here = path, pages < 10 {
                    pages += 1
                    let html = try await server.page(here)
                    seen += (0..<7).map { "job-\($0)" }.filter { html.contains(">\($0)</a>") }.reversed()
                    path = html.components(of: "rel=\"next\" href=\"").dropFirst().first.map {
                        String($0.prefix { $0 != "\"" }).replacing("&amp;", with: "&")
                    }
                }
                #expect(seen == (0..<6).reversed().map { "job-\($0)" })
                #expect(pages == 3 || pages == 4)
            }
        }
    }

    @Test func partsOfABarAddUpToAHundred() {
        #expect(Readable.percents([1, 1, 1], of: 3) == ["33.3", "33.4", "33.3"])
        #expect(Readable.percents([5], of: 0) == ["0"])
        #expect(Readable.percents([1, 999], of: 1_000) == ["0.1", "99.9"])
    }
}

extension PageTests.Server {
    /// The same once more: a token's name is taken once.
    static func withSecondReader(_ farm: Farm, _ body: @escaping @Sendable (PageTests.Server) async throws -> Void) async throws {
        _ = try await TokenTable.revoke(name: "reader", farm.connection)
        _ = try await farm.connection.execute(Statement("rename_reader", "UPDATE token SET name = 'reader-1' WHERE name = 'reader'"))
        try await with(farm, body)
    }
}

extension String {
    /// The parts between occurrences of a text.
    fileprivate func components(of text: String) -> [Substring] { split(separator: text, omittingEmptySubsequences: false) }
}

extension Collection where Element: Equatable {
    fileprivate func contains(_ other: some Collection<Element>) -> Bool {
        guard let first = other.first else { return true }
        return indices.contains { self[$0] == first && self[$0...].starts(with: other) }
    }
}
