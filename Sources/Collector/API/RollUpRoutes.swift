import Accounting
import Documents
import Energy
import HTTPTypes
import Hummingbird
import Postgres
import Store

/// What services, releases, repositories and whatever else jobs have in common cost.
struct RollUpRoutes: Sendable {
    let site: Site

    /// A route, what it sums by, and the name under which it asks for one of them where that is another one.
    private static let routes: [(path: RouterPath, keys: [RollUpKey]?, other: [String: String])] = [
        ("v1/services", [.service], [:]), ("v1/repositories", [.repository], ["repository": "name"]),
        ("v1/releases", [.release], ["release": "purl"]), ("v1/activities", [.activity], [:]), ("v1/rollups", nil, [:]),
    ]

    func add(to router: Router<WattleContext>) {
        for route in Self.routes {
            router.get(route.path) { request, context in
                try await rollUp(request, context, path: "\(route.path)", keys: route.keys, other: route.other)
            }
        }
        router.get("v1/compare") { request, context in try await compare(request, context) }
    }

    private func rollUp(
        _ request: Request,
        _ context: WattleContext,
        path: String,
        keys: [RollUpKey]?,
        other: [String: String]
    ) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let parameters = try RollUpParameters(request, viewer: viewer, now: now, keys: keys, other: other)
        try require(viewer, parameters)
        let answer: RollUpAnswer? = try await site.bounded { connection in
            guard let question = try await parameters.resolved(connection) else { return nil }
            return try await RollUpReader(connection, now: now).answer(question)
        }
        guard let answer else { throw Problem.notFound("there is no such host; a host appears with its agent's first batch") }
        var headers = HTTPFields()
        if answer.page.hasMore, let link = HTTPField.Name("Link") {
            let route = path.hasPrefix("/") ? path : "/" + path
            headers[link] = "<\(site.baseURL)\(route)?\(parameters.next)>; rel=\"next\""
        }
        // By releases, a job without a token to see it by may count for several groups; only a sum that is counted once is a total.
        let withTotal = !(viewer.isPublic && answer.question.keys.contains(.release))
        return try answer.json(isPublic: viewer.isPublic, withTotal: withTotal).response(headers: headers)
    }

    /// Hosts are of everybody's jobs.
    private func require(_ viewer: Viewer, _ parameters: RollUpParameters) throws {
        guard parameters.question.keys.contains(.host) || parameters.asksForHost, !viewer.seesHosts else { return }
        throw Problem.forbidden("scope", "expected a read token for all repositories: hosts are of everybody's jobs")
    }

    // MARK: Before and after

    /// What changed from one time to another, free of the errors that both have.
    private func compare(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let before = try range(request, "before")
        let after = try range(request, "after")
        guard before.intersection(after) == nil else {
            throw RollUpParameters.contradiction(
                "after",
                "a time that has no hour of before",
                "\(RFC3339.format(after.start))/\(RFC3339.format(after.end))"
            )
        }
        let one = try RollUpParameters(request, viewer: viewer, now: now, keys: [], window: before)
        let other = try RollUpParameters(request, viewer: viewer, now: now, keys: [], window: after)
        try require(viewer, one)
        let answer: [RollUpAnswer]? = try await site.bounded { connection in
            guard let first = try await one.resolved(connection), let second = try await other.resolved(connection) else { return nil }
            let reader = RollUpReader(connection, now: now)
            return [try await reader.total(first), try await reader.total(second)].map { figures, answer in
                var answer = answer
                answer.total = figures
                return answer
            }
        }
        guard let answer else { throw Problem.notFound("there is no such host; a host appears with its agent's first batch") }
        return try RollUpComparison(before: answer[0], after: answer[1]).json(isPublic: viewer.isPublic).response()
    }

    private func range(_ request: Request, _ name: String) throws -> Interval {
        guard let text = try request.query(name) else {
            throw Problem.badRequest("missing-parameter", "A parameter is missing", "\(name): expected FROM/TO, two RFC 3339 times")
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let ends = parts.map { RFC3339.parse(String($0)) }
        guard ends.count == 2, let from = ends[0], let to = ends[1] else {
            // The 30th of February can be read, and is no time.
            guard parts.count == 2, parts.allSatisfy(Self.looksLikeTime) else {
                throw RollUpParameters.unreadable(name, "FROM/TO, two RFC 3339 times", text)
            }
            throw RollUpParameters.contradiction(name, "FROM/TO, two RFC 3339 times that there are", text)
        }
        return try RollUpParameters.window(from: from, to: to, names: ("from of \(name)", "to of \(name)"))
    }

    /// As the description of the route has it, whatever its digits say.
    private static func looksLikeTime(_ text: Substring) -> Bool {
        let shape = "0000-00-00T00:00:00"
        return text.utf8.count > shape.utf8.count
            && zip(text.utf8, shape.utf8).allSatisfy { found, wanted in
                wanted == UInt8(ascii: "0") ? (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(found) : found == wanted
            }
    }
}
