import Documents
public import Energy
import FoundationEssentials

/// CDEvents over HTTP: CloudEvents in binary, structured and batch form. A task run's two events are halves of one job, told by the
/// subject's source and id; `pipelinerun` events say what to ask for.
///
/// The specification has no worker, commit or share, so `customData` may hold `host`, `pool`, `runner`, `repository`, `commit`, `ref`,
/// `pipeline`, `labels` and `cpuShare`.
public enum CDEvents: CISystem {
    public static let kind = "cdevents"
    public static let maximumEvents = 1_000
    static let majorVersion = "0"

    public static let keptHeaders = [
        "content-type", "user-agent", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "webhook-id",
        "webhook-timestamp",
    ]

    public static func verify(_ delivery: Delivery, secrets: [String], now: Timestamp) throws(RefusedDelivery) {
        if StandardSignature.isSigned(delivery) {
            try StandardSignature.verify(delivery, secrets: secrets, now: now)
            return
        }
        let words = (delivery.headers["authorization"] ?? "").split(separator: " ", maxSplits: 1)
        guard words.count == 2, words[0].lowercased() == "bearer" else {
            throw RefusedDelivery(
                .unsigned,
                "expected the headers of Standard Webhooks (webhook-id, -timestamp, -signature) or \"Authorization: Bearer SECRET\", found"
                    + " neither; give the sender the source's secret"
            )
        }
        guard SecretText.isAny(String(words[1]), of: secrets) else {
            throw RefusedDelivery(
                .wrongSignature,
                "expected one of the source's secrets after \"Authorization: Bearer\", found another; give the sender the source's secret"
            )
        }
    }

    public static func eventKey(_ delivery: Delivery) -> String {
        // From the body where it can be read: a signature covers that.
        let document = delivery.jsonOrNull
        guard document.array == nil else { return EventKey.digest(delivery) }
        let context = document["context"].object == nil ? document : document["context"]
        guard let source = context["source"].string ?? delivery.headers["ce-source"],
            let id = context["id"].string ?? delivery.headers["ce-id"]
        else { return EventKey.digest(delivery) }
        return EventKey.named("\(source) \(id)", delivery)
    }

    public static func eventName(_ delivery: Delivery) -> String {
        let document = delivery.jsonOrNull
        if let events = document.array { return "batch of \(events.count)" }
        let type = document["context"]["type"].legible ?? document["type"].legible ?? delivery.headers["ce-type"] ?? ""
        return String(type.prefix(100))
    }

    public static func read(_ delivery: Delivery) throws(UnreadableDelivery) -> EventReading {
        let document = try delivery.json()
        guard let batch = document.array else { return try read(try event(document), now: delivery.receivedAt) }
        guard batch.count <= maximumEvents else {
            throw UnreadableDelivery("expected at most \(maximumEvents) events in a batch, found \(batch.count); send several")
        }
        var jobs: [JobEvent] = []
        var run: EventReading?
        for (index, element) in batch.enumerated() {
            do {
                switch try read(try event(element), now: delivery.receivedAt) {
                case .jobs(let some): jobs += some
                case .run(let notice): run = .run(notice)
                case .spans, .ignored: break
                }
            } catch {
                throw UnreadableDelivery("event \(index + 1) of the batch: \(error.description)")
            }
        }
        // Jobs before runs: a run is only a reason to ask for its jobs.
        return jobs.isEmpty ? run ?? .ignored("a batch without task or pipeline runs") : .jobs(jobs)
    }

    /// The CDEvent itself, whose envelope in structured form is CloudEvents'.
    private static func event(_ document: JSONValue) throws(UnreadableDelivery) -> JSONValue {
        if document["context"].object != nil { return document }
        guard document["specversion"].string != nil else {
            throw UnreadableDelivery("field context: expected an object (a CDEvent, or a CloudEvent with one in data), found nothing")
        }
        var data = document["data"]
        if let text = document["data_base64"].string, let bytes = Data(base64Encoded: text) {
            do {
                data = try JSONValue(parsing: Array(bytes))
            } catch {
                throw UnreadableDelivery("field data_base64: expected a CDEvent as JSON, found something else")
            }
        }
        guard data["context"].object != nil else {
            throw UnreadableDelivery("field data.context: expected an object, as every CDEvent has, found \(data["context"].described)")
        }
        return data
    }

