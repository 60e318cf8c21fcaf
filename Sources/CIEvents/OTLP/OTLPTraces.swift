import Documents
public import Energy

/// Jobs out of OTLP traces with the semantic conventions of CI/CD and VCS (1.44): a task's span is a job, its pipeline's span says of
/// which repository, commit and run.
///
/// The pipeline's span may come in another request, or never; so anything it would say is taken from the task's own attributes first, then
/// from its ancestors, any pipeline span of the trace, and the resource.
public enum OTLPTraces {
    public struct Reading: Sendable, Hashable {
        public var jobs: [JobEvent] = []
        /// Task spans that cannot be jobs: without ids, without times. This is what `partial_success` counts.
        public var rejected = 0
        /// Of the first rejected span: what was expected and what was found. Empty where none was.
        public var reason = ""
        /// Spans that are neither tasks nor pipelines.
        public var passedOver = 0

        public init() {}
    }

    /// - Parameters:
    ///   - bytes: an `ExportTraceServiceRequest`, inflated.
    ///   - receivedAt: times over an hour after it are refused.
    public static func jobs(json bytes: [UInt8], receivedAt: Timestamp) throws(UnreadableDelivery) -> Reading {
        read(try TraceJSON.spans(bytes), receivedAt: receivedAt)
    }

    /// As `jobs(json:receivedAt:)`, of the other encoding.
    public static func jobs(protobuf bytes: [UInt8], receivedAt: Timestamp) throws(UnreadableDelivery) -> Reading {
        read(try TraceProtobuf.spans(bytes), receivedAt: receivedAt)
    }

    private static func isTask(_ span: TraceSpan) -> Bool {
        span.attributes["cicd.pipeline.task.run.id"] != nil || span.attributes["cicd.pipeline.task.name"] != nil
    }

    private static func isPipeline(_ span: TraceSpan) -> Bool {
        span.attributes["cicd.pipeline.run.id"] != nil || span.attributes["cicd.pipeline.name"] != nil
    }

    private struct SpanName: Hashable {
        var traceID: String
        var spanID: String

        init(_ traceID: String, _ spanID: String) {
            self.traceID = traceID
            self.spanID = spanID
        }
    }

    private static func read(_ spans: [TraceSpan], receivedAt: Timestamp) -> Reading {
        var reading = Reading()
        let byName = Dictionary(spans.map { (SpanName($0.traceID, $0.spanID), $0) }) { first, _ in first }
        let pipelines = Dictionary(spans.filter { isPipeline($0) && !isTask($0) }.map { ($0.traceID, $0) }) { first, _ in first }
        for span in spans {
            guard isTask(span) else {
                if !isPipeline(span) { reading.passedOver += 1 }
                continue
            }
            var ancestors: [TraceSpan] = []
            var parentTask: TraceSpan?
            var next = byName[SpanName(span.traceID, span.parentID)]
            // Spans that are their own ancestors end somewhere too.
            while let parent = next, ancestors.count < 16 {
                ancestors.append(parent)
                if parentTask == nil, isTask(parent) { parentTask = parent }
                next = byName[SpanName(parent.traceID, parent.parentID)]
            }
            if let pipeline = pipelines[span.traceID] { ancestors.append(pipeline) }
            do {
                reading.jobs.append(try job(span, ancestors: ancestors, parentTask: parentTask, receivedAt: receivedAt))
            } catch {
                reading.rejected += 1
                if reading.reason.isEmpty { reading.reason = error.description }
            }
        }
        return reading
    }

    private static func job(
        _ span: TraceSpan,
        ancestors: [TraceSpan],
        parentTask: TraceSpan?,
        receivedAt: Timestamp
    ) throws(UnreadableDelivery) -> JobEvent {
        func own(_ name: String) -> JSONValue { span.attributes[name] ?? .null }
        func any(_ name: String) -> JSONValue {
            if let value = span.attributes[name] { return value }
            for ancestor in ancestors { if let value = ancestor.attributes[name] { return value } }
            return span.resource[name] ?? .null
        }
        guard isID(span.traceID, digits: 32), isID(span.spanID, digits: 16) else {
            throw UnreadableDelivery("a task's span: expected a trace id of 32 and a span id of 16 hex digits that are not all 0")
        }
        let place = "span \(span.spanID)"
        guard span.startNanoseconds > 0, span.endNanoseconds > 0, span.endNanoseconds < UInt64(Int64.max) else {
            let found = "\(span.startNanoseconds) and \(span.endNanoseconds)"
            throw UnreadableDelivery("\(place): expected a start and an end in nanoseconds since 1970, found \(found)")
        }
        let outcome = Outcome.named(own("cicd.pipeline.task.run.result").legible ?? (span.isError ? "error" : nil))
        var times = JobTimes()
        times.finishedAt = Timestamp(microseconds: Int64(span.endNanoseconds / 1_000))
        if outcome != Outcome.skipped { times.startedAt = Timestamp(microseconds: Int64(clamping: span.startNanoseconds / 1_000)) }
        do {
            try times.check(now: receivedAt)
        } catch {
            throw UnreadableDelivery("\(place): \(error.description)")
        }
        let eventTime = times.finishedAt ?? receivedAt
        let flags = times.mend()

        var fields = JobFields()
        fields.set(times)
        fields.set("repository", text: any("vcs.repository.url.full").legible ?? any("vcs.repository.name").legible)
        fields.set("commit", text: any("vcs.ref.head.revision").legible)
        fields.set("ref", text: any("vcs.ref.head.name").legible)
        fields.set("pipeline", text: any("cicd.pipeline.name").legible)
        fields.set("run_id", text: any("cicd.pipeline.run.id").identifier)
        fields.set("job", text: own("cicd.pipeline.task.name").legible ?? span.name)
        fields.set("job_id", text: own("cicd.pipeline.task.run.id").identifier ?? span.spanID)
        fields.set("task_type", text: own("cicd.pipeline.task.type").legible)
        fields.set("url", text: own("cicd.pipeline.task.run.url.full").legible)
        fields.set("runner", text: any("cicd.worker.name").legible)
        fields.set("runner_id", text: any("cicd.worker.id").identifier)
        fields.set("hostname", text: any("host.name").legible)
        fields.set("outcome", text: outcome)
        if let parentTask { fields.set("parent", text: id(parentTask)) }
        if times.startedAt != nil { fields.set("time_resolution_ms", 0) }

        let addresses = [
            own("cicd.pipeline.task.run.url.full"), any("cicd.pipeline.run.url.full"), any("cicd.worker.url.full"),
            any("vcs.repository.url.full"),
        ]
        var event = JobEvent(
            instance: addresses.lazy.compactMap { $0.string.flatMap(WebAddress.origin) }.first ?? any("service.name").legible ?? "",
            id: id(span),
            attempt: 1,
            phase: .finished,
            eventTime: eventTime,
            fields: fields.values
        )
        event.flags = flags
        return event
    }

    /// A task's run id is unique only within its pipeline, which may be missing; the span's own name is unique everywhere, and the same
    /// when an exporter tries again.
    private static func id(_ span: TraceSpan) -> String { "\(span.traceID)/\(span.spanID)" }

    private static func isID(_ text: String, digits: Int) -> Bool {
        text.utf8.count == digits && text.utf8.contains { $0 != UInt8(ascii: "0") } && Hex.bytes(text) != nil
    }
}
