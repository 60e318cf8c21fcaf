import CIEvents
import Documents
import Energy

/// How a forge's REST document of a job becomes an event. What is unreadable is left out, with a reason.
struct JobMapping: Sendable {
    let instance: String
    let read: @Sendable (_ job: JSONValue, _ repository: RepositoryWalk.Repository, _ instance: String) throws -> JobEvent?

    func events(_ jobs: [JSONValue], of repository: RepositoryWalk.Repository) -> (events: [JobEvent], omissions: [HistoryOmission]) {
        var events: [JobEvent] = []
        var omissions: [HistoryOmission] = []
        for job in jobs {
            do {
                guard var event = try read(job, repository, instance) else { continue }
                event.phase = .reconciled
                events.append(event)
            } catch {
                let id = job.object?["id"].flatMap { $0.integer.map(String.init) } ?? "without id"
                omissions.append(HistoryOmission(.job, repository: repository.name, reason: "job \(id): \(error)"))
            }
        }
        return (events, omissions)
    }
}
