public import Carbon
import Documents
import Energy

/// A JSON file of the Carbon Aware SDK: `{"Emissions": [{"Location", "Time", "Rating", "Duration"}]}`.
///
/// The SDK writes a rating of -1 for what it does not know: that is left out here.
public struct CarbonAwareFile: GridProvider {
    public let name: String
    public let basis: Intensity.Basis
    public let terms: FeedTerms
    public let pace = FeedPace(requests: 60, perSeconds: 60)
    private let address: String
    private let locations: [GridZone: String]
    private let kind: Intensity.Kind

    /// - Parameters:
    ///   - address: a path or a URL.
    ///   - basis: what the file counts: the format does not say.
    ///   - locations: the file's names of places, by our zones.
    public init(
        name: String,
        address: String,
        basis: Intensity.Basis,
        kind: Intensity.Kind,
        terms: FeedTerms,
        locations: [GridZone: String]
    ) {
        self.name = name
        self.address = address
        self.basis = basis
        self.kind = kind
        self.terms = terms
        self.locations = locations
    }

    public func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest] {
        guard locations[question.zone] != nil else {
            throw .notConfigured("\(name): expected the file's name for \(question.zone); say it in `locations`")
        }
        return [FeedRequest(address)]
    }

    public func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading {
        let answer = try FeedDocument(body)
        guard let list = answer.optional("Emissions") ?? answer.optional("emissions") else { throw answer.expected("`Emissions`") }
        guard let wanted = locations[question.zone]?.lowercased() else { return FeedReading() }
        var reading = FeedReading()
        for row in try list.list {
            func field(_ key: String) throws(FeedFault) -> FeedDocument {
                if let field = row.optional(key) { return field }
                return try row[key.prefix(1).lowercased() + key.dropFirst()]
            }
            guard try field("Location").text.lowercased() == wanted else { continue }
            let start = try field("Time").time
            let length = try field("Duration")
            guard let duration = Self.duration(try length.text) else { throw length.expected("a time span such as 08:00:00 or 1.00:00:00") }
            let interval = Interval(start, start + duration)
            if case .past(let asked) = question.span, asked.intersection(interval) == nil { continue }
            let rating = try field("Rating")
            let value = try rating.number
            guard value != -1 else { continue }
            reading.add(value, kind, self, question.zone, interval, at: rating.place)
        }
        return reading
    }

    /// .NET's `[d.]hh:mm:ss[.fraction]`, more than nothing.
    static func duration(_ text: String) -> Microseconds? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let head = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard head.count <= 2, let days = head.count == 2 ? Int64(head[0]) : 0, let hours = head.last.flatMap({ Int64($0) }),
            let minutes = Int64(parts[1]), let seconds = parts[2].split(separator: ".").first.flatMap({ Int64($0) }),
            (0...10_000).contains(days), (0..<24).contains(hours), (0..<60).contains(minutes), (0..<60).contains(seconds)
        else { return nil }
        let duration = Microseconds.seconds(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
        return duration > .zero ? duration : nil
    }
}
