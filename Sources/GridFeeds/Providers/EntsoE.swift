public import Carbon
import Documents
import Energy

/// ENTSO-E's transparency platform: what each kind of plant of a bidding zone generated (A75, realised), weighed with published factors per
/// kind.
///
/// Source: <https://transparency.entsoe.eu>, document type A75, process type A16. The mix is ENTSO-E's; the intensity is ours, of the factors
/// that are given: production-based, imports left out.
public struct EntsoE: GridProvider {
    /// Emissions of one kind of generation, in g/kWh, with limits.
    public struct FuelFactor: Hashable, Sendable {
        public var gramsPerKilowattHour: Double
        public var low: Double
        public var high: Double

        public init(_ gramsPerKilowattHour: Double, low: Double, high: Double) {
            self.gramsPerKilowattHour = gramsPerKilowattHour
            self.low = low
            self.high = high
        }
    }

    public let name = "entsoe-mix"
    public let basis: Intensity.Basis
    public let terms: FeedTerms
    public let pace = FeedPace(requests: 400, perSeconds: 60)
    public let credential: FeedCredential
    private let domains: [GridZone: String]
    private let factors: [String: FuelFactor]
    private let edition: String
    private let base: String

    /// - Parameters:
    ///   - domains: EIC codes of bidding zones, by our zones: `10YFR-RTE------C` is `FR`.
    ///   - factors: by ENTSO-E's codes of plants, `B01` to `B25`.
    ///   - isLifecycle: whether the factors are those of a life cycle, or of the fuel burnt.
    ///   - edition: of the factors.
    public init(
        token: String,
        domains: [GridZone: String],
        factors: [String: FuelFactor],
        isLifecycle: Bool,
        edition: String,
        base: String = "https://web-api.tp.entsoe.eu/api"
    ) {
        credential = .parameter(name: "securityToken", key: token)
        basis = Intensity.Basis(scope: isLifecycle ? "lifecycle" : "direct", signal: "average", side: "production")
        terms = FeedTerms(licence: "CC-BY-4.0", source: "ENTSO-E Transparency Platform, A75; factors: \(edition)", mayBeRedistributed: true)
        self.domains = domains
        self.factors = factors
        self.edition = edition
        self.base = base
    }

    /// A year is the longest that one request may ask for; a month keeps an answer small.
    private static let longest = Microseconds.seconds(31 * 86_400)

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        guard let domain = domains[question.zone] else {
            throw .notConfigured("\(name): expected the EIC code of \(question.zone)'s bidding zone; say it in `domains`")
        }
        func request(_ interval: Interval) -> FeedRequest {
            FeedRequest(
                "\(base)?documentType=A75&processType=A16&in_Domain=\(domain.percentEncoded)"
                    + "&periodStart=\(Self.format(interval.start))&periodEnd=\(Self.format(interval.end))",
                headers: ["Accept": "application/xml"]
            )
        }
        func hours(_ interval: Interval) -> Interval { Interval(interval.start.hour.start, (interval.end - Microseconds(1)).hour.end) }
        switch question.span {
        case .forecast: return []
        case .latest: return [request(hours(Interval(question.now - .seconds(6 * 3_600), question.now)))]
        case .past(let interval):
            return hours(Interval(interval.start, min(interval.end, question.now))).parts(of: Self.longest).map(request)
        }
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let document = try GenerationDocument(body)
        var reading = FeedReading()
        // What pumped storage takes in is no generation.
        let series = document.series.filter { !$0.isConsumption }
        for kind in Set(series.map(\.plant)).subtracting(factors.keys).sorted() {
            throw .notConfigured("\(name): expected a factor for plants of kind \(kind); add it to the table \(edition)")
        }
        var mixes: [Interval: [(plant: String, megawatts: Double)]] = [:]
        let step = series.map(\.step).max() ?? .hour
        for one in series {
            // Series of one document may have steps of an hour and of quarters: all are brought to the longest.
            for (interval, megawatts) in one.averages(over: step) { mixes[interval, default: []].append((one.plant, megawatts)) }
        }
        let all = mixes.values.map(\.count).max() ?? 0
        for (interval, mix) in mixes.sorted(by: { $0.key.start < $1.key.start }) {
            let place = "generation from \(RFC3339.format(interval.start))"
            guard mix.count == all else {
                reading.findings.append("\(place): expected \(all) kinds of plants, found \(mix.count): not all have reported yet")
                continue
            }
            let total = mix.reduce(0) { $0 + max(0, $1.megawatts) }
            guard total > 0 else {
                reading.findings.append("\(place): expected some generation, found none")
                continue
            }
            func weighed(_ factor: (FuelFactor) -> Double) -> Double {
                mix.reduce(0) { sum, part in sum + max(0, part.megawatts) / total * (factors[part.plant].map(factor) ?? 0) }
            }
            reading.add(
                weighed(\.gramsPerKilowattHour),
                .actual,
                self,
                question.zone,
                interval,
                at: place,
                limits: weighed(\.low)...max(weighed(\.low), weighed(\.high)),
                edition: "\(edition) \(document.createdAt)"
            )
        }
        return reading
    }

    private static func format(_ time: Timestamp) -> String { String(RFC3339.format(time).prefix(16).filter(\.isNumber)) }
}
