import ArgumentParser
import Carbon
import CarbonDocuments
import Documents
import Energy
import FoundationEssentials
import GridFeeds
import HTTPClient
import Tracker

/// Who is asked for intensities.
struct FigureSourceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A series of your own instead of a collector: CSV with zone,from,to,g_per_kwh and, where known, low,high,kind,edition.",
            valueName: "file"
        )
    )
    var file: String?

    @Option(help: ArgumentHelp("Ask this provider itself: gb-carbon-intensity or fr-eco2mix.", valueName: "provider"))
    var provider: String?

    @Option(name: .customLong("provider-url"), help: ArgumentHelp("Where that provider is, for a cache of your own.", valueName: "url"))
    var providerURL: String?

    @Option(
        help: ArgumentHelp(
            "What figures count, such as direct/average/consumption; needed with --file, else what counts in the zone.",
            valueName: "basis"
        )
    )
    var basis: String?

    @OptionGroup var collector: CollectorOptions

    func readBasis() throws -> Intensity.Basis? {
        guard let basis else { return nil }
        guard let read = Intensity.Basis(basis) else {
            throw Failure.usage(
                "--basis: expected lifecycle or direct, average or marginal, production or consumption, as in "
                    + "direct/average/consumption, found \(basis)"
            )
        }
        return read
    }

    /// - Throws: `Failure` where nobody can be asked, or several are named.
    func source(_ settings: Settings) throws -> FigureSource {
        let basis = try readBasis()
        guard file == nil || provider == nil else { throw Failure.usage("expected one of --file and --provider, found both") }
        let client = FeedClient(http: HTTPClient(userAgent: "wattle"), now: { Clock.now })
        if let file {
            guard let basis else {
                throw Failure.usage(
                    "--file: expected --basis beside it, such as --basis direct/average/consumption: the format does not say"
                )
            }
            let address = file.contains("://") || file.hasPrefix("/") ? file : FileManager.default.currentDirectoryPath + "/" + file
            // A URL is shown without its login and query, here and beside each figure.
            let shown = file.contains("://") ? HTTPError.withoutSecrets(file) : file
            let series = OwnSeries(
                name: shown,
                address: address,
                basis: basis,
                terms: FeedTerms(licence: "own", source: shown, mayBeRedistributed: true)
            )
            return .provider(series, client)
        }
        if let provider {
            let known: any GridProvider
            switch provider {
            case "gb-carbon-intensity": known = providerURL.map { GreatBritain(base: $0) } ?? GreatBritain()
            case "fr-eco2mix": known = providerURL.map { France(base: $0) } ?? France()
            default:
                throw Failure.usage(
                    "--provider: expected gb-carbon-intensity or fr-eco2mix, found \(provider); others need a collector with their keys"
                )
            }
            if let basis, basis != known.basis {
                throw Failure.usage("--basis: expected \(known.basis), which is what \(provider) counts, found \(basis)")
            }
            return .provider(known, client)
        }
        guard providerURL == nil else { throw Failure.usage("--provider-url: expected --provider beside it") }
        return .collector(try settings.collector(), basis)
    }

    func settings(zone: String? = nil) -> Settings {
        Settings(url: collector.collector, token: collector.token, zone: zone, socket: nil)
    }
}

/// The clock of this machine, to the second: nobody plans more finely.
enum Clock {
    static var now: Timestamp { Timestamp(microseconds: Int64(Date().timeIntervalSince1970) * 1_000_000) }
}

/// Where figures come from.
enum FigureSource: Sendable {
    case collector(CollectorClient, Intensity.Basis?)
    /// A series of one's own is one of these.
    case provider(any GridProvider, FeedClient)

