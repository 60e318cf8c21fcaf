public import Documents
public import Energy

/// GitHub and GitHub Enterprise Server: `workflow_job` for jobs, `workflow_run` for what to ask for.
///
/// Their times are whole seconds, also where they print `.000Z`.
public enum GitHub: CISystem {
    public static let kind = "github"
    static let cloud = "https://github.com"
    static let resolutionMilliseconds: Int64 = 1_000

    public static let keptHeaders = [
        "content-type", "user-agent", "x-github-event", "x-github-delivery", "x-github-hook-id", "x-github-hook-installation-target-type",
        "x-github-hook-installation-target-id", "x-github-enterprise-host", "x-github-enterprise-version",
    ]

    public static func verify(_ delivery: Delivery, secrets: [String], now: Timestamp) throws(RefusedDelivery) {
        guard let header = delivery.headers["x-hub-signature-256"], !header.isEmpty else {
            throw RefusedDelivery(
                .unsigned,
                "expected the header X-Hub-Signature-256, found none; enter the source's secret in the webhook's settings"
            )
        }
        guard header.hasPrefix("sha256="), HexSignature.isValid(header.dropFirst(7), of: delivery.body, secrets: secrets) else {
            throw RefusedDelivery(
                .wrongSignature,
                "expected an X-Hub-Signature-256 made with one of the source's secrets, found another; enter the source's secret in the"
                    + " webhook's settings"
            )
        }
    }

    public static func eventKey(_ delivery: Delivery) -> String { EventKey.named(delivery.headers["x-github-delivery"], delivery) }

    public static func eventName(_ delivery: Delivery) -> String {
        [event(delivery), delivery.jsonOrNull["action"].legible.map { String($0.prefix(60)) } ?? ""].filter { !$0.isEmpty }.joined(
            separator: " "
        )
    }

    private static func event(_ delivery: Delivery) -> String { String((delivery.headers["x-github-event"] ?? "").prefix(60)) }

    public static func read(_ delivery: Delivery) throws(UnreadableDelivery) -> EventReading {
        if delivery.headers["content-type"]?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true {
            throw UnreadableDelivery(
                "expected a body of type application/json, found application/x-www-form-urlencoded; choose \"Content type:"
                    + " application/json\" in the webhook's settings"
            )
        }
        let payload = try delivery.json()
        switch event(delivery) {
        case "workflow_job": return try job(payload, delivery)
        case "workflow_run": return try run(payload)
        case "ping": return .ignored("ping: the webhook is set up")
        case "": throw UnreadableDelivery("expected the header X-GitHub-Event, found none")
        case let other: return .ignored("\(other): not about jobs")
        }
    }

    // MARK: Jobs

    private static func job(_ payload: JSONValue, _ delivery: Delivery) throws(UnreadableDelivery) -> EventReading {
        let phase: JobEvent.Phase
        switch payload["action"].string {
        case "queued", "waiting": phase = .queued
        case "in_progress": phase = .started
        case "completed": phase = .finished
        case let other: return .ignored("workflow_job \((other ?? "without an action").prefix(60)): not known")
        }
        let job = payload["workflow_job"]
        guard job.object != nil else {
            throw UnreadableDelivery("field workflow_job: expected an object, found \(job.described)")
        }
        let repository = payload["repository"]
        guard let name = repository["full_name"].legible else {
            throw UnreadableDelivery("field repository.full_name: expected a text, found \(repository["full_name"].described)")
        }
        let place = ForgeRepository(
            instance: repository["html_url"].string.flatMap(WebAddress.origin) ?? cloud,
            name: name,
            isPrivate: repository["private"].bool
        )
        return .jobs([try event(job, stage: phase, writtenAs: phase, repository: place, now: delivery.receivedAt)])
    }

    /// A job of `GET /repos/{owner}/{repository}/actions/runs/{id}/jobs`, under the key that its webhooks have.
    ///
    /// - Returns: nil for what is no job.
    public static func job(fromREST job: JSONValue, repository: ForgeRepository) -> JobEvent? {
        let stage: JobEvent.Phase =
            switch job["status"].string {
            case "completed": .finished
            case "in_progress": .started
            default: .queued
            }
        do {
            return try event(job, stage: stage, writtenAs: .reconciled, repository: repository, now: nil)
        } catch {
            return nil  // As documented: what the walk left out is counted by whoever walks.
        }
    }

