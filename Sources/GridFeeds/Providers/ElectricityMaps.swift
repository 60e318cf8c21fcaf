public import Carbon
import Documents
import Energy

/// Electricity Maps, API version 3: any of its zones; latest, history, past ranges and forecast, as far as a token allows.
///
/// Source: <https://portal.electricitymaps.com/docs>. Consumption-based; of a life cycle, or direct where that is asked for. Its figures may
/// not be handed on: public data name them and leave their values out.
public struct ElectricityMaps: GridProvider {
    public let name: String
    public let basis: Intensity.Basis
    public let terms = FeedTerms(licence: "Electricity Maps terms of service", source: "Electricity Maps", mayBeRedistributed: false)
    public let pace = FeedPace(requests: 30, perSeconds: 60)
    public let credential: FeedCredential
    private let base: String

    /// - Parameters:
    ///   - isDirect: direct emissions only; else those of the life cycle.
    public init(token: String, isDirect: Bool = false, base: String = "https://api.electricitymaps.com") {
        name = isDirect ? "electricity-maps-direct" : "electricity-maps"
        basis = Intensity.Basis(scope: isDirect ? "direct" : "lifecycle", signal: "average", side: "consumption")
        credential = .header(name: "auth-token", key: token)
        self.base = base
    }

    private static let longest = Microseconds.seconds(10 * 86_400)

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        switch question.span {
        case .latest: return [request("latest", question.zone)]
        case .forecast: return [request("forecast", question.zone)]
        case .past(let interval):
            let past = Interval(interval.start.hour.start, min(interval.end, question.now))
            // What a free token allows: a day back.
            if question.now - past.start <= .day { return [request("history", question.zone)] }
            return past.parts(of: Self.longest).map {
                request(
                    "past-range",
                    question.zone,
                    "&start=\(RFC3339.format($0.start).percentEncoded)&end=\(RFC3339.format($0.end).percentEncoded)"
                )
            }
        }
    }

    private func request(_ what: String, _ zone: GridZone, _ more: String = "") -> FeedRequest {
        // Without the last one the zone of whoever asks is answered for where the one asked for is not known.
        FeedRequest(
            "\(base)/v3/carbon-intensity/\(what)?zone=\(zone.key)&emissionFactorType=\(basis.scope)&shouldUseFallbackCallerLookup=false\(more)",
            topic: what
        )
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let answer = try FeedDocument(body)
        let zone = try answer["zone"]
        guard try zone.text == question.zone.key else { throw zone.expected("the zone that was asked for, \(question.zone)") }
        let points =
            switch request.topic {
            case "latest": [answer]
            case "forecast": try answer["forecast"].list
            case "history": try answer["history"].list
            default: try answer["data"].list
            }
        let whole = try answer.optional("updatedAt")?.text
        var reading = FeedReading()
        for point in points {
            if let type = point.optional("emissionFactorType"), try type.text != basis.scope { throw type.expected(basis.scope) }
            let start = try point["datetime"].time
            let value = try point["carbonIntensity"]
            let isEstimated = point.optional("isEstimated")?.value.bool ?? false
            let kind: Intensity.Kind = request.topic == "forecast" ? .forecast : isEstimated ? .estimated : .actual
            let length = try Self.length(of: point.optional("temporalGranularity") ?? answer.optional("temporalGranularity"))
            let edition = try point.optional("updatedAt")?.text ?? whole
            reading.add(try value.number, kind, self, question.zone, Interval(start, start + length), at: value.place, edition: edition)
        }
        return reading
    }

    private static func length(of granularity: FeedDocument?) throws(FeedFault) -> Microseconds {
        guard let granularity else { return .hour }
        switch try granularity.text {
        case "hourly": return .hour
        case "15_minutes": return .seconds(900)
        case "5_minutes": return .seconds(300)
        default: throw granularity.expected("hourly, 15_minutes or 5_minutes")
        }
    }
}
