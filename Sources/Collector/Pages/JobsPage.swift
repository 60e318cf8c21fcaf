import Accounting
import Documents
import Energy
import HTTPTypes
import Hummingbird
import Postgres
import Store

extension PageRoutes {
    private static let filters: [(name: String, label: String, hint: String)] = [
        ("service", "Service", ""), ("repository", "Repository", "github.com/owner/name"), ("host", "Host", ""), ("runner", "Runner", ""),
        ("source", "Source", ""), ("release", "Release", "pkg:opam/dune@3.17.0"), ("from", "Started from (UTC)", "2026-09-01"),
        ("to", "and before", "2026-09-02"),
    ]
    /// What tells where a job ran: not for people without a token.
    private static let ofMachines = ["host", "runner", "pool"]
    private static let jobsPerPage = 100

    func jobs(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let asked = request.askedOfPage
        let values = Dictionary(asked.uri.queryParameters.map { (String($0.key), String($0.value)) }) { first, _ in first }
        if viewer.isPublic, let name = Self.ofMachines.first(where: { values[$0] != nil }) {
            throw Problem.unauthorized("\(name): where a job ran is told to readers only")
        }
        var model: [String: Any] = ["is_hostless": values["state"] == "hostless"]
        model["fields"] = Self.filters.filter { !viewer.isPublic || !Self.ofMachines.contains($0.name) }.map { filter in
            // What cannot be read is shown as left out; the question below says why.
            let value = values[filter.name].flatMap { $0.utf8.contains(0) ? nil : $0 }
            let isDate = ["from", "to"].contains(filter.name) && (value.map(Self.isDate) ?? true)
            return [
                "name": filter.name, "label": filter.label, "hint": filter.hint, "value": value ?? "", "type": isDate ? "date" : "text",
            ]
        }
        let question: JobQuestion
        do {
            if let state = values["state"], state != "hostless" {
                throw Problem.badRequest("bad-parameter", "A parameter cannot be read", "state: expected hostless, found \(state)")
            }
            var asked = try JobQuestion(asked, viewer: viewer, now: now)
            asked.filter.isWithoutHost = values["state"] == "hostless"
            if values["limit"] == nil { asked.filter.limit = Self.jobsPerPage }
            question = asked
        } catch let problem as Problem where [.badRequest, .unprocessableContent].contains(problem.status) {
            model["complaint"] = problem.detail
            return render("jobs", title: "Jobs", path: "/jobs", viewer: viewer, model, status: Self.status(of: problem))
        }
        let found: (jobs: [JobRow], footprints: [Footprint]) = try await site.bounded { connection in
            let jobs = try await question.jobs(connection)
            return (jobs, try await FootprintReader(connection, now: now, policy: .reserved).footprints(of: jobs))
        }
        let rows = Dictionary(found.jobs.map { ($0.jobID, $0) }) { $1 }
        model["jobs"] = found.footprints.compactMap { footprint in
            rows[footprint.jobID].map { JobFigures(footprint, $0, isPublic: viewer.isPublic).row }
        }
        model["has_jobs"] = !found.footprints.isEmpty
        model["is_empty"] = found.footprints.isEmpty
        model["window"] = Self.window(question.filter, count: found.footprints.count)
        if let next = question.next(after: found.jobs) { model["next"] = "/jobs?\(next)" }
        let without = values.filter { $0.key != "cursor" }.sorted { $0.key < $1.key }
        let query = without.map { "\($0.key.percentEncoded)=\($0.value.percentEncoded)" }.joined(separator: "&")
        if values["cursor"] != nil { model["first"] = query.isEmpty ? "/jobs" : "/jobs?\(query)" }
        // The API has no filter for jobs without a host.
        if values["state"] == nil {
            model["json"] = query.isEmpty ? "/v1/jobs" : "/v1/jobs?\(query)"
            model["csv"] = query.isEmpty ? "/data/jobs.csv" : "/data/jobs.csv?\(query)"
        }
        return render("jobs", title: "Jobs", path: "/jobs", viewer: viewer, model)
    }

    private static func window(_ filter: JobDirectory.Filter, count: Int) -> String {
        let from = filter.from.map(Readable.time) ?? "ever"
        let to = filter.to.map { "before \(Readable.time($0))" } ?? "until now"
        return "\(Readable.count(Int64(count), "job")), newest first, started from \(from) \(to)"
    }

    static func isDate(_ text: String) -> Bool {
        text.utf8.count == 10
            && text.utf8.enumerated().allSatisfy { [4, 7].contains($0.offset) ? $0.element == 45 : (48...57).contains($0.element) }
    }
}

extension Request {
    /// The request with what a form sends but nobody means left out: empty fields; and with days as the instants they begin at.
    fileprivate var askedOfPage: Request {
        var items: [String] = []
        for (name, value) in uri.queryParameters.map({ (String($0.key), String($0.value)) }) where !value.isEmpty {
            let isDay = ["from", "to"].contains(name) && PageRoutes.isDate(value)
            items.append("\(name.percentEncoded)=\((isDay ? value + "T00:00:00Z" : value).percentEncoded)")
        }
        var head = head
        head.path = uri.path + (items.isEmpty ? "" : "?" + items.joined(separator: "&"))
        return Request(head: head, body: body)
    }
}
