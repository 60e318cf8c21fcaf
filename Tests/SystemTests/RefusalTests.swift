import Foundation
import SwiftProtobuf
import Testing
import Wire

/// Bad input meets a clear answer, and nothing is half-written.
@Suite(.serialized) struct RefusalTests {
    static let span = #"{"id": "1", "host": "bremusa", "started_at": "2026-09-01T09:00:00Z", "finished_at": "2026-09-01T09:10:00Z"}"#

    @Test func everyWrongRequestHasAProblemDocument() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let read = try await collector.token("read")
                let ci = try await collector.token("ci")
                let agent = try await collector.token("agent", host: "bremusa")
                func post(_ path: String, _ token: String?, _ body: String, type: String = "application/json") async throws
                    -> Collector.Answer
                {
                    try await collector.send("POST", path, token: token, type: type, body: Array(body.utf8))
                }
                func refused(_ answer: Collector.Answer, _ status: Int, _ type: String, _ words: String..., line: Int = #line) {
                    #expect(answer.status == status, "line \(line): \(answer.body)")
                    #expect(answer.header("Content-Type") == "application/problem+json", "line \(line)")
                    #expect(answer.json["type"] as? String == "urn:wattle:problem:\(type)", "line \(line): \(answer.body)")
                    for word in words {
                        #expect((answer.json["detail"] as? String)?.contains(word) == true, "line \(line): \(answer.body)")
                    }
                }
                refused(try await post("/v1/spans", nil, Self.span), 401, "unauthorized", "wattle-collector token create")
                refused(try await post("/v1/spans", "wtl_" + String(repeating: "0", count: 32), Self.span), 401, "unauthorized", "unknown")
                refused(try await post("/v1/spans", "nonsense", Self.span), 401, "unauthorized")
                refused(try await post("/v1/spans", read, Self.span), 403, "scope", "ci", "read")
                refused(try await post("/v1/spans", ci, "{\"id\": "), 400, "malformed-json")
                refused(try await post("/v1/spans", ci, String(repeating: " ", count: 9 << 20)), 413, "body-too-large", "8388608")
                refused(
                    try await post("/v1/spans", ci, Self.span.replacing("09:10", with: "08:10")),
                    422,
                    "reversed-times",
                    "finished_at"
                )
                refused(
                    try await post("/v1/spans", ci, Self.span.replacing("\"id\"", with: "\"cpu_share\": 1.7, \"id\"")),
                    422,
                    "invalid-span",
                    "cpu_share",
                    "1.7"
                )
                let mixed = try await post("/v1/spans", ci, "[\(Self.span), {\"id\": \"2\"}]")
                refused(mixed, 422, "invalid-span", "started_at")
                #expect(mixed.json["index"] as? Int == 1)
                for path in [
                    "/v1/jobs", "/v1/jobs/00000000000000000000000000", "/v1/hosts", "/v1/hosts/x/hours", "/data/jobs.csv", "/metrics",
                ] {
                    refused(try await collector.send("GET", path, token: "wtl_" + String(repeating: "0", count: 32)), 401, "unauthorized")
                    refused(try await collector.send("GET", path, token: agent), 403, "scope")
                }
                for path in ["/v1/hosts", "/v1/hosts/x/hours", "/metrics"] {
                    refused(try await collector.send("GET", path, token: nil), 401, "unauthorized")
                }
                // Of jobs people without a token see the public ones: here none.
                #expect((try await collector.send("GET", "/v1/jobs", token: nil)).json["jobs"] as? [String] == [])
                #expect((try await collector.send("GET", "/data/jobs.csv", token: nil)).body.split(separator: "\n").count == 1)
                refused(try await collector.send("GET", "/v1/jobs/00000000000000000000000000", token: nil), 404, "not-found")
                refused(try await collector.get("/v1/jobs/00000000000000000000000000"), 404, "not-found")
                refused(try await collector.get("/v1/jobs/short"), 404, "not-found")
                refused(try await collector.get("/v1/hosts/nobody/hours"), 404, "not-found", "nobody")
                refused(try await collector.get("/v1/jobs?policy=generous"), 400, "bad-parameter", "reserved", "generous")
                refused(try await collector.get("/v1/jobs?from=yesterday"), 400, "bad-parameter", "yesterday")
                refused(try await collector.get("/v1/jobs?limit=0"), 400, "bad-parameter", "limit")
                refused(try await collector.get("/v1/jobs?service=%00"), 400, "bad-parameter", "service")
                refused(try await collector.get("/v1/hosts/%6Eobody/hours"), 404, "not-found", "nobody")
                refused(
                    try await post("/v1/spans", ci, Self.span.replacing("\"id\"", with: #""labels": ["a\u0000b"], "id""#)),
                    422,
                    "invalid-span",
                    "labels"
                )
                let nested = String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
                refused(
                    try await post("/v1/spans", ci, Self.span.replacing("\"id\"", with: "\"x\": \(nested), \"id\"")),
                    400,
                    "malformed-json"
                )
                refused(try await collector.get("/nowhere"), 404, "not-found", "/nowhere")

                refused(try await post("/v1/readings", ci, "x", type: "application/x-protobuf"), 403, "scope")
                refused(try await post("/v1/readings", agent, "\u{1}\u{2}\u{3}", type: "application/x-protobuf"), 400, "malformed-batch")
                refused(try await post("/v1/readings", agent, "x", type: "text/plain"), 415, "unsupported-media-type", "text/plain")
                var batch = WireReadingsBatch()
                batch.host = "somebody-else"
                batch.bootID = "b"
                batch.incarnation = String(repeating: "a", count: 32)
                batch.seq = 1
                let other = try await post("/v1/readings", agent, try batch.jsonString())
                refused(other, 403, "other-host", "bremusa", "somebody-else")
                batch.host = "bremusa"
                batch.seq = 5
                let early = try await post("/v1/readings", agent, try batch.jsonString())
                refused(early, 409, "missing-batches")
                #expect(early.json["expected_seq"] as? Int == 1)

                let jobs = try await collector.get("/v1/jobs").json["jobs"] as? [Any]
                #expect(jobs?.isEmpty == true)
                let hosts = try await collector.get("/v1/hosts").json["hosts"] as? [Any]
                #expect(hosts?.isEmpty == true)

                let lines = try await post("/v1/spans", ci, Self.span + "\n{\"id\": 7}\nnot json\n", type: "application/x-ndjson")
                #expect(lines.status == 202)
                let results = lines.body.split(separator: "\n")
                #expect(results.count == 3)
                #expect(results[0].contains("unattributed") && results[1].contains("invalid-span") && results[2].contains("malformed-json"))
            }
        }
    }

    @Test func aSpanForAnUnknownHostIsTakenAndSaysWhyItHasNoFigures() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let id = try await collector.post(Self.span)
                let footprint = try await collector.get("/v1/jobs/\(id)").json
                #expect(footprint["state"] as? String == "unattributed")
                #expect(footprint["energy"] is NSNull)
                let missing = footprint["missing"] as? [[String: String]] ?? []
                #expect(missing.contains { $0["field"] == "energy" && $0["reason"] == "host_unknown" })
                let csv = try await collector.get("/data/jobs.csv?from=2026-09-01T00:00:00Z&to=2026-09-02T00:00:00Z")
                let rows = csv.body.components(separatedBy: "\r\n")
                #expect(rows[0].hasPrefix("job_id,key,state,source,service"))
                #expect(rows[1].hasPrefix(id) && rows[1].contains("host_unknown"))
            }
        }
    }

    @Test func thePageTakesAReadTokenAndNothingElse() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                _ = try await collector.post(Self.span.replacing("\"id\"", with: "\"job\": \"<script>alert(1)</script>\", \"id\""))
                #expect(try await collector.send("GET", "/", token: nil).status == 401)
                func signIn(_ token: String) async throws -> Collector.Answer {
                    try await collector.send(
                        "POST",
                        "/sign-in",
                        token: nil,
                        type: "application/x-www-form-urlencoded",
                        body: Array("token=\(token)".utf8)
                    )
                }
                #expect(try await signIn(try await collector.token("ci")).status == 403)
                let answer = try await signIn(try await collector.token("read"))
                #expect(answer.status == 303)
                let cookie = try #require(answer.header("Set-Cookie"))
                #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"))
                let page = try await collector.send(
                    "GET",
                    "/",
                    token: nil,
                    headers: [("Cookie", String(cookie.prefix { $0 != ";" }))]
                )
                #expect(page.status == 200)
                #expect(page.body.contains("&lt;script&gt;") && !page.body.contains("<script>"))
            }
        }
    }

    @Test func aDatabaseThatIsNotThereIsSaidAndExitsWithTwo() async throws {
        try await Scratch.with { scratch in
            let noServer = try await Program.run(
                "wattle-collector",
                ["serve", "--database-url", "host=\(scratch.path) dbname=x connect_timeout=2"],
                in: scratch
            )
            #expect(noServer.code == 2)
            #expect(noServer.errors.contains("cannot connect to the database"))
            let nothing = try await Program.run("wattle-collector", ["serve"], in: scratch)
            #expect(nothing.code == 2)
            #expect(nothing.errors.contains("--embedded DIR or --database-url URL"))
            let typo = try await Program.run("wattle-collector", ["serve", "--embeded", "x"], in: scratch)
            #expect(typo.code == 2)
            let scope = try await Program.run("wattle-collector", ["token", "create", "--scope", "king", "--name", "x"], in: scratch)
            #expect(scope.code == 2)
        }
    }

    @Test func aPortInUseIsSaidBeforeAnythingIsMade() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let second = try await Program.run(
                    "wattle-collector",
                    ["serve", "--embedded", scratch.path + "/other", "--listen", "127.0.0.1:\(collector.port)"],
                    in: scratch
                )
                #expect(second.code == 2)
                #expect(second.errors.contains("127.0.0.1:\(collector.port)") && second.errors.contains("--listen"))
                #expect(!FileManager.default.fileExists(atPath: scratch.path + "/other"))
            }
        }
    }

    @Test func aDeletedSpanThatIsPostedAgainIsSaidToBeDeleted() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let id = try await collector.post(Self.span)
                let ci = try await collector.token("ci")
                #expect(try await collector.send("DELETE", "/v1/spans/\(id)", token: ci).status == 204)
                let again = try await collector.send("POST", "/v1/spans", token: ci, body: Array(Self.span.utf8))
                #expect((again.json["accepted"] as? [[String: Any]])?.first?["state"] as? String == "deleted")
                #expect(try await collector.get("/v1/jobs/\(id)").status == 404)
            }
        }
    }

    @Test func theCollectorAndItsPostgresComeBackAfterAKill() async throws {
        try await Scratch.with { scratch in
            try await Collector.with(scratch) { collector in
                let id = try await collector.post(Self.span)
                collector.program.signal(SIGKILL)
                _ = try await collector.program.wait()
                try await collector.startAgain()
                #expect(try await collector.get("/v1/jobs/\(id)").status == 200)
                // Both at once, and back before the postmaster's remains are gone.
                let both = collector.program.errors.matches(of: /pid=(\d+)/).compactMap { Int32($0.1) }.suffix(1)
                collector.program.signal(SIGKILL)
                for pid in both { kill(pid, SIGKILL) }
                try await collector.startAgain()
                #expect(try await collector.get("/v1/jobs/\(id)").status == 200)
                // Now the postmaster, under a collector that goes on.
                let pids = collector.program.errors.matches(of: /pid=(\d+)/).compactMap { Int32($0.1) }.suffix(1)
                #expect(pids.count == 1)
                for pid in pids { kill(pid, SIGKILL) }
                try await eventually("the database to be back", log: { collector.program.errors }) {
                    let answer = try? await collector.get("/v1/jobs/\(id)")  // Connections break while it is away.
                    return answer?.status == 200 ? () : nil
                }
            }
        }
    }
}
