import CIEvents
import Documents
import Energy

extension JobMapping {
    private struct Unreadable: Error, CustomStringConvertible { let description: String }

    static func gitHub(instance: String) -> JobMapping {
        JobMapping(instance: instance) { job, repository, instance in
            guard let fields = job.object, let id = fields["id"]?.integer else { throw Unreadable(description: "no id") }
            var event = JobEvent(
                instance: instance,
                id: String(id),
                attempt: Int(fields["run_attempt"]?.integer ?? 1),
                phase: .reconciled,
                eventTime: Timestamp(microseconds: 0),
                fields: ["repository": .string(repository.name)]
            )
            if fields["runner_id"]?.integer ?? 0 != 0, let start = fields["started_at"], !start.isNull {
                event.fields["started_at"] = start
            }
            if let end = fields["completed_at"], !end.isNull { event.fields["finished_at"] = end }
            return event
        }
    }

    static func gitLab(instance: String) -> JobMapping {
        JobMapping(instance: instance) { job, repository, instance in
            guard let fields = job.object, let id = fields["id"]?.integer else { throw Unreadable(description: "no id") }
            var event = JobEvent(
                instance: instance,
                id: String(id),
                attempt: 1,
                phase: .reconciled,
                eventTime: Timestamp(microseconds: 0),
                fields: ["repository": .string(repository.name)]
            )
            if fields["runner"]?.object != nil, let start = fields["started_at"], !start.isNull { event.fields["started_at"] = start }
            if let end = fields["finished_at"], !end.isNull { event.fields["finished_at"] = end }
            return event
        }
    }
}
