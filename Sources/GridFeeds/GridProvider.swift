public import Carbon
import Documents
import Energy

/// A source of grid intensities: what to ask for, and how to read the answer. No I/O happens in one.
///
/// A new provider is one file in `Providers/` and one recorded answer in the tests: docs/add-a-provider.md.
public protocol GridProvider: Sendable {
    /// As it stands beside each of its figures: `gb-carbon-intensity`.
    var name: String { get }
    /// What its figures count. Figures of two bases are never in one sum.
    var basis: Intensity.Basis { get }
    var terms: FeedTerms { get }
    var pace: FeedPace { get }
    var credential: FeedCredential { get }

    /// The requests that together answer a question, in order; none where this provider cannot know the answer.
    ///
    /// - Throws: `FeedFault.notConfigured` for a zone that it has not, or a missing key.
    func requests(_ question: GridQuestion) throws(FeedFault) -> [FeedRequest]

    /// The figures in an answer of status 200.
    ///
    /// - Throws: `FeedFault.unreadable` where the answer is not what this provider sends.
    func read(_ body: [UInt8], to request: FeedRequest, _ question: GridQuestion) throws(FeedFault) -> FeedReading
}

extension GridProvider {
    public var credential: FeedCredential { .none }
}

/// One request to a provider, without what lets it in.
public struct FeedRequest: Hashable, Sendable {
    /// Absolute. A file where it begins with `/`.
    public var url: String
    public var headers: [String: String]
    /// What a provider has to know of its request when it reads the answer.
    public var topic: String

    public init(_ url: String, headers: [String: String] = ["Accept": "application/json"], topic: String = "") {
        self.url = url
        self.headers = headers
        self.topic = topic
    }
}

/// What lets a request in.
public enum FeedCredential: Hashable, Sendable {
    case none
    /// A header with a key, such as `auth-token`.
    case header(name: String, key: String)
    /// A key among the URL's parameters; it is in no message and no log.
    case parameter(name: String, key: String)
    /// Basic authentication at `url` gives a token for `seconds`, which is then sent as a bearer's.
    case login(url: String, user: String, password: String, seconds: Int)
}

/// How often a provider lets itself be asked.
public struct FeedPace: Hashable, Sendable {
    public var requests: Int
    public var perSeconds: Int

    public init(requests: Int, perSeconds: Int) {
        self.requests = requests
        self.perSeconds = perSeconds
    }
}

/// Under which terms a provider's figures may be shown.
public struct FeedTerms: Hashable, Sendable {
    /// An SPDX identifier, or the name of the provider's own terms.
    public var licence: String
    public var source: String
    /// Where not, public data hold a figure's id, source and date, and an empty value.
    public var mayBeRedistributed: Bool

    public init(licence: String, source: String, mayBeRedistributed: Bool) {
        self.licence = licence
        self.source = source
        self.mayBeRedistributed = mayBeRedistributed
    }
}

/// What was found in an answer.
public struct FeedReading: Sendable {
    public var figures: [GridFigure] = []
    /// Values that are no intensity, each with its place, what was expected and what was found. They are left out, never put at 0.
    public var findings: [String] = []

    public init() {}

    /// Takes a value in g/kWh; nil is one that the provider does not know yet, which is nothing to report.
    ///
    /// - Parameter limits: where the source states them; else the value itself stands for both.
    mutating func add(
        _ value: Double?,
        _ kind: Intensity.Kind,
        _ provider: some GridProvider,
        _ zone: GridZone,
        _ interval: Interval,
        at place: String,
        limits: ClosedRange<Double>? = nil,
        edition: String? = nil
    ) {
        guard let value else { return }
        guard value > 0, value <= Self.mostGramsPerKilowattHour else {
            findings.append("\(place): expected more than 0 and at most \(Int(Self.mostGramsPerKilowattHour)) g/kWh, found \(value)")
            return
        }
        let intensity = Intensity(
            zone: zone.key,
            gramsPerKilowattHour: value,
            low: min(value, limits?.lowerBound ?? value),
            high: max(value, limits?.upperBound ?? value),
            kind: kind,
            basis: provider.basis,
            provider: provider.name,
            year: Int(RFC3339.format(interval.start).prefix(4)) ?? 0
        )
        figures.append(GridFigure(interval: interval, value: intensity, edition: edition))
    }

    /// Takes out what cannot be: what came of a time that has not begun, and single figures of longer than a month that are not yearly ones.
    mutating func leaveOutUnlikely(now: Timestamp) {
        var findings: [String] = []
        figures.removeAll { figure in
            let (start, kind) = (figure.interval.start, figure.value.kind)
            if [.actual, .estimated].contains(kind), start > now {
                findings.append("\(RFC3339.format(start)): expected a forecast of what is to come, found an \(kind.rawValue) figure")
            } else if kind != .yearly, figure.interval.duration > Self.longest {
                findings.append(
                    "\(RFC3339.format(start)): expected a figure of at most 31 days, or a yearly one, found one that ends "
                        + RFC3339.format(figure.interval.end)
                )
            } else {
                return false
            }
            return true
        }
        self.findings += findings
    }

    private static let longest = Microseconds(31 * Microseconds.day.count)

    /// Burning nothing but lignite in old plants gives about 1,200 g/kWh; a marginal plant may be worse.
    public static let mostGramsPerKilowattHour = 2_000.0
}

/// Why a provider gave no figures.
public enum FeedFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// What the operator has to say or to mend.
    case notConfigured(String)
    /// The provider refused: its words.
    case refused(status: Int, String)
    /// Nobody answered, several times over.
    case unreachable(String)
    /// The answer is not what this provider sends.
    case unreadable(String)
    /// The provider wants to be left alone for so many seconds, or longer where it is `FeedClient.longestSilenceSeconds`.
    case later(seconds: Int)

    public var description: String {
        switch self {
        case .notConfigured(let why), .unreachable(let why), .unreadable(let why): why
        case .refused(let status, let words): "answered \(status): \(words)"
        case .later(let seconds): "wants to be asked again in \(seconds) s"
        }
    }
}
