public import Carbon
import Documents
import Energy

/// France's éCO2mix on Open Data Réseaux Énergies: real-time figures of a month, in quarters of an hour, and consolidated ones since 2012, in
/// half hours.
///
/// Source: <https://odre.opendatasoft.com>, datasets `eco2mix-national-tr` and `eco2mix-national-cons-def`. CO2 of what is burnt in France:
/// without imports, not of a life cycle. A real-time figure counts as an estimate until the consolidated one is there.
public struct France: GridProvider {
    public let name = "fr-eco2mix"
    public let basis = Intensity.Basis(scope: "direct", signal: "average", side: "production")
    public let terms = FeedTerms(licence: "etalab-2.0", source: "RTE éCO2mix, odre.opendatasoft.com", mayBeRedistributed: true)
    public let pace = FeedPace(requests: 30, perSeconds: 60)
    private let base: String

    public init(base: String = "https://odre.opendatasoft.com") { self.base = base }

    private enum Dataset: String {
        case realTime = "eco2mix-national-tr"
        case consolidated = "eco2mix-national-cons-def"

        var step: Microseconds { .seconds(self == .realTime ? 900 : 1_800) }
        var kind: Intensity.Kind { self == .realTime ? .estimated : .actual }
    }

    /// The real-time set holds about a month.
    private static let realTime = Microseconds.seconds(30 * 86_400)
    private static let longest = Microseconds.seconds(31 * 86_400)

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        guard question.zone.key == "FR" else { throw .notConfigured("\(name): expected the zone FR, found \(question.zone)") }
        switch question.span {
        case .latest: return [request(.realTime, Interval(question.now - .seconds(6 * 3_600), question.now))]
        case .forecast: return []
        case .past(let interval):
            let past = Interval(interval.start, min(interval.end, question.now))
            var requests = past.parts(of: Self.longest).map { request(.consolidated, $0) }
            if let recent = past.intersection(Interval(question.now - Self.realTime, question.now)) {
                requests.append(request(.realTime, recent))
            }
            return requests
        }
    }

    private func request(_ dataset: Dataset, _ interval: Interval) -> FeedRequest {
        let (from, to) = (RFC3339.format(interval.start), RFC3339.format(interval.end))
        let which = "taux_co2 is not null and date_heure >= date'\(from)' and date_heure < date'\(to)'"
        return FeedRequest(
            "\(base)/api/explore/v2.1/catalog/datasets/\(dataset.rawValue)/exports/json?select=date_heure,taux_co2&order_by=date_heure"
                + "&where=\(which.percentEncoded)",
            topic: dataset.rawValue
        )
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        guard let dataset = Dataset(rawValue: request.topic) else {
            throw .unreadable("\(name): expected a dataset, found \(request.topic)")
        }
        let answer = try FeedDocument(body)
        var reading = FeedReading()
        // An export is a list; a page of records is an object around one.
        for row in try (answer.value.array == nil ? answer["results"] : answer).list {
            let start = try row["date_heure"].time
            guard start == start.floor(to: dataset.step) else {
                // The consolidated set has a row for each quarter, of which every second repeats or is empty.
                continue
            }
            let value = try row["taux_co2"]
            reading.add(try value.number, dataset.kind, self, question.zone, Interval(start, start + dataset.step), at: value.place)
        }
        return reading
    }
}
