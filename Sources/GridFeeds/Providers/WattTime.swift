public import Carbon
import Documents
import Energy

/// WattTime, API version 3: marginal (`co2_moer`) or average (`co2_aoer`) operating emissions of a region, in steps of five minutes.
///
/// Source: <https://docs.watttime.org>. The two signals are two providers with two bases: they are never added up.
public struct WattTime: GridProvider {
    public enum Signal: String, Sendable, CaseIterable {
        case marginal = "co2_moer"
        case average = "co2_aoer"
    }

    public let name: String
    public let basis: Intensity.Basis
    public let terms = FeedTerms(licence: "WattTime terms of service", source: "WattTime", mayBeRedistributed: false)
    public let pace = FeedPace(requests: 100, perSeconds: 60)
    public let credential: FeedCredential
    private let signal: Signal
    private let base: String
    /// WattTime's regions, by our zones: `CAISO_NORTH` is `US-CAL-CISO`.
    private let regions: [GridZone: String]

    public init(
        user: String,
        password: String,
        signal: Signal,
        regions: [GridZone: String],
        base: String = "https://api.watttime.org"
    ) {
        name = signal == .marginal ? "watttime-marginal" : "watttime-average"
        basis = Intensity.Basis(scope: "direct", signal: signal == .marginal ? "marginal" : "average", side: "production")
        // Its tokens last half an hour.
        credential = .login(url: "\(base)/login", user: user, password: password, seconds: 1_500)
        self.signal = signal
        self.regions = regions
        self.base = base
    }

    /// 1 lb is 0.45359237 kg by definition, and 1 MWh 1,000 kWh.
    static let gramsPerKilowattHourOfPoundsPerMegawattHour = 0.453_592_37

    private static let longest = Microseconds.seconds(31 * 86_400)

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        guard let region = regions[question.zone] else {
            throw .notConfigured("\(name): expected a region of WattTime's for \(question.zone); say it in `regions`")
        }
        let common = "region=\(region.percentEncoded)&signal_type=\(signal.rawValue)"
        func historical(_ interval: Interval) -> FeedRequest {
            FeedRequest(
                "\(base)/v3/historical?\(common)&start=\(RFC3339.format(interval.start).percentEncoded)"
                    + "&end=\(RFC3339.format(interval.end).percentEncoded)",
                topic: "historical"
            )
        }
        switch question.span {
        case .latest: return [historical(Interval(question.now - .hour, question.now))]
        case .past(let interval): return Interval(interval.start, min(interval.end, question.now)).parts(of: Self.longest).map(historical)
        case .forecast: return [FeedRequest("\(base)/v3/forecast?\(common)&horizon_hours=48", topic: "forecast")]
        }
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let answer = try FeedDocument(body)
        let meta = try answer["meta"]
        let region = try meta["region"]
        guard try region.text == regions[question.zone] else { throw region.expected(regions[question.zone] ?? "a region") }
        let type = try meta["signal_type"]
        guard try type.text == signal.rawValue else { throw type.expected(signal.rawValue) }
        let units = try meta["units"]
        guard try units.text == "lbs_co2_per_mwh" else { throw units.expected("lbs_co2_per_mwh") }
        let period = try meta["data_point_period_seconds"]
        guard let seconds = period.value.integer, (60...3_600).contains(seconds) else { throw period.expected("60 to 3600 s") }
        // A model of another date is another edition of the same hours.
        let edition = try meta.optional("model")?.optional("date")?.text
        var reading = FeedReading()
        for point in try answer["data"].list {
            let start = try point["point_time"].time
            let value = try point["value"]
            let grams = try value.number.map { $0 * Self.gramsPerKilowattHourOfPoundsPerMegawattHour }
            let kind: Intensity.Kind = request.topic == "forecast" ? .forecast : .estimated
            reading.add(grams, kind, self, question.zone, Interval(start, start + .seconds(seconds)), at: value.place, edition: edition)
        }
        return reading
    }
}
