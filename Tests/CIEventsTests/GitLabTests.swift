import CIEvents
import Documents
import Energy
import Testing

@Suite("GitLab's webhooks")
struct GitLabTests {
    static func job(_ more: [String: JSONValue] = [:], headers: [String: String] = [:]) throws -> Delivery {
        var fields: [String: JSONValue] = [
            "object_kind": .string("build"), "ref": .string("main"), "sha": .string("9f2c"), "retries_count": .integer(2),
            "build_id": .integer(880_001), "build_name": .string("build:debian"), "build_stage": .string("build"),
            "build_status": .string("success"), "build_created_at": .string("2026-09-01 09:00:02 UTC"),
            "build_started_at": .string("2026-09-01 09:00:10 UTC"), "build_finished_at": .string("2026-09-01 09:04:55 UTC"),
            "build_failure_reason": .string("unknown_failure"), "pipeline_id": .integer(66_001),
            "commit": .object(["id": .integer(66_001), "sha": .string("9f2c")]),
            "runner": .object(["id": .integer(31), "description": .string("bw-07"), "tags": .array([.string("linux")])]),
            "project": .object([
                "path_with_namespace": .string("g/sub/p"), "web_url": .string("https://gitlab.example.org/g/sub/p"),
                "visibility_level": .integer(20),
            ]),
        ]
        for (name, value) in more { fields[name] = value }
        return delivery(try JSONValue.object(fields).text, ["x-gitlab-event": "Job Hook"].merging(headers) { $1 })
    }

    @Test("the older form of times is whole seconds")
    func theOlderFormOfTimes() throws {
        let job = try onlyJob(try GitLab.read(try Self.job()))
        #expect(job.text("queued_at") == "2026-09-01T09:00:02Z")
        #expect(job.text("started_at") == "2026-09-01T09:00:10Z")
        #expect(job.text("finished_at") == "2026-09-01T09:04:55Z")
        #expect(job.fields["time_resolution_ms"] == .integer(1_000))
        #expect(job.instance == "https://gitlab.example.org" && job.id == "880001" && job.attempt == 1)
        #expect(job.fields["retries"] == .integer(2))
        #expect(job.text("commit") == "9f2c", "commit.id is the pipeline's")
        #expect(job.text("repository") == "g/sub/p")
        #expect(job.text("url") == "https://gitlab.example.org/g/sub/p/-/jobs/880001")
    }

    @Test(
        "the finer of two times wins, on either side",
        arguments: [
            ("2026-09-01T09:00:10.126Z", "2026-09-01T09:00:10Z"), ("2026-09-01 09:00:10 UTC", "2026-09-01T09:00:10.126Z"),
            ("2026-09-01 11:00:10.126 +0200", ""),
        ]
    )
    func theFinerOfTwoTimesWins(plain: String, iso: String) throws {
        let job = try onlyJob(
            try GitLab.read(
                try Self.job([
                    "build_started_at": .string(plain), "build_started_at_iso": .string(iso),
                    "build_finished_at": .string("2026-09-01T09:04:55.771Z"),
                ])
            )
        )
        #expect(job.text("started_at") == "2026-09-01T09:00:10.126Z")
        #expect(job.fields["time_resolution_ms"] == .integer(1))
    }

    @Test("the coarser edge is the resolution")
    func theCoarserEdgeIsTheResolution() throws {
        let job = try onlyJob(try GitLab.read(try Self.job(["build_finished_at": .string("2026-09-01T09:04:55.771Z")])))
        #expect(job.fields["time_resolution_ms"] == .integer(1_000))
    }

    @Test(
        "how it ended, without a reason where all went well",
        arguments: [
            ("success", "unknown_failure", "success"), ("failed", "script_failure", "failure"),
            ("failed", "job_execution_timeout", "timeout"),
            ("failed", "runner_system_failure", "error"), ("canceled", "unknown_failure", "cancelled"),
        ]
    )
    func outcomes(status: String, reason: String, outcome: String) throws {
        let delivery = try Self.job(["build_status": .string(status), "build_failure_reason": .string(reason)])
        #expect(try onlyJob(try GitLab.read(delivery)).text("outcome") == outcome)
    }

    @Test(
        "waiting, skipped and runner-less jobs have no start",
        arguments: [
            ["build_status": .string("pending")], ["build_status": .string("created")], ["build_status": .string("manual")],
            ["build_status": .string("skipped")], ["runner": .null], ["build_started_at": .null],
        ] as [[String: JSONValue]]
    )
    func noStart(fields: [String: JSONValue]) throws {
        #expect(try onlyJob(try GitLab.read(try Self.job(fields))).fields["started_at"] == nil)
    }

    @Test("a job that runs has no end, and one of an unknown status what its times say")
    func phases() throws {
        let running = try onlyJob(try GitLab.read(try Self.job(["build_status": .string("running"), "build_finished_at": .null])))
        #expect(running.phase == .started && running.text("started_at") != nil && running.fields["outcome"] == nil)
        let unknown = try onlyJob(try GitLab.read(try Self.job(["build_status": .string("evaporated")])))
        #expect(unknown.phase == .finished && unknown.text("outcome") == "evaporated")
        let reversed = try onlyJob(try GitLab.read(try Self.job(["build_finished_at": .string("2026-09-01 09:00:01 UTC")])))
        #expect(reversed.flags == ["clock_anomaly"] && reversed.text("finished_at") == reversed.text("started_at"))
    }

