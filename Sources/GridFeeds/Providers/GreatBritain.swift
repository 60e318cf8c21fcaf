public import Carbon
import Documents
import Energy

/// Great Britain's Carbon Intensity API: national (zone `GB`: forecast and actual) and regional (`GB-1` to `GB-17`: forecast only), in half
/// hours.
///
/// Source: <https://carbon-intensity.github.io/api-definitions/>. Operational CO2 with imports and losses, not of a life cycle.
public struct GreatBritain: GridProvider {
    public let name = "gb-carbon-intensity"
    public let basis = Intensity.Basis(scope: "direct", signal: "average", side: "consumption")
    public let terms = FeedTerms(
        licence: "CC-BY-4.0",
        source: "National Energy System Operator, carbonintensity.org.uk",
        mayBeRedistributed: true
    )
    public let pace = FeedPace(requests: 30, perSeconds: 60)
    private let base: String

    public init(base: String = "https://api.carbonintensity.org.uk") { self.base = base }

    static let step = Microseconds.seconds(1_800)
    /// Of one request.
    private static let longest = Microseconds.seconds(13 * 86_400)

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        let region = try region(of: question.zone)
        let place = region.map { "/regionid/\($0)" } ?? ""
        let root = base + (region == nil ? "/intensity" : "/regional/intensity")
        switch question.span {
        case .latest:
            // The half hour that runs has no actual value: the one before has.
            let now = question.now.floor(to: Self.step)
            return [request(root, Interval(now - Self.step, now + Self.step), place)]
        case .past(let interval):
            let to = min(interval.end, question.now)
            guard interval.start < to else { return [] }
            let whole = Interval(interval.start.floor(to: Self.step), (to - Microseconds(1)).floor(to: Self.step) + Self.step)
            return whole.parts(of: Self.longest).map { request(root, $0, place) }
        case .forecast:
            return [FeedRequest("\(root)/\(Self.format(question.now.floor(to: Self.step)))/fw48h\(place)")]
        }
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let data = try FeedDocument(body)["data"]
        let region = try region(of: question.zone)
        // A region's answer is one object; the list of all regions is not asked for.
        if let region, let found = data.optional("regionid"), found.value.wholeNumber != Int64(region) { throw found.expected("\(region)") }
        var reading = FeedReading()
        for period in try (region == nil ? data : data["data"]).list {
            let interval = Interval(try period["from"].time, max(try period["from"].time, try period["to"].time))
            guard interval.duration == Self.step else { throw try period["to"].expected("half an hour after from") }
            let intensity = try period["intensity"]
            for (key, kind) in [("forecast", Intensity.Kind.forecast), ("actual", .actual)] {
                guard let value = intensity.optional(key) else { continue }
                reading.add(try value.number, kind, self, question.zone, interval, at: value.place)
            }
        }
        return reading
    }

    private func region(of zone: GridZone) throws(FeedFault) -> Int? {
        if zone.key == "GB" { return nil }
        guard zone.key.hasPrefix("GB-"), let region = Int(zone.key.dropFirst(3)), (1...17).contains(region) else {
            throw .notConfigured("\(name): expected the zone GB, or GB-1 to GB-17 for its regions, found \(zone)")
        }
        return region
    }

    private func request(_ root: String, _ interval: Interval, _ place: String) -> FeedRequest {
        // A period that ends at `from` would be in the answer, too.
        FeedRequest("\(root)/\(Self.format(interval.start + .seconds(60)))/\(Self.format(interval.end))\(place)")
    }

    private static func format(_ time: Timestamp) -> String { RFC3339.format(time).prefix(16) + "Z" }
}
