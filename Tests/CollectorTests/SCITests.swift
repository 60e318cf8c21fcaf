import Documents
import Energy
import Store
import TestSupport
import Testing

@testable import Collector

/// Software Carbon Intensity over HTTP: the score is (O + M) / R, and null where one of them is not known.
@Suite struct SCITests {
    private static let day = "from=2026-09-01T00:00:00Z&to=2026-09-02T00:00:00Z"

    /// An hour of a host that draws 100 W, with jobs of two releases.
    private static func farm(hosts: String, _ body: @escaping @Sendable (PageTests.Server) async throws -> Void) async throws {
        try await Farm.with { farm in
            let file = try HostFile(text: hosts, name: "hosts.yaml")
            _ = try await HostImport.apply(file, dryRun: false, now: farm.clock.now, farm.connection)
            try await PageTests.metered(farm)
            func post(_ id: String, _ release: String, _ relation: String, _ start: Double, _ more: String = "") async throws {
                try await farm.post(
                    """
                    {"id": "\(id)", "host": "bremusa", "cpu_share": 0.25, "repository": "github.com/ocaml/dune", "pipeline": "p\(id)",
                     "commit": "c1", "release": [{"purl": "\(release)", "relation": "\(relation)"}], "units": 3, "unit": "package",
                     "started_at": "\(RFC3339.format(at(start)))", "finished_at": "\(RFC3339.format(at(start + 600)))"\(more)}
                    """
                )
            }
            try await post("1", "pkg:opam/dune@3.17.0", "build", 0)
            try await post("2", "pkg:opam/dune@3.17.0", "test", 600)
            try await post("3", "pkg:opam/dune@3.18.0", "test", 1_200)
            try await farm.post(
                #"""
                {"id": "4", "release": {"purl": "pkg:opam/dune@3.17.0"}, "started_at": "2026-09-01T09:10:00Z", "finished_at": "2026-09-01T09:20:00Z",
                 "cloud": {"vendor": "aws", "region": "eu-west-2", "instance_type": "m5n.large"}}
                """#
            )
            try await farm.account()
            try await PageTests.Server.with(farm) { server in try await body(server) }
        }
    }

    private static let whole =
        "hosts: [{name: bremusa, zone: GB, pue: 1.2, embodied: {kg_co2e: 1400, lifetime_years: 4, from: 2026-01-01}}]"

    private static func report(_ query: String, _ server: PageTests.Server) async throws -> [String: JSONValue] {
        try #require(try JSONValue(parsing: Array(try await server.page("/v1/sci?\(query)&\(day)").utf8)).object)
    }

    private static func best(_ value: JSONValue?) throws -> Double { try #require(value?.object?["best"]?.double) }

    @Test func theScoreIsOAndMPerPieceOfWork() async throws {
        try await Self.farm(hosts: Self.whole) { server in
            let release = "release=pkg%3Aopam%2Fdune%403.17.0"
            let report = try await Self.report("per=release&\(release)", server)
            let (o, m, sci) = (try Self.best(report["o_g"]), try Self.best(report["m_g"]), try Self.best(report["sci"]))
            #expect(o > 0 && m > 0 && abs(sci - (o + m)) < 1e-3 * sci)
            let (e, i) = (try Self.best(report["e_kwh"]), try #require(report["i_g_per_kwh"]?.double))
            #expect(abs(e * i - o) < 5e-3 * o)
            let limits = try #require(report["sci"]?.object)
            #expect(try #require(limits["low"]?.double) <= sci && sci <= (limits["high"]?.double ?? 0))
            #expect(report["r"]?.object?["count"]?.double == 1 && report["jobs_counted"]?.integer == 2)
            #expect(report["unit"]?.string == "gCO2e per release" && report["standard"]?.string == "ISO/IEC 21031:2024")
            // The job in a cloud is told of, and in no sum.
            #expect(report["exclusions"]?.object?["jobs_hosted"]?.integer == 1)
            #expect(report["market_based"]?.object?["in_sci"]?.bool == false && report["market_based"]?.object?["o_g"] == .null)
            // 1,400 kg over 4 years for 20 minutes, a quarter of the machine.
            #expect(abs(m - 1_400_000.0 / 35_040 / 3 / 4) < 1e-3 * m)

            for (per, count) in [("job", 3.0), ("run", 3), ("commit", 1), ("release", 2), ("test", 2)] {
                let all = try await Self.report("per=\(per)", server)
                #expect(all["r"]?.object?["count"]?.double == count, "\(per)")
                let whole = try Self.best(all["o_g"]) + Self.best(all["m_g"])
                #expect(abs(try Self.best(all["sci"]) - whole / count) < 2e-3 * whole, "\(per)")
            }
            let units = try await Self.report("per=unit&unit=package&\(release)", server)
            #expect(units["r"]?.object?["count"]?.double == 6 && units["unit"]?.string == "gCO2e per package")
        }
    }

    @Test func whatIsNotKnownMakesTheScoreNullWithItsReason() async throws {
        @Sendable func reason(_ field: String, _ report: [String: JSONValue]) -> String? {
            report["missing"]?.array?.first { $0.object?["field"]?.string == field }?.object?["reason"]?.string
        }
        for (hosts, query, missing) in [
            ("hosts: [{name: bremusa, zone: GB}]", "per=job", "no_embodied_figure"),
            ("hosts: [{name: bremusa, zone: XX-NOWHERE, embodied: {kg_co2e: 1000, from: 2026-01-01}}]", "per=job", "no_intensity"),
            (Self.whole, "per=unit&unit=parcel", "no_units"), (Self.whole, "per=job&service=nobody", "no_units"),
        ] {
            try await Self.farm(hosts: hosts) { server in
                let report = try await Self.report(query, server)
                #expect(
                    report["sci"] == .null && reason("sci", report) == missing,
                    "\(hosts) \(query): \(report["m_g"] ?? .null) \(report["missing"].map { "\($0)" } ?? "")"
                )
            }
        }
    }

    @Test func strangersSeeCoarseFiguresOfPublicJobsAndQuestionsThatMakeNoSenseAreRefused() async throws {
        try await Self.farm(hosts: Self.whole) { server in
            let seen = try await server.get("/v1/sci?per=job&\(Self.day)")
            #expect(seen.status == 200 && seen.body.contains("\"no_jobs\"") && !seen.body.contains("bremusa"), "\(seen.body)")
            for (query, status, word) in [
                ("per=colour", 400, "job, run, commit"), ("", 400, "per"), ("per=job&unit=x", 422, "per=unit"),
                ("per=test&relation=build", 422, "relation"), ("per=job&host=nobody", 404, "host"), ("per=job&shape=round", 400, "shape"),
            ] {
                let body = try await server.page("/v1/sci?\(query)", status)
                #expect(body.contains(word), "\(query): \(body)")
            }
            #expect(try await server.get("/v1/sci?per=job&host=bremusa&\(Self.day)").status == 401)
        }
    }
}
