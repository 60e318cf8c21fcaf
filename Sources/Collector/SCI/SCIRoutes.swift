import Accounting
import Documents
import Energy
import Hummingbird
import Postgres
import Store

/// The Software Carbon Intensity of jobs, per piece of work.
struct SCIRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("v1/sci") { request, context in try await report(request, context) }
    }

    private static let filters = [
        "service", "activity", "team", "repository", "pipeline", "job", "release", "relation", "pool", "host", "source",
    ]

    private func report(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let per = try Self.per(request)
        let unit = try request.query("unit")
        if unit != nil, per != .unit {
            throw RollUpParameters.contradiction("unit", "none but with per=unit", unit ?? "")
        }
        let parameters = try RollUpParameters(request, viewer: viewer, now: now, keys: [])
        if parameters.asksForHost, !viewer.seesHosts {
            throw Problem.forbidden("scope", "expected a read token for all repositories: hosts are of everybody's jobs")
        }
        if per == .test, let relation = parameters.question.filter.relation, relation != "test" {
            throw RollUpParameters.contradiction("relation", "test, or none, with per=test", relation)
        }
        let filters = try Self.filters.compactMap { name in try request.query(name).map { (name: name, value: $0) } }
        let report: SCIReport? = try await site.bounded { connection in
            guard var question = try await parameters.resolved(connection) else { return nil }
            if per == .test { question.filter.relation = "test" }
            let (figures, answer) = try await RollUpReader(connection, now: now).total(question)
            return SCIReport(
                per: per,
                unit: unit,
                figures: figures,
                counted: try await RollUpTable.functionalUnits(question, connection),
                answer: answer,
                filters: filters,
                withheld: try await GridProviderTable.withheld(connection)
            )
        }
        guard let report else { throw Problem.notFound("there is no such host; a host appears with its agent's first batch") }
        return try report.json(isPublic: viewer.isPublic).response()
    }

    private static func per(_ request: Request) throws -> SCIUnit {
        let known = SCIUnit.allCases.map(\.rawValue).joined(separator: ", ")
        guard let text = try request.query("per") else {
            throw Problem.badRequest("missing-parameter", "A parameter is missing", "per: expected one of \(known)")
        }
        guard let unit = SCIUnit(rawValue: text) else { throw RollUpParameters.unreadable("per", "one of \(known)", text) }
        return unit
    }
}
