import Carbon
import CarbonDocuments
import Documents
import Energy
import Hummingbird
import NIOCore
import Postgres
import Store

/// The routes of the Carbon Aware SDK's web API, for clients that were written against it: point them here.
///
/// A location is a grid zone (`GB`) or a cloud's region (`uksouth`, `azure/uksouth`). Its figures are those that count in the zone; several
/// locations are of one basis. 204 where nothing is known, as there; never -1.
struct CarbonAwareRoutes: Sendable {
    let site: Site

    func add(to router: Router<WattleContext>) {
        router.get("emissions/bylocations/best") { request, context in
            try await emissions(request, context, locations: try Self.repeated(request, "location")) { CarbonAwareAnswer.best($0) }
        }
        router.get("emissions/bylocations") { request, context in
            try await emissions(request, context, locations: try Self.repeated(request, "location")) { $0 }
        }
        router.get("emissions/bylocation") { request, context in
            try await emissions(request, context, locations: try Self.repeated(request, "location").prefix(1).map { $0 }) { $0 }
        }
        router.get("emissions/forecasts/current") { request, context in try await forecasts(request, context) }
    }

    private func emissions(
        _ request: Request,
        _ context: WattleContext,
        locations: [String],
        _ choose: @Sendable ([CarbonAwareAnswer.Emission]) -> [CarbonAwareAnswer.Emission]
    ) async throws -> Response {
        let now = site.now()
        let time = try request.time("time") ?? now
        guard let toTime = try request.time("toTime") else {
            // Without an end: what counts at that time, with all of the step that it lies in.
            let found = try await curves(locations, over: Interval(time, time + Microseconds(1)), context, now: now)
            return try answer(
                choose(
                    found.flatMap { found in
                        found.curve.pieces.map { piece in
                            let own = found.figures.piece(at: time)?.figure.map(\.interval)
                            return CarbonAwareAnswer.Emission(
                                location: found.location,
                                interval: piece.intensity.kind == .yearly ? time.hour.interval : own ?? time.hour.interval,
                                rating: piece.intensity.gramsPerKilowattHour
                            )
                        }
                    }
                )
            )
        }
        let interval = try IntensityParameters.interval(time, toTime, names: ("time", "toTime"))
        let found = try await curves(locations, over: interval, context, now: now)
        return try answer(
            choose(found.flatMap { CarbonAwareAnswer.emissions($0.curve, within: interval, location: $0.location) })
        )
    }

    private func answer(_ chosen: [CarbonAwareAnswer.Emission]) throws -> Response {
        chosen.isEmpty ? Response(status: .noContent) : try CarbonAwareAnswer.emissions(chosen).response()
    }

    private func forecasts(_ request: Request, _ context: WattleContext) async throws -> Response {
        let now = site.now()
        let from = try request.time("dataStartAt") ?? now
        let interval = try IntensityParameters.interval(
            from,
            try request.time("dataEndAt") ?? from + IntensityParameters.usualAhead,
            names: ("dataStartAt", "dataEndAt")
        )
        var window: Microseconds?
        if let text = try request.query("windowSize") {
            guard let minutes = Int64(text), (1...44_640).contains(minutes) else {
                throw RollUpParameters.unreadable("windowSize", "minutes, 1 to 44640", text)
            }
            window = .seconds(minutes * 60)
        }
        let found = try await curves(Self.repeated(request, "location"), over: interval, context, now: now)
        let all = found.filter { !$0.curve.pieces.isEmpty }.map { found in
            CarbonAwareAnswer.forecast(
                found.curve,
                location: found.location,
                within: interval,
                windowSize: window,
                generatedAt: found.figures.pieces.compactMap(\.figure).filter { $0.intensity.kind == .forecast }
                    .compactMap(\.fetchedAt).max(),
                requestedAt: now
            )
        }
        return all.isEmpty ? Response(status: .noContent) : try JSONValue.array(all).response()
    }

    private struct Found: Sendable {
        let location: String
        let figures: ZoneFigures
        let curve: IntensityCurve
    }

    /// - Throws: `Problem` 401 for figures that may not be handed on to people without a token, 422 for several bases.
    private func curves(
        _ locations: [String],
        over interval: Interval,
        _ context: WattleContext,
        now: Timestamp
    ) async throws -> [Found] {
        let viewer = try context.viewer(site.access)
        guard !locations.isEmpty else {
            throw Problem.badRequest(
                "missing-parameter",
                "A parameter is missing",
                "location: expected a grid zone such as GB, or a cloud's region such as uksouth"
            )
        }
        guard locations.count <= IntensityParameters.mostZones else {
            throw RollUpParameters.contradiction("location", "at most \(IntensityParameters.mostZones) locations", "\(locations.count)")
        }
        let zones = try locations.map { ($0, try Self.zone($0)) }
        let figures = try await site.bounded { connection in
            var all: [(String, ZoneFigures)] = []
            for (location, zone) in zones {
                all.append((location, try await ZoneReading(connection, now: now).figures(zone, over: interval)))
            }
            return all
        }
        if viewer.isPublic, figures.contains(where: { $0.1.holdsWithheld }) {
            throw Problem.unauthorized("figures of this provider may not be handed on; expected a token of scope read")
        }
        var bases: [String: Intensity.Basis] = [:]
        for (_, figures) in figures { bases[figures.zone] = figures.bases.first }
        guard Set(bases.values).count <= 1, let basis = bases.values.first else {
            if bases.isEmpty { return [] }
            throw IntensityRoutes.mixed(WindowAnswer.MixedBases(zones: bases))
        }
        return try figures.map { location, figures in
            Found(location: location, figures: figures, curve: try figures.curve(of: basis))
        }
    }

    private static func zone(_ location: String) throws -> GridZone {
        if let zone = GridZone(location) { return zone }
        let regions = try CloudTables.shipped().regions
        let parts = location.lowercased().split(separator: "/", maxSplits: 1).map(String.init)
        let found =
            parts.count == 2
            ? [regions.region(parts[1], of: parts[0])]
            : ["aws", "azure", "gcp"].map { regions.region(location.lowercased(), of: $0) }
        guard let zone = found.compactMap({ $0 }).first?.zone else {
            throw Problem.notFound(
                "expected a location that is a grid zone such as GB, or a cloud's region such as uksouth, found \(location.prefix(60))"
            )
        }
        return zone
    }

    private static func repeated(_ request: Request, _ name: String) throws -> [String] {
        try request.uri.queryParameters.getAll(name).flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }.map { text in
            guard !text.utf8.contains(0) else { throw RollUpParameters.unreadable(name, "a text without U+0000", "one with it") }
            return String(text)
        }
    }
}