    @Test(
        "the instance is what comes before the project's path, or the header's",
        arguments: [
            ("https://gitlab.example.org/g/sub/p", nil, "https://gitlab.example.org"),
            ("https://example.org/gitlab/g/sub/p", "https://elsewhere.example", "https://example.org/gitlab"),
            (nil, "https://gitlab.example.org", "https://gitlab.example.org"),
        ] as [(String?, String?, String)]
    )
    func instances(webURL: String?, header: String?, instance: String) throws {
        let project = JSONValue.object(["path_with_namespace": .string("g/sub/p"), "web_url": webURL.map { .string($0) } ?? .null])
        let delivery = try Self.job(["project": project], headers: header.map { ["x-gitlab-instance": $0] } ?? [:])
        #expect(try onlyJob(try GitLab.read(delivery)).instance == instance)
    }

    @Test("older versions name the project only in repository")
    func olderVersions() throws {
        let repository = JSONValue.object([
            "git_http_url": .string("https://gitlab.example.org/g/sub/p.git"), "visibility_level": .integer(0),
        ])
        let delivery = try Self.job(["project": .null, "repository": repository])
        let job = try onlyJob(try GitLab.read(delivery))
        #expect(job.text("repository") == "g/sub/p" && job.instance == "https://gitlab.example.org")
        #expect(GitLab.repository(delivery)?.isPrivate == true)
    }

    @Test("public is 20 alone", arguments: [(0, true), (10, true), (20, false)])
    func publicIsTwenty(level: Int64, isPrivate: Bool) throws {
        let project = JSONValue.object([
            "path_with_namespace": .string("g/p"), "web_url": .string("https://gitlab.example.org/g/p"),
            "visibility_level": .integer(level),
        ])
        let notice = GitLab.repository(try Self.job(["project": project]))
        #expect(notice == RepositoryNotice(repository: "gitlab.example.org/g/p", isPrivate: isPrivate, statedAt: at("09:04:55")))
        #expect(GitLab.repository(try Self.job(["project": .null])) == nil)
    }

    @Test("what REST says has the key of the webhook")
    func restHasTheKeyOfTheWebhook() throws {
        let hook = try onlyJob(try GitLab.read(try Self.job()))
        let object = try JSONValue(
            parsing: Array(
                """
                {"id": 880001, "name": "build:debian", "status": "success", "stage": "build", "ref": "main",
                 "created_at": "2026-09-01T09:00:02.114Z", "started_at": "2026-09-01T09:00:10.126Z",
                 "finished_at": "2026-09-01T09:04:55.771Z", "commit": {"id": "9f2c"}, "pipeline": {"id": 66001, "sha": "9f2c"},
                 "runner": {"id": 31, "description": "bw-07"}, "runner_manager": {"system_id": "s_1"}, "tag_list": ["linux"],
                 "web_url": "https://gitlab.example.org/g/sub/p/-/jobs/880001"}
                """.utf8
            )
        )
        let project = ForgeRepository(instance: "https://gitlab.example.org", name: "g/sub/p", isPrivate: false)
        let rest = try #require(GitLab.job(fromREST: object, project: project))
        #expect((rest.instance, rest.id, rest.attempt) == (hook.instance, hook.id, hook.attempt))
        #expect(rest.phase == .reconciled && rest.text("runner_manager") == "s_1")
        for name in [
            "commit", "ref", "job", "run_id", "job_id", "pipeline", "runner", "runner_id", "labels", "outcome", "repository", "url",
        ] {
            #expect(rest.fields[name] == hook.fields[name], "\(name)")
        }
        #expect(GitLab.job(fromREST: .object(["name": .string("x")]), project: project) == nil)
    }

    @Test("a pipeline is a reason to ask", arguments: [("success", true), ("running", false)])
    func pipelines(status: String, isFinished: Bool) throws {
        let body = """
            {"object_kind": "pipeline", "object_attributes": {"id": 66001, "status": "\(status)"},
             "project": {"path_with_namespace": "g/p", "web_url": "https://gitlab.example.org/g/p"}}
            """
        #expect(
            try GitLab.read(delivery(body))
                == .run(
                    RunNotice(instance: "https://gitlab.example.org", repository: "g/p", runID: "66001", attempt: 1, isFinished: isFinished)
                )
        )
        guard case .ignored = try GitLab.read(delivery(#"{"object_kind": "push"}"#)) else { throw UnreadableDelivery("push is no job") }
        #expect(throws: UnreadableDelivery.self) { try GitLab.read(delivery("[]")) }
    }

    @Test("an empty token opens nothing, and a delivery is known by its idempotency key")
    func tokensAndKeys() throws {
        for token in ["", "x"] {
            let sent = delivery("{}", ["x-gitlab-token": token])
            #expect(throws: RefusedDelivery.self) { try GitLab.verify(sent, secrets: [""], now: at("09:00:00")) }
        }
        #expect(GitLab.eventKey(delivery("{}", ["idempotency-key": "a", "webhook-id": "b"])) == "a")
        #expect(GitLab.eventKey(delivery("{}", ["webhook-id": "b"])) == "b")
        #expect(GitLab.eventKey(delivery("{}")).count == 64)
    }
}
