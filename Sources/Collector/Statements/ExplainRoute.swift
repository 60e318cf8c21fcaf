import Hummingbird
import Store

/// `GET /v1/jobs/{id}/explain`: every step behind a job's number.
struct ExplainRoute: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("v1/jobs/:id/explain") { request, context in try await explain(request, context) }
    }

    /// Never without a token: its steps are finer than 60 s, and tell what the whole machine drew.
    private func explain(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        guard !viewer.isPublic else {
            throw Problem.unauthorized("expected a token of scope read, found none: steps are shown to readers only")
        }
        let id = try context.pathPart("id")
        guard SpanKey.isJobID(id) else { throw Problem.notFound("expected a job id of 26 characters, found \(id.prefix(60))") }
        let policy = try request.policy()
        let now = site.now()
        let baseURL = site.baseURL
        guard viewer.seesHosts else {
            let job = try await site.bounded { try await JobDirectory.find(jobID: id, for: viewer.visibility(now: now), $0) }
            guard job != nil else { throw Problem.notFound("there is no job with the id \(id) that you may see") }
            throw Problem.forbidden(
                "scope",
                "expected a read token for all repositories: the steps tell what the whole machine drew, which is of everybody's jobs"
            )
        }
        let found = try await site.bounded { connection in
            try await JobExplanation.read(jobID: id, for: viewer.visibility(now: now), now: now, policy: policy, connection)?
                .json(baseURL: baseURL)
        }
        guard let found else { throw Problem.notFound("there is no job with the id \(id) that you may see") }
        return try found.response()
    }
}
