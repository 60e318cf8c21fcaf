import Carbon
import CarbonDocuments
import Energy
import Postgres
import Store

/// Reads what is known of zones, for whoever asks.
struct ZoneReading {
    let connection: PostgresConnection
    let now: Timestamp

    /// Read at a time: a year of half hours in one go would be compared with itself.
    private static let part = Microseconds(8 * Microseconds.day.count)
    /// Forecasts that were made in so long a time before tell how good they are.
    private static let forecastsSince = Microseconds(30 * Microseconds.day.count)

    init(_ connection: PostgresConnection, now: Timestamp) {
        self.connection = connection
        self.now = now
    }

    /// - Parameter basis: nil for what counts in the zone.
    /// - Throws: `Problem` 404 for a zone without any figure.
    func figures(
        _ zone: GridZone,
        over interval: Interval,
        basis: Intensity.Basis? = nil,
        withForecastError: Bool = false
    ) async throws -> ZoneFigures {
        guard try await IntensityTable.isKnown(zone: zone.key, connection) else { throw try await unknown(zone) }
        var stored: [(interval: Interval, intensity: StoredIntensity?)] = []
        var start = interval.start
        while start < interval.end {
            let part = Interval(start, min(start + Self.part, interval.end))
            let series =
                if let basis {
                    try await IntensityTable.series(zone: zone.key, basis: basis, part, connection)
                } else {
                    try await IntensityTable.series(zone: zone.key, part, connection)
                }
            for piece in series.pieces {
                if let last = stored.last, last.intensity == piece.intensity {
                    stored[stored.count - 1].interval = Interval(last.interval.start, piece.interval.end)
                } else {
                    stored.append((piece.interval, piece.intensity))
                }
            }
            start = part.end
        }
        let plain = ZoneFigures(
            zone: zone.key,
            pieces: stored.map { .init($0.interval, $0.intensity.map { SourcedIntensity($0.value, of: $0.interval) }) }
        )
        let counting = basis ?? plain.bases.first
        let latest = try await IntensityTable.latest(zone: zone.key, basis: counting, before: now, connection)
        let ids = Set(stored.compactMap { $0.intensity?.id } + [latest?.id].compactMap { $0 })
        let origins = try await IntensityTable.origins(ids.sorted(), connection)
        func sourced(_ stored: StoredIntensity) -> SourcedIntensity { SourcedIntensity(stored, origins[stored.id]) }
        var figures = ZoneFigures(zone: zone.key, pieces: stored.map { .init($0.interval, $0.intensity.map(sourced)) })
        figures.latest = latest.map(sourced)
        if withForecastError, let counting {
            let since = now - Self.forecastsSince
            figures.forecastError = ForecastError(
                try await IntensityTable.forecastPairs(zone: zone.key, basis: counting, since: since, connection)
            )
            figures.isForecastErrorWithheld = try await IntensityTable.holdsWithheldForecastPairs(
                zone: zone.key,
                basis: counting,
                since: since,
                connection
            )
        }
        return figures
    }

    private func unknown(_ zone: GridZone) async throws -> Problem {
        let near = try await IntensityTable.zones(like: String(zone.key.prefix(2)), limit: 5, connection)
        return .notFound(
            "no figures of the zone \(zone.key) are known here; "
                + (near.isEmpty
                    ? "expected a country such as FR, a part of one such as US-CAL-CISO, or WORLD; name it under `grid:` of the "
                        + "collector's configuration to have it asked for"
                    : "known are \(near.joined(separator: ", "))")
        )
    }
}

extension SourcedIntensity {
    fileprivate init(_ stored: StoredIntensity, _ origin: IntensityTable.Origin?) {
        self.init(stored.value, of: stored.interval)
        id = stored.id
        edition = stored.version
        source = origin?.source
        licence = origin?.licence
        fetchedAt = origin?.fetchedAt
        // What nobody gave leave for is not handed on; yearly figures came with the program.
        isWithheld = !(origin?.mayBeRedistributed ?? (stored.value.kind == .yearly))
    }
}
