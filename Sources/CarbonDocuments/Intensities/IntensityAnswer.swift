import Carbon
public import Documents
public import Energy

/// What is known of a zone's intensity, as JSON: what a collector answers, and what `wattle grid` prints and reads.
public struct IntensityAnswer: Sendable {
    public let figures: ZoneFigures
    public let interval: Interval
    public let now: Timestamp

    public init(_ figures: ZoneFigures, over interval: Interval, now: Timestamp) {
        self.figures = figures
        self.interval = interval
        self.now = now
    }

    /// - Parameter showsAll: false for people who may not see values that may not be handed on: these are null, with a reason.
    public func json(showsAll: Bool = true) -> JSONValue {
        var missing: [JSONValue] = []
        func note(_ field: String, _ reason: String) {
            missing.append(.object(["field": .string(field), "reason": .string(reason)]))
        }
        let pieces = figures.pieces.enumerated().map { index, piece in
            let json = Self.json(piece.figure, piece.interval, showsAll: showsAll)
            if let reason = json["reason"]?.string { note("pieces[\(index)].g_per_kwh", reason) }
            return JSONValue.object(json)
        }
        var answer: [String: JSONValue] = [
            "zone": .string(figures.zone), "asked_at": .string(RFC3339.format(now)), "from": .string(RFC3339.format(interval.start)),
            "to": .string(RFC3339.format(interval.end)), "pieces": .array(pieces),
            "bases": .array(figures.bases.map { .string($0.description) }),
        ]
        if let piece = figures.piece(at: now) {
            let json = Self.json(piece.figure, piece.interval, showsAll: showsAll)
            if let reason = json["reason"]?.string { note("now.g_per_kwh", reason) }
            answer["now"] = .object(json)
        } else {
            answer["now"] = .null
            note("now", "not_asked_for")
        }
        if let figure = figures.latest {
            let latest = LatestFigure(figure, now: now)
            var json = Self.json(figure, figure.interval, showsAll: showsAll)
            if let reason = json["reason"]?.string { note("latest.g_per_kwh", reason) }
            json["age_s"] = .integer(latest.age.count / 1_000_000)
            json["stale"] = .bool(latest.isStale)
            answer["latest"] = .object(json)
        } else {
            answer["latest"] = .null
            note("latest", "no_figure")
        }
        if let error = figures.forecastError {
            let isShown = showsAll || !(figures.holdsWithheld || figures.isForecastErrorWithheld)
            answer["forecast_error"] = isShown ? error.json : .null
            if !isShown { note("forecast_error", "not_redistributable") }
        } else {
            answer["forecast_error"] = .null
            note("forecast_error", "no_past_forecast")
        }
        answer["missing"] = .array(missing)
        return .object(answer)
    }

    static func json(_ figure: SourcedIntensity?, _ interval: Interval, showsAll: Bool) -> [String: JSONValue] {
        var json: [String: JSONValue] = [
            "from": .string(RFC3339.format(interval.start)), "to": .string(RFC3339.format(interval.end)), "g_per_kwh": .null,
            "low_g_per_kwh": .null, "high_g_per_kwh": .null,
        ]
        guard let figure else {
            json["reason"] = .string("no_figure")
            for field in ["kind", "basis", "provider", "version", "source", "licence", "fetched_at", "id"] { json[field] = .null }
            return json
        }
        let intensity = figure.intensity
        if figure.isWithheld && !showsAll {
            json["reason"] = .string("not_redistributable")
        } else {
            json["g_per_kwh"] = .number(FigureDigits.plain(intensity.gramsPerKilowattHour))
            json["low_g_per_kwh"] = .number(FigureDigits.plain(intensity.low))
            json["high_g_per_kwh"] = .number(FigureDigits.plain(intensity.high))
        }
        json["kind"] = .string(intensity.kind.rawValue)
        json["basis"] = .string(intensity.basis.description)
        json["provider"] = .string(intensity.provider)
        json["version"] = figure.edition.map { .string($0) } ?? .null
        json["source"] = figure.source.map { .string($0) } ?? .null
        json["licence"] = figure.licence.map { .string($0) } ?? .null
        json["fetched_at"] = figure.fetchedAt.map { .string(RFC3339.format($0)) } ?? .null
        json["id"] = figure.id.map { .integer($0) } ?? .null
        return json
    }
}

