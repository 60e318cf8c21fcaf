public import Documents
public import Energy

/// GitLab, hosted or one's own: `Job Hook` for jobs, `Pipeline Hook` for what to ask for.
///
/// Each retry of a job has an id of its own there, and its API does not count them: so the attempt is always 1, in the key at least.
public enum GitLab: CISystem {
    public static let kind = "gitlab"

    public static let keptHeaders = [
        "content-type", "user-agent", "x-gitlab-event", "x-gitlab-instance", "x-gitlab-webhook-uuid", "x-gitlab-event-uuid",
        "idempotency-key", "webhook-id", "webhook-timestamp",
    ]

    public static func verify(_ delivery: Delivery, secrets: [String], now: Timestamp) throws(RefusedDelivery) {
        // A signature covers the body, a token does not: who has a signing secret here is held to it.
        if StandardSignature.isSigned(delivery), secrets.contains(where: StandardSignature.isSecret) {
            try StandardSignature.verify(delivery, secrets: secrets, now: now)
            return
        }
        guard let token = delivery.headers["x-gitlab-token"], !token.isEmpty else {
            throw RefusedDelivery(
                .unsigned,
                "expected the header X-Gitlab-Token, or webhook-signature and a signing secret (whsec_...) of the source, found neither;"
                    + " enter the source's secret as the webhook's secret token"
            )
        }
        guard SecretText.isAny(token, of: secrets) else {
            throw RefusedDelivery(
                .wrongSignature,
                "expected one of the source's secrets in X-Gitlab-Token, found another; enter the source's secret as the"
                    + " webhook's secret token"
            )
        }
    }

    public static func eventKey(_ delivery: Delivery) -> String {
        EventKey.named(delivery.headers["idempotency-key"] ?? delivery.headers["webhook-id"], delivery)
    }

    public static func eventName(_ delivery: Delivery) -> String {
        let payload = delivery.jsonOrNull
        let name = delivery.headers["x-gitlab-event"] ?? payload["object_kind"].string ?? ""
        let status = payload["build_status"].legible ?? payload["object_attributes"]["status"].legible ?? ""
        return [name, status].filter { !$0.isEmpty }.map { String($0.prefix(60)) }.joined(separator: " ")
    }

    public static func read(_ delivery: Delivery) throws(UnreadableDelivery) -> EventReading {
        let payload = try delivery.json()
        switch payload["object_kind"].string {
        case "build": return .jobs([try job(payload, delivery)])
        case "pipeline": return try pipeline(payload, delivery)
        case let other?: return .ignored("\(other.prefix(60)): not about jobs")
        case nil: throw UnreadableDelivery("field object_kind: expected a text, found \(payload["object_kind"].described)")
        }
    }

    // MARK: Jobs

    private static func job(_ payload: JSONValue, _ delivery: Delivery) throws(UnreadableDelivery) -> JobEvent {
        func moment(_ name: String) throws(UnreadableDelivery) -> Moment? {
            let moments = [try Moment.read(payload[name], name), try Moment.read(payload["\(name)_iso"], "\(name)_iso")].compactMap { $0 }
            return moments.min { $0.resolutionMilliseconds < $1.resolutionMilliseconds }
        }
        guard let id = payload["build_id"].identifier else {
            throw UnreadableDelivery("field build_id: expected a number, found \(payload["build_id"].described)")
        }
        let project = place(payload, delivery)
        var job = Job(id: id, status: payload["build_status"].legible, failureReason: payload["build_failure_reason"].legible)
        job.created = try moment("build_created_at")
        job.started = try moment("build_started_at")
        job.finished = try moment("build_finished_at")
        let runner = payload["runner"]
        job.runner = runner
        job.labels = runner["tags"].texts
        job.fields.set("commit", text: payload["sha"].legible ?? payload["commit"]["sha"].legible)  // commit.id is the pipeline's.
        job.fields.set("ref", text: payload["ref"].legible)
        job.fields.set("job", text: payload["build_name"].legible)
        job.fields.set("stage", text: payload["build_stage"].legible)
        job.pipelineID = payload["pipeline_id"].identifier ?? payload["commit"]["id"].identifier
        job.fields.set("retries", payload["retries_count"].integer)
        if let web = payload["project"]["web_url"].legible { job.fields.set("url", text: "\(web)/-/jobs/\(id)") }
        return try job.event(writtenAs: nil, project: project, now: delivery.receivedAt)
    }

