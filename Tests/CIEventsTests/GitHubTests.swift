import CIEvents
import Documents
import Energy
import Testing

@Suite("GitHub's webhooks")
struct GitHubTests {
    /// A job as GitHub tells it; `more` is put behind and so wins.
    static func job(_ action: String, _ more: [String: JSONValue] = [:], repository: [String: JSONValue] = [:]) throws -> Delivery {
        var job: [String: JSONValue] = [
            "id": .integer(9_007_199_254_740_993), "run_id": .integer(17), "run_attempt": .integer(2), "name": .string("build"),
            "workflow_name": .string("ci"), "head_sha": .string("9f2c"), "head_branch": .string("main"), "status": .string(action),
            "conclusion": .string("success"), "created_at": .string("2026-09-01T09:00:02Z"), "started_at": .string("2026-09-01T09:00:10Z"),
            "completed_at": .string("2026-09-01T09:04:55Z"), "runner_id": .integer(7), "runner_name": .string("bw-07"),
            "labels": .array([.string("self-hosted")]), "html_url": .string("https://github.com/o/r/actions/runs/17/job/9"),
        ]
        for (name, value) in more { job[name] = value }
        var place: [String: JSONValue] = [
            "full_name": .string("o/r"), "private": .bool(false), "html_url": .string("https://github.com/o/r"),
        ]
        for (name, value) in repository { place[name] = value }
        let body = JSONValue.object(["action": .string(action), "workflow_job": .object(job), "repository": .object(place)])
        return delivery(try body.text, ["x-github-event": "workflow_job", "x-github-delivery": "d-1", "content-type": "application/json"])
    }

    @Test("a job that waits has no start, whatever it says", arguments: ["queued", "waiting"])
    func aWaitingJobHasNoStart(action: String) throws {
        let job = try onlyJob(try GitHub.read(try Self.job(action)))
        #expect(job.phase == .queued)
        #expect(job.fields["started_at"] == nil && job.fields["finished_at"] == nil && job.fields["outcome"] == nil)
        #expect(job.text("queued_at") == "2026-09-01T09:00:02Z")
        #expect(job.eventTime == at("09:00:02"))
    }

    @Test("a started job has no end yet")
    func aStartedJobHasNoEnd() throws {
        let job = try onlyJob(try GitHub.read(try Self.job("in_progress")))
        #expect(job.phase == .started && job.eventTime == at("09:00:10"))
        #expect(job.text("started_at") == "2026-09-01T09:00:10Z")
        #expect(job.fields["finished_at"] == nil && job.fields["outcome"] == nil)
    }

    @Test(
        "without a runner nothing ran",
        arguments: [
            ["runner_id": .null, "runner_name": .null], ["runner_id": .integer(0), "runner_name": .string("")],
            ["conclusion": .string("skipped")],
        ] as [[String: JSONValue]]
    )
    func withoutARunnerNothingRan(fields: [String: JSONValue]) throws {
        let job = try onlyJob(try GitHub.read(try Self.job("completed", fields)))
        #expect(job.fields["started_at"] == nil && job.fields["time_resolution_ms"] == nil)
        #expect(job.text("outcome") != nil)
    }

    @Test("an end before the start is the start, and flagged")
    func aReversedJobHasNoLength() throws {
        let job = try onlyJob(try GitHub.read(try Self.job("completed", ["completed_at": .string("2026-09-01T09:00:09Z")])))
        #expect(job.text("started_at") == "2026-09-01T09:00:10Z")
        #expect(job.text("finished_at") == "2026-09-01T09:00:10Z")
        #expect(job.flags == ["clock_anomaly"])
    }

    @Test("a start before the queue is kept, and flagged")
    func aStartBeforeTheQueueIsKept() throws {
        let job = try onlyJob(try GitHub.read(try Self.job("completed", ["created_at": .string("2026-09-01T09:00:11Z")])))
        #expect(job.text("started_at") == "2026-09-01T09:00:10Z")
        #expect(job.flags == ["started_before_queued"])
    }

    @Test(
        "conclusions are told in one set of words, and unknown ones kept",
        arguments: [
            ("success", "success"), ("timed_out", "timeout"), ("cancelled", "cancelled"), ("neutral", "neutral"), ("größer", "größer"),
        ]
    )
    func conclusions(theirs: String, ours: String) throws {
        #expect(try onlyJob(try GitHub.read(try Self.job("completed", ["conclusion": .string(theirs)]))).text("outcome") == ours)
    }

    @Test("ids of 64 bits and names of any script stay whole")
    func idsAndNamesStayWhole() throws {
        let name = "bauen (größe, \"a\", 'b', a/b@c%d, 🐫)\nzweite Zeile"
        let job = try onlyJob(try GitHub.read(try Self.job("completed", ["name": .string(name)])))
        #expect(job.id == "9007199254740993" && job.attempt == 2)
        #expect(job.text("job_id") == "9007199254740993")
        #expect(job.text("job") == name)
        let largest = try onlyJob(try GitHub.read(try Self.job("completed", ["id": .integer(.max)])))
        #expect(largest.id == "9223372036854775807")
    }

    @Test("no zero and no endless text gets through")
    func noZeroAndNoEndlessText() throws {
        let job = try onlyJob(
            try GitHub.read(
                try Self.job("completed", ["name": .string("a\u{0}b"), "head_branch": .string(String(repeating: "ä", count: 9_000))])
            )
        )
        #expect(job.text("job") == "a\u{FFFD}b")
        #expect(job.text("ref")?.utf8.count == 2_000)
    }