    private static func read(_ event: JSONValue, now: Timestamp) throws(UnreadableDelivery) -> EventReading {
        let context = event["context"]
        guard let type = context["type"].string else {
            throw UnreadableDelivery("field context.type: expected a text, found \(context["type"].described)")
        }
        let prefix = "dev.cdevents."
        guard type.hasPrefix(prefix) else { return .ignored("\(type.prefix(100)): no CDEvent") }
        let parts = type.dropFirst(prefix.count).split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, ["taskrun", "pipelinerun"].contains(parts[0]) else {
            return .ignored("\(type.prefix(100)): not about task or pipeline runs")
        }
        guard parts[2].split(separator: ".", omittingEmptySubsequences: false).first.map(String.init) == majorVersion else {
            throw UnreadableDelivery(
                "field context.type: expected version \(majorVersion).x of \(parts[0]).\(parts[1]), found \(parts[2].prefix(40)); have the"
                    + " sender write that, or update this collector"
            )
        }
        let subject = event["subject"]
        guard let id = subject["id"].identifier else {
            throw UnreadableDelivery("field subject.id: expected a text, found \(subject["id"].described)")
        }
        guard let source = subject["source"].identifier ?? context["source"].identifier else {
            throw UnreadableDelivery("field subject.source: expected a text, found \(subject["source"].described)")
        }
        let custom = event["customData"]
        switch (parts[0], parts[1]) {
        case ("taskrun", "started"), ("taskrun", "finished"):
            return .jobs([try half(event, isEnd: parts[1] == "finished", id: id, source: source, now: now)])
        case ("pipelinerun", let change):
            return .run(
                RunNotice(
                    instance: source,
                    repository: custom["repository"].legible ?? "",
                    runID: id,
                    attempt: 1,
                    isFinished: change == "finished"
                )
            )
        default: return .ignored("\(type.prefix(100)): neither a start nor an end")
        }
    }

    private static func half(
        _ event: JSONValue,
        isEnd: Bool,
        id: String,
        source: String,
        now: Timestamp
    ) throws(UnreadableDelivery) -> JobEvent {
        let stamp = event["context"]["timestamp"]
        guard let moment = try Moment.read(stamp, "context.timestamp") else {
            throw UnreadableDelivery("field context.timestamp: expected a time such as 2026-09-01T09:00:10Z, found \(stamp.described)")
        }
        let times = isEnd ? JobTimes(finishedAt: moment.time) : JobTimes(startedAt: moment.time)
        try times.check(now: now)

        let content = event["subject"]["content"]
        let custom = event["customData"]
        var fields = JobFields()
        fields.set(times)
        fields.set("job", text: content["taskName"].legible ?? id)
        fields.set("run_id", text: content["pipelineRun"]["id"].identifier)
        fields.set("job_id", text: id)
        fields.set("url", text: content["uri"].legible ?? content["url"].legible)
        fields.set("time_resolution_ms", moment.resolutionMilliseconds)
        for name in ["host", "pool", "runner", "repository", "commit", "ref", "pipeline"] { fields.set(name, text: custom[name].legible) }
        fields.set("labels", texts: custom["labels"].texts)
        let flags = fields.set(cpuShare: custom["cpuShare"].double)
        if isEnd { fields.set("outcome", text: Outcome.named(content["outcome"].legible)) }
        var result = JobEvent(
            instance: source,
            id: id,
            attempt: 1,
            phase: isEnd ? .finished : .started,
            eventTime: moment.time,
            fields: fields.values
        )
        result.flags = flags
        return result
    }

    public static func newSecret() -> String { SecretText.newStandard() }

    public static func instructions(url: String, secret: String) -> [String] {
        [
            "Add an HTTP sink for CloudEvents (binary, structured or batch) to what sends your CDEvents:",
            "URL: \(url)",
            "Either a header: \"Authorization: Bearer \(secret)\"",
            "or the signature of Standard Webhooks (webhook-id, -timestamp and -signature) with that secret; it covers the body.",
            "Events: dev.cdevents.taskrun.started and .finished; pipelinerun events are welcome, others are passed over.",
            "To name the machine set customData.host to its name (and repository, commit, cpuShare where they are known).",
        ]
    }
}
