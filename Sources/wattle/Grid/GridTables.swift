import Carbon
import CarbonDocuments
import Documents
import Energy
import Tracker

/// Intensities as rows.
enum GridTables {
    static func grams(_ value: Double?) -> String { value.map { DecimalText.significant($0, 4) } ?? "-" }

    static func time(_ time: Timestamp) -> String { RFC3339.format(time) }

    private static let columns: [TextTable.Column] = [
        .left("zone"), .left("from"), .left("to"), .right("g/kWh"), .left("kind"), .left("basis"), .left("provider"),
    ]

    private static func row(_ zone: String, _ interval: Interval, _ figure: SourcedIntensity?) -> [String] {
        guard let intensity = figure?.intensity else {
            return [zone, time(interval.start), time(interval.end), "-", "not known", "-", "-"]
        }
        return [
            zone, time(interval.start), time(interval.end), grams(intensity.gramsPerKilowattHour), intensity.kind.rawValue,
            intensity.basis.description, intensity.provider,
        ]
    }

    static func pieces(_ zones: [ZoneFigures]) -> String {
        TextTable(columns: columns, rows: zones.flatMap { zone in zone.pieces.map { row(zone.zone, $0.interval, $0.figure) } }).text
    }

    /// What counts now, and the last figure of what was, which may be old.
    static func latest(_ zones: [ZoneFigures], now: Timestamp) -> String {
        var rows: [[String]] = []
        for zone in zones {
            if let piece = zone.piece(at: now) {
                var cells = row(zone.zone, piece.figure?.interval ?? piece.interval, piece.figure)
                // A yearly figure counts at all times.
                if piece.figure?.intensity.kind == .yearly { cells.replaceSubrange(1...2, with: ["-", "-"]) }
                rows.append(cells + ["now"])
            }
            guard let latest = zone.latest.map({ LatestFigure($0, now: now) }) else { continue }
            if latest.figure == zone.piece(at: now)?.figure { continue }
            let age = LengthOfTime.text(latest.age)
            let word = latest.isStale ? "stale: ended \(age) ago, not the present" : latest.age > .zero ? "ended \(age) ago" : "last"
            rows.append(row(zone.zone, latest.figure.interval, latest.figure) + [word])
        }
        return TextTable(columns: columns + [.left("")], rows: rows).text
    }

    static func window(_ answer: WindowAnswer) -> String {
        let rows = answer.zones.map { zone in
            [
                zone.zone, zone.best.map { time($0.interval.start) } ?? "not known", zone.best.map { time($0.interval.end) } ?? "-",
                grams(zone.best?.gramsPerKilowattHour), zone.best?.kind.rawValue ?? "-", grams(zone.atOnceGramsPerKilowattHour),
                percent(zone.saving),
            ]
        }
        let table = TextTable(
            columns: [
                .left("zone"), .left("from"), .left("to"), .right("g/kWh"), .left("kind"), .right("at once"), .right("saving"),
            ],
            rows: rows
        ).text
        guard let best = answer.best else { return table + "no window of \(LengthOfTime.text(answer.question.duration)) is known\n" }
        var text = "best: \(best.zone) from \(time(best.interval.start)), \(grams(best.gramsPerKilowattHour)) g/kWh (\(best.basis))"
        if let saving = answer.saving, let first = answer.zones.first { text += ", \(percent(saving)) less than at once in \(first.zone)" }
        return table + text + "\n" + errors(answer.zones.map { ($0.zone, $0.forecastError) })
    }

    static func errors(_ zones: [(zone: String, error: ForecastError?)]) -> String {
        zones.map { zone, error in
            guard let error else { return "\(zone): no past forecasts are kept to judge this one by\n" }
            return "\(zone): \(sentence(error))\n"
        }.joined()
    }

    static func sentence(_ error: ForecastError) -> String {
        "forecasts were \(grams(error.meanAbsoluteGramsPerKilowattHour)) g/kWh off on average, nine of ten within "
            + "\(grams(error.tenthWorstGramsPerKilowattHour)) g/kWh (\(error.pairs) compared)"
    }

    static func percent(_ part: Double?) -> String { part.map { DecimalText.fixed($0 * 100, 1) + " %" } ?? "-" }
}
