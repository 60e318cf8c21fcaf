import CIEvents
import Documents

/// How a forge's REST document of a job becomes an event. What is unreadable is left out, and told.
struct JobMapping: Sendable {
    let instance: String
    let read: @Sendable (_ job: JSONValue, _ repository: RepositoryWalk.Repository) -> JobEvent?

    func events(_ jobs: [JSONValue], of repository: RepositoryWalk.Repository) -> (events: [JobEvent], omissions: [HistoryOmission]) {
        var events: [JobEvent] = []
        var omissions: [HistoryOmission] = []
        for job in jobs {
            if let event = read(job, repository) {
                events.append(event)
            } else {
                let id = job.object?["id"].flatMap { $0.integer.map(String.init) } ?? "without id"
                omissions.append(HistoryOmission(.job, repository: repository.name, reason: "job \(id): not as expected: left out"))
            }
        }
        return (events, omissions)
    }
}
