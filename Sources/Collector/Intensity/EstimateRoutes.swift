import Accounting
import CarbonDocuments
import Documents
import Energy
import Hummingbird
import Synchronization

/// What energy that nobody measured here emits. Nothing is stored.
struct EstimateRoutes: Sendable {
    let site: Site
    let drawing = DrawingTurn()

    static let bodyBytes = 1 << 16

    func add(to router: Router<WattleContext>) {
        router.post("v1/estimate") { request, context in try await estimate(request, context) }
    }

    private func estimate(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let posted = try await request.json(limit: Self.bodyBytes)
        do {
            let question = try EstimateQuestion(posted, now: now)
            let figures: ZoneFigures?
            switch question.place {
            case .stated: figures = nil
            case .zone(let zone):
                do {
                    figures = try await site.bounded { connection in
                        try await ZoneReading(connection, now: now).figures(zone, over: question.asked, basis: question.basis)
                    }
                } catch let problem as Problem where problem.status == .notFound {
                    throw Self.refusal(problem.detail, field: "zone")
                }
            }
            let answer = try await drawing.take(question.method) { try EstimateAnswer(question, figures: figures) }
            return try answer.json(showsAll: !viewer.isPublic).response()
        } catch let faults as EstimateQuestion.Faults {
            var problem = Self.refusal(faults.all.map(\.description).joined(separator: "; "), field: faults.all.first?.field ?? "")
            problem.extra["faults"] = .array(
                faults.all.prefix(20).map {
                    .object(["field": .string($0.field), "expected": .string($0.expected), "found": .string($0.found)])
                }
            )
            throw problem
        }
    }

    private static func refusal(_ detail: String, field: String) -> Problem {
        var problem = Problem.unprocessable("invalid-estimate", "The estimate cannot be made", detail)
        problem.extra["field"] = .string(field)
        return problem
    }
}

/// Draws one at a time: each keeps a processor busy, and requests of all kinds share these.
final class DrawingTurn: Sendable {
    private let isTaken = Mutex(false)

    /// - Throws: `Problem` 429 where somebody else's draws are under way.
    func take<Answer: Sendable>(_ method: CarbonEstimate.Method, _ compute: @Sendable () throws -> Answer) async throws -> Answer {
        guard case .monteCarlo = method else { return try compute() }
        let isFree = isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
        guard isFree else { throw Problem.busy }
        defer { isTaken.withLock { $0 = false } }
        return try compute()
    }
}

extension Request {
    /// The body as JSON.
    ///
    /// - Throws: `Problem` 400, 408, 413 or 415.
    func json(limit: Int) async throws -> JSONValue {
        try requireMediaType("application/json")
        let bytes = try await body(limit: limit)
        do throws(JSONValue.Malformed) {
            return try JSONValue(parsing: bytes)
        } catch {
            throw Problem.badRequest("malformed-json", "The body is not JSON", error.description)
        }
    }

    /// - Throws: `Problem` 415 where another one is named.
    func requireMediaType(_ wanted: String) throws {
        let type = headers[.contentType]?.split(separator: ";").first.map { String($0).trimmed.lowercased() }
        guard type == nil || type == wanted else {
            throw Problem(
                type: "unsupported-media-type",
                title: "The media type is not supported",
                detail: "expected \(wanted), found \(type?.prefix(60) ?? "none")",
                status: .unsupportedMediaType
            )
        }
    }
}