    /// A job of `GET /projects/{id}/jobs`, under the key that its webhooks have.
    ///
    /// - Returns: nil for what is no job.
    public static func job(fromREST object: JSONValue, project: ForgeRepository) -> JobEvent? {
        guard let id = object["id"].identifier else { return nil }
        do {
            var job = Job(id: id, status: object["status"].legible, failureReason: object["failure_reason"].legible)
            job.created = try Moment.read(object["created_at"], "created_at")
            job.started = try Moment.read(object["started_at"], "started_at")
            job.finished = try Moment.read(object["finished_at"], "finished_at")
            job.runner = object["runner"]
            job.labels = object["tag_list"].texts
            job.fields.set("runner_manager", text: object["runner_manager"]["system_id"].legible)
            job.fields.set("commit", text: object["commit"]["id"].legible ?? object["pipeline"]["sha"].legible)
            job.fields.set("ref", text: object["ref"].legible)
            job.fields.set("job", text: object["name"].legible)
            job.fields.set("stage", text: object["stage"].legible)
            job.pipelineID = object["pipeline"]["id"].identifier
            job.fields.set("url", text: object["web_url"].legible)
            return try job.event(writtenAs: .reconciled, project: project, now: nil)
        } catch {
            return nil  // As documented: what the walk left out is counted by whoever walks.
        }
    }

    /// What a webhook and the API say of a job, each in its own words.
    private struct Job {
        let id: String
        let status: String?
        let failureReason: String?
        var created: Moment?
        var started: Moment?
        var finished: Moment?
        var runner = JSONValue.null
        var labels: [String] = []
        var pipelineID: String?
        var fields = JobFields()

        init(id: String, status: String?, failureReason: String?) {
            self.id = id
            self.status = status
            self.failureReason = failureReason
        }

        private var stage: JobEvent.Phase {
            switch status {
            case "created", "pending", "waiting_for_resource", "waiting_for_callback", "preparing", "scheduled", "manual": .queued
            case "running", "canceling": .started
            case "success", "failed", "canceled", "skipped": .finished
            // Of a word that is not known yet the times must do.
            default: finished != nil ? .finished : started != nil ? .started : .queued
            }
        }

        /// A reason is given on success too, and means nothing there.
        private var outcome: String {
            guard status == "failed", let failureReason else { return Outcome.named(status) }
            switch failureReason {
            case "job_execution_timeout", "stuck_or_timeout_failure": return Outcome.named("timeout")
            case "runner_system_failure": return Outcome.named("error")
            default: return Outcome.named(status)
            }
        }

        func event(
            writtenAs phase: JobEvent.Phase?,
            project: ForgeRepository,
            now: Timestamp?
        ) throws(UnreadableDelivery) -> JobEvent {
            let stage = stage
            let ran = stage > .queued && runner.object != nil && status != Outcome.skipped
            var times = JobTimes(queuedAt: created?.time)
            if ran { times.startedAt = started?.time }
            if stage == .finished { times.finishedAt = finished?.time }
            try times.check(now: now)
            let eventTime = times.finishedAt ?? times.startedAt ?? times.queuedAt
            let flags = times.mend()

            var fields = fields
            fields.set(times)
            fields.set("repository", text: project.name)
            fields.set("repository_private", project.isPrivate)
            fields.set("pipeline", text: pipelineID)
            fields.set("run_id", text: pipelineID)
            fields.set("job_id", text: id)
            fields.set("runner", text: runner["description"].legible)
            fields.set("runner_id", text: runner["id"].identifier)
            fields.set("labels", texts: labels)
            if stage == .finished { fields.set("outcome", text: outcome) }
            if times.startedAt != nil {
                let edges = [started, stage == .finished ? finished : nil].compactMap { $0 }
                fields.set("time_resolution_ms", edges.map(\.resolutionMilliseconds).max())
            }
            var event = JobEvent(
                instance: project.instance,
                id: id,
                attempt: 1,
                phase: phase ?? stage,
                eventTime: eventTime ?? now ?? Timestamp(microseconds: 0),
                fields: fields.values
            )
            event.flags = flags
            return event
        }
    }