extension ForecastError {
    var json: JSONValue {
        .object([
            "pairs": .integer(Int64(pairs)), "mean_g_per_kwh": .number(FigureDigits.plain(meanGramsPerKilowattHour)),
            "mean_absolute_g_per_kwh": .number(FigureDigits.plain(meanAbsoluteGramsPerKilowattHour)),
            "nine_of_ten_within_g_per_kwh": .number(FigureDigits.plain(tenthWorstGramsPerKilowattHour)),
        ])
    }
}

extension IntensityAnswer {
    /// Why something is no such answer.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Reads a collector's answer. A value that it does not tell is none here either.
    public init(reading json: JSONValue) throws(Fault) {
        func fail(_ place: String, _ expected: String, _ found: JSONValue?) -> Fault {
            Fault(description: "\(place): expected \(expected), found \(found?.described ?? "nothing")")
        }
        func time(_ fields: [String: JSONValue], _ name: String, _ place: String) throws(Fault) -> Timestamp {
            guard let time = fields[name]?.string.flatMap(RFC3339.parse) else { throw fail(place + name, "a time", fields[name]) }
            return time
        }
        guard let fields = json.object, let zone = fields["zone"]?.string else { throw fail("zone", "a zone", json.object?["zone"]) }
        func figure(_ fields: [String: JSONValue], _ interval: Interval, _ place: String) throws(Fault) -> SourcedIntensity? {
            guard let value = fields["g_per_kwh"]?.double else { return nil }
            guard value >= 0, value <= 100_000 else { throw fail(place + "g_per_kwh", "0 or more", fields["g_per_kwh"]) }
            guard let kind = fields["kind"]?.string.flatMap(Intensity.Kind.init(rawValue:)) else {
                throw fail(place + "kind", "a kind", fields["kind"])
            }
            guard let basis = fields["basis"]?.string.flatMap({ Intensity.Basis($0) }) else {
                throw fail(place + "basis", "a basis", fields["basis"])
            }
            let intensity = Intensity(
                zone: zone,
                gramsPerKilowattHour: value,
                low: min(value, fields["low_g_per_kwh"]?.double ?? value),
                high: max(value, fields["high_g_per_kwh"]?.double ?? value),
                kind: kind,
                basis: basis,
                provider: fields["provider"]?.string ?? "",
                year: 0
            )
            var figure = SourcedIntensity(intensity, of: interval)
            figure.edition = fields["version"]?.string
            figure.source = fields["source"]?.string
            figure.licence = fields["licence"]?.string
            figure.fetchedAt = fields["fetched_at"]?.string.flatMap(RFC3339.parse)
            figure.id = fields["id"]?.integer
            return figure
        }
        guard let list = fields["pieces"]?.array else { throw fail("pieces", "a list", fields["pieces"]) }
        var pieces: [ZoneFigures.Piece] = []
        for (index, value) in list.enumerated() {
            let place = "pieces[\(index)]."
            guard let fields = value.object else { throw fail("pieces[\(index)]", "an object", value) }
            let (from, to) = (try time(fields, "from", place), try time(fields, "to", place))
            guard from <= to else { throw fail(place + "to", "a time after from", fields["to"]) }
            let interval = Interval(from, to)
            pieces.append(ZoneFigures.Piece(interval, try figure(fields, interval, place)))
        }
        var read = ZoneFigures(zone: zone, pieces: pieces)
        if let latest = fields["latest"]?.object {
            let (from, to) = (try time(latest, "from", "latest."), try time(latest, "to", "latest."))
            if from <= to { read.latest = try figure(latest, Interval(from, to), "latest.") }
        }
        if let error = fields["forecast_error"]?.object { read.forecastError = ForecastError(error) }
        let (from, to) = (try time(fields, "from", ""), try time(fields, "to", ""))
        guard from <= to else { throw fail("to", "a time after from", fields["to"]) }
        self.init(read, over: Interval(from, to), now: try time(fields, "asked_at", ""))
    }
}

extension ForecastError {
    fileprivate init?(_ json: [String: JSONValue]) {
        guard let pairs = json["pairs"]?.integer, pairs > 0, let mean = json["mean_g_per_kwh"]?.double,
            let absolute = json["mean_absolute_g_per_kwh"]?.double, let tenth = json["nine_of_ten_within_g_per_kwh"]?.double
        else { return nil }
        self.init(
            pairs: Int(pairs),
            meanGramsPerKilowattHour: mean,
            meanAbsoluteGramsPerKilowattHour: absolute,
            tenthWorstGramsPerKilowattHour: tenth
        )
    }
}