    /// What is known of a zone over a time.
    ///
    /// - Throws: `Failure`.
    func figures(_ zone: GridZone, over interval: Interval, now: Timestamp) async throws -> ZoneFigures {
        switch self {
        case .collector(let client, let basis):
            // A collector answers 31 days at a time.
            var parts: [IntensityAnswer] = []
            var start = interval.start
            while start < interval.end {
                let end = min(start + Microseconds(31 * Microseconds.day.count), interval.end)
                let answer: [UInt8]
                do throws(CollectorError) {
                    answer = try await client.intensity(
                        of: zone.key,
                        from: RFC3339.format(start),
                        to: RFC3339.format(end),
                        basis: basis?.description
                    )
                } catch {
                    throw Failure.failed(error.description)
                }
                do {
                    parts.append(try IntensityAnswer(reading: JSONValue(parsing: answer)))
                } catch {
                    throw Failure.failed("\(client.url): the answer is not as expected: \(error)")
                }
                start = end
            }
            var figures = ZoneFigures(zone: zone.key, pieces: parts.flatMap(\.figures.pieces))
            figures.latest = parts.first?.figures.latest
            figures.forecastError = parts.first?.figures.forecastError
            return figures
        case .provider(let provider, let client):
            return try await ask(provider, client, zone, over: interval, now: now)
        }
    }

    private func ask(
        _ provider: some GridProvider,
        _ client: FeedClient,
        _ zone: GridZone,
        over interval: Interval,
        now: Timestamp
    ) async throws -> ZoneFigures {
        var spans: [GridQuestion.Span] = []
        if provider is OwnSeries {
            // All of the file, at once.
            spans = [.forecast]
        } else {
            if interval.start < now { spans.append(.past(Interval(interval.start, min(interval.end, now)))) }
            if interval.end > now { spans += [.latest, .forecast] }
        }
        var all: [SourcedIntensity] = []
        for span in spans {
            let reading: FeedReading
            do {
                reading = try await client.ask(provider, GridQuestion(span, of: zone, now: now))
            } catch let fault as FeedFault {
                if case .notConfigured = fault { throw Failure.usage(fault.description) }
                throw Failure.failed("\(provider.name): \(fault)")
            }
            for finding in reading.findings { StandardError.write("wattle: \(provider.name): \(finding); taken for not known\n") }
            all += reading.figures.map { figure in
                var sourced = SourcedIntensity(figure.value, of: figure.interval)
                sourced.edition = figure.edition
                sourced.source = provider.terms.source
                sourced.licence = provider.terms.licence
                sourced.fetchedAt = now
                return sourced
            }
        }
        guard !all.isEmpty || !(provider is OwnSeries) else {
            throw Failure.failed("\(provider.name): expected rows of the zone \(zone), found none; no other place stands in for it")
        }
        var figures = ZoneFigures(zone: zone.key, choosingFrom: all, over: interval)
        figures.latest = all.filter { [.actual, .estimated].contains($0.intensity.kind) && $0.interval.start <= now }
            .max { ($0.interval.start, $0.edition ?? "") < ($1.interval.start, $1.edition ?? "") }
        figures.forecastError = Self.forecastError(all)
        return figures
    }

    /// A series that keeps its forecasts beside what came tells how good they were.
    private static func forecastError(_ all: [SourcedIntensity]) -> ForecastError? {
        let came = Dictionary(
            all.filter { [.actual, .estimated].contains($0.intensity.kind) }.map { ($0.interval, $0.intensity) },
            uniquingKeysWith: { $1 }
        )
        return ForecastError(
            all.filter { $0.intensity.kind == .forecast }.compactMap { forecast in
                came[forecast.interval].map {
                    .init(
                        madeAt: forecast.interval.start,
                        interval: forecast.interval,
                        forecastGramsPerKilowattHour: forecast.intensity.gramsPerKilowattHour,
                        actualGramsPerKilowattHour: $0.gramsPerKilowattHour
                    )
                }
            }
        )
    }
}

extension ZoneArguments {
    /// - Throws: `Failure` for a name that is no zone, or none at all.
    func read(_ settings: Settings) throws -> [GridZone] {
        guard !zones.isEmpty else {
            guard let zone = try settings.gridZone() else {
                throw Failure.usage("expected a zone such as GB, or WATTLE_ZONE: no place is taken for granted")
            }
            return [zone]
        }
        let read = try zones.flatMap { $0.split(separator: ",") }.map { text in
            guard let zone = GridZone(String(text)) else {
                throw Failure.usage("expected a grid zone such as FR, DE or US-CAL-CISO (upper case), or WORLD, found \"\(text)\"")
            }
            return zone
        }
        guard Set(read).count == read.count else { throw Failure.usage("expected each zone once, found \(zones.joined(separator: " "))") }
        return read
    }
}