    /// - Parameters:
    ///   - stage: how far the job is.
    ///   - phase: what the event is worth.
    private static func event(
        _ job: JSONValue,
        stage: JobEvent.Phase,
        writtenAs phase: JobEvent.Phase,
        repository: ForgeRepository,
        now: Timestamp?
    ) throws(UnreadableDelivery) -> JobEvent {
        guard let id = job["id"].identifier else {
            throw UnreadableDelivery("field workflow_job.id: expected a number, found \(job["id"].described)")
        }
        let attempt = job["run_attempt"].integer.flatMap { (1...1_000_000).contains($0) ? Int($0) : nil } ?? 1
        let outcome = stage == .finished ? Outcome.named(job["conclusion"].legible) : nil

        var times = JobTimes()
        times.queuedAt = try Moment.read(job["created_at"], "workflow_job.created_at")?.time
        // A job that waits may have a started_at that means nothing. One without a runner, skipped, cancelled while it waited or a third
        // party's check, never ran, whatever its times say.
        let runner = job["runner_name"].legible
        let runnerID = job["runner_id"].identifier
        if stage > .queued, runner != nil || runnerID != nil, outcome != Outcome.skipped {
            times.startedAt = try Moment.read(job["started_at"], "workflow_job.started_at")?.time
        }
        if stage == .finished { times.finishedAt = try Moment.read(job["completed_at"], "workflow_job.completed_at")?.time }
        try times.check(now: now)
        let eventTime =
            switch stage {
            case .queued: times.queuedAt
            case .started: times.startedAt ?? times.queuedAt
            case .finished, .reconciled: times.finishedAt ?? times.startedAt ?? times.queuedAt
            }
        let flags = times.mend()

        var fields = JobFields()
        fields.set(times)
        fields.set("repository", text: repository.name)
        fields.set("repository_private", repository.isPrivate)
        fields.set("commit", text: job["head_sha"].legible)
        fields.set("ref", text: job["head_branch"].legible)
        fields.set("pipeline", text: job["workflow_name"].legible)
        fields.set("job", text: job["name"].legible)
        fields.set("run_id", text: job["run_id"].identifier)
        fields.set("job_id", text: id)
        fields.set("runner", text: runner)
        fields.set("runner_id", text: runnerID)
        fields.set("runner_group", text: job["runner_group_name"].legible)
        fields.set("labels", texts: job["labels"].texts)
        fields.set("outcome", text: outcome)
        fields.set("url", text: job["html_url"].legible)
        if times.startedAt != nil { fields.set("time_resolution_ms", resolutionMilliseconds) }

        var event = JobEvent(
            instance: job["html_url"].string.flatMap(WebAddress.origin) ?? repository.instance,
            id: id,
            attempt: attempt,
            phase: phase,
            eventTime: eventTime ?? now ?? Timestamp(microseconds: 0),
            fields: fields.values
        )
        event.flags = flags
        return event
    }

    // MARK: Runs and repositories

    private static func run(_ payload: JSONValue) throws(UnreadableDelivery) -> EventReading {
        let run = payload["workflow_run"]
        guard let id = run["id"].identifier else {
            throw UnreadableDelivery("field workflow_run.id: expected a number, found \(run["id"].described)")
        }
        guard let repository = payload["repository"]["full_name"].legible else {
            let found = payload["repository"]["full_name"].described
            throw UnreadableDelivery("field repository.full_name: expected a text, found \(found)")
        }
        return .run(
            RunNotice(
                instance: run["html_url"].string.flatMap(WebAddress.origin) ?? cloud,
                repository: repository,
                runID: id,
                attempt: run["run_attempt"].integer.flatMap { (1...1_000_000).contains($0) ? Int($0) : nil } ?? 1,
                isFinished: payload["action"].string == "completed"
            )
        )
    }

    /// Any event may carry its repository. An old one that is delivered again must not undo a newer, so it counts from its own time.
    public static func repository(_ delivery: Delivery) -> RepositoryNotice? {
        let payload = delivery.jsonOrNull
        let repository = payload["repository"]
        guard let name = repository["full_name"].legible, let isPrivate = repository["private"].bool else { return nil }
        func time(_ value: JSONValue) -> Timestamp? { value.string.flatMap(Moment.init)?.time }
        let job = payload["workflow_job"]
        let stated =
            time(job["completed_at"]) ?? time(job["started_at"]) ?? time(job["created_at"]) ?? time(payload["workflow_run"]["updated_at"])
            ?? time(repository["updated_at"])
        // Without any time only the careful half is believed.
        guard let statedAt = stated ?? (isPrivate ? delivery.receivedAt : nil) else { return nil }
        let instance = repository["html_url"].string.flatMap(WebAddress.origin) ?? cloud
        return RepositoryNotice(
            repository: RepositoryName.normalised(name, forge: instance),
            isPrivate: isPrivate,
            statedAt: min(statedAt, delivery.receivedAt)
        )
    }

    /// What a renamed or transferred repository's former name stands for: its jobs until now bear it.
    public static func formerRepository(_ delivery: Delivery) -> RepositoryNotice? {
        guard event(delivery) == "repository", var notice = repository(delivery) else { return nil }
        let changes = delivery.jsonOrNull["changes"]
        let former = changes["repository"]["name"]["from"].legible
        let from = changes["owner"]["from"]
        let owner = from["organization"]["login"].legible ?? from["user"]["login"].legible
        guard former != nil || owner != nil else { return nil }
        var parts = notice.repository.split(separator: "/").map(String.init)
        guard parts.count >= 3 else { return nil }
        if let former { parts[parts.count - 1] = former }
        if let owner { parts[parts.count - 2] = owner }
        guard parts.suffix(2).allSatisfy({ !$0.isEmpty && !$0.contains("/") }) else { return nil }
        notice.repository = parts.joined(separator: "/")
        return notice
    }

    // MARK: Setting up

    public static func newSecret() -> String { SecretText.newHex() }

    public static func instructions(url: String, secret: String) -> [String] {
        [
            "In the organisation (or in one repository) open Settings > Webhooks and press \"Add webhook\". For an organisation ORG that",
            "is https://github.com/organizations/ORG/settings/hooks/new; it takes an owner.",
            "Payload URL: \(url)",
            "Content type: application/json",
            "Secret: \(secret)",
            "SSL verification: leave it enabled.",
            "Which events: \"Let me select individual events\". Tick \"Workflow jobs\", \"Workflow runs\" and \"Repositories\" (so that",
            "one turned private vanishes at once), untick \"Pushes\".",
            "Leave \"Active\" ticked and press \"Add webhook\". GitHub sends a ping at once; the next job is the first that counts.",
        ]
    }
}