    // MARK: Pipelines and projects

    /// The project, from the fields of any GitLab of the last years. The instance is read from the body, which a signature covers, as long
    /// as it names one; only then from the header.
    private static func place(_ payload: JSONValue, _ delivery: Delivery) -> ForgeRepository {
        let project = payload["project"]
        let repository = payload["repository"]
        let header = delivery.headers["x-gitlab-instance"].flatMap { instance in WebAddress.origin(instance).map { _ in instance } }
        let level = project["visibility_level"].integer ?? repository["visibility_level"].integer
        var url = project["web_url"].legible ?? repository["homepage"].legible ?? repository["git_http_url"].legible ?? ""
        if url.hasSuffix(".git") { url = String(url.dropLast(4)) }
        var name = project["path_with_namespace"].legible
        if name == nil, let base = header ?? WebAddress.origin(url), url.hasPrefix(base) {
            name = JSONValue.string(String(url.dropFirst(base.count).drop { $0 == "/" })).legible
        }
        return ForgeRepository(
            instance: name.flatMap { WebAddress.base(url, before: $0) } ?? header ?? WebAddress.origin(url) ?? "",
            name: name ?? "",
            isPrivate: level.map { $0 != 20 }  // 0 private, 10 internal, 20 public
        )
    }

    private static func pipeline(_ payload: JSONValue, _ delivery: Delivery) throws(UnreadableDelivery) -> EventReading {
        let pipeline = payload["object_attributes"]
        guard let id = pipeline["id"].identifier else {
            throw UnreadableDelivery("field object_attributes.id: expected a number, found \(pipeline["id"].described)")
        }
        let project = place(payload, delivery)
        return .run(
            RunNotice(
                instance: project.instance,
                repository: project.name,
                runID: id,
                attempt: 1,
                isFinished: ["success", "failed", "canceled", "skipped"].contains(pipeline["status"].string)
            )
        )
    }

    /// An old event that is delivered again must not undo a newer one's visibility, so it counts from its own time.
    public static func repository(_ delivery: Delivery) -> RepositoryNotice? {
        let payload = delivery.jsonOrNull
        let project = place(payload, delivery)
        guard !project.name.isEmpty, !project.instance.isEmpty, let isPrivate = project.isPrivate else { return nil }
        func time(_ value: JSONValue) -> Timestamp? { value.string.flatMap(Moment.init)?.time }
        let pipeline = payload["object_attributes"]
        let stated =
            time(payload["build_finished_at"]) ?? time(payload["build_started_at"]) ?? time(payload["build_created_at"])
            ?? time(pipeline["finished_at"]) ?? time(pipeline["created_at"])
        guard let statedAt = stated ?? (isPrivate ? delivery.receivedAt : nil) else { return nil }
        return RepositoryNotice(
            repository: RepositoryName.normalised(project.name, forge: project.instance),
            isPrivate: isPrivate,
            statedAt: min(statedAt, delivery.receivedAt)
        )
    }

    // MARK: Setting up

    public static func newSecret() -> String { SecretText.newHex() }

    public static func instructions(url: String, secret: String) -> [String] {
        [
            "In the group (Premium) or in each project open Settings > Webhooks and press \"Add new webhook\"; it takes a maintainer,",
            "in a group an owner.",
            "URL: \(url)",
            "Secret token: \(secret)",
            "Trigger: tick \"Job events\" and \"Pipeline events\", untick \"Push events\".",
            "SSL verification: leave it enabled.",
            "Press \"Add webhook\", then Test > Job events. Where GitLab offers a signing token (whsec_...) add it as the source's second",
            "secret: from then on its signatures are checked too, which cover the body.",
        ]
    }
}
