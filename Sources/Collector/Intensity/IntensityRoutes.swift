import Carbon
import CarbonDocuments
import Documents
import Energy
import Hummingbird
import Postgres
import Store

/// What the grid's energy emits: now, before, and as far as is forecast; and when a job would best run.
struct IntensityRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("v1/intensity/{zone}") { request, context in try await intensity(request, context) }
        router.get("v1/intensity/{zone}/best") { request, context in try await best(request, context) }
    }

    private func intensity(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let zone = try IntensityParameters.zone(try context.pathPart("zone"))
        let from = try request.time("from") ?? Self.second(now)
        let interval = try IntensityParameters.interval(from, try request.time("to") ?? from + IntensityParameters.usualAhead)
        let basis = try IntensityParameters.basis(request)
        let figures = try await site.bounded { connection in
            try await ZoneReading(connection, now: now).figures(zone, over: interval, basis: basis, withForecastError: true)
        }
        return try IntensityAnswer(figures, over: interval, now: now).json(showsAll: !viewer.isPublic).response()
    }

    private func best(_ request: Request, _ context: WattleContext) async throws -> Response {
        let viewer = try context.viewer(site.access)
        let now = site.now()
        let zones = try IntensityParameters.zones(try context.pathPart("zone"))
        guard let duration = try IntensityParameters.length(request, "duration") else {
            throw Problem.badRequest(
                "missing-parameter",
                "A parameter is missing",
                "duration: expected how long the job takes, such as 90m or 2h"
            )
        }
        let from = try request.time("from") ?? Self.second(now)
        let interval = try IntensityParameters.interval(
            from,
            try request.time("until") ?? from + IntensityParameters.usualAhead,
            names: ("from", "until")
        )
        guard duration <= interval.duration else {
            throw RollUpParameters.contradiction(
                "duration",
                "at most the time from \(RFC3339.format(interval.start)) until \(RFC3339.format(interval.end))",
                LengthOfTime.text(duration)
            )
        }
        let basis = try IntensityParameters.basis(request)
        let figures = try await site.bounded { connection in
            var all: [ZoneFigures] = []
            for zone in zones {
                all.append(
                    try await ZoneReading(connection, now: now).figures(zone, over: interval, basis: basis, withForecastError: true)
                )
            }
            return all
        }
        let answer: WindowAnswer
        do {
            answer = try WindowAnswer(.init(duration: duration, within: interval, basis: basis), in: figures)
        } catch let mixed as WindowAnswer.MixedBases {
            throw Self.mixed(mixed)
        }
        return try answer.json(showsAll: !viewer.isPublic).response()
    }

    /// Nobody plans more finely.
    private static func second(_ now: Timestamp) -> Timestamp { Timestamp(microseconds: now.microseconds / 1_000_000 * 1_000_000) }

    static func mixed(_ mixed: WindowAnswer.MixedBases) -> Problem {
        var problem = Problem.unprocessable("mixed-bases", "These figures cannot be held against each other", mixed.description)
        problem.extra["field"] = .string("basis")
        return problem
    }
}
