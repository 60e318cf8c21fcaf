import CIEvents
import Documents
import Energy
import Testing

@Suite("CDEvents")
struct CDEventsTests {
    static func event(_ type: String, id: String = "run/1", timestamp: String = "2026-09-01T09:00:10Z", custom: String = "{}") -> String {
        """
        {"context": {"specversion": "0.5.1", "id": "e-\(type)", "source": "https://ci.example.org", "type": "\(type)",
                     "timestamp": "\(timestamp)"},
         "subject": {"id": "\(id)", "content": {"taskName": "build", "outcome": "cancel"}}, "customData": \(custom)}
        """
    }

    @Test("any 0.x of a type is read, anything else refused by name", arguments: ["0.1.0", "0.2.0", "0.3.0", "0.99.1", "0.4.0-draft"])
    func anyMinorVersionIsRead(version: String) throws {
        let job = try onlyJob(try CDEvents.read(delivery(Self.event("dev.cdevents.taskrun.finished.\(version)"))))
        #expect(job.phase == .finished && job.text("outcome") == "cancelled")
        #expect(job.instance == "https://ci.example.org" && job.id == "run/1")
        #expect(job.fields["time_resolution_ms"] == .integer(1_000))
        let refused = #expect(throws: UnreadableDelivery.self) {
            try CDEvents.read(delivery(Self.event("dev.cdevents.taskrun.finished.1\(version.dropFirst())")))
        }
        #expect(refused?.description.contains("expected version 0.x of taskrun.finished") == true)
    }

    @Test("the form of 0.4.1 and before is read too")
    func theOlderForm() throws {
        let body = """
            {"context": {"version": "0.4.1", "id": "1", "source": "/ci", "type": "dev.cdevents.taskrun.started.0.2.0",
                         "timestamp": "2026-09-01T11:00:10.5+02:00"},
             "subject": {"id": "t", "source": "/ci/runs", "type": "taskRun", "content": {"url": "https://ci.example.org/1"}}}
            """
        let job = try onlyJob(try CDEvents.read(delivery(body)))
        #expect(job.text("started_at") == "2026-09-01T09:00:10.500Z" && job.instance == "/ci/runs")
        #expect(job.text("url") == "https://ci.example.org/1" && job.text("job") == "t")
    }

    @Test("a batch is its jobs; others in it are passed over")
    func aBatchIsItsJobs() throws {
        func wrapped(_ event: String) -> String { #"{"specversion": "1.0", "id": "x", "source": "y", "type": "z", "data": \#(event)}"# }
        let events = [
            Self.event("dev.cdevents.taskrun.started.0.3.0"), Self.event("dev.cdevents.artifact.published.0.3.0"),
            Self.event("dev.cdevents.pipelinerun.finished.0.3.0"), Self.event("dev.cdevents.taskrun.finished.0.3.0"),
        ].map(wrapped)
        let sent = delivery("[\(events.joined(separator: ","))]", ["content-type": "application/cloudevents-batch+json"])
        guard case .jobs(let jobs) = try CDEvents.read(sent) else { throw UnreadableDelivery("expected jobs") }
        #expect(jobs.map(\.phase) == [.started, .finished])
        #expect(CDEvents.eventKey(sent).count == 64)
        guard case .run(let run) = try CDEvents.read(delivery("[\(events[2])]")) else { throw UnreadableDelivery("expected a run") }
        #expect(run.isFinished && run.runID == "run/1")
        guard case .ignored = try CDEvents.read(delivery("[\(events[1])]")) else { throw UnreadableDelivery("expected nothing") }
    }

    @Test("a share outside 0...1 is moved to the end, and flagged", arguments: [(1.5, 1.0), (-0.5, 0.0)])
    func sharesAreClamped(posted: Double, kept: Double) throws {
        let body = Self.event("dev.cdevents.taskrun.started.0.3.0", custom: #"{"cpuShare": \#(posted), "host": "h"}"#)
        let job = try onlyJob(try CDEvents.read(delivery(body)))
        #expect(job.fields["cpu_share"]?.double == kept && job.flags == ["share_clamped"] && job.text("host") == "h")
    }

    @Test("a bearer is as good as a signature, a wrong one as none")
    func bearers() throws {
        func verify(_ headers: [String: String], _ secrets: [String] = ["s1", "s2"]) throws {
            try CDEvents.verify(delivery("{}", headers), secrets: secrets, now: at("09:00:00"))
        }
        try verify(["authorization": "Bearer s2"])
        try verify(["authorization": "bearer s1"])
        for wrong in ["Bearer s3", "Bearer s", "Bearer s11", "Basic s1", "Bearer", "", "s1"] {
            #expect(throws: RefusedDelivery.self) { try verify(["authorization": wrong]) }
        }
        #expect(throws: RefusedDelivery.self) { try verify([:]) }
        #expect(throws: RefusedDelivery.self) { try verify(["authorization": "Bearer "], [""]) }
        // Who signs is held to the signature.
        #expect(throws: RefusedDelivery.self) { try verify(["authorization": "Bearer s1", "webhook-signature": "v1,AAAA"]) }
    }

    @Test("what is no CDEvent is refused with what is missing; times of tomorrow too")
    func whatIsNoneIsRefused() {
        let type = "dev.cdevents.taskrun.started.0.3.0"
        for body in [
            "{}", #"{"specversion": "1.0"}"#, #"{"specversion": "1.0", "data": {}}"#, #"{"context": {}}"#, "3",
            #"{"context": {"type": "\#(type)"}}"#, Self.event(type, timestamp: "2026-09-01T13:00:01Z"), Self.event(type, timestamp: "soon"),
            Self.event(type, id: ""), #"{"specversion": "1.0", "data_base64": "e30"}"#,
        ] { #expect(throws: UnreadableDelivery.self) { try CDEvents.read(delivery(body)) } }
    }
}