    @Test("zero times are none, and those of tomorrow are refused")
    func timesThatCannotBe() throws {
        let zero = try onlyJob(
            try GitHub.read(
                try Self.job("in_progress", ["started_at": .string("0001-01-01T00:00:00Z"), "created_at": .string("1970-01-01T00:00:00Z")])
            )
        )
        #expect(zero.fields["started_at"] == nil && zero.fields["queued_at"] == nil)
        for field in ["created_at", "started_at", "completed_at"] {
            let body = try Self.job("completed", [field: .string("2026-09-01T13:00:01Z")])
            #expect(throws: UnreadableDelivery.self) { try GitHub.read(body) }
            #expect(throws: UnreadableDelivery.self) { try GitHub.read(try Self.job("completed", [field: .string("yesterday")])) }
        }
        #expect(throws: Never.self) { try GitHub.read(try Self.job("completed", ["completed_at": .string("2026-09-01T13:00:00Z")])) }
    }

    @Test("nulls everywhere are no job, but nothing worse")
    func nullsEverywhere() throws {
        let nulls = Dictionary(
            uniqueKeysWithValues: [
                "run_id", "run_attempt", "name", "workflow_name", "head_sha", "head_branch", "conclusion", "created_at", "started_at",
                "completed_at", "runner_id", "runner_name", "labels", "html_url",
            ].map { ($0, JSONValue.null) }
        )
        let job = try onlyJob(try GitHub.read(try Self.job("completed", nulls)))
        #expect(job.attempt == 1 && job.text("outcome") == "unknown" && job.instance == "https://github.com")
        #expect(job.fields["started_at"] == nil)
        #expect(throws: UnreadableDelivery.self) { try GitHub.read(try Self.job("completed", ["id": .null])) }
        #expect(throws: UnreadableDelivery.self) { try GitHub.read(try Self.job("completed", repository: ["full_name": .null])) }
    }

    @Test("an own server is an instance of its own")
    func anOwnServerIsAnInstanceOfItsOwn() throws {
        let delivery = try Self.job(
            "completed",
            ["html_url": .string("https://GHE.example.org:8443/o/r/actions/runs/17/job/9")],
            repository: ["html_url": .string("https://ghe.example.org:8443/o/r")]
        )
        #expect(try onlyJob(try GitHub.read(delivery)).instance == "https://ghe.example.org:8443")
        #expect(GitHub.repository(delivery)?.repository == "ghe.example.org:8443/o/r")
    }

    @Test("a private repository is told with the time it was said at, not that of its arrival")
    func aPrivateRepositoryIsTold() throws {
        let delivery = try Self.job("completed", repository: ["private": .bool(true)])
        #expect(GitHub.repository(delivery) == RepositoryNotice(repository: "github.com/o/r", isPrivate: true, statedAt: at("09:04:55")))
        #expect(try onlyJob(try GitHub.read(delivery)).fields["repository_private"] == .bool(true))
        let ping = #"{"repository": {"full_name": "o/r", "private": PRIVATE, "html_url": "https://github.com/o/r"}}"#
        func notice(_ isPrivate: String) -> RepositoryNotice? {
            GitHub.repository(CIEventsTests.delivery(ping.replacing("PRIVATE", with: isPrivate), ["x-github-event": "ping"]))
        }
        #expect(notice("true")?.isPrivate == true)
        #expect(notice("false") == nil, "public without a time: perhaps an old event")
        #expect(notice("null") == nil)
    }

    @Test("what REST says has the key of the webhook, and more weight")
    func restHasTheKeyOfTheWebhook() throws {
        let delivery = try Self.job("completed")
        let hook = try onlyJob(try GitHub.read(delivery))
        let object = try #require(try JSONValue(parsing: delivery.body).object?["workflow_job"])
        let place = ForgeRepository(instance: "https://github.com", name: "o/r", isPrivate: false)
        let rest = try #require(GitHub.job(fromREST: object, repository: place))
        #expect((rest.instance, rest.id, rest.attempt) == (hook.instance, hook.id, hook.attempt))
        #expect(rest.fields == hook.fields)
        #expect(rest.phase == .reconciled && rest.phase > hook.phase)
        let waiting = try #require(
            GitHub.job(fromREST: .object((object.object ?? [:]).merging(["status": .string("queued")]) { $1 }), repository: place)
        )
        #expect(waiting.fields["started_at"] == nil && waiting.phase == .reconciled)
        #expect(GitHub.job(fromREST: .null, repository: place) == nil)
        #expect(GitHub.job(fromREST: .object(["id": .string("x"), "created_at": .integer(3)]), repository: place) == nil)
    }

    @Test("a form is refused with what to choose instead; a ping and others are passed over")
    func formsPingsAndOthers() throws {
        let form = #expect(throws: UnreadableDelivery.self) {
            try GitHub.read(delivery("payload=%7B%7D", ["x-github-event": "ping", "content-type": "application/x-www-form-urlencoded"]))
        }
        #expect(form?.description.contains("Content type: application/json") == true)
        for event in ["ping", "push", "workflow_dispatch"] {
            guard case .ignored = try GitHub.read(delivery("{}", ["x-github-event": event])) else {
                Issue.record("\(event)")
                continue
            }
        }
        #expect(throws: UnreadableDelivery.self) { try GitHub.read(delivery("{}")) }
        #expect(throws: UnreadableDelivery.self) { try GitHub.read(delivery("", ["x-github-event": "workflow_job"])) }
    }

    @Test("a delivery is known by its GUID, or by its body")
    func aDeliveryIsKnown() throws {
        let known = try Self.job("completed")
        #expect(GitHub.eventKey(known) == "d-1")
        #expect(GitHub.eventName(known) == "workflow_job completed")
        let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        #expect(GitHub.eventKey(delivery("{}")) == digest)
        #expect(GitHub.eventKey(delivery("{}", ["x-github-delivery": String(repeating: "x", count: 5_000)])) == digest)
    }
}
