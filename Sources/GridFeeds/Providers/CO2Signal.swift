public import Carbon
import Documents
import Energy

/// The CO2-Signal dialect: the latest figure of an Electricity Maps zone. The service itself ended in 2025; bridges still speak it.
public struct CO2Signal: GridProvider {
    public let name = "co2-signal"
    public let basis = Intensity.Basis(scope: "lifecycle", signal: "average", side: "consumption")
    public let terms = FeedTerms(
        licence: "Electricity Maps terms of service",
        source: "CO2 Signal (Electricity Maps)",
        mayBeRedistributed: false
    )
    public let pace = FeedPace(requests: 30, perSeconds: 3_600)
    public let credential: FeedCredential
    private let base: String

    public init(token: String, base: String = "https://api.co2signal.com") {
        credential = .header(name: "auth-token", key: token)
        self.base = base
    }

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        guard question.span == .latest else { return [] }
        return [FeedRequest("\(base)/v1/latest?countryCode=\(question.zone.key)")]
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let answer = try FeedDocument(body)
        let zone = try answer["countryCode"]
        guard try zone.text == question.zone.key else { throw zone.expected("the zone that was asked for, \(question.zone)") }
        if let unit = answer.optional("units")?.optional("carbonIntensity"), try unit.text != "gCO2eq/kWh" {
            throw unit.expected("gCO2eq/kWh")
        }
        let data = try answer["data"]
        let start = try data["datetime"].time.hour.start
        let value = try data["carbonIntensity"]
        var reading = FeedReading()
        // It never said which of its figures were estimates.
        reading.add(try value.number, .estimated, self, question.zone, Interval(start, start + .hour), at: value.place)
        return reading
    }
}
