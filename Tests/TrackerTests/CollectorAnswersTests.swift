import Energy
import FoundationEssentials
import HTTPClient
import Testing

@testable import Tracker

@Suite struct CollectorAnswersTests {
    private func hours(_ text: String) throws -> HostHours { try JSONDecoder().decode(HostHours.self, from: Data(text.utf8)) }

    private func hour(
        metered: String = "1000",
        jobDynamic: String = "500",
        idle: String = "300",
        reserved: String = "120",
        jobIdle: String = "50"
    ) -> String {
        """
        {"hour":"2026-09-01T09:00:00Z","state":"settled","components":[],"metered_uj":"\(metered)","job_dynamic_uj":"\(jobDynamic)",\
        "system_uj":"100","agent_uj":"40","idle_uj":"\(idle)","unknown_uj":"60","idle_reserved_uj":"\(reserved)",\
        "jobs":[{"id":"a","key":"k/a","job":"build","dynamic_uj":"300","idle_uj":"70"},{"id":"b","key":"k/b","job":null,"dynamic_uj":"200","idle_uj":"\(jobIdle)"}]}
        """
    }

    @Test func `a ledger's rows sum to what was metered`() throws {
        let ledger = HostLedger(try hours("{\"host\":\"h\",\"hours\":[\(hour()),\(hour())]}"))
        #expect(ledger.faults == [])
        #expect(ledger.total == 2_000)
        #expect(ledger.metered == 2_000)
        #expect(ledger.idleLeft == 360)
        #expect(ledger.jobs.map(\.job) == ["build", "k/b"])
        #expect(ledger.jobs.map(\.total) == [740, 500])
    }

    @Test func `a host on the host has a row of its own`() throws {
        let nested = hour().replacing(#"{"id":"b","key":"k/b","job":null,"#, with: #"{"id":null,"key":null,"job":null,"host":"v1","#)
        let ledger = HostLedger(try hours("{\"host\":\"h\",\"hours\":[\(nested),\(nested)]}"))
        #expect(ledger.faults == [])
        #expect(ledger.total == 2_000)
        #expect(ledger.jobs.map(\.job) == ["build", "(host v1)"])
        #expect(ledger.jobs.map(\.id) == ["a", nil])
        #expect(ledger.jobs.map(\.total) == [740, 500])
        // What an older collector, or a deleted job, does not name.
        let nameless = nested.replacing(#","host":"v1""#, with: "")
        #expect(HostLedger(try hours("{\"host\":\"h\",\"hours\":[\(nameless)]}")).jobs.map(\.job) == ["build", "(not named)"])
    }

    @Test func `an hour that could not be accounted is told and is in no sum`() throws {
        let empty = """
            {"hour":"2026-09-01T10:00:00Z","state":"set_aside","components":[],"metered_uj":null,"job_dynamic_uj":null,"system_uj":null,\
            "agent_uj":null,"idle_uj":null,"unknown_uj":null,"idle_reserved_uj":null}
            """
        let ledger = HostLedger(try hours("{\"host\":\"h\",\"hours\":[\(hour()),\(empty)]}"))
        #expect(ledger.unaccountedHours == 1 && ledger.openHours == 0 && ledger.hourCount == 2)
        #expect(ledger.metered == 1_000 && ledger.faults == [])
    }

    @Test func `one microjoule too many or too few is found`() throws {
        for broken in [hour(metered: "1001"), hour(jobDynamic: "501", idle: "299"), hour(reserved: "121"), hour(jobIdle: "51")] {
            let ledger = HostLedger(try hours("{\"host\":\"h\",\"hours\":[\(broken)]}"))
            #expect(!ledger.faults.isEmpty)
        }
    }

    @Test func `sums beyond 64 bits do not trap`() throws {
        let huge = "9223372036854775807"
        let ledger = HostLedger(try hours("{\"host\":\"h\",\"hours\":[\(hour(metered: huge)),\(hour(metered: huge))]}"))
        #expect(ledger.metered == 2 * Int128(Int64.max))
        #expect(!ledger.faults.isEmpty)
    }

    @Test func `a footprint with nulls is read, and what is missing has its reason`() throws {
        let text = """
            {"id":"01j7","key":"k","state":"pending","host":null,"started_at":"2026-09-01T09:00:00Z","finished_at":null,
             "energy":{"best_kwh":null,"low_kwh":null,"high_kwh":null,"quality":null},"co2e":{"location_g":null},
             "missing":[{"field":"energy","reason":"pending"}]}
            """
        let footprint = try JSONDecoder().decode(JobFootprint.self, from: Data(text.utf8))
        #expect(!footprint.isSettled)
        #expect(footprint.energy?.bestKilowattHours == nil)
        #expect(footprint.missing?.first?.reason == "pending")
    }

    @Test func `a span is posted with the names of the interface and without what is not known`() {
        var span = SpanPost(id: "run/h/1", startedAt: Timestamp(microseconds: 1_788_253_210_123_456))
        span.workload = "/wattle-run-1"
        span.cpuTime = .seconds(2)
        span.release = [SpanPost.Release(purl: "pkg:opam/dune@3.17.0")]
        span.timeResolutionMilliseconds = 0
        #expect(
            String(decoding: span.json, as: UTF8.self)
                == #"{"cpu_time_us":2000000,"id":"run/h/1","release":[{"purl":"pkg:opam/dune@3.17.0"}],"#
                + #""started_at":"2026-09-01T09:00:10.123456Z","time_resolution_ms":0,"workload":"/wattle-run-1"}"#
        )
    }

    @Test func `a problem document is shown as its title and detail`() {
        func response(_ status: Int, _ type: String, _ body: String) -> HTTPResponse {
            HTTPResponse(status: status, headers: [("Content-Type", type)], body: Array(body.utf8))
        }
        #expect(
            CollectorClient.problem(
                in: response(422, "application/problem+json", #"{"type":"t","title":"Reversed times","detail":"finished before started"}"#)
            ) == "Reversed times: finished before started"
        )
        #expect(CollectorClient.problem(in: response(422, "application/problem+json", #"{"title":"Refused"}"#)) == "Refused")
        #expect(CollectorClient.problem(in: response(502, "text/html", "<html>")) == "status 502")
        #expect(CollectorClient.problem(in: response(401, "application/problem+json", "{")).contains("token"))
    }

    @Test func `the next page is followed only within the collector`() {
        let url = "https://c.example/wattle"
        #expect(CollectorClient.nextPage("</v1/x?cursor=2>; rel=\"next\"", of: url) == "/v1/x?cursor=2")
        #expect(CollectorClient.nextPage("<https://c.example/wattle/v1/x?cursor=2>; rel=\"next\"", of: url) == "/v1/x?cursor=2")
        #expect(CollectorClient.nextPage("<https://evil.example/v1/x>; rel=\"next\"", of: url) == nil)
        #expect(CollectorClient.nextPage("<//evil.example/v1/x>; rel=\"next\"", of: url) == nil)
        #expect(CollectorClient.nextPage("</wattle/v1/x?cursor=2>; rel=\"next\"", of: url) == "/v1/x?cursor=2")
        #expect(CollectorClient.nextPage("</v1/x>; rel=\"prev\"", of: url) == nil)
        #expect(CollectorClient.nextPage(nil, of: url) == nil)
    }

    @Test func `names are escaped in paths`() {
        #expect(CollectorClient.escaped("a/b ü?") == "a%2Fb%20%C3%BC%3F")
    }
}
