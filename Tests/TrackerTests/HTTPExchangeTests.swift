import Energy
import HTTPClient
import Testing

@testable import Tracker

@Suite struct HTTPExchangeTests {
    private func failure(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError? {
        await #expect(throws: HTTPError.self) { try await client.send(request) }
    }

    @Test func `a request arrives as it was made, on one connection that is kept`() async throws {
        let server = try ScriptedHTTPServer { _ in .init(status: 201, headers: ["X-Answer: yes", "x-answer: no"], body: "done") }
        defer { server.close() }
        let client = HTTPClient()
        for _ in 0..<3 {
            let response = try await client.send(
                HTTPRequest(method: "POST", url: server.url + "/a?b=c", headers: [("X-One", "1"), ("X-Empty", "")], body: Array("{}".utf8))
            )
            #expect(response.status == 201)
            #expect(response.header("X-ANSWER") == "yes")
            #expect(String(decoding: response.body, as: UTF8.self) == "done")
        }
        let requests = server.requests
        #expect(requests.count == 3)
        #expect(Set(requests.map(\.connection)) == [1])
        #expect(requests.allSatisfy { $0.method == "POST" && $0.path == "/a?b=c" && $0.body == "{}" })
        #expect(requests[0].headers.contains("X-One: 1"))
        #expect(requests[0].headers.contains("X-Empty:"))
        #expect(!requests[0].headers.contains { $0.lowercased().hasPrefix("content-type:") || $0.lowercased().hasPrefix("expect:") })
    }

    @Test func `a redirect and an error status are answers`() async throws {
        let server = try ScriptedHTTPServer { .init(status: $0.path == "/r" ? 302 : 503, headers: ["Location: /elsewhere"]) }
        defer { server.close() }
        let client = HTTPClient()
        #expect(try await client.send(HTTPRequest(url: server.url + "/r")).status == 302)
        #expect(try await client.send(HTTPRequest(method: "HEAD", url: server.url + "/e")).status == 503)
        #expect(try await client.send(HTTPRequest(method: "DELETE", url: server.url + "/e")).status == 503)
        #expect(server.requests.map(\.path) == ["/r", "/e", "/e"])
    }

    @Test func `a body of exactly the limit is taken, one byte more is refused`() async throws {
        let server = try ScriptedHTTPServer { .init(body: String(repeating: "x", count: $0.path == "/more" ? 70_001 : 70_000)) }
        defer { server.close() }
        let client = HTTPClient(maximumBodyBytes: 70_000)
        #expect(try await client.send(HTTPRequest(url: server.url + "/fits")).body.count == 70_000)
        #expect(await failure(client, HTTPRequest(url: server.url + "/more"))?.kind == .bodyTooLarge)
        #expect(try await client.send(HTTPRequest(url: server.url + "/fits")).status == 200, "the client goes on")
    }

    @Test func `a slow answer times out, and a cancelled request ends at once`() async throws {
        let server = try ScriptedHTTPServer { _ in .init(delay: .seconds(3)) }
        defer { server.close() }
        let client = HTTPClient()
        let began = ContinuousClock.now
        #expect(await failure(client, HTTPRequest(url: server.url, timeout: .milliseconds(150)))?.kind == .timeout)
        await withTaskGroup(of: HTTPError?.self) { group in
            group.addTask { await failure(client, HTTPRequest(url: server.url)) }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { return }
            group.cancelAll()
            #expect(await group.next().flatMap { $0 }?.kind == .cancelled)
        }
        #expect(ContinuousClock.now - began < .seconds(2))
    }

    @Test func `a failure says what failed without the URL's secrets`() async {
        let client = HTTPClient()
        let refused = await failure(client, HTTPRequest(url: "http://user:secret@127.0.0.1:1/path?key=secret"))
        #expect(refused?.kind == .connect)
        #expect(refused?.url == "http://127.0.0.1:1/path")
        #expect(refused?.description.contains("secret") == false)
        #expect(await failure(client, HTTPRequest(url: "http://name.invalid/"))?.kind == .resolve)
        #expect(await failure(client, HTTPRequest(url: "file:///etc/hostname"))?.kind == .other)
        #expect(await failure(client, HTTPRequest(url: "nonsense@"))?.kind != nil)
    }

    @Test func `a plain server is no TLS server`() async throws {
        let server = try ScriptedHTTPServer { _ in .init() }
        defer { server.close() }
        #expect(await failure(HTTPClient(), HTTPRequest(url: "https://127.0.0.1:\(server.port)/"))?.kind == .tls)
    }

    @Test func `line breaks cannot be smuggled into headers`() async throws {
        let server = try ScriptedHTTPServer { _ in .init() }
        defer { server.close() }
        for headers in [[("X", "a\r\nY: b")], [("X\n", "a")], [("", "a")], [("X: y", "a")]] {
            #expect(await failure(HTTPClient(), HTTPRequest(url: server.url, headers: headers))?.kind == .other)
        }
        #expect(await failure(HTTPClient(), HTTPRequest(method: "GET /x", url: server.url))?.kind == .other)
        #expect(server.requests.isEmpty)
    }

    @Test func `many requests at a time all come back`() async throws {
        let server = try ScriptedHTTPServer { .init(body: $0.path) }
        defer { server.close() }
        let client = HTTPClient(maximumConnections: 4)
        let url = server.url
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for n in 0..<100 {
                group.addTask { try await client.send(HTTPRequest(url: "\(url)/\(n)")).body == Array("/\(n)".utf8) }
            }
            for try await isRight in group { #expect(isRight) }
        }
        #expect(Set(server.requests.map(\.connection)).count <= 4)
    }

    @Test func `a collector is asked with the token, its refusal is told, its pages are followed`() async throws {
        let hour =
            #"{"hour":"t","state":"open","metered_uj":"1","job_dynamic_uj":"0","system_uj":"1","agent_uj":"0","idle_uj":"0","unknown_uj":"0","idle_reserved_uj":"0","jobs":[]}"#
        let server = try ScriptedHTTPServer { request in
            if request.path.hasPrefix("/w/v1/hosts/") {
                return .init(
                    headers: request.path.contains("cursor") ? [] : ["Link: </v1/hosts/h/hours?cursor=2>; rel=\"next\""],
                    body: "{\"host\":\"h\",\"hours\":[\(hour)]}"
                )
            }
            if request.method == "POST" { return .init(status: 202, body: #"{"accepted":[{"id":"01j7","key":"k","state":"pending"}]}"#) }
            return .init(
                status: 404,
                headers: ["Content-Type: application/problem+json"],
                body: #"{"title":"Not found","detail":"no such job"}"#
            )
        }
        defer { server.close() }
        let collector = try CollectorClient(url: server.url + "/w/", token: "wtl_t", http: HTTPClient())
        let accepted = try await collector.post(SpanPost(id: "x", startedAt: Timestamp(microseconds: 0)))
        #expect(accepted.id == "01j7")
        let error = await #expect(throws: CollectorError.self) { try await collector.job("a/b") }
        #expect(error?.status == 404)
        #expect(error?.description.contains("Not found: no such job") == true)
        let hours = try await collector.hours(ofHost: "h", from: "2026-09-01T00:00:00Z", to: "2026-09-02T00:00:00Z")
        #expect(hours.hours.count == 2)
        #expect(server.requests.allSatisfy { $0.headers.contains("Authorization: Bearer wtl_t") })
        #expect(server.requests.map(\.path)[1] == "/w/v1/jobs/a%2Fb")
        #expect(throws: CollectorError.self) { try CollectorClient(url: "c.example", token: nil, http: HTTPClient()) }
    }
}
