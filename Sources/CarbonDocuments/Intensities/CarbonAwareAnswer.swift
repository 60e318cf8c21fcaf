public import Carbon
public import Documents
public import Energy

/// Answers in the shapes of the Carbon Aware SDK's web API, for its clients. What is not known is left out: that API's -1 is never written.
///
/// Source: <https://github.com/Green-Software-Foundation/carbon-aware-sdk>, `EmissionsData`, `EmissionsForecastDTO`.
public enum CarbonAwareAnswer {
    /// One figure of one location.
    public struct Emission: Hashable, Sendable {
        public var location: String
        public var interval: Interval
        public var rating: Double

        public init(location: String, interval: Interval, rating: Double) {
            self.location = location
            self.interval = interval
            self.rating = rating
        }

        var json: JSONValue {
            .object([
                "location": .string(location), "time": .string(CarbonAwareAnswer.time(interval.start)),
                "rating": .number(FigureDigits.plain(rating)), "duration": .string(CarbonAwareAnswer.span(interval.duration)),
            ])
        }
    }

    public static func emissions(_ list: [Emission]) -> JSONValue { .array(list.map(\.json)) }

    /// Those with the least rating, among all locations.
    public static func best(_ list: [Emission]) -> [Emission] {
        guard let least = list.map(\.rating).min() else { return [] }
        return list.filter { $0.rating == least }
    }

    /// The known figures of a curve within an interval, under the name that was asked for.
    public static func emissions(_ curve: IntensityCurve, within interval: Interval, location: String) -> [Emission] {
        curve.pieces(within: interval).map {
            Emission(location: location, interval: $0.interval, rating: $0.intensity.gramsPerKilowattHour)
        }
    }

    /// `EmissionsForecastDTO`: means over windows that begin at each step of the forecast.
    ///
    /// - Parameters:
    ///   - windowSize: nil for the steps themselves.
    public static func forecast(
        _ curve: IntensityCurve,
        location: String,
        within interval: Interval,
        windowSize: Microseconds?,
        generatedAt: Timestamp?,
        requestedAt: Timestamp
    ) -> JSONValue {
        var points: [(start: Timestamp, length: Microseconds, value: Double)] = []
        for piece in curve.pieces(within: interval) {
            let length = windowSize ?? piece.interval.duration
            let window = Interval(piece.interval.start, piece.interval.start + length)
            guard window.end <= interval.end, let mean = curve.mean(over: window) else { continue }
            points.append((window.start, length, mean.gramsPerKilowattHour))
        }
        let least = points.map(\.value).min()
        func json(_ point: (start: Timestamp, length: Microseconds, value: Double)) -> JSONValue {
            .object([
                "location": .string(location), "timestamp": .string(time(point.start)),
                "duration": .integer(point.length.count / 60_000_000), "value": .number(FigureDigits.plain(point.value)),
            ])
        }
        return .object([
            "generatedAt": generatedAt.map { .string(time($0)) } ?? .null, "requestedAt": .string(time(requestedAt)),
            "location": .string(location), "dataStartAt": .string(time(interval.start)), "dataEndAt": .string(time(interval.end)),
            "windowSize": .integer((windowSize ?? points.first?.length ?? .zero).count / 60_000_000),
            "optimalDataPoints": .array(points.filter { $0.value == least }.map(json)), "forecastData": .array(points.map(json)),
        ])
    }

    private static func time(_ time: Timestamp) -> String {
        let text = RFC3339.format(time)
        return text.hasSuffix("Z") ? text.dropLast() + "+00:00" : text
    }

    /// .NET's `[d.]hh:mm:ss`.
    static func span(_ length: Microseconds) -> String {
        let seconds = length.count / 1_000_000
        func two(_ number: Int64) -> String { (number < 10 ? "0" : "") + "\(number)" }
        let days = seconds / 86_400
        return (days > 0 ? "\(days)." : "") + "\(two(seconds / 3_600 % 24)):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
    }
}
